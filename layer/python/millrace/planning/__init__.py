"""Making a plan: what the plan job and Prepare Run share, from a page of objects to plan.json.

Long listings, manifests, cuts for which objects are read, and reruns belong to the plan job.
"""
