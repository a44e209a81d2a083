"""AWS Batch: resources, job definitions, jobs, the scheduler, its API and its events.

Running a task belongs to `executors`.
"""
