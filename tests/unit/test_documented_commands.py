"""Every command that a page shows is one that there is, with options that it takes; `sh` blocks are run besides.

A block says what it is: `sh` is run as it stands by tests/workflow/test_tutorial.py. `console` (`$ command`) needs an
account, Docker, names of the reader's own or much time; here its words are read as the program itself reads them:
`millrace` by its own parser, `make` against the Makefile, `aws` against AWS's service models. The parameters of
`make deploy` are read by tests/infrastructure/test_deploy_lines.py.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import botocore.session
import click
import pytest
from botocore import xform_name

from console.__main__ import millrace

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
FENCE = re.compile(r"^ *```(.*)\n((?s:.*?))^ *```$", re.MULTILINE)
KINDS = {"sh", "console", "text", "json", "python", "csv", "yaml", "toml", "dockerfile", "html"}
NOT_READ = {
    ".": "the shell's own",
    "cd": "the shell's own",
    "export": "the shell's own",
    "output()": "a function of the shell, defined and used on the same page",
    "echo": "the shell's own",
    "head": "a filter",
    "docker": "needs an engine: make test-container builds and runs the image as these lines do",
    "sam": "the same line is run by every deployment on the embedded AWS, console/local/deployment.py",
    "git": "its own program",
    "python3": "Python itself: `-m venv`, `-m pip`",
    "pip": "Python's own installer; tests/workflow/test_distribution.py installs the wheel",
}
"""Programs whose words are not looked at, and why."""
S3_VERBS = {"cp", "ls", "rb", "sync"}
"""The high-level commands of `aws s3`, which no service model has."""
AWS_OPTIONS = {"region", "query", "output", "profile"}


def commands() -> Iterator[tuple[str, str]]:
    """The commands of all `console` and `sh` blocks, with their page."""
    for page in PAGES:
        for kind, text in FENCE.findall(page.read_text("utf-8")):
            lines = re.sub(r"\\\n\s*", "", text).splitlines()
            shown = [line.strip().removeprefix("$ ") for line in lines if line.strip().startswith("$ ")]
            if kind == "console":
                assert len(shown) == len([line for line in lines if line.strip()]), f"{page}: {text}"
            if kind == "sh":
                shown = [line for line in lines if line.startswith("millrace ")]
            for line in shown:
                yield page.relative_to(REPOSITORY).as_posix(), line


COMMANDS = sorted(set(commands()))


def check_millrace(words: list[str]) -> None:
    """Parse a command line as the program does, and run nothing."""
    if words == ["--version"]:
        return
    group: click.Command = millrace
    while isinstance(group, click.Group):
        name, *words = words
        found = group.get_command(click.Context(group), name)
        assert found is not None, name
        group = found
    with pytest.MonkeyPatch.context() as patch:
        # A path need not be there: the reader makes it, or has it.
        for parameter in group.params:
            if isinstance(parameter.type, click.Path):
                patch.setattr(parameter, "type", click.Path())
        group.make_context(group.name, [word.replace("RUN", "run-1") for word in words])


def check_make(words: list[str]) -> None:
    """The target and the variables are the Makefile's."""
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    for word in words:
        name, given, _ = word.partition("=")
        pattern = rf"^{re.escape(name)} (\?|:)?= ?" if given else rf"^{re.escape(name)}:.*##"
        assert re.search(pattern, makefile, re.MULTILINE), word


def check_aws(words: list[str]) -> None:
    """The service, its operation and its parameters are AWS's."""
    service, verb, *rest = words
    if service == "s3":
        assert verb in S3_VERBS
        return
    session = botocore.session.get_session()
    model = session.get_service_model({"s3api": "s3"}.get(service, service))
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    assert verb in operations, f"{service} {verb}"
    shape = model.operation_model(operations[verb]).input_shape
    members = {xform_name(name, "-") for name in shape.members} if shape else set()
    given = {word.removeprefix("--") for word in rest if word.startswith("--")}
    assert given <= members | AWS_OPTIONS, given


def check_python(words: list[str]) -> None:
    """The module is there."""
    assert words[0] == "-m"
    assert find_spec(words[1]) is not None, words[1]


READERS: dict[str, Callable[[list[str]], None]] = {
    "millrace": check_millrace,
    "make": check_make,
    "aws": check_aws,
    "python": check_python,
}


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{page}: {line[:80]}" for page, line in COMMANDS])
def test_a_command_of_the_docs(page: str, line: str) -> None:  # noqa: ARG001 - it is in the test's name
    """It exists and takes what it is given, or it is a program that is named with a reason."""
    whole = re.sub(r"\$\(.*\)", "said", line.partition("  #")[0])  # a command in a command: what it says
    for part in re.split(r" && | \|\|? ", whole):
        words = shlex.split(part)
        while words and re.match(r"[A-Za-z_]+=", words[0]):
            words = words[1:]  # a variable of the command, or an assignment alone
        program = (Path(words[0]).name or words[0]) if words else "export"
        if program in READERS:
            READERS[program](words[1:])
        else:
            assert program in NOT_READ, f"{program}: a new program needs a reader here, or a reason"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_block_says_what_it_is(page: Path) -> None:
    """So that none escapes: commands are `sh` or `console`, and what is neither is marked as text or by its format."""
    for kind, text in FENCE.findall(page.read_text("utf-8")):
        assert kind in KINDS, text
        if kind == "text":
            assert not re.search(r"^(\$ |make |millrace |aws |sam )", text, re.MULTILINE), text


def test_the_readers_refuse() -> None:
    """A wrong verb, option, target, variable, operation or module is found."""
    wrong = [
        (check_millrace, ["start", "--sauce", "s3://a/"]),
        (check_make, ["deploi"]),
        (check_make, ["deploy", "STAKC=a"]),
        (check_aws, ["batch", "describe-jobz"]),
        (check_aws, ["batch", "describe-jobs", "--jbos", "a"]),
        (check_python, ["-m", "batch_jubs"]),
    ]
    for reader, words in wrong:
        with pytest.raises((AssertionError, click.UsageError)):
            reader(words)
