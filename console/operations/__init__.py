"""What an operator does to runs: estimate, start, resume, cancel. The verbs and the page do it alike.

How it is asked for and shown is for `commands` and `ui`; looking at runs is for `find` and `watch`.
"""
