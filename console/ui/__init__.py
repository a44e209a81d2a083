"""The web page of `millrace local ui`.

What it shows is read by `find` and `watch`.
"""
