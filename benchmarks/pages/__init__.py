"""How long the pages of `millrace ui` take: what is filled, who asks, and what is asked for.

What a single command takes is in the scripts beside this folder.
"""
