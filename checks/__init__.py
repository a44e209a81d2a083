"""What no linter sees in the template, the state machine and the names that tie them together.

`python -m checks` runs all of them, `python -m checks names retries` some; docs/checks.md says who sees what.
A check is a function from `Sources` to the `Fault`s it finds; none of them needs an AWS account.
"""
