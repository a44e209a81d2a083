"""What the function `notify` publishes: events on the stack's bus and messages on its topic.

Reading AWS's events and a job's failure belongs to `millrace.aws`.
"""
