"""Which AWS, which stack, which run, which execution, which job: what a verb works on.

Nothing here prints.
"""
