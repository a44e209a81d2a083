"""Following a run: its steps, progress, waiting jobs, cost, and how it is shown in a terminal.

Finding the run belongs to `find`.
"""
