"""AWS's clock: what the benchmark `aws_clock` simulates. Batch on Fargate, a run on it, and what else users could take.

Times are seconds. What AWS does is modelled here; what Millrace decides is its own code, called.
"""
