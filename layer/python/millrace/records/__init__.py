"""The records of one run: plan, commit, outcome, result, and their folders.

How they are made belongs to the jobs; how they are shown belongs to `report`.
"""
