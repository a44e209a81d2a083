"""The merge job: add up the commits that the plan names, write result and reports.

How a workload merges its partials belongs to the workload.
"""
