"""The verbs of `millrace`, one file each, and the options that several share.

A verb parses, calls and prints; what it calls is in the other rooms.
"""
