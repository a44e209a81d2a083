"""What a run works: which objects are items, manifests, and how items are cut into shards.

Listing S3 belongs to the plan job.
"""
