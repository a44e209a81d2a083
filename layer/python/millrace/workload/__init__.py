"""What authors of workloads import: the contract, options, totals, lines.

The workloads themselves are in `batch_jobs/workloads`.
"""
