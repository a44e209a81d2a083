"""The migrate job: work the items of a shard and commit it.

What is done to one item's bytes belongs to its workload.
"""
