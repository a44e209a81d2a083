"""What a run reports: a row per item (report.csv, failures.jsonl) and report.html.

The records that it reads belong to `run`.
"""
