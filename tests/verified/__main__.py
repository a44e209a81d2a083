"""`make verified`: write docs/verified.md, and the README's line on the last real run, from promises and recordings.

`python -m tests.verified --take build/test-aws` first takes over a run on a real account: its recordings and outcomes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.verified.document import README, VERIFIED, readme_with_last_run, take, verified


def main() -> int:
    """Write what is stale; with --check write nothing, and exit 1 where something is."""
    parser = argparse.ArgumentParser(prog="python -m tests.verified", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say what is stale")
    parser.add_argument("--take", type=Path, metavar="FOLDER", help="take over a run of make test-aws")
    given = parser.parse_args()
    if given.take:
        take(given.take)
    stale = False
    for path, text in ((VERIFIED, verified()), (README, readme_with_last_run())):
        if path.read_text("utf-8") != text:
            stale = True
            sys.stderr.write(f"{path.name} is stale: make verified\n" if given.check else f"wrote {path.name}\n")
            if not given.check:
                path.write_text(text, "utf-8")
    return int(stale and given.check)


if __name__ == "__main__":
    sys.exit(main())
