"""`millrace`: the operator's command line. A verb is a file of its own; this file only finds it and ends with its code.

Exit codes: 0 done, 1 something broke, 2 wrong usage or a bad request, 3 more failures than tolerated, 130 Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from console.embedded_aws import EmbeddedAwsError
from console.errors import DeployError, RunInterrupted
from console.verbs import Invocation, Verbs, debug_option
from millrace import __version__
from millrace.errors import MillraceError
from millrace.json_text import check_arguments


@click.group(
    cls=Verbs,
    verbs={
        "run": "console.run:run",
        "start": "console.start:start",
        "list": "console.list:list_runs",
        "status": "console.status:status",
        "watch": "console.watch:watch",
        "logs": "console.logs:logs",
        "report": "console.report:report",
        "resume": "console.resume:resume",
        "cancel": "console.cancel:cancel",
        "estimate": "console.estimate:estimate_run",
        "doctor": "console.doctor:doctor",
        "completion": "console.completion:completion",
        "new-workload": "console.new_workload:new_workload",
        "local": "console.local:local",
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="millrace")
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
        if isinstance(error, DeployError):
            click.echo(error.details, err=True)
        wrong_usage = 2 if type(error).__name__ in AWS_WORDS else 1
        return _fail(_words(error), error.exit_code if isinstance(error, MillraceError) else wrong_usage)


def _words(error: Exception) -> str:
    """The error in its own words; one that nobody foresaw with its class, and how to see more; empty for Ctrl-C."""
    if isinstance(error, RunInterrupted):
        return ""  # the run goes on, and how to come back has been said
    if isinstance(error, MillraceError | EmbeddedAwsError):
        return str(error)
    if type(error).__name__ in AWS_WORDS:
        return f"{str(error).rstrip('.')}; {AWS_WORDS[type(error).__name__]}"
    return f"{type(error).__name__}: {error} (--debug shows where)"


def _fail(message: str, exit_code: int) -> int:
    if message:
        click.echo(f"millrace: error: {message}", err=True)
    return exit_code


if __name__ == "__main__":
    main()
