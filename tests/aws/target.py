"""The account that the tests may use: named by whoever runs them, and no other; all that they make there has a tag.

MILLRACE_AWS_ACCOUNT       its number: the caller's credentials must be of this account
MILLRACE_AWS_REGION        the Region
MILLRACE_AWS_ENDPOINT_URL  for a rehearsal alone: the embedded AWS, which then stands for the account
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

TAG = "millrace-test"
"""The tag's key; its value is the name of the run of the tests."""
MOST_VCPUS = 8
MOST_JOB_SECONDS = 900
_MAKES = re.compile(r"Create(?!ChangeSet|EventSourceMapping)|Register|PutRule$|StartExecution$")


class TargetError(Exception):
    """Raised when the account, the Region or the caller are not what they must be; says what to set."""


@dataclass(frozen=True)
class Target:
    """An account and a Region.

    Attributes:
        account: The account's number.
        region: The Region's name.
        endpoint_url: The embedded AWS that stands for it; None for AWS.
        run: The tag's value.
        made: The ARNs of what was made by its clients, first made first.
        jobs: What DescribeJobs last said of each job that the tests looked at, by its id.
    """

    account: str
    region: str
    endpoint_url: str | None
    run: str
    made: list[str] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Target:
        """The account that the environment names; nothing is asked of it.

        Raises:
            TargetError: A variable is missing or wrong.
        """
        account, region = environ.get("MILLRACE_AWS_ACCOUNT", ""), environ.get("MILLRACE_AWS_REGION", "")
        if not re.fullmatch(r"\d{12}", account):
            raise TargetError("MILLRACE_AWS_ACCOUNT must be the 12 digits of the account that pays for the tests")
        if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region):
            raise TargetError("MILLRACE_AWS_REGION must name a Region, such as eu-west-1")
        endpoint_url = environ.get("MILLRACE_AWS_ENDPOINT_URL") or None
        if endpoint_url is not None and not re.fullmatch(r"http://127\.0\.0\.1:\d+", endpoint_url):
            raise TargetError("MILLRACE_AWS_ENDPOINT_URL is for the embedded AWS alone, at http://127.0.0.1:PORT")
        return cls(account, region, endpoint_url, environ.get("MILLRACE_AWS_RUN", "by-hand"))

    @property
    def folder(self) -> Path:
        """Where a run leaves its outcomes, recordings and expenses; a rehearsal overwrites no real run."""
        return Path("build/test-aws" if self.endpoint_url is None else "build/test-aws-rehearsal")

    def check(self) -> None:
        """Ask who the caller is.

        Raises:
            TargetError: The credentials are of another account.
        """
        found = self.session.client("sts", endpoint_url=self.endpoint_url).get_caller_identity()["Account"]
        if found != self.account:
            raise TargetError(f"the credentials are of account {found}, not of {self.account}: nothing was made")

    @cached_property
    def session(self) -> Any:
        """A boto3 session whose clients tag what they make, and note it; no environment has more than 8 vCPUs."""
        session: Any = boto3.Session(region_name=self.region)
        session.events.register("provide-client-params", self._guard)
        session.events.register("after-call", self._note)
        return session

    def client(self, service: str) -> Any:
        """A client of this session, with the retries that throttling on a real account needs."""
        config = Config(retries={"mode": "standard", "total_max_attempts": 8}, user_agent_extra="millrace-test")
        return self.session.client(service, endpoint_url=self.endpoint_url, config=config)

    def variables(self) -> dict[str, str]:
        """What programs that are started for a test are told: sam, make, millrace."""
        endpoint = {} if self.endpoint_url is None else {"AWS_ENDPOINT_URL": self.endpoint_url}
        return {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region, "PYTHONPATH": "", **endpoint}

    def _guard(self, params: dict[str, Any], model: Any, **_: Any) -> dict[str, Any]:
        resources = params.get("computeResources", {})
        if "maxvCpus" in resources:
            params = {**params, "computeResources": {**resources, "maxvCpus": min(resources["maxvCpus"], MOST_VCPUS)}}
        if model.name == "RegisterJobDefinition":
            asked = params.get("timeout", {}).get("attemptDurationSeconds", MOST_JOB_SECONDS)
            params = {**params, "timeout": {"attemptDurationSeconds": min(asked, MOST_JOB_SECONDS)}}
        if model.name == "CreateBucket":
            place = {} if self.region == "us-east-1" else {"LocationConstraint": self.region}
            configuration = {**place, "Tags": [{"Key": TAG, "Value": self.run}]}
            return {**params, "CreateBucketConfiguration": configuration}
        if not _MAKES.match(model.name) or model.input_shape is None:
            return params
        name = next((name for name in ("tags", "Tags") if name in model.input_shape.members), None)
        if name is None:
            return params
        shape = model.input_shape.members[name]
        if shape.type_name == "map":
            return {**params, name: {**params.get(name, {}), TAG: self.run}}
        key, value = sorted(shape.member.members)[:2]  # key and value, whichever way they are written
        return {**params, name: [*params.get(name, []), {key: TAG, value: self.run}]}

    def _note(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name == "DescribeJobs":
            self.jobs.update({job["jobId"]: job for job in parsed.get("jobs", [])})
        if "Error" in parsed or not _MAKES.match(model.name) or model.name == "StartExecution":
            return
        service, place = model.service_model.service_name, f"{self.region}:{self.account}"
        names = [name for name in parsed if name.lower().endswith("arn") or name == "StackId"]
        if names:
            self.made.append(parsed[names[0]])
        elif service == "sqs":
            self.made.append(f"arn:aws:sqs:{place}:{parsed['QueueUrl'].rpartition('/')[2]}")
        elif service == "s3" and model.name == "CreateBucket":
            self.made.append(f"arn:aws:s3:::{parsed['Location'].strip('/').split('/')[-1].split('.')[0]}")
