"""`python -m console.find.deployed_runtime STACK`: the runtime that `sam build` builds for, as a parameter.

`sam deploy` keeps a parameter that it is not given, `sam build` does not: it would build for the template's default.
"""

from __future__ import annotations

import sys

from console.errors import StackNotFoundError
from console.find.aws import Aws
from console.find.stack import Stack

PARAMETER = "LambdaRuntime"


def deployed_runtime(stack: str, aws: Aws) -> str:
    """The runtime of a stack's functions, such as python3.13; empty for a stack that is not there yet."""
    try:
        return Stack.find(aws, stack).parameters.get(PARAMETER, "")
    except StackNotFoundError:
        return ""


def main(stack: str, aws: Aws) -> int:
    """Print `LambdaRuntime=python3.13`, or nothing for a stack that is not there yet; returns the exit code."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as in the rest of the console

    try:
        value = deployed_runtime(stack, aws)
    except (BotoCoreError, ClientError) as error:
        sys.stderr.write(f"cannot ask for the runtime of the stack {stack}: {error}\n")
        return 1
    if value:
        sys.stdout.write(f"{PARAMETER}={value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Aws()))
