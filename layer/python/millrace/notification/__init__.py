"""What the function notify tells of runs, jobs and queues: AWS's events read, looked into, and put into words.

`state_changes` reads what EventBridge delivers, `run_facts` and `job_error` look into what it is about, `documents`
makes the stack's own events of it and `messages` the texts; `publishing` sends both.
"""
