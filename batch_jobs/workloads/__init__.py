"""The workloads that come with Millrace, a folder each, and the registry that finds them and users' own.

The contract that they fulfil is `millrace.workload`.
"""
