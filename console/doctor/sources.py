"""The stack's sources: whether each can be listed, and what the owner of another account's bucket has to allow."""

from __future__ import annotations

import json
from typing import Any

from console.doctor.check import Check
from console.find.stack import stack_resources
from console.find.target import Target
from millrace.errors import BucketNotFoundError, StorageError
from millrace.layout import S3Uri

NAME = "source bucket"

LISTS = ("PlanJobRole", "PrepareRunFunctionRole")
"""The roles that list a source, by their names in the template."""
WORKS = ("MigrateJobRole", "MigrateAndMergeJobRole")
"""Those that work its objects. Where the whole bucket is the source they list it too, to tell gone from denied."""
READS = ("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging")


def check_source(target: Target, address: str) -> Check:
    """Whether a source can be listed, and whose it is.

    Args:
        target: What is looked at.
        address: The source, as s3://bucket/folder/.

    Raises:
        ClientError: CloudFormation does not say which roles the stack has.
    """
    uri = S3Uri.parse(address)
    refused = ""
    try:
        next(iter(target.aws.s3.list(uri.bucket, uri.key)), None)
    except BucketNotFoundError as error:
        return Check(NAME, "fail", f"{address}: {error.message}", "name a bucket that is there, and deploy again")
    except StorageError as error:
        refused = error.message
    if not refused and (target.is_local or _is_own(target, uri.bucket)):
        return Check(NAME, "ok", f"{address} can be listed")
    policy = json.dumps(statements(roles(target), uri), indent=1)
    needed = f"add to the policy of the bucket, what its owner can do:\n{policy}"
    if refused:
        own = "if the bucket is this account's, give your own identity s3:ListBucket; if it is another account's, "
        return Check(NAME, "fail", f"{address}: {refused}", own + needed)
    return Check(
        NAME, "ok", f"{address} can be listed; the bucket is another account's", f"if runs are refused, {needed}"
    )


def _is_own(target: Target, bucket: str) -> bool:
    """Whether a bucket that can be listed belongs to the stack's account."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - `millrace --help` must not wait for it

    try:
        target.aws.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=_account(target))
    except ClientError:
        return False
    return True


def roles(target: Target) -> dict[str, str]:
    """The ARNs of the roles that read sources, by their names in the template."""
    names = {
        each["LogicalResourceId"]: each["PhysicalResourceId"]
        for each in stack_resources(target.aws.cloudformation, target.stack.name)
        if each["LogicalResourceId"] in (*LISTS, *WORKS)
    }
    partition = target.stack.state_machine_arn.split(":")[1]
    return {logical: f"arn:{partition}:iam::{_account(target)}:role/{name}" for logical, name in names.items()}


def statements(roles: dict[str, str], source: S3Uri) -> list[dict[str, Any]]:
    """What a bucket's policy has to say, so that the stack's roles may read a source in it.

    Args:
        roles: The roles' ARNs, by their names in the template.
        source: The bucket, and the folder that is read.
    """
    partition = next(iter(roles.values())).split(":")[1]
    bucket = f"arn:{partition}:s3:::{source.bucket}"
    lists: dict[str, Any] = {
        "Sid": "MillraceLists",
        "Effect": "Allow",
        "Principal": {"AWS": [roles[name] for name in LISTS + (() if source.key else WORKS)]},
        "Action": "s3:ListBucket",
        "Resource": bucket,
    }
    if source.key:
        lists["Condition"] = {"StringLike": {"s3:prefix": f"{source.key}*"}}
    reads = {
        "Sid": "MillraceReads",
        "Effect": "Allow",
        "Principal": {"AWS": [roles[name] for name in (LISTS[0], *WORKS)]},
        "Action": list(READS),
        "Resource": f"{bucket}/{source.key}*",
    }
    return [lists, reads]


def _account(target: Target) -> str:
    return target.stack.state_machine_arn.split(":")[4]
