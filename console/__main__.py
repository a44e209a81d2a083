"""`millrace`: the operator's command line. A verb is a file of its own; this file only finds it and ends with its code.

Exit codes: 0 done, 1 something broke, 2 wrong usage or a bad request, 3 more failures than tolerated, 130 Ctrl-C.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

import click

from console.embedded_aws import EmbeddedAwsError
from console.errors import ProgramFailedError, RunInterrupted
from console.find.target import LOOPBACK
from console.verbs import Invocation, Verbs, debug_option
from millrace.errors import MillraceError, shortened
from millrace.json_text import check_arguments
from millrace.version import VERSION


@click.group(
    cls=Verbs,
    verbs={
        "run": "console.commands.run:run",
        "start": "console.commands.start:start",
        "list": "console.commands.list:list_runs",
        "status": "console.commands.status:status",
        "watch": "console.commands.watch:watch",
        "logs": "console.commands.logs:logs",
        "report": "console.commands.report:report",
        "resume": "console.commands.resume:resume",
        "cancel": "console.commands.cancel:cancel",
        "ui": "console.commands.ui:ui",
        "schedule": "console.commands.schedule.group:schedule",
        "estimate": "console.commands.estimate:estimate_run",
        "doctor": "console.commands.doctor:doctor",
        "deploy": "console.commands.deploy:deploy",
        "completion": "console.commands.completion:completion",
        "new-workload": "console.commands.authors.new_workload:new_workload",
        "package": "console.commands.authors.package:package",
        "local": "console.commands.local.group:local",
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(VERSION, prog_name="millrace")
@debug_option
def millrace() -> None:
    """Run one program over every object under an S3 prefix."""


AWS_WORDS = {
    "NoCredentialsError": "log in (aws sso login), or name a profile: --profile. For the embedded AWS: --local",
    "NoRegionError": "name it by --region, by AWS_REGION or in samconfig.toml. For the embedded AWS: --local",
    "ProfileNotFound": "see: aws configure list-profiles",
}
"""What to do about botocore's errors that come before any call, by their class."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: run a verb and exit.

    Args:
        arguments: The command line without the program's name; None takes the process's own.
    """
    for stream in (sys.stdout, sys.stderr):
        # A key or a word that the terminal's encoding lacks must not end the command.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # they are text streams here
    sys.exit(_run(list(sys.argv[1:] if arguments is None else arguments)))


def _run(arguments: list[str]) -> int:
    invocation = Invocation(tuple(arguments))
    try:
        check_arguments(arguments)
        # Verbs return nothing; click hands an early exit's code through: --help and --version end with 0.
        return millrace.main(arguments, prog_name="millrace", standalone_mode=False, obj=invocation) or 0
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "millrace"
        return _fail(f"{error.format_message()} See: {where} --help", error.exit_code)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing more to say, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # the edge: one line for people, the traceback for --debug
        if invocation.debug:
            raise
        if isinstance(error, ProgramFailedError) and error.details:
            click.echo(error.details, err=True)
        wrong_usage = 2 if type(error).__name__ in AWS_WORDS else 1
        return _fail(_words(error), error.exit_code if isinstance(error, MillraceError) else wrong_usage)


def _words(error: Exception) -> str:
    """The error in its own words; an unexpected one with its class, and how to see more; empty for Ctrl-C."""
    if isinstance(error, RunInterrupted):
        return ""  # the run continues, and the way back to it was printed
    if address := _silent_server(error):
        return (
            f"the embedded AWS at {address} no longer answers: it was stopped or killed. Everything in it "
            "is gone: buckets, runs, logs. Its log is server.log in its state folder (build/local unless --state-dir "
            "named another); start it again: millrace local deploy"
        )
    if isinstance(error, MillraceError | EmbeddedAwsError):
        return str(error)
    if type(error).__name__ in AWS_WORDS:
        return f"{str(error).rstrip('.')}; {AWS_WORDS[type(error).__name__]}"
    return f"{type(error).__name__}: {error} (--debug shows where)"


def _silent_server(error: BaseException) -> str:
    """The address on this machine that nothing listens at any more, where that is the cause; else empty."""
    seen: BaseException | None = error
    while seen is not None:
        address = str(getattr(seen, "kwargs", {}).get("endpoint_url", ""))
        if type(seen).__name__ in LOST and urlsplit(address).hostname in LOOPBACK:
            return f"http://{urlsplit(address).netloc}"
        seen = seen.__cause__ or seen.__context__
    return ""


LOST = ("EndpointConnectionError", "ConnectionClosedError", "ConnectTimeoutError")
"""botocore's errors for a server that has gone."""


def _fail(message: str, exit_code: int) -> int:
    if message:
        click.echo(f"millrace: error: {_cut(message)}", err=True)
    return exit_code


def _cut(message: str) -> str:
    """An error without the greater part of long values: whatever the value, the message stays readable."""
    words = re.sub(r"\S{301,}", lambda word: shortened(word[0], MOST_OF_A_NAME if _is_name(word[0]) else 300), message)
    return words if len(words) <= MOST else f"{words[: MOST - TAIL]} … {words[-TAIL:]}"


def _is_name(word: str) -> bool:
    """Whether a word names something in AWS, to be copied whole."""
    return re.search(r"s3://|arn:", word[:20]) is not None


MOST, TAIL, MOST_OF_A_NAME = 6000, 1500, 1500
"""Characters of an error, of its end where it is cut, and of a word that is an S3 URI or an ARN."""


if __name__ == "__main__":
    main()
