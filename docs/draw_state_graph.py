"""Draw statemachine/migration.asl.json as docs/state-graph.svg: `python docs/draw_state_graph.py [OUTPUT]`.

A test holds the committed picture and the state machine together.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "layer/python")]

from console.ui.state_graph import draw  # noqa: E402 - found by the path above

DEFINITION = ROOT / "statemachine" / "migration.asl.json"
PICTURE = ROOT / "docs" / "state-graph.svg"


if __name__ == "__main__":
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    output.write_text(draw(json.loads(DEFINITION.read_text())))
