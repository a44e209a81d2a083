"""AWS's own records of a run: events, job failures, attempts of its jobs.

Nothing here writes to AWS.
"""
