"""Reuse: which earlier run may be reused, and which of its shards a new listing leaves as they were.

Taking shards over belongs to the jobs; the sections of plan.json and result.json belong to `records`.
"""
