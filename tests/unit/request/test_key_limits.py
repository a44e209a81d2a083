"""What a run writes has keys that S3 allows, away from other runs' folders, and no two items have one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.stop import Stop
from batch_jobs.workloads.registry import load_workload
from millrace.errors import ErrorCode, InvalidRunRequest, ItemError, MillraceError
from millrace.layout import MAX_KEY_BYTES, RunFolder, S3Uri, check_destination, output_fault
from millrace.records.plan import Item
from millrace.workload.contract import Outputs
from millrace.workload.record import check_item_suffixes
from millrace.workload.registry import checked_options
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, Sizes

KEYS = st.text("a.b/", min_size=1, max_size=5)
SUFFIXES = st.lists(st.text("a.b/", max_size=3), max_size=3, unique=True)


@given(st.lists(KEYS, unique=True, max_size=8), SUFFIXES)
def test_suffixes_that_are_let_through_never_give_two_items_one_output(keys: list[str], suffixes: list[str]) -> None:
    """Whatever the keys; and what is refused is refused for a pair of keys that exists."""
    try:
        check_item_suffixes("suffixes", suffixes)
    except InvalidRunRequest:
        pairs = [(one, other) for one in suffixes for other in suffixes if one != other and one.endswith(other)]
        assert all("a" + one == "a" + one.removesuffix(other) + other for one, other in pairs)
        assert pairs
        return
    outputs = [key + suffix for key in keys for suffix in suffixes]
    assert len(set(outputs)) == len(outputs)


@pytest.mark.parametrize("suffixes", [[".json", ".meta.json"], [".a.b", ".b"], ["x", "yx", ".z"]])
def test_a_command_with_outputs_of_two_items_under_one_key_is_refused_with_the_request(suffixes: list[str]) -> None:
    """The message names both suffixes, and an item for each."""
    with pytest.raises(InvalidRunRequest, match="none ends in another") as caught:
        checked_options("command", {"command": ["x", "{output}", "{output2}"], "output_suffixes": suffixes})
    assert caught.value.field == "options.output_suffixes"


def test_an_empty_suffix_of_a_command_is_refused_with_the_request() -> None:
    """Not by the job, once it has been paid for."""
    with pytest.raises(InvalidRunRequest, match="none of them empty"):
        checked_options("command", {"command": ["x", "{input}"], "output_suffixes": [""]})


class Wrong(Sizes):
    """An own workload."""

    item_suffixes: ClassVar[Any] = (".json", ".meta.json")


class WithoutComma(Sizes):
    """An own workload whose tuple is none."""

    item_suffixes: ClassVar[Any] = ".lines"


class LongPartial(Sizes):
    """An own workload whose partials' names would be too long."""

    partial_suffix: ClassVar[str] = "." + "p" * 32


@pytest.mark.parametrize(
    ("name", "why"),
    [("Wrong", "none ends in another"), ("WithoutComma", "mind the comma"), ("LongPartial", "at most 32 bytes")],
)
def test_an_own_workloads_suffixes_are_checked_when_it_is_loaded(
    name: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the plan job, before anything is listed."""
    monkeypatch.setenv("MILLRACE_WORKLOAD_PATH", str(Path(__file__).parents[3]))
    with pytest.raises(InvalidRunRequest, match=why):
        load_workload(f"tests.unit.request.test_key_limits:{name}", {})


def test_clean_up_leaves_what_a_row_names() -> None:
    """Even where suffixes get past the check, the clean-up of a failed item keeps what another item's row names."""

    class Both(Sizes):
        item_suffixes: ClassVar[tuple[str, ...]] = (".json", ".meta.json")

        def __init__(self, options: Mapping[str, Any]) -> None:
            super().__init__(options)

        def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> tuple[str, int]:
            if b"bad" in b"".join(body):
                raise ItemError(ErrorCode.NOT_TEXT, "bad")
            for suffix in self.item_suffixes:
                with outputs.open(suffix) as file:
                    file.write(suffix.encode())
            return item.key, 1

    run = RunInMemory({"in/a": b"good", "in/a.meta": b"bad"}, load=lambda _name, options: Both(options))
    run.plan()
    run.migrate()
    assert run.outputs() == {"a.json": b".json", "a.meta.json": b".meta.json"}


@pytest.mark.parametrize("key", ["_millrace/r/result.json", "a/_millrace/x", "a/_millrace", "_millrace"])
@pytest.mark.parametrize("workload", ["copy", "command"])
def test_no_item_has_an_output_among_run_folders(key: str, workload: str) -> None:
    """The segment counts wherever it is in the whole output key; the item's row says so, and names the output."""
    if workload == "copy":
        options: dict[str, Any] = {}
    else:
        options = {"command": ["cat", "{input}"], "output_suffixes": ["/_millrace/x"]}
    objects = {f"in/{key}": b"x", "in/fine": b"x"}
    run = RunInMemory(objects, {"workload": workload, "options": options}, load=load_workload)
    run.plan()
    rows = {outcome.key[3:]: outcome for outcome in run.migrate().outcomes}
    assert rows[key].error_code == ErrorCode.KEY_NOT_USABLE
    assert "_millrace" in (rows[key].message or "")
    assert (rows["fine"].error_code is None) == (workload == "copy")
    assert all("_millrace" not in output for output in run.outputs())


@pytest.mark.parametrize("key", ["x_millrace/a", "_millrace2/a", "a/_millrace.json"])
def test_a_name_that_holds_the_reserved_one_is_no_segment(key: str) -> None:
    """Whole segments alone are reserved."""
    assert output_fault(S3Uri("b", key)) is None


@pytest.mark.parametrize("run_id", ["r", "a-run-" + "x" * 60])
def test_every_key_that_a_run_writes_is_as_long_as_is_checked(run_id: str) -> None:
    """With the longest destination that is let through, all jobs of a run, of a retry and of a merge in parts end."""
    room = next(
        length for length in range(MAX_KEY_BYTES, 0, -1) if _fits(S3Uri(RESULT, "d" * (length - 1) + "/"), run_id)
    )
    destination = S3Uri(RESULT, "d" * (room - 1) + "/")
    run = RunInMemory(
        {"in/a": b"1", "in/b": b"bad", "in/c": b"3"},
        {
            "destination": str(destination),
            "shard": {"max_items": 1},
            "merge_limit_seconds": 1,
            "tolerated_failure_percent": 100,
        },
        folder=RunFolder.of(destination, run_id),
    )
    for each in (run, run.retry(1)):
        made = each.plan()
        stop = Stop(wait=lambda _seconds: None)
        stop.request("SIGTERM")
        with pytest.raises(MillraceError):
            each.migrate(0, stop)
        for index in range(made.shards):
            each.migrate(index)
        for part in range(made.merge_parts):
            each.merge_part(part)
        each.merge(100)
        run.client.store(SOURCE, "in/b", b"2")
    written = run.client.bodies(RESULT)
    longest = max(len(key) for key in written)
    assert any("/retries/001/" in key for key in written)
    assert MAX_KEY_BYTES - 1 <= longest <= MAX_KEY_BYTES


def _fits(destination: S3Uri, run_id: str) -> bool:
    try:
        check_destination(destination, run_id, own_workload=False)
    except InvalidRunRequest:
        return False
    return True


def test_a_results_name_is_short_enough_for_every_destination() -> None:
    """An own workload's file may have a name of 100 bytes; a longer one is refused, wherever the run goes."""

    class Named(Sizes):
        name_of_result = "r" * 100

        def merge(self, partials: Iterable[Any], results: Outputs) -> dict[str, Any]:
            with results.open(self.name_of_result) as file:
                file.write(b"%d" % len(list(partials)))
            return {}

    run = RunInMemory({"in/a": b"1"}, load=lambda _name, options: Named(options))
    run.all()
    assert run.file("r" * 100) == b"1"
    Named.name_of_result = "é" * 51
    other = RunInMemory({"in/a": b"1"}, load=lambda _name, options: Named(options))
    with pytest.raises(ValueError, match="102 bytes; at most 100"):
        other.all()
