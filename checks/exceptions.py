"""What public rules find and is meant to be so, or is wrong: the one list of it, each entry with its reason.

An entry that nothing needs any more is a fault where the tool's findings can tell (checkov, cdk-preflight).
"""

from __future__ import annotations

CHECKOV = {
    "CKV_AWS_18": "access logs need a bucket of the account's own choice; CloudTrail data events do it as well",
    "CKV_AWS_27": "SQS encrypts by itself, `SqsManagedSseEnabled`; this checkov knows a KMS key only",
    "CKV_AWS_28": "the table keeps for 15 days what was sent; if it is lost, a run's end is at worst sent twice",
    "CKV_AWS_115": "three short calls a run: a reserved concurrency would take from the account and guard nothing",
    "CKV_AWS_116": "Step Functions calls the functions and sees their failure; the next measurement makes up for one",
    "CKV_AWS_117": "the functions call S3 and Batch only; in a VPC they would need endpoints, and gain nothing",
    "CKV_AWS_119": "the table holds ids only; DynamoDB encrypts it with a key of its own",
    "CKV_AWS_173": "queue ARNs and a log level are no secrets",
}
"""By the check."""

PARLIAMENT = {
    ("NO_VERSION", ""): "SAM leaves it out of a policy that it makes for a function's queue; no variable is used there",
    ("RESOURCE_STAR", ""): "a test of ours holds the few actions that know no resource",
    ("RESOURCE_MISMATCH", "'batch:SubmitJob'"): "asks for job/*, which no SubmitJob needs, and misses revisions (`:*`)",
    ("RESOURCE_MISMATCH", "'states:DescribeExecution'"): "asks for express executions, which ours are not",
    ("RESOURCE_MISMATCH", "'states:ListExecutions'"): "asks for map runs, which are listed for themselves",
}
"""By the issue and a part of its detail."""

_NO_SETTINGS = "where no workload has settings, jobs.yaml is given an empty text and does not read it"
_A_LIST_BELOW = "capacity.yaml takes the text as a CommaDelimitedList; the expanded template has no parameter between"
CFN_LINT = {
    ("E3601", "/States/Skip Run/OutputPath"): "a Succeed state has one: Amazon States Language, Succeed State",
    ("E3031", "/ManagedPolicyArns/Fn::If/1/0/Fn::If/2"): _NO_SETTINGS,
    ("W1028", "/Secrets/0/Fn::If/1/ValueFrom/Fn::If/2"): _NO_SETTINGS,
    ("W1035", "/ComputeResources/Subnets/Fn::Select"): _A_LIST_BELOW,
    ("W1035", "/ComputeResources/SecurityGroupIds/Fn::Select"): _A_LIST_BELOW,
}
"""By the rule and the end of the path."""

DEPLOY_FAILURES = {
    "W2001": "what a combination leaves out is cut away before, so that its parameters have no reader left",
    "W2509": "WorkloadSecrets holds the ARNs of secrets; hidden, nobody could see which a stack uses",
}
"""Of cloudformation-validate and cdk-preflight, by the rule."""
