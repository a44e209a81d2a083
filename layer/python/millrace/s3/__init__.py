"""S3 as Lambdas, jobs and console use it: client, verbs, errors, retries, streaming reads.

The fast client of the jobs' inner loop is `batch_jobs/s3`.
"""
