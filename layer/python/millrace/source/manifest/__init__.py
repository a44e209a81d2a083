"""The objects of a run from a manifest instead of a listing: a file of keys, or an S3 Inventory report.

The reader of Parquet files is the plan job's: it needs pyarrow.
"""
