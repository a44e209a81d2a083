"""Every touch of ministack's private names, and nothing else.

What needs none of them belongs to the other rooms.
"""
