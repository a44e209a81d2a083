"""Which links of the docs lead out of the repository, and which of these are broken: `make links`. Needs the web.

Links within the docs are held by `make site`. This is no part of `make check`, which needs no network.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parent.parent
AT_ONCE, SECONDS = 8, 20
UNSURE = {401, 403, 405, 429, 503}
"""What it says to a program that it does not like: a person has to look."""
_HEADERS = {"User-Agent": "Mozilla/5.0 (make links)"}
_FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((https?://[^\s)]+)\)|<(https?://[^\s>]+)>|^\[[^\]]+\]: (https?://\S+)$", re.MULTILINE)


def links(pages: Iterable[Path]) -> dict[str, list[Path]]:
    """The addresses that pages link to, without what they show as code, each with its pages."""
    found: dict[str, list[Path]] = defaultdict(list)
    for page in pages:
        for groups in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
            found["".join(groups).partition("#")[0]].append(page)
    return dict(found)


def answer(address: str) -> str:
    """What is wrong with an address; empty where it is there. One that is not "broken" is for a person to look at."""
    for method in ("HEAD", "GET"):
        request = Request(address, method=method, headers=_HEADERS)  # noqa: S310 - `links` takes http and https alone
        try:
            with urlopen(request, timeout=SECONDS):  # noqa: S310 - as above
                return ""
        except HTTPError as error:
            status = error.code
        except (OSError, HTTPException, ValueError) as error:
            return f"broken: {error}"
        # Some servers know no HEAD, and say anything.
        if method == "GET":
            return f"{'unsure' if status in UNSURE else 'broken'}: {status}"
    raise AssertionError(address)


def report(found: Mapping[str, Iterable[Path]]) -> tuple[list[str], int]:
    """A line for each address, and how many are broken."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = dict(zip(found, pool.map(answer, found), strict=True))
    lines = [
        f"{answers[address] or 'there':<12} {address}  ({', '.join(sorted({page.name for page in found[address]}))})"
        for address in sorted(found)
    ]
    return lines, sum(said.startswith("broken") for said in answers.values())


def main() -> None:
    """Print all links, and fail where one is broken."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    lines, broken = report(links(pages))
    sys.stdout.write("\n".join([*lines, f"{len(lines)} links, {broken} broken", ""]))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
