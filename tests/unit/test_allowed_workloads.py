"""What the stack's parameter AllowedWorkloads leaves out is not run: Prepare Run says so, and each job looks again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from batch_jobs.merging.merge import merge
from millrace.errors import InvalidRunRequest
from millrace.s3.verbs import S3
from millrace.settings import FunctionSettings, JobSettings
from millrace.workload.registry import check_allowed
from prepare_run import prepare_run
from tests.in_memory_s3 import InMemoryS3Client
from tests.run_in_memory import RunInMemory

NARROW = ("copy", "acme.*")


@pytest.mark.parametrize(
    ("workload", "allowed", "runs"),
    [
        ("word-count", ("*",), True),
        ("acme.line-count", ("*",), True),
        ("word-count", ("word-count",), True),
        ("word-count", ("word",), False),
        ("word-count", ("count",), False),
        ("word-count", ("word-count-2", "copy"), False),
        ("Word:Count", ("word:count",), False),
        ("acme.line-count", ("acme.*",), True),
        ("acmexline-count.a", ("acme.*",), False),
        ("evil.acme.line", ("acme.*",), False),
        ("line_count:LineCount", ("line_count:*",), True),
        ("line_count:LineCount", ("*:LineCount",), True),
        ("a" * 200, ("*a" * 99 + "b",), False),
    ],
)
def test_a_star_stands_for_anything_and_all_else_for_itself(
    workload: str, allowed: tuple[str, ...], *, runs: bool
) -> None:
    """The whole name counts, and case; a long pattern takes no time."""
    if runs:
        check_allowed(workload, allowed)
        return
    with pytest.raises(InvalidRunRequest) as caught:
        check_allowed(workload, allowed)
    assert all(name in str(caught.value) for name in (*allowed, "AllowedWorkloads"))
    assert caught.value.exit_code == 2


def test_the_environment_says_what_may_run() -> None:
    """In functions and jobs; not set it is everything, and never nothing by a slip."""
    for settings in (JobSettings, FunctionSettings):
        read: Callable[[dict[str, str]], Any] = settings.from_environment
        assert read({}).allowed_workloads == ("*",)
        assert read({"MILLRACE_ALLOWED_WORKLOADS": "copy, acme.*,"}).allowed_workloads == NARROW
        with pytest.raises(InvalidRunRequest, match="MILLRACE_ALLOWED_WORKLOADS"):
            read({"MILLRACE_ALLOWED_WORKLOADS": " , "})


def test_prepare_run_refuses_what_may_not_run_and_writes_nothing() -> None:
    """By name, with what is allowed; a run of what is allowed is prepared, a resumed one is looked at again."""
    client = InMemoryS3Client("letters", "results")
    queues = {"standard": "arn:aws:batch:us-east-1:123456789012:job-queue/standard"}

    def prepare(allowed: tuple[str, ...], **given: Any) -> dict[str, Any]:
        event = {
            "input": {"source": "s3://letters/in/", "destination": "s3://results/out/", **given},
            "execution_arn": "arn:aws:states:us-east-1:123456789012:execution:millrace:run-1",
            "execution_name": "run-1",
            "started_at": "2026-11-21T09:00:00Z",
        }
        return prepare_run(event, S3(client.stub), FunctionSettings(queues, "1", allowed_workloads=allowed))

    for given in ({}, {"workload": "command", "options": {"command": ["true"]}}, {"workload": "os:getcwd"}):
        with pytest.raises(InvalidRunRequest, match=r"workload is .*copy or acme\.\*"):
            prepare(NARROW, **given)
    assert client.bodies("results") == {}
    assert prepare(NARROW, workload="acme.line-count")["run_id"] == "run-1"
    with pytest.raises(InvalidRunRequest, match="AllowedWorkloads"):
        prepare(("copy",), workload="acme.line-count", run_id="run-1")


def test_the_plan_job_refuses_before_anything_is_loaded() -> None:
    """A job that was submitted past Prepare Run writes no plan, and imports nothing."""
    loaded = []
    run = RunInMemory({"in/a": b"a"}, {"workload": "acme.mine"}, load=lambda name, _options: loaded.append(name))
    with pytest.raises(InvalidRunRequest, match="AllowedWorkloads"):
        run.plan(allowed_workloads=("copy",))
    assert (loaded, run.run_files()) == ([], {})


@pytest.mark.parametrize("job", ["migrate", "merge_part", "plan"])
def test_a_plan_of_what_may_not_run_is_not_worked(job: str) -> None:
    """A plan that was made before the parameter was narrowed, or put there by somebody, runs nothing."""
    run = RunInMemory({"in/a": b"a"})
    run.plan()
    before = run.run_files()
    given = {"migrate": (0,), "merge_part": (0,), "plan": ()}[job]
    with pytest.raises(InvalidRunRequest, match="AllowedWorkloads"):
        getattr(run, job)(*given, allowed_workloads=NARROW)
    assert run.run_files() == before


def test_the_merge_job_looks_too() -> None:
    """The job's last stage, where the whole result would be written."""
    run = RunInMemory({"in/a": b"a"})
    run.plan()
    run.migrate()
    with pytest.raises(InvalidRunRequest, match="AllowedWorkloads"):
        merge(run.folder, run.job(allowed_workloads=NARROW))
    assert run.file("result.json") is None
