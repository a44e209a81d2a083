"""Run by the security environment's own Python: policies by name on standard input, parliament's findings on output."""

from __future__ import annotations

import json
import sys

from parliament import analyze_policy_string


def main() -> None:
    """Write each finding as issue, detail, and the name of its policy."""
    findings = [
        {"policy": name, "issue": finding.issue, "detail": str(finding.detail)}
        for name, document in json.load(sys.stdin).items()
        for finding in analyze_policy_string(json.dumps(document)).findings
    ]
    json.dump(findings, sys.stdout)


if __name__ == "__main__":
    main()
