"""Numbers, times and keys as a person reads them: the same words in messages and in the report page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_UNITS = ("kB", "MB", "GB", "TB", "PB")


def visible(text: str, limit: int | None = None) -> str:
    """A text with every character that shows nothing, or turns the reading direction, as its escape.

    A key may hold line feeds, terminal commands and marks that make it read backwards (Unicode TR 36).

    Args:
        text: Any text, a key say.
        limit: The most characters; what is cut off shows as "…".
    """
    # A blank is printable; every other space, control, format character and surrogate is not.
    shown = text if text.isprintable() else "".join(map(_shown, text))
    return shown if limit is None or len(shown) <= limit else f"{shown[: limit - 1]}…"


def bytes_text(count: float) -> str:
    """A number of bytes: "999 B", "1.2 GB"; a kB is 1,000 bytes."""
    if count < 1000:
        return f"{count:,.0f} B"
    for unit in _UNITS:
        count /= 1000
        if count < 999.95 or unit == _UNITS[-1]:
            break
    return f"{count:,.1f} {unit}"


def dollars_text(amount: float) -> str:
    """An amount for people: `$0.0042`, `$0.31`, `$1,240`."""
    if amount == 0:
        return "$0"
    if amount < 0.0001:
        return "under $0.0001"
    return f"${amount:,.2g}" if amount < 1 else f"${amount:,.2f}" if amount < 100 else f"${amount:,.0f}"


def duration_text(seconds: float) -> str:
    """A span of time by its two largest units: "0.4 s", "12 min 3 s", "2 d 5 h"."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    for unit, size, smaller, smaller_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def seconds_between(earlier: str, later: str) -> float:
    """The seconds between two times in ISO 8601."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def time_text(iso: str) -> str:
    """A time in ISO 8601 as "2026-11-21 09:54:07 UTC"."""
    return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def iso_time(milliseconds: float) -> str:
    """A time in milliseconds since 1970, as Batch and Step Functions give it, in ISO 8601, UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plural(count: int, noun: str) -> str:
    """A count and its noun: "1 item", "1,200 items"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def reuse_text(reuse: Mapping[str, Any] | None) -> str:
    """What a run took over of an earlier one, in a line; empty for a run without reuse.

    Args:
        reuse: The section `reuse` of result.json or plan.json, as JSON.
    """
    if not reuse:
        return ""
    if not reuse.get("base"):
        return f"nothing reused: {visible(str(reuse.get('why_not', '')), 300)}"
    kept, changed, new, removed, shards = (
        int(reuse.get(name) or 0) for name in ("kept", "changed", "new", "removed", "kept_shards")
    )
    retry = f", retry {reuse['base_retry']}" if reuse.get("base_retry") else ""
    return (
        f"{plural(kept, 'item')} of {visible(str(reuse['base']), 80)}{retry} kept in {plural(shards, 'shard')}; "
        f"{changed:,} changed, {new:,} new, {removed:,} gone"
    )


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
