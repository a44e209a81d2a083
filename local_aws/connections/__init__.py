"""The server's connections: uvicorn's, and which requests are answered before it sees them.

What the answers are belongs to `ministack`, who is let in to `local_aws.guard`.
"""
