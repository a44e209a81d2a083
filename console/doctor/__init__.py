"""The checks of `millrace doctor`, one by one.

Checks of the template are in the top-level `checks`.
"""
