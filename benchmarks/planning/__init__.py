"""How long a plan takes, and its memory.

One script per question.
"""
