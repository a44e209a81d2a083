"""The command line of the jobs: `python -m batch_jobs plan | migrate | merge | migrate-and-merge`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from millrace.errors import UsageError
from millrace.json_text import check_arguments
from millrace.records.sizing import FULL, SMALL, SMALL_MIB, SMALL_VCPUS
from millrace.request.run_request import RunRequest
from millrace.workload.registry import option_value

FROM_ENVIRONMENT = -1
"""The value of `merge --part` without a number: AWS_BATCH_JOB_ARRAY_INDEX has it."""


class Parser(argparse.ArgumentParser):
    """A parser whose error is ours, so that a job's last line says what was wrong."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"{message}; {self.prog} --help says more")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line.

    Raises:
        UsageError: It cannot be understood.
    """
    parser = Parser(
        prog="python -m batch_jobs",
        description="Millrace's jobs: run one program over every object under an S3 prefix.",
        epilog="Exit codes: 0 done, bad objects are in the report; 1 something broke, try again; "
        "2 wrong usage or bad input, do not; 3 more failures than tolerated.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="plan | migrate | merge | migrate-and-merge")
    _add_plan(verbs)
    migrate = verbs.add_parser(
        "migrate",
        help="work the shards of a child",
        description="Work the shards of a child, commit each, then help with others'. AWS_BATCH_JOB_ARRAY_INDEX and "
        "AWS_BATCH_JOB_ARRAY_SIZE say which child of how many it is; without them it is the only one.",
    )
    migrate.add_argument("--plan", required=True, metavar="URI", help="the run's plan.json")
    migrate.add_argument("--index", type=int, metavar="N", help="work shard N alone")
    merge = verbs.add_parser("merge", help="add the results up", description="Merge a run; write result and report.")
    merge.add_argument("--plan", required=True, metavar="URI", help="the run's plan.json")
    _add_tolerance(merge)
    merge.add_argument(
        "--part",
        nargs="?",
        type=int,
        const=FROM_ENVIRONMENT,
        metavar="N",
        help="only the partials of a part; N else AWS_BATCH_JOB_ARRAY_INDEX, else 0",
    )
    both = verbs.add_parser(
        "migrate-and-merge", help="a small run in one job", description="Work all shards of a run, then merge it."
    )
    both.add_argument("--plan", required=True, metavar="URI", help="the run's plan.json")
    _add_tolerance(both)
    both.add_argument(
        "--size",
        choices=(SMALL, FULL),
        default=FULL,
        help=f"what the job has: {SMALL} is {SMALL_VCPUS} vCPU and {SMALL_MIB} MiB, and no second attempt; "
        "default: what the stack says",
    )
    check_arguments(arguments)
    return parser.parse_args(arguments)


def _add_tolerance(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--tolerated-failure-percent", type=float, metavar="P", help="the share that may fail; default: as planned"
    )
    verb.add_argument(
        "--tolerated-failure-count",
        type=int,
        metavar="N",
        help="how many may fail, where that is more; default: as planned",
    )


def request_given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The run request that the options of `plan` spell out, unchecked.

    Raises:
        InvalidRunRequest: `--option` is not NAME=VALUE, or its value is not of the option's type.
        UsageError: Neither `--request` nor all of `--source`, `--destination` and `--plan` are given.
    """
    for name in ("source", "destination", "plan"):
        if getattr(arguments, name) is None:
            raise UsageError(f"plan needs --request, or --source, --destination and --plan; --{name} is missing")
    shard = {
        name: getattr(arguments, name)
        for name in ("target_bytes", "max_items", "max_shards")
        if getattr(arguments, name) is not None
    }
    return {
        "source": arguments.source,
        "destination": arguments.destination,
        "workload": arguments.workload,
        "options": dict(option_value(arguments.workload, text) for text in arguments.option),
        "manifest": arguments.manifest,
        "include": arguments.include,
        "exclude": arguments.exclude,
        "shard": shard,
        "merge_limit_seconds": arguments.merge_limit_seconds,
        "tolerated_failure_percent": arguments.tolerated_failure_percent,
        "tolerated_failure_count": arguments.tolerated_failure_count,
    }


def _add_plan(verbs: Any) -> None:
    plan = verbs.add_parser(
        "plan",
        help="list the source and cut it into shards",
        description="List the source, cut it into shards, write the plan. A plan that is there already is kept.",
        epilog="Example: python -m batch_jobs plan --source s3://texts/2026/ --destination s3://counts/ "
        "--plan s3://counts/_millrace/first/plan.json --include '*.txt' --option top=20",
    )
    plan.add_argument("--request", metavar="URI", help="a run's run.json; instead of all that follows")
    plan.add_argument("--source", metavar="URI", help="the folder whose objects are worked")
    plan.add_argument("--destination", metavar="URI", help="the folder that outputs go to")
    plan.add_argument("--plan", metavar="URI", help="where the plan goes: s3://…/_millrace/RUN_ID/plan.json")
    plan.add_argument("--workload", default=RunRequest.workload, metavar="NAME", help="default: %(default)s")
    plan.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the workload; a list: a,b,c"
    )
    plan.add_argument("--manifest", metavar="URI", help="a file, or an S3 Inventory report, that names the objects")
    plan.add_argument("--include", action="append", default=[], metavar="PATTERN", help="only keys like this: '*.txt'")
    plan.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="no keys like this")
    plan.add_argument("--target-bytes", type=int, metavar="N", help="the bytes of a shard, at most")
    plan.add_argument("--max-items", type=int, metavar="N", help="the items of a shard, at most")
    plan.add_argument("--max-shards", type=int, metavar="N", help="the shards, at most; rather than more, larger ones")
    plan.add_argument(
        "--merge-limit-seconds",
        type=int,
        default=RunRequest.merge_limit_seconds,
        metavar="N",
        help="merge in parts where one job would take longer; default: %(default)s",
    )
    plan.add_argument(
        "--tolerated-failure-percent", type=float, default=0, metavar="P", help="the share that may fail; default: 0"
    )
    plan.add_argument(
        "--tolerated-failure-count",
        type=int,
        default=0,
        metavar="N",
        help="how many may fail, where that is more; default: 0",
    )
