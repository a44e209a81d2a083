"""The workload `command`: any program, run once for each item.

Which objects are items, and when a failure is retried, belongs to the jobs.
"""
