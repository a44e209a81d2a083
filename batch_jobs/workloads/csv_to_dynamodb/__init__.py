"""The workload `csv-to-dynamodb`: the rows of CSV files become items of a DynamoDB table.

Reading CSV files is in `files`, which knows nothing of DynamoDB.
"""
