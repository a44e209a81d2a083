"""The plan job: list the source, cut large objects, cut items into shards, write the plan.

Rules that the console shares (filters, sharding) are in `millrace.source`.
"""
