"""Deploying the stack on AWS, and what a wheel has to install before it can build anything.

Deploying on the embedded AWS is in `console/local`.
"""
