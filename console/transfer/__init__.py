"""Files of this machine to objects of S3 and back.

Nothing here knows what a run is, results aside.
"""
