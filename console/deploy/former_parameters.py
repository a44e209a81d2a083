"""`python -m console.deploy.former_parameters STACK [NAME=VALUE …]`: see that no former parameter is left behind.

`sam deploy` says nothing of a parameter that the template does not have any more, and a stack that had it would be
given the new one's default: it would make itself a source bucket.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Iterable, Mapping

from console.errors import StackNotFoundError
from console.find.aws import Aws
from console.find.stack import Stack
from millrace.errors import InvalidRunRequest, MillraceError

FORMER = ("SourceBucketName", "SourcePrefix")
NOW = "SourceBucketNames"


def check_parameters(given: Collection[str], stack: str, aws: Aws) -> None:
    """See that a deployment keeps the source that the stack has.

    Args:
        given: The names of the parameters that the user gave.
        stack: The stack's name. It may not be there yet.
        aws: Where it is.

    Raises:
        InvalidRunRequest: A parameter is a former one, or the stack has one and the user does not say what it is now.
    """
    for name in FORMER:
        if name in given:
            raise InvalidRunRequest(
                "parameter",
                name,
                f"{NOW} in its place, bucket and folder in one: SourceBucketName=my-letters with SourcePrefix=in/ is "
                f"{NOW}=my-letters/in/ now",
            )
    try:
        deployed = Stack.find(aws, stack)
    except StackNotFoundError:
        return
    source = former_source(deployed.parameters, deployed.outputs)
    if source and NOW not in given:
        raise InvalidRunRequest(
            "parameter",
            NOW,
            f"{NOW}={source}, to keep what the stack {stack} reads by its former {' and '.join(FORMER)}",
        )


def former_source(parameters: Mapping[str, str], outputs: Mapping[str, str]) -> str:
    """What the former parameters of a stack are now; empty where it has none, or none that says anything."""
    bucket, folder = (parameters.get(name, "") for name in FORMER)
    if not bucket and not folder:
        return ""
    bucket = bucket or outputs.get("SourceBucketName", "")
    return f"{bucket}/{folder}" if folder else bucket


def main(stack: str, overrides: Iterable[str], aws: Aws) -> int:
    """Say what is wrong with the parameters of `make deploy`; returns the exit code."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as in the rest of the console

    words = [word for text in overrides for word in shlex.split(text)]
    try:
        check_parameters({word.partition("=")[0] for word in words}, stack, aws)
    except (MillraceError, BotoCoreError, ClientError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:], Aws()))
