"""`millrace cancel` that is itself interrupted. The verb as such runs in tests/workflow/test_operator.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from console.__main__ import main
from console.find.run_lookup import FoundRun
from console.find.target import Target
from millrace.layout import RunFolder, S3Uri

ARN = "arn:aws:states:eu-west-1:1:execution:machine:r-1"


def test_ctrl_c_while_the_jobs_end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The run is stopped, a job still ends, and Ctrl-C comes: it says so, and how to go on waiting."""
    stopped: list[str] = []
    states = SimpleNamespace(stop_execution=lambda **given: stopped.append(given["executionArn"]))
    target: Any = SimpleNamespace(
        aws=SimpleNamespace(batch=None, step_functions=states, endpoint_url=None),
        stack=SimpleNamespace(state_machine_arn="machine", job_queue_arns=["queue"]),
        command=lambda *words: " ".join(("millrace", *words, "--stack=words")),
    )
    run = FoundRun("r-1", ARN, {}, RunFolder(S3Uri("out", "_millrace/r-1/")), {"status": "RUNNING"})

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Target, "choose", lambda **_given: target)
    monkeypatch.setattr("console.commands.cancel.find_run", lambda *_given: run)
    monkeypatch.setattr("console.operations.cancelling.running_executions", lambda *_given: [ARN])
    monkeypatch.setattr(
        "console.operations.cancelling.jobs_of", lambda *_given: [{"jobId": "job-1", "status": "RUNNING"}]
    )
    monkeypatch.setattr("time.sleep", interrupt)
    with pytest.raises(SystemExit) as ended:
        main(["cancel", "r-1"])

    assert (ended.value.code, stopped) == (130, [ARN])
    said = capsys.readouterr().err
    assert "The run r-1 is stopped; its jobs end in the background." in said
    assert "wait for them  millrace cancel r-1 --stack=words" in said
    assert "error" not in said
