"""A whole run, its three jobs as containers of the image that the stack names by digest."""

from __future__ import annotations

import json

from console.find.stack import Stack
from tests.workflow.runs import Runs, a_child_each, exit_codes
from tests.workflow.texts import counted, texts, totals


def test_a_run_of_many_shards(runs: Runs, stack: Stack, image: str) -> None:
    """From `sam deploy` to the last result, with IAM enforced: plan, an array of migrate jobs and merge run in
    containers of the very image, and every word is counted.
    """
    source, destination = f"s3://{stack.source_bucket}/in/", f"s3://{stack.result_bucket}/out/"
    bodies = texts(7)
    runs.put(source, bodies)
    run = runs.start(source, destination, **a_child_each(3))
    output = runs.wait(run)
    assert (output["status"], output["counts"]["items"], output["counts"]["shards"]) == ("SUCCEEDED", 7, 3)
    assert totals(runs.file(run, "words.csv")) == counted(bodies.values())
    for verb in ("plan", "merge"):
        job = runs.job(run, verb)
        assert exit_codes(job) == [0]
        assert job["container"]["image"].endswith(f"@{image}")
        assert job["container"]["readonlyRootFilesystem"] is True


def test_a_command_of_the_image_over_every_object(runs: Runs, stack: Stack) -> None:
    """The command workload finds the image's own programs, and its files in /scratch."""
    source, destination = f"s3://{stack.source_bucket}/raw/", f"s3://{stack.result_bucket}/counted/"
    runs.put(source, {"a": b"one two", "b": b"x" * 100_000})
    options = {"command": ["wc", "-c", "{input}"], "output_suffixes": [".size"]}
    run = runs.start(source, destination, workload="command", options=options)
    assert runs.wait(run)["counts"]["succeeded"] == 2
    result = json.loads(runs.file(run, "result.json"))["result"]
    assert (result["commands"], result["exit_codes"]) == (2, {"0": 2})


def test_a_bad_request_ends_with_the_jobs_own_exit_code(runs: Runs, stack: Stack) -> None:
    """An object that is no text is in the report, and more of them than tolerated are the run's end."""
    source, destination = f"s3://{stack.source_bucket}/bad/", f"s3://{stack.result_bucket}/bad-out/"
    runs.put(source, {"a": b"\xff\xfe\x00", "b": b"fine"})
    run = runs.start(source, destination)
    runs.wait(run, "FAILED")
    assert exit_codes(runs.job(run, "migrate-and-merge")) == [3]
    assert [row["ErrorCode"] for row in runs.report(run) if row["ErrorCode"]] != []
