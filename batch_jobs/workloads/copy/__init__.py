"""The workload `copy`: object to object within S3, verified, keys rewritten, attributes kept or set.

No byte of an object is read by the job.
"""
