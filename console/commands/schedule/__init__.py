"""The verbs of `millrace schedule`: runs by the clock.

What they call is in `console/operations/schedules.py`.
"""
