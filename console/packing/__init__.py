"""From a folder of the user's modules to a zip that a run can name: which workload, which files, which packages.

Nothing here imports the user's code, and nothing here knows how a job unpacks it.
"""
