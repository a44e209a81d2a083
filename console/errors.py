"""What can go wrong in the operator's command line, beside what goes wrong in a run.

MillraceError
├── NotACheckoutError        exit 2: the verb needs the project's template.yaml and sources
├── ToolMissingError         exit 1: a program of the toolchain is not installed
├── ProgramFailedError       exit 1: a program of the toolchain failed
│   ├── InstallationError    what a wheel needs to run locally or to deploy could not be installed
│   └── DeployError          `sam build` or `sam deploy` failed
├── StackNotFoundError       exit 1: the stack is not deployed, or not there yet
├── ServerDownError          exit 1: the embedded AWS that is meant is not up
├── ServerRunsError          exit 2: the embedded AWS is up, and was started in another way
├── PortInUseError           exit 1: the port is another program's
├── RunNotFoundError         exit 2: there is no such run, or more than one fits
├── EmptySourceError         exit 2: a run worked no item, and --allow-empty was not given
├── RunStateError            exit 2: the run cannot be treated so, as it stands
├── StillRunningError        exit 1: a cancelled run's jobs did not end in time
├── DoctorError              exit 1: a check of `millrace doctor` failed
├── RunFailedError           the failed state's own exit code: 1, 2 or 3
└── RunInterrupted           exit 130: Ctrl-C; the run continues
"""

from __future__ import annotations

from millrace.errors import MillraceError, is_for_good


class NotACheckoutError(MillraceError):
    """The project's template is missing, so there is nothing to deploy."""

    exit_code = 2


class ToolMissingError(MillraceError):
    """A program that the command needs is not installed."""


class ProgramFailedError(MillraceError):
    """A program of the toolchain ended with an error.

    Args:
        message: What is wrong, and where the whole output is.
        operation: The command.
        target: What it was to make; empty where the operation says it.
        details: The last lines of its output, to be shown above the message; empty where they were shown already.
    """

    def __init__(self, message: str, *, operation: str, target: str = "", details: str = "") -> None:
        self.details = details
        super().__init__(message, operation=operation, target=target)


class InstallationError(ProgramFailedError):
    """An environment that the command needs could not be made."""


class DeployError(ProgramFailedError):
    """`sam build` or `sam deploy` failed."""


class StackNotFoundError(MillraceError):
    """There is no such stack, or it lacks an output that the command needs."""


class ServerDownError(MillraceError):
    """The embedded AWS that the command needs is not up."""


class ServerRunsError(MillraceError):
    """The embedded AWS runs already, without what this start asks for."""

    exit_code = 2


class PortInUseError(MillraceError):
    """Another program has the port that the command would use."""


class RunNotFoundError(MillraceError):
    """There is no such run, or more than one matches."""

    exit_code = 2


class EmptySourceError(MillraceError):
    """A run succeeded without any item, which is rarely intended."""

    exit_code = 2


class RunStateError(MillraceError):
    """The run's state does not allow the command: cancelling one that has ended, for example."""

    exit_code = 2


class StillRunningError(MillraceError):
    """The jobs of a cancelled run did not end in time."""


class DoctorError(MillraceError):
    """A check of `millrace doctor` failed."""


class RunFailedError(MillraceError):
    """A run did not succeed.

    Args:
        state: The state that failed, as the state machine names it; empty where none did (an abort, say).
        error: The error's name: a Lambda's error type, a job's error class, "States.Timeout".
        message: The error's own words.
        exit_code: What the command ends with: 2 for a bad request, 3 for too many failures, else 1.
    """

    def __init__(self, state: str, error: str, message: str, *, exit_code: int = 1) -> None:
        self.state = state
        self.error = error
        self.exit_code = exit_code
        super().__init__(f"{error}: {message}" if message else error, operation=f"{state} failed" if state else "")

    @property
    def is_for_good(self) -> bool:
        """Whether resuming the run would end the same way: its request or its code is at fault, and it keeps both."""
        return is_for_good(self.error, planned=self.state != "Plan")


class RunInterrupted(MillraceError):  # noqa: N818 - not an error of the run, which continues
    """Ctrl-C while watching a run or waiting for its end; the command that returns to it was printed."""

    exit_code = 130
