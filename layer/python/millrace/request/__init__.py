"""What starts a run: the execution input, its fields, defaults and checks.

Nothing here reads S3 objects of a run or knows how items are worked.
"""
