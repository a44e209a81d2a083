"""Workloads that are functions of their authors: what the jobs make of one that `@workload()` decorates.

What authors import, the decorator and the body, belongs to `millrace.workload`.
"""
