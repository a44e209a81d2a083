"""The workload `word-count`: how often each word occurs, per item and in the whole run.

The C table it counts with is in `batch_jobs/native`.
"""
