"""The workload `command`: any program, run once for each item.

The item's bytes are in a file, `{input}`; what the program writes to `{output}`, or to its standard output where no
`{output}` is named, becomes the item's output.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory
from threading import BoundedSemaphore
from typing import Any, BinaryIO, ClassVar

from batch_jobs.host_faults import check_disk, check_words, host_fault
from batch_jobs.workloads.command.command_line import CommandLine, safe_name
from batch_jobs.workloads.command.exit_codes import ExitCodes, ending, shell_code
from batch_jobs.workloads.command.process import Ended, run
from batch_jobs.workloads.command.record import RECORD
from millrace.errors import ErrorCode, InvalidRunRequest, ItemError, TryAgainError, WorkloadUnavailableError
from millrace.settings import command_environment
from millrace.workload import Item, Outputs, Totals

log = logging.getLogger(__name__)


class Command:
    """Runs a command over the items.

    Disk: each item being worked takes its own size and that of its outputs, in a directory of its own below `TMPDIR`.

    Args:
        options: As its record declares them.

    Raises:
        InvalidRunRequest: The argument list, the suffixes or an exit code is not as it must be.
        WorkloadUnavailableError: The program is not in the image, or may not be run.
    """

    name: ClassVar[str] = RECORD.name
    partial_suffix: ClassVar[str] = ".json"

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._line = CommandLine.parse(options["command"])
        self.item_suffixes = RECORD.item_suffixes(options)
        self._content_type: str = options["content_type"]
        self._seconds: int = options["time_limit_seconds"]
        self._codes = ExitCodes.parse(
            options["success_exit_codes"], options["retry_exit_codes"], options["bad_item_exit_codes"]
        )
        self._environment = command_environment(options["environment"])
        self._running = BoundedSemaphore(options["parallel"] or os.cpu_count() or 1)
        self._check_outputs()
        found = shutil.which(self._line.program, path=self._environment["PATH"])
        if found is None:
            raise self._unavailable("there is no such program in the image, or it may not be run")
        self._program = str(Path(found).absolute())

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> dict[str, int]:
        """Run the command for one item.

        Returns:
            What it adds to the sums: `{"commands": 1, "milliseconds": 12, "exit_code_0": 1}`.

        Raises:
            ItemError: `COMMAND_FAILED`, `COMMAND_TIMED_OUT`, `NO_OUTPUT` or `KEY_NOT_USABLE`.
            TryAgainError: Its exit code means that.
            OSError: The host failed: the disk is full, or the command ended with the words for such a fault.
            WorkloadUnavailableError: It cannot be started, or its exit code means neither success nor a bad item.
        """
        chunks = iter(body)
        with TemporaryDirectory(prefix="millrace-command-", ignore_cleanup_errors=True) as made:
            folder = Path(made)
            source = folder / "input" / safe_name(item.key)
            results = [
                folder / f"output{number}" / safe_name(item.key + suffix)
                for number, suffix in enumerate(self.item_suffixes, start=1)
            ]
            for part in (source.parent, folder / "home", *(result.parent for result in results)):
                part.mkdir()
            with source.open("wb") as file:
                file.writelines(chunks)
            arguments = self._line.of_item(item.key, source, results)
            with self._turn(chunks):
                ended = self._run(arguments, folder, results, chunks)
            self._judge(ended, folder)
            self._hand_over(results, ended, outputs)
        code = shell_code(ended.returncode)
        return {"commands": 1, "milliseconds": round(ended.seconds * 1000), f"exit_code_{code}": 1}

    def partial(self) -> Totals:
        """A new, empty partial."""
        return Totals()

    def merge(self, partials: Iterable[BinaryIO], results: Outputs) -> dict[str, Any]:  # noqa: ARG002 - the contract's
        """Add up the partials.

        Returns:
            `{"commands", "seconds", "exit_codes": {"0": 12}}` of the commands that succeeded; the others have their
            rows in the report.

        Raises:
            DamagedFileError: A partial is not one.
        """
        sums = Totals.merged(partials)
        codes = {name.removeprefix("exit_code_"): n for name, n in sums.items() if name.startswith("exit_code_")}
        seconds = sums.get("milliseconds", 0) / 1000
        return {"commands": sums.get("commands", 0), "seconds": seconds, "exit_codes": codes}

    def _check_outputs(self) -> None:
        suffixes = self.item_suffixes
        if self._line.outputs > len(suffixes):
            raise InvalidRunRequest(
                "options.output_suffixes", list(suffixes), f"{self._line.outputs}: the command names that many outputs"
            )
        if len(suffixes) > max(self._line.outputs, 1):
            raise InvalidRunRequest(
                "options.output_suffixes", list(suffixes), "one for each of {output}, {output2}, … in the command"
            )

    def _run(self, arguments: list[str], folder: Path, results: list[Path], chunks: Iterator[bytes]) -> Ended:
        private = {"HOME": str(folder / "home"), "TMPDIR": str(folder), **self._environment}
        stdout = results[0].open("wb") if results and not self._line.outputs else None
        try:
            return run(
                [self._program, *arguments[1:]],
                folder=folder,
                environment=private,
                stdout=DEVNULL if stdout is None else stdout,
                time_limit_seconds=self._seconds,
                # All bytes were read: behind the last chunk there is only the news that the job has to stop.
                check=lambda: next(chunks, None),
            )
        except OSError as error:
            if host_fault(error) is not None:
                raise
            raise self._unavailable(f"it cannot be started: {error.strerror}") from error
        finally:
            if stdout is not None:
                stdout.close()

    def _judge(self, ended: Ended, folder: Path) -> None:
        tail = f": {ended.stderr}" if ended.stderr else ""
        check_disk(folder)  # also after exit 0: not every program checks whether its output was written
        if ended.timed_out:
            raise ItemError(
                ErrorCode.COMMAND_TIMED_OUT, f"the command did not end within {self._seconds} seconds{tail}"
            )
        code, message = shell_code(ended.returncode), ending(ended.returncode) + tail
        if code in self._codes.success:
            return
        if code not in self._codes.retry:
            check_words(ended.last_line)
        if code in self._codes.bad_item and code not in self._codes.retry:
            raise ItemError(ErrorCode.COMMAND_FAILED, message)
        # What becomes a job's error goes to logs and notifications, and what a command says may quote its object.
        log.debug("the command's last words", extra={"fields": {"stderr": ended.stderr}})
        if code in self._codes.retry:
            raise TryAgainError(f"{ending(ended.returncode)}; its stderr is logged at the level DEBUG")
        raise self._unavailable(
            f"{ending(ended.returncode)}; no option says what exit code {code} means; "
            "its stderr is logged at the level DEBUG"
        )

    def _hand_over(self, results: list[Path], ended: Ended, outputs: Outputs) -> None:
        """Copy what the command wrote; a link would lead out of the directory, so it does not count."""
        for path, suffix in zip(results, self.item_suffixes, strict=True):
            if path.is_symlink() or not path.is_file():
                check_words(ended.last_line)
                tail = f"; its stderr: {ended.stderr}" if ended.stderr else ""
                raise ItemError(ErrorCode.NO_OUTPUT, f"the command succeeded, but wrote no file for {suffix}{tail}")
            with path.open("rb") as file, outputs.open(suffix, self._content_type) as copy:
                shutil.copyfileobj(file, copy, 1 << 20)

    @contextmanager
    def _turn(self, chunks: Iterator[bytes]) -> Iterator[None]:
        """Wait for a core, and for news that the job has to stop."""
        while not self._running.acquire(timeout=0.5):
            next(chunks, None)
        try:
            yield
        finally:
            self._running.release()

    def _unavailable(self, why: str) -> WorkloadUnavailableError:
        return WorkloadUnavailableError(why, operation="run the command", target=self._line.program)
