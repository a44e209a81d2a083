"""The verbs of `millrace local`, one file each.

What they call lies in `console/local`.
"""
