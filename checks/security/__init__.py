"""Security linters over the expanded template and its policies.

Each suppression stands beside its reason.
"""
