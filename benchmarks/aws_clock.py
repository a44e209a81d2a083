"""How long does a run take on AWS, and how much is billed, by the least that it could be?

    python -m benchmarks.aws_clock [--json] [--seeds 3] [--only TEXT] [--output FOLDER]

Batch on Fargate is simulated (`benchmarks.clock`): starts, launches, the minute that is billed at least, slots, Spot
reclaims, stragglers, and a pace that is believed and is wrong. What a run decides is the real code. Beside it: the way
it was before children worked many shards, and what users would take instead. Every figure is the median of the seeds;
the same seeds give the same figures. With --json each line is an object, one a scenario.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import random
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.clock.others import Other, distributed_map, job_per_item, run_dollars, s3_batch_operations, today
from benchmarks.clock.run import Measured, Run
from benchmarks.clock.scenarios import Scenario, scenarios
from benchmarks.clock.uploads import uploaded
from benchmarks.results import Table, add_output_option

GOAL, GOAL_WRONG_PACE, GOAL_FROM = 1.25, 1.5, 60.0
"""What time and billed seconds should be at most, by the least; and from how much work on."""

OTHERS = {
    "today": "a shard a child",
    "distributed_map": "Distributed Map",
    "s3_batch_operations": "S3 Batch Operations",
    "job_per_item": "a job an item",
}
"""The other ways, as the table heads them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or an object a scenario."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="an object a line, one for each scenario")
    parser.add_argument("--seeds", type=int, default=3, help="how often short scenarios are run; the others once")
    parser.add_argument("--only", default="", metavar="TEXT", help="the scenarios that have this in their name")
    add_output_option(parser)
    given = parser.parse_args(arguments)
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # a child's own lines, thousands of them
    try:
        _print_figures(given)
    finally:
        logging.disable(before)


def _print_figures(given: argparse.Namespace) -> None:
    chosen = [each for each in scenarios() if given.only in each.name]
    found = (measured(each, range(1, 1 + max(1, given.seeds))) for each in chosen)
    if given.json:
        for one in found:
            sys.stdout.write(f"{json.dumps(one)}\n")
            sys.stdout.flush()
        return
    rows = list(found)
    clock_table(rows).show(given.output)
    others_table(rows).show(given.output)


def measured(scenario: Scenario, seeds: Iterable[int]) -> dict[str, Any]:
    """Run a scenario, and what else could be taken for it.

    Args:
        scenario: What is run.
        seeds: What decides starts, stragglers and reclaims; scenarios that are not short take the first.
    """
    chosen = seeds if scenario.is_short else list(seeds)[:1]
    runs = [_once(scenario, seed, mirrored=mirrored) for seed in chosen for mirrored in _sides(scenario)]
    return _medians(scenario, runs)


@dataclass(frozen=True)
class Once:
    """A scenario that was run once.

    Attributes:
        made: What it came to.
        runs: How many runs it was.
        others: What it would have come to elsewhere.
    """

    made: Measured
    runs: int
    others: dict[str, Other]


def _sides(scenario: Scenario) -> tuple[bool, ...]:
    """Where one start decides, each run has its mirror image, so that the median has neither luck nor bad luck."""
    return (False,) if scenario.is_large else (False, True)


def _once(scenario: Scenario, seed: int, *, mirrored: bool) -> Once:
    if scenario.uploads:
        run, made, runs = uploaded(scenario, seed, mirrored=mirrored)
    else:
        run, runs = Run(scenario, seed, mirrored), 1
        made = run.work()
    dice = random.Random(-seed)  # noqa: S311 - the same figures every time is the point
    others = {
        "today": today(scenario, made, run.lengths, dice),
        "distributed_map": distributed_map(scenario, made),
        "s3_batch_operations": s3_batch_operations(scenario, made),
        "job_per_item": job_per_item(scenario, made),
    }
    return Once(made, runs, others)


def _medians(scenario: Scenario, runs: list[Once]) -> dict[str, Any]:
    def middle(figure: Callable[[Measured], float], digits: int = 2) -> float:
        return round(statistics.median(figure(run.made) for run in runs), digits)

    typical = runs[0].made
    work, time_ratio = middle(lambda run: run.work, 1), middle(lambda run: run.seconds / run.least.seconds)
    found: dict[str, Any] = {
        "name": scenario.name,
        "slots": scenario.slots,
        "pace_error": scenario.pace_error,
        "objects": scenario.objects,
        "work_seconds": work,
        "time_ratio": time_ratio,
        "billed_ratio": middle(lambda run: run.billed / run.least.billed),
        "seconds": middle(lambda run: run.seconds, 0),
        "billed_seconds": middle(lambda run: run.billed, 0),
        "dollars": middle(lambda run: run_dollars(run.billed, run.states, run.calls, run.planning, run.small), 6),
        "dollars_by_today": round(
            statistics.median(
                run_dollars(run.made.billed, run.made.states, run.made.calls, run.made.planning, run.made.small)
                / run.others["today"].dollars
                for run in runs
            ),
            3,
        ),
        "least": {
            "children": typical.least.children,
            "seconds": middle(lambda run: run.least.seconds, 0),
            "billed_seconds": middle(lambda run: run.least.billed, 0),
        },
        "parts": {part: round(statistics.median(run.made.parts[part] for run in runs)) for part in typical.parts},
        "shards": typical.shards,
        "arrays": typical.children,
        "reclaimed": middle(lambda run: run.reclaimed, 0),
        "failed_children": max(run.made.failed for run in runs),
        "runs": max(run.runs for run in runs),
    }
    for name in OTHERS:
        found[name] = _other(name, runs)
    faster = [name for name in OTHERS if (found[name]["time_ratio"] or math.inf) < time_ratio]
    found["faster"] = faster
    found["goal"] = _goal(scenario, found)
    return found


def _other(name: str, runs: list[Once]) -> dict[str, Any]:
    why_not = runs[0].others[name].why_not
    if why_not:
        return {"time_ratio": None, "billed_ratio": None, "dollars": None, "why_not": why_not}
    pairs = [(run.made.least, run.others[name]) for run in runs]
    return {
        "time_ratio": round(statistics.median(other.seconds / least.seconds for least, other in pairs), 2),
        "billed_ratio": round(statistics.median(other.billed / least.billed for least, other in pairs), 2),
        "dollars": round(statistics.median(other.dollars for _, other in pairs), 6),
    }


def _goal(scenario: Scenario, found: dict[str, Any]) -> dict[str, Any]:
    if found["work_seconds"] <= GOAL_FROM:
        return {"at_most": None, "met": None}
    most = GOAL if scenario.pace_error == 1 else GOAL_WRONG_PACE
    met = found["time_ratio"] <= most and found["billed_ratio"] <= most
    goal = {"at_most": most, "met": met}
    if not met:
        beside = sum(found["parts"].values()) - found["parts"]["migrate"]
        goal["why"] = f"all but the work itself is {beside / found['least']['seconds']:.2f} of the least time"
    return goal


def clock_table(rows: Sequence[dict[str, Any]]) -> Table:
    """What Millrace takes, and what its time goes to."""
    columns = ["scenario", "slots", "pace", "work s", "children", "time s", "by the least", "billed s"]
    table = Table("clock", [*columns, "billed, by the least", *_HEADS])
    for row in rows:
        goal, parts = row["goal"], row["parts"]
        missed = " (!)" if goal["met"] is False else ""
        table.add(
            {
                "scenario": row["name"],
                "slots": f"{row['slots']:,}",
                "pace": "right" if row["pace_error"] == 1 else f"x {row['pace_error']:g}",
                "work s": f"{row['work_seconds']:,.0f}",
                "children": _sizes(row["arrays"]),
                "time s": f"{row['seconds']:,.0f}",
                "by the least": f"{row['time_ratio']:.2f}{missed}",
                "billed s": f"{row['billed_seconds']:,.0f}",
                "billed, by the least": f"{row['billed_ratio']:.2f}",
                **{head: f"{parts[part]:,.0f}" for head, part in _HEADS.items()},
            }
        )
    return table


_HEADS = {"plan": "plan", "starts": "start", "migrate": "migrate", "merge": "merge"}


def _sizes(arrays: list[int]) -> str:
    shown = ", ".join(f"{each:,}" for each in arrays[:2])
    return shown if len(arrays) <= 2 else f"{shown} and {len(arrays) - 2} more"


def others_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Time by the least and dollars, beside those of the other ways."""
    table = Table("clock-others", ["scenario", "slots", "pace", "Millrace", *OTHERS.values(), "faster"])
    for row in rows:
        table.add(
            {
                "scenario": row["name"],
                "slots": f"{row['slots']:,}",
                "pace": "right" if row["pace_error"] == 1 else f"x {row['pace_error']:g}",
                "Millrace": _cell(row),
                **{head: _cell(row[name]) for name, head in OTHERS.items()},
                "faster": ", ".join(OTHERS[name] for name in row["faster"]) or "none",
            }
        )
    table.note("Time by the least, and dollars of compute and orchestration.")
    return table


def _cell(figures: dict[str, Any]) -> str:
    if figures["time_ratio"] is None:
        return "cannot"
    return f"{figures['time_ratio']:,.2f}, ${figures['dollars']:,.4g}"


if __name__ == "__main__":
    main()
