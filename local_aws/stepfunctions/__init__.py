"""What Step Functions does that ministack does not: Batch tasks, redrive, time limits.

The interpreter of the state language is ministack's.
"""
