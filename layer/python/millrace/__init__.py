"""What Millrace's Lambdas, jobs and command line share: the words of one run, and the few S3 verbs it needs.

Standard library and boto3 only, so that the layer stays small and the same files go into the job image.
"""

__version__ = "0.2.0"
