"""The file that says what each kept shard is taken over from."""

from __future__ import annotations

from array import array

from millrace.reuse.taken import TakenPart, TakenShard


def test_a_line_is_read_as_it_was_written() -> None:
    """Stretches of the items that a shard is rebuilt of are two numbers each, however many items they have."""
    shard = TakenShard("sha256:1", (TakenPart(0, 7), TakenPart(2, 8, array("I", [0, 400, 401, 1000]))))
    assert TakenShard.from_line(shard.to_line()) == shard
    assert b'"rebuilt_of":[0,400,401,1000]' in shard.to_line()
    assert b'"rebuilt_of":null' in shard.to_line()
