"""The web page of `millrace ui`.

What it shows is read by `find` and `watch`; what it does, `operations` does.
"""
