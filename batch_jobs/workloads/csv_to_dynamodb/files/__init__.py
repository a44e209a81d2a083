"""CSV files: dialects, rows as they stream, gzip and zip, where a large file can be cut.

Nothing here knows of DynamoDB.
"""
