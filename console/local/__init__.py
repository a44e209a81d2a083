"""The embedded AWS of a checkout: started, deployed to, and one run on it.

The embedded AWS itself is `local_aws`.
"""
