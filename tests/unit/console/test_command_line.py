"""The command of one item: placeholders, safe names, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads.command.command_line import CommandLine, safe_name
from batch_jobs.workloads.command.exit_codes import ExitCodes, ending, shell_code
from millrace.errors import ErrorCode, InvalidRunRequest, ItemError


def filled(argument: str, key: str = "in/a b.txt") -> str:
    """One argument, filled in for a key."""
    line = CommandLine.parse(["cat", argument])
    return line.of_item(key, Path("/t/input/x.txt"), [Path("/t/1/x.out"), Path("/t/2/x.idx")])[1]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("{input}", "/t/input/x.txt"),
        ("--out={output}", "--out=/t/1/x.out"),
        ("{output2}", "/t/2/x.idx"),
        ("{key}", "in/a b.txt"),
        ("{name}:{stem}", "a_b.txt:a_b"),
        ("{{input}}", "{input}"),
        ("{{{name}}}", "{a_b.txt}"),
        ("$(id); `id` | *", "$(id); `id` | *"),
    ],
)
def test_placeholders_are_filled_in(argument: str, expected: str) -> None:
    """Each placeholder has its value, doubled braces are braces, and what a shell would expand stays as it is."""
    assert filled(argument) == expected


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_key_is_passed_on_character_by_character(key: str) -> None:
    """Whatever is in a key, braces and placeholders included, is not looked into again."""
    assert filled("<{key}>", key) == f"<{key}>"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_safe_name_is_a_file_name_and_no_option(key: str) -> None:
    """Never empty, `.`, `..`, hidden, an option, a path, too long or beyond ASCII."""
    name = safe_name(key)
    assert 1 <= len(name) <= 100
    assert name.isascii()
    assert name[0] not in ".-"
    assert not set(name) & set("/\\\0\n ")


def test_a_long_name_keeps_its_ending() -> None:
    """Many programs go by the ending."""
    assert safe_name("x" * 300 + ".tar.gz").endswith("x.gz")


@pytest.mark.parametrize(
    ("arguments", "offence"),
    [
        (["wc", "{inputs}"], "{inputs}"),
        (["wc", "{output1}"], "{output1}"),
        (["wc", "{output10}"], "{output10}"),
        (["wc", "{"], "{"),
        (["wc", "a}b"], "}"),
        (["{input}"], "{input}"),
        ([""], ""),
        (["wc", "a\0"], "NUL"),
    ],
)
def test_a_wrong_argument_list_is_refused(arguments: list[str], offence: str) -> None:
    """An unknown placeholder, a lone brace, a program that is a placeholder: named, before any item is worked."""
    with pytest.raises(InvalidRunRequest) as caught:
        CommandLine.parse(arguments)
    assert offence in str(caught.value)


def test_a_key_with_a_nul_is_that_items_row() -> None:
    """No argument can hold it; a command that does not name the key works all the same."""
    with pytest.raises(ItemError) as caught:
        filled("{key}", "a\0b")
    assert caught.value.code is ErrorCode.KEY_NOT_USABLE
    assert filled("{name}", "a\0b") == "a_b"


def test_exit_codes_are_read_as_numbers_and_ranges() -> None:
    """Single codes and ranges add up."""
    codes = ExitCodes.parse(["0"], ["75"], ["1-3", "9"])
    assert [codes.success, codes.retry, codes.bad_item] == [{0}, {75}, {1, 2, 3, 9}]


@pytest.mark.parametrize("word", ["", "x", "-1", "256", "3-1", "1-", "٣"])
def test_a_wrong_exit_code_is_refused(word: str) -> None:
    """0 to 255, ranges upwards, ASCII digits."""
    with pytest.raises(InvalidRunRequest, match="retry_exit_codes"):
        ExitCodes.parse(["0"], [word], [])


def test_signals_are_told_by_name_and_counted_as_a_shell_does() -> None:
    """A segmentation fault is 139; a kill hints at the memory."""
    assert shell_code(-11) == 139
    assert "SIGSEGV" in ending(-11)
    assert "memory" in ending(-9)
    assert "exit code 3" in ending(3)
