"""What the tests on a real account make, and what that costs: before they run, and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from millrace.cost.prices import billed_seconds, call_dollars, compute_dollars, prices, request_dollars


@dataclass(frozen=True)
class Line:
    """One line of the plan.

    Attributes:
        what: What is made.
        jobs: How many jobs run on it.
        seconds: How long one takes.
        vcpus: What one has.
        gb: Its memory, in GiB.
        hours: How long the network is there, for what is paid by the hour.
        endpoints: How many interface endpoints it has, by zones.
    """

    what: str
    jobs: int = 0
    seconds: float = 30
    vcpus: float = 0.25
    gb: float = 0.5
    hours: float = 0
    endpoints: int = 0

    @property
    def dollars(self) -> float:
        """The price: processors, memory, an address for each job, endpoints."""
        billed = billed_seconds(self.seconds)
        network = prices()["network"]
        address = float(network["public_ipv4_hour"]) * billed / 3600
        job = compute_dollars(billed, self.vcpus, self.gb, "X86_64", "FARGATE") + address
        return self.jobs * job + self.hours * self.endpoints * float(network["interface_endpoint_hour"])


PLAN = (
    Line("stage 0: nothing is made; definitions, states, templates and policies are validated"),
    Line("stack millrace-conformance: a VPC, a public subnet, a security group, 2 roles"),
    Line("open questions: 3 queues, 3 environments of 1 to 2 vCPUs, 3 SQS queues, 4 rules, 8 state machines", jobs=30),
    Line("stage 1: about 25 queues and environments of 1 to 2 vCPUs, 60 job definitions, 60 state machines, "
         "20 SQS queues, 20 rules, 12 buckets, 2 functions", jobs=260),
    Line("stack millrace-images: an ECR repository; image of 250 MB (stored for an hour)"),
    Line("stack millrace-test: template.yaml with its buckets, topic, bus, table, 6 functions", jobs=45, seconds=60,
         vcpus=1, gb=2),
    Line("stack millrace-test with Network=PRIVATE: 5 interface endpoints in 2 zones, for half an hour", jobs=3,
         vcpus=1, gb=2, hours=0.5, endpoints=10),
    Line("stack millrace-test with Compute=EC2: an instance for up to 15 minutes", jobs=3, seconds=300, vcpus=2, gb=4),
)  # fmt: skip
TRANSITIONS, REQUESTS, CALLS = 3_000, 5_000, 300
"""Step Functions' transitions, S3's requests of each kind, calls of functions: of all stages."""


def planned() -> float:
    """The dollars of the whole plan."""
    states = TRANSITIONS / 1000 * float(prices()["step_functions"]["transitions_per_1000"])
    return sum(line.dollars for line in PLAN) + states + request_dollars(REQUESTS, REQUESTS) + call_dollars(CALLS)


def plan_text() -> str:
    """The plan as it is printed: each line with its dollars, and the sum."""
    table = prices()
    lines = [f"${line.dollars:6.4f}  {line.what}" + (f"; {line.jobs} jobs" if line.jobs else "") for line in PLAN]
    rest = planned() - sum(line.dollars for line in PLAN)
    lines.append(f"${rest:6.4f}  {TRANSITIONS:,} transitions, {2 * REQUESTS:,} requests, {CALLS} calls")
    lines.append(f"${planned():6.4f}  in all, by the prices of {table['date']} for {table['region']} ({table['note']})")
    return "\n".join(lines)


def spent(jobs: Iterable[Mapping[str, Any]]) -> float:
    """The dollars of jobs as DescribeJobs shows them, by the times of their attempts."""
    dollars = 0.0
    for job in jobs:
        needs = {
            each["type"]: float(each["value"]) for each in job.get("container", {}).get("resourceRequirements", [])
        }
        for attempt in job.get("attempts", []):
            times = attempt.get("startedAt"), attempt.get("stoppedAt")
            if all(times):
                billed = billed_seconds((times[1] - times[0]) / 1000)
                memory = needs.get("MEMORY", 512) / 1024
                dollars += compute_dollars(billed, needs.get("VCPU", 0.25), memory, "X86_64", "FARGATE")
    return dollars
