"""Checks of the template: resources, parameters, conditions, job definitions.

Policies are in `security`, the state machine's in `statemachine`.
"""
