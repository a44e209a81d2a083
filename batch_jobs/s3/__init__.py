"""The fast S3 client of the jobs' inner loop: obstore, pacing, ranges.

Where a request is rare, `millrace.s3.verbs` is used instead.
"""
