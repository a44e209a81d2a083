"""A workload that is a function: its options, what it gives, and how that is merged."""

# ruff: noqa: ARG001, D417 - functions as users write them: what they do not need, they leave
from __future__ import annotations

import csv
import io
import json
import math
import random
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads.function import workload as workload_module
from batch_jobs.workloads.function.workload import class_of
from batch_jobs.workloads.registry import load_workload
from millrace import Item, Quantiles, workload
from millrace.errors import DamagedFileError, InvalidRunRequest, WorkloadFaultError, WorkloadUnavailableError
from millrace.workload.function import DECLARATION
from millrace.workload.options import check_options

Given = list[tuple[str, bytes]]


class Files:
    """The result's files, by name."""

    def __init__(self) -> None:
        self.files: dict[str, io.BytesIO] = {}

    def open(self, name: str, content_type: str = "") -> BinaryIO:
        """A file that keeps what was written after its end."""
        assert content_type
        kept = self.files[name] = io.BytesIO()
        kept.close = lambda: None  # type: ignore[method-assign]
        return kept

    def rows(self, name: str) -> list[list[str]]:
        """A CSV file's rows."""
        return list(csv.reader(io.StringIO(self.files[name].getvalue().decode(), newline="")))


def made(function: Callable[..., Any], **options: object) -> Any:
    """The workload of a decorated function."""
    found = class_of(getattr(function, DECLARATION))
    return found(check_options(found.options, options))  # type: ignore[attr-defined]


def run(program: Any, shards: list[Given], shuffled: random.Random | None = None) -> tuple[dict[str, Any], Files]:
    """Migrate each shard, one save and load of its progress between, and merge: the result's part and its files."""
    partials: list[BinaryIO] = []
    for shard in shards:
        partial = program.partial()
        order = list(shard)
        if shuffled:
            shuffled.shuffle(order)
        for number, (key, data) in enumerate(order):
            partial.add(program.migrate(Item(key, len(data), '"e"'), iter([data]), Files()))
            if number == 0:
                saved = io.BytesIO()
                partial.write(saved)
                saved.seek(0)
                partial = program.partial()
                partial.read(saved)
        file = io.BytesIO()
        partial.write(file)
        file.seek(0)
        partials.append(file)
    results = Files()
    return program.merge(partials, results), results


SHARDS: list[Given] = [[("in/a", b"1 2"), ("in/b", b"")], [("in/c", b"3"), ("in/d", b"x 4")]]


def test_a_dict_of_numbers_is_added_up() -> None:
    """Each name is summed over all items; floats are summed exactly, whatever the order."""

    @workload()
    def sizes(item: Item, body: Any) -> dict[str, float]:
        return {"items": 1, "bytes": item.size, "tenths": 0.1}

    part, files = run(made(sizes), [SHARDS[0] * 1, SHARDS[1]])
    assert part == {"bytes": 7, "items": 4, "tenths": 0.4}
    assert not files.files


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300), min_size=1),
    st.randoms(),
)
def test_sums_do_not_depend_on_the_order(numbers: list[float], shuffled: random.Random) -> None:
    """The partial has the same bytes, and the sum is the exact one, in whatever order items end."""

    @workload()
    def value(body: Any) -> dict[str, float]:
        return {"sum": float(body.text())}

    program = made(value)
    written = []
    for order in (numbers, shuffled.sample(numbers, len(numbers))):
        partial = program.partial()
        for number in order:
            key = f"in/{numbers.index(number)}"
            partial.add(program.migrate(Item(key, 1, '"e"'), iter([repr(number).encode()]), Files()))
        file = io.BytesIO()
        partial.write(file)
        written.append(file.getvalue())
    assert written[0] == written[1]
    assert program.merge([io.BytesIO(written[0])], Files()) == {"sum": math.fsum(numbers)}


def test_a_counter_is_merged() -> None:
    """A Counter becomes a file, the most frequent first, and its head part of the result."""

    @workload()
    def words(body: Any) -> Counter[str]:
        return Counter(body.text().split())

    part, files = run(made(words), [*SHARDS, [("in/e", b"4 =1")]])
    assert part == {"distinct": 6, "total": 7, "top": {"4": 2, "1": 1, "2": 1, "3": 1, "=1": 1, "x": 1}}
    assert files.rows("counts.csv")[:2] == [["key", "count"], ["4", "2"]]
    assert ["'=1", "1"] in files.rows("counts.csv")


def test_quantiles_are_those_of_all_numbers() -> None:
    """The quantiles of many items' numbers are within half a percent in rank of the sorted numbers'."""
    chance = random.Random(7)
    numbers = [chance.lognormvariate(0, 2) for _ in range(20_000)]

    @workload()
    def latency(item: Item, body: Any) -> dict[str, Any]:
        mine = numbers[int(item.key) :: 40]
        return {"requests": len(mine), "seconds": Quantiles(mine)}

    items = [(str(number), b"") for number in range(40)]
    part, _ = run(made(latency), [items[:13], items[13:]])
    again, _ = run(made(latency), [items[:13], items[13:]], shuffled=chance)
    assert part == again
    assert part["requests"] == part["seconds"]["count"] == 20_000
    assert (part["seconds"]["min"], part["seconds"]["max"]) == (min(numbers), max(numbers))
    for name, rank in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)):
        assert abs(sum(number <= part["seconds"][name] for number in numbers) / 20_000 - rank) < 0.005


@workload()
def numbered(item: Item, body: Any) -> Iterator[dict[str, Any]]:
    """Each word, with its place."""
    for number, word in enumerate(body.text().split()):
        yield {"key": item.key, "number": number, "word": word}


def test_rows_become_one_table() -> None:
    """Rows of all items are in rows.csv, in the order of the items' keys and of their own, whatever ended first."""
    part, files = run(made(numbered), SHARDS)
    types = {"key": "str", "number": "int", "word": "str"}
    assert part == {"rows": 5, "columns": ["key", "number", "word"], "types": types}
    assert files.rows("rows.csv") == [
        ["key", "number", "word"],
        ["in/a", "0", "1"],
        ["in/a", "1", "2"],
        ["in/c", "0", "3"],
        ["in/d", "0", "x"],
        ["in/d", "1", "4"],
    ]
    for seed in range(5):
        _, others = run(made(numbered), [SHARDS[1], SHARDS[0]], shuffled=random.Random(seed))
        assert others.files["rows.csv"].getvalue() == files.files["rows.csv"].getvalue()


def test_columns_that_differ_are_one_table() -> None:
    """A table has the columns of all rows; what is missing is empty, numbers are bare, a formula is made a text."""

    @workload(table="parquet")
    def mixed(item: Item, body: Any) -> list[dict[str, Any]]:
        return (
            [{"n": 1, "text": "=1+1"}] if item.key == "in/a" else [{"n": -0.5, "more": [1, {"é": None}], "none": None}]
        )

    part, files = run(made(mixed), [[("in/a", b""), ("in/b", b"")]])
    assert part["types"] == {"n": "float", "text": "str", "more": "json", "none": "str"}
    assert files.rows("rows.csv")[1:] == [["1", "'=1+1", "", ""], ["-0.5", "", '[1, {"é": null}]', ""]]
    table = pq.read_table(io.BytesIO(files.files["rows.parquet"].getvalue()))
    assert table.to_pylist() == [
        {"n": 1.0, "text": "=1+1", "more": None, "none": None},
        {"n": -0.5, "text": None, "more": '[1,{"é":null}]', "none": None},
    ]


def test_a_large_table_is_in_several_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a size the rows are in files of a part each, in their order; how they were sharded changes no byte."""
    monkeypatch.setattr(workload_module, "ONE_FILE_BYTES", 150)
    monkeypatch.setattr(workload_module, "PART_BYTES", 80)

    @workload(table="parquet")
    def words(item: Item, body: Any) -> Iterator[dict[str, Any]]:
        for word in body.text().split():
            yield {"key": item.key, "word": word, **({"long": True} if len(word) > 60 else {})}

    items = [("in/a", b"one two three"), ("in/b", b"x" * 100 + b" four"), ("in/c", b""), ("in/d", b"five six")]
    _, files = run(made(words), [items])
    names = sorted(name for name in files.files if name.endswith(".parquet"))
    assert names == [f"rows-{number:05d}.parquet" for number in range(5)]
    tables = [pq.read_table(io.BytesIO(files.files[name].getvalue())) for name in names]
    assert len({str(table.schema) for table in tables}) == 1
    read = [row["word"] for table in tables for row in table.to_pylist()]
    assert read == [row[1] for row in files.rows("rows.csv")[1:]]
    assert [table.num_rows for table in tables] == [2, 1, 1, 2, 1]
    _, others = run(made(words), [items[2:], items[:1], items[1:2]])
    assert {name: others.files[name].getvalue() for name in names} == {
        name: files.files[name].getvalue() for name in names
    }


def test_a_merge_function_takes_the_rest() -> None:
    """It gets every item's value in the order of the keys, and may write files."""

    def longest(values: Iterator[Any], results: Any) -> dict[str, Any]:
        every = list(values)
        with results.open("all.json", "application/json") as file:
            file.write(json.dumps(every).encode())
        return {"longest": max(every)}

    @workload(merge=longest)
    def words(item: Item, body: Any) -> list[Any]:
        return [len(body.text()), item.key]

    part, files = run(made(words), SHARDS, shuffled=random.Random(3))
    assert part == {"longest": [3, "in/d"]}
    assert json.loads(files.files["all.json"].getvalue()) == [[3, "in/a"], [0, "in/b"], [1, "in/c"], [3, "in/d"]]


@pytest.mark.parametrize(
    ("gives", "error"),
    [
        (3, TypeError),
        ("text", TypeError),
        ({"a": "text"}, TypeError),
        ({"a": True}, TypeError),
        ({"a": math.nan}, ValueError),
        ({"a": 10**5000}, ValueError),
        ({1: 2}, TypeError),
        ({"a b": Counter("x")}, ValueError),
        (Counter({"a": 0.5}), TypeError),
        (Counter({("a",): 1}), TypeError),
        ([3], TypeError),
        ([{}], ValueError),
        ([{"a": "x" * 1_000_000}], ValueError),
        ([{"a": math.inf}], ValueError),
        ([{"a": {1, 2}}], TypeError),
        ([{1: 2}], TypeError),
    ],
)
def test_what_cannot_be_merged_is_the_items_row(gives: object, error: type[Exception]) -> None:
    """It raises in migrate, so that it is this item's row, and nothing of it reaches the shard's partial."""

    @workload()
    def bad(body: Any) -> object:
        return gives

    with pytest.raises(error):
        made(bad).migrate(Item("in/a", 0, '"e"'), iter([b""]), Files())


def test_mixed_kinds_end_the_run() -> None:
    """Totals for one item and rows for another, or one name for two kinds, cannot be merged: exit code 2."""

    @workload()
    def fickle(item: Item, body: Any) -> Any:
        return {"in/a": {"n": 1}, "in/b": [{"n": 1}], "in/c": {"n": Counter("a")}, "in/d": None}[item.key]

    for keys in (["in/a", "in/b"], ["in/b", "in/a"], ["in/a", "in/c"]):
        for shards in ([[(key, b"") for key in keys]], [[(key, b"")] for key in keys]):
            with pytest.raises(WorkloadFaultError, match=r"merged\. Have it give .* start a new run") as caught:
                run(made(fickle), shards)
            assert caught.value.exit_code == 2
    assert run(made(fickle), [[("in/a", b""), ("in/d", b"")]])[0] == {"n": 1}


@pytest.mark.parametrize("data", [b"", b"{}\n", b"[]\n", b'{"kind":"rows","numbers":{},"counts":{},"items":3}\n'])
def test_a_damaged_partial_is_named(data: bytes) -> None:
    """A partial that is not one, or ends too early, is an error and no smaller result."""
    with pytest.raises(DamagedFileError):
        made(numbered).partial().read(io.BytesIO(data))


class Level(Enum):
    """An option that is an enumeration."""

    LOW = "low"
    HIGH = "high"


@workload(outputs=[".json"], splits="lines")
def everything(  # type: ignore[no-untyped-def]
    item: Item,
    body: Any,
    outputs: Any,
    *,
    flag: bool = False,
    count: int = 3,
    limit: float = 1,
    name: str,
    words: list[str] = ["a"],  # noqa: B006 - a default as users write it
    numbers: list[float] = [],  # noqa: B006
    level: Level = Level.LOW,
    kind: Literal["x", "y"] = "y",
    plain=5,  # noqa: ANN001
) -> dict[str, int]:
    """Everything that an option can be.

    Args:
        item: The item.
        limit: How many seconds
            are too many.
    """
    assert (flag, count, limit, name, words, numbers) == (True, 4, 2.0, "é", ["b"], [1, 2.5])
    assert (level, kind, plain) == (Level.HIGH, "x", 5)
    return {"n": 1}


def test_parameters_are_options() -> None:
    """Keyword parameters of every kind are checked options, and come back as what the function declares."""
    program = made(
        everything, flag=True, count=4, limit=2, name="é", words=["b"], numbers=[1, 2.5], level="high", kind="x"
    )
    assert program.migrate(Item("a", 0, '"e"'), iter([b""]), Files()).numbers == {"n": 1}
    assert program.item_suffixes == (".json",)
    assert program.splits("a")
    (limit,) = (option for option in program.options if option.name == "limit")
    assert limit.doc == "How many seconds are too many."
    assert isinstance(limit.default, float)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"name": 3},
        {"name": "a", "flag": 1},
        {"name": "a", "count": 1.5},
        {"name": "a", "limit": math.inf},
        {"name": "a", "words": "b"},
        {"name": "a", "words": [1]},
        {"name": "a", "numbers": ["1"]},
        {"name": "a", "numbers": [True]},
        {"name": "a", "level": "middle"},
        {"name": "a", "kind": ""},
        {"name": "a", "other": 1},
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, object]) -> None:
    """One that is missing, unknown or of another type is named."""
    with pytest.raises(InvalidRunRequest, match="options"):
        made(everything, **options)


def test_a_function_takes_what_it_names() -> None:
    """Parameters called item, body and outputs get just that, in any order; others get it by their place."""

    @workload(outputs=[".a"])
    def first(body: Any, outputs: Any) -> dict[str, int]:
        with outputs.open(".a", "text/plain") as file:
            file.write(body.bytes())
        return {"n": 1}

    @workload()
    def second(body: Any, item: Item) -> dict[str, int]:
        return {item.key: len(body.bytes())}

    @workload()
    def third(_item: Item, text: Any) -> dict[str, int]:
        return {_item.key: len(text.bytes())}

    files = Files()
    made(first).migrate(Item("a", 3, '"e"'), iter([b"abc"]), files)
    assert files.files[".a"].getvalue() == b"abc"
    for function in (second, third):
        assert made(function).migrate(Item("a", 3, '"e"'), iter([b"abc"]), files).numbers == {"a": 3}
    with pytest.raises(TypeError, match=r"wrong takes 2 positional arguments \(body, file\)"):

        @workload()
        def wrong(body: Any, file: Any) -> None: ...


def test_functions_that_are_none() -> None:
    """What cannot be called is refused where it is decorated, with the parameter named."""
    with pytest.raises(TypeError, match=r"\*options cannot be an option"):

        @workload()
        def one(body: Any, **options: int) -> None: ...

    with pytest.raises(TypeError, match="the option limit needs an annotation"):

        @workload()
        def two(body: Any, *, limit: dict[str, int]) -> None: ...

    with pytest.raises(TypeError, match="takes 4 positional arguments"):

        @workload()
        def three(item: Item, body: Any, outputs: Any, limit: int) -> None: ...

    with pytest.raises(TypeError, match="neither a class nor asynchronous"):

        @workload()
        async def four(body: Any) -> None: ...

    with pytest.raises(TypeError, match=r'outputs=\["\.json"\]'):
        workload(outputs=".json")
    with pytest.raises(InvalidRunRequest, match="none ends in another"):

        @workload(outputs=[".json", ".meta.json"])
        def five(body: Any) -> None: ...


@pytest.mark.parametrize("default", ["abc", None, 3, ["a", 1], {"a"}])
def test_a_list_needs_a_list_as_default(default: object) -> None:
    """A text is a sequence of its letters, and would pass for a list of them."""
    with pytest.raises(TypeError, match="the option words needs an annotation"):

        @workload()
        def one(body: Any, *, words: list[str] = default) -> None: ...  # type: ignore[assignment]


@pytest.mark.parametrize("merge", [3, "join", lambda *_, values: values, lambda _one, _two, _three: {}])
def test_a_merge_function_that_cannot_be_called_is_refused(merge: Any) -> None:
    """Where it is declared: the merge job comes after all work."""
    with pytest.raises(TypeError, match=r"called as merge\(values\), or as merge\(values, results\)"):
        workload(merge=merge)


def test_it_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`module:function` is loaded as `module:Class` is, and one without the decorator is refused with the reason."""
    (tmp_path / "own_requests.py").write_text(
        textwrap.dedent("""
            from millrace import workload

            @workload(splits="lines")
            def slow(item, body, outputs, *, limit: float = 1.0):
                for record in body.json_lines():
                    if record["seconds"] > limit:
                        yield {"path": record["path"], "seconds": record["seconds"]}

            def bare(body):
                return {}
        """)
    )
    monkeypatch.setenv("MILLRACE_WORKLOAD_PATH", str(tmp_path))
    program = load_workload("own_requests:slow", {"limit": 2})
    lines = b'{"path": "/a", "seconds": 1}\n{"path": "/b", "seconds": 3.5}\n'
    part, files = run(program, [[("in/a", lines)]])
    assert part["rows"] == 1
    assert files.rows("rows.csv")[1] == ["/b", "3.5"]
    with pytest.raises(WorkloadUnavailableError, match="above its function"):
        load_workload("own_requests:bare", {})
