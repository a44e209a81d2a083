"""The embedded AWS: ministack, with an AWS Batch and a Step Functions redrive of our own."""

VERSION = "1"
