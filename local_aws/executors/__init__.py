"""What runs a job's attempt: a process or a container, with its logs, credentials and faults.

Whether a failed attempt is tried again belongs to `batch`.
"""
