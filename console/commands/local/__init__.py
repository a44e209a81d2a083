"""The verbs of `millrace local`, one file each.

What they call is in `console/local`.
"""
