"""report.html: what a run did, on one page that needs nothing but itself.

Only the jobs and the console make it; no Lambda does.
"""
