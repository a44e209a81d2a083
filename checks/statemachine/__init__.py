"""Checks of the state machine: language, house rules, retries, the arguments of its tasks.

Running it is left to the tests.
"""
