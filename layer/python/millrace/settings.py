"""What the deployment decides, read from the environment here and nowhere else in the jobs and Lambdas."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millrace.errors import InvalidRunRequest
from millrace.json_text import check_plain, read_json
from millrace.layout import S3Uri, checked_bucket, source_addresses
from millrace.queue_rules import QueueRule, parse_queue_rules
from millrace.version import VERSION
from millrace.workload_settings import check_account, parse_environment, parse_secrets

CREDENTIALS = frozenset(
    {
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
        *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        *("AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"),
        *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
        *("ECS_CONTAINER_METADATA_URI", "ECS_CONTAINER_METADATA_URI_V4", "ECS_AGENT_URI"),
    }
)
"""Variables that hold the job's credentials, or lead to them: no command gets one of them from the job."""

JOBS_CODE = Path(__file__).parent / "jobs_code.txt"
"""In a Lambda's layer, the digest of the jobs' code; layer/Makefile writes it."""
USUAL_SLOTS = 16
"""How many jobs run at once as the template's defaults have it."""

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, slots=True)
class JobSettings:
    """The settings of a job, from Batch and from its job definition.

    Attributes:
        array_index: Which child of the array this is, from 0; 0 outside an array (Batch, job environment variables).
        array_size: The array's size; None outside an array.
        job_id: The Batch job's id; empty outside Batch.
        attempt: Which attempt of the job this is, from 1.
        attempt_seconds: The attempt's time limit in the job definition; None where there is none. Batch never retries
            a job that ran into it, so the job stops itself before.
        concurrency: How many items, or run files, a job has in flight at once.
        most_in_flight: How many small items a job has in flight at most; it finds out how many pay.
        slots: How many jobs of a queue run at once; None where that is not known.
        code_version: Millrace's version: the first part of the code's identity (batch_jobs/code_identity.py).
        image: The job's image, NAME@sha256:DIGEST; empty where the deployment does not say.
        allowed_workloads: Which workloads may run; a star in a name stands for anything.
        vcpus: vCPUs of this job.
    """

    array_index: int = 0
    array_size: int | None = None
    job_id: str = ""
    attempt: int = 1
    attempt_seconds: int | None = None
    concurrency: int = 16
    most_in_flight: int = 256
    slots: int | None = None
    code_version: str = VERSION
    image: str = ""
    allowed_workloads: tuple[str, ...] = ("*",)
    vcpus: float = 1.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> JobSettings:
        """Read `AWS_BATCH_JOB_*` and `MILLRACE_*`.

        Raises:
            InvalidRunRequest: A variable is not the whole number that it should be.
        """
        return cls(
            array_index=_whole(environ, "AWS_BATCH_JOB_ARRAY_INDEX", 0) or 0,
            array_size=_whole(environ, "AWS_BATCH_JOB_ARRAY_SIZE", 1),
            job_id=environ.get("AWS_BATCH_JOB_ID", ""),
            attempt=_whole(environ, "AWS_BATCH_JOB_ATTEMPT", 1) or 1,
            attempt_seconds=_whole(environ, "MILLRACE_ATTEMPT_SECONDS", 1),
            concurrency=_whole(environ, "MILLRACE_CONCURRENCY", 1) or 16,
            most_in_flight=_whole(environ, "MILLRACE_MOST_IN_FLIGHT", 1) or 256,
            slots=_slots(environ),
            code_version=environ.get("MILLRACE_CODE_VERSION") or VERSION,
            image=environ.get("MILLRACE_IMAGE", ""),
            allowed_workloads=_allowed_workloads(environ),
            vcpus=_vcpus(environ),
        )


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """The settings of a Lambda, from the template.

    Attributes:
        queues: The job queues' ARNs by the names that a run request uses.
        code_version: The version of the code, as run.json names it.
        queue_rules: Which queue a run goes to whose request names none.
        allowed_workloads: Which workloads may run; a star in a name stands for anything.
        jobs_code: The digest of the jobs' code, as the build of the layer found it; empty where it is not known.
        image: The job image, NAME@sha256:DIGEST; empty where the deployment does not say.
        slots: How many jobs of a queue run at once.
        compute: The parameter Compute; empty where the deployment does not say.
        job_vcpus: vCPUs of one job.
        job_mib: Memory of one job, in MiB.
        workload_secrets: The parameter WorkloadSecrets: names and ARNs.
        public_buckets: The buckets of public data, which a run may read and not write.
        sources: What runs may read, each as s3://bucket/folder/; empty where the deployment does not say.
    """

    queues: dict[str, str]
    code_version: str = VERSION
    queue_rules: tuple[QueueRule, ...] = ()
    allowed_workloads: tuple[str, ...] = ("*",)
    jobs_code: str = ""
    image: str = ""
    slots: int = USUAL_SLOTS
    compute: str = ""
    job_vcpus: float = 1.0
    job_mib: int = 2048
    workload_secrets: str = ""
    public_buckets: frozenset[str] = frozenset()
    sources: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> FunctionSettings:
        """Read `QUEUES`, a JSON object of ARNs by name, `QUEUE_RULES` and `MILLRACE_*`.

        Raises:
            InvalidRunRequest: `QUEUES` is not such an object, a rule is none, or no workload may run.
        """
        text = environ.get("QUEUES", "{}")
        try:
            queues = read_json(text)
        except ValueError:
            queues = None
        if not isinstance(queues, dict) or not all(isinstance(arn, str) for arn in queues.values()):
            raise InvalidRunRequest(
                "QUEUES", text, 'a JSON object of queue ARNs by name, {"standard": "arn:aws:batch:…"}'
            )
        return cls(
            queues=queues,
            code_version=environ.get("MILLRACE_CODE_VERSION") or VERSION,
            queue_rules=parse_queue_rules(environ.get("QUEUE_RULES") or "[]", queues),
            allowed_workloads=_allowed_workloads(environ),
            jobs_code=JOBS_CODE.read_text().strip() if JOBS_CODE.is_file() else "",
            image=environ.get("MILLRACE_IMAGE", ""),
            slots=_slots(environ) or USUAL_SLOTS,
            compute=environ.get("MILLRACE_COMPUTE", ""),
            job_vcpus=_vcpus(environ),
            job_mib=_whole(environ, "MILLRACE_JOB_MIB", 1) or 2048,
            workload_secrets=environ.get("MILLRACE_WORKLOAD_SECRETS", ""),
            public_buckets=public_buckets(environ),
            sources=source_addresses(environ.get("MILLRACE_SOURCES", "")),
        )

    def check_workload_secrets(self) -> None:
        """See that the jobs can get the secrets that the deployment names.

        Raises:
            InvalidRunRequest: One is none, or is not of the queues' account.
        """
        secrets = parse_secrets(self.workload_secrets)
        for queue in self.queues.values() if secrets else ():
            check_account(secrets, queue.split(":")[4])


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """The settings of the function notify, from the template.

    Attributes:
        topic_arn: The topic that messages go to.
        bus_name: The bus that our events go to.
        table_name: The table of what was sent.
        notify_on: Which events are published to the topic: RUN_FAILED, JOB_SUCCEEDED, QUEUE_BLOCKED and so on.
        queues: The ARNs of the queues that a run's jobs may be in.
        stack_name: The stack, for the commands that resume a run.
        state_machine_arn: The workflow whose runs are watched.
        slots: How many jobs of a queue run at once.
        job_vcpus: vCPUs of one job.
    """

    topic_arn: str
    bus_name: str
    table_name: str
    notify_on: frozenset[str]
    queues: tuple[str, ...] = ()
    stack_name: str = ""
    state_machine_arn: str = ""
    slots: int = USUAL_SLOTS
    job_vcpus: float = 1.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> NotifySettings:
        """Read the variables; what is not set is empty.

        Raises:
            InvalidRunRequest: `QUEUES` is not a JSON object of ARNs by name.
        """
        common = FunctionSettings.from_environment(environ)
        return cls(
            topic_arn=environ.get("NOTIFICATION_TOPIC_ARN", ""),
            bus_name=environ.get("EVENT_BUS_NAME", ""),
            table_name=environ.get("SENT_TABLE_NAME", ""),
            notify_on=frozenset(name.strip() for name in environ.get("NOTIFY_ON", "").split(",")) - {""},
            queues=tuple(common.queues.values()),
            stack_name=environ.get("POWERTOOLS_SERVICE_NAME", ""),
            state_machine_arn=environ.get("STATE_MACHINE_ARN", ""),
            slots=common.slots,
            job_vcpus=common.job_vcpus,
        )


@dataclass(frozen=True, slots=True)
class UploadSettings:
    """The settings of the function start_uploads, from the template.

    Attributes:
        state_machine_arn: What a run is started on.
        request: What the requests of all these runs have in common: source and destination at least. The source is all
            of a bucket.
        queue_rules: Which queue an object's run goes to, where the request names none.
        buckets: The buckets whose uploads start runs; empty is the request's source alone.
    """

    state_machine_arn: str
    request: dict[str, Any]
    queue_rules: tuple[QueueRule, ...] = ()
    buckets: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> UploadSettings:
        """Read `STATE_MACHINE_ARN`, `UPLOAD_REQUEST`, a run request as JSON, `UPLOAD_SOURCES`, and the rules of queues.

        Raises:
            InvalidRunRequest: The request is no JSON object with a source and a destination, or a rule is none.
        """
        text = environ.get("UPLOAD_REQUEST", "")
        try:
            request = read_json(text)
        except ValueError:
            request = None
        if not isinstance(request, dict) or not {"source", "destination"} <= request.keys():
            raise InvalidRunRequest(
                "UPLOAD_REQUEST", text, "a run request as JSON; it holds the parameters of uploads as they were given"
            )
        check_plain(request, "UPLOAD_REQUEST")
        return cls(
            state_machine_arn=environ.get("STATE_MACHINE_ARN", ""),
            request=request,
            queue_rules=FunctionSettings.from_environment(environ).queue_rules,
            buckets=tuple(
                dict.fromkeys(S3Uri.parse(uri).bucket for uri in source_addresses(environ.get("UPLOAD_SOURCES", "")))
            ),
        )


def undelivered_queue_url(environ: Mapping[str, str] = os.environ) -> str:
    """`UNDELIVERED_QUEUE_URL`: the dead-letter queue of uploads that no run could be started for."""
    return environ.get("UNDELIVERED_QUEUE_URL", "")


def aws_region(environ: Mapping[str, str] = os.environ) -> str | None:
    """`AWS_REGION`, which botocore does not read, or None to let botocore look in its own places."""
    return environ.get("AWS_REGION") or None


def ca_bundle(environ: Mapping[str, str] = os.environ) -> str | None:
    """`REQUESTS_CA_BUNDLE`, the certificates that botocore's clients trust where nothing else names any, or None."""
    return environ.get("REQUESTS_CA_BUNDLE") or None


def bucket_owner(environ: Mapping[str, str] = os.environ) -> str | None:
    """`MILLRACE_BUCKET_OWNER`: the account that every bucket must belong to, or None where any will do.

    Raises:
        InvalidRunRequest: The variable is no account id.
    """
    account = environ.get("MILLRACE_BUCKET_OWNER") or None
    if account is not None and not (account.isascii() and account.isdigit() and len(account) == 12):
        raise InvalidRunRequest("MILLRACE_BUCKET_OWNER", account, "an account id of 12 digits, or nothing")
    return account


def public_buckets(environ: Mapping[str, str] = os.environ) -> frozenset[str]:
    """`MILLRACE_PUBLIC_BUCKETS`: the buckets of public data, which are read without credentials; none by default.

    Raises:
        InvalidRunRequest: A name is no bucket's.
    """
    return bucket_names(environ.get("MILLRACE_PUBLIC_BUCKETS", ""), "MILLRACE_PUBLIC_BUCKETS")


def bucket_names(text: str, field: str) -> frozenset[str]:
    """A list of buckets, as the template's parameters hold it.

    Args:
        text: Names with commas between, spaces around them allowed; may be empty.
        field: What an error calls it.

    Raises:
        InvalidRunRequest: A name is no bucket's.
    """
    return frozenset(checked_bucket(name.strip(), field) for name in text.split(",") if name.strip())


def workload_path(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """`MILLRACE_WORKLOAD_PATH`: the folders that hold a user's own modules, and nothing else is taken from."""
    folders = environ.get("MILLRACE_WORKLOAD_PATH", "").split(os.pathsep)
    return tuple(str(Path(folder).absolute()) for folder in folders if folder)


def machine() -> str:
    """The machine that this process runs on, by one name whatever the system's: "x86_64", "aarch64"."""
    found = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(found, found)


def log_level(environ: Mapping[str, str] = os.environ) -> str:
    """The least level that a job logs, `MILLRACE_LOG_LEVEL`: DEBUG, INFO (the default), WARNING or ERROR.

    Raises:
        InvalidRunRequest: The variable holds something else.
    """
    level = environ.get("MILLRACE_LOG_LEVEL") or "INFO"
    if level not in _LOG_LEVELS:
        raise InvalidRunRequest("MILLRACE_LOG_LEVEL", level, " or ".join(_LOG_LEVELS))
    return level


def take_workload_environment(environ: MutableMapping[str, str] = os.environ) -> tuple[str, ...]:
    """Give the workload its settings: the variables in `MILLRACE_WORKLOAD_ENVIRONMENT` join this process's.

    Its secrets are in the environment already: ECS puts them there, and `MILLRACE_WORKLOAD_SECRETS` names them.

    Returns:
        The secrets, which nothing that the job writes may have in it.

    Raises:
        InvalidRunRequest: The settings are no JSON object of texts, or a name is reserved, or a secret's.
    """
    given = parse_environment(environ.pop("MILLRACE_WORKLOAD_ENVIRONMENT", ""))
    secrets = parse_secrets(environ.get("MILLRACE_WORKLOAD_SECRETS", ""))
    for name in sorted(given.keys() & secrets.keys()):
        raise InvalidRunRequest("WorkloadEnvironment", name, "names that WorkloadSecrets does not have")
    environ.update(given)
    return tuple(environ[name] for name in secrets if name in environ)


def command_environment(given: Iterable[str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a program that a job runs: its search path, a UTF-8 locale, and what is asked for.

    The job's credentials, and whatever else the job has, are not in it, nor can they be asked for.

    Args:
        given: Names of variables of the job, or NAME=VALUE.
        environ: The job's environment.

    Raises:
        InvalidRunRequest: The job has no variable of that name, or it leads to the job's credentials.
    """
    environment = {"PATH": environ.get("PATH") or os.defpath, "LANG": "C.UTF-8"}
    for words in given:
        name, equals, value = words.partition("=")
        if not name or "\0" in words or (not equals and name not in environ):
            raise InvalidRunRequest("options.environment", words, "the name of a variable that the job has, NAME=VALUE")
        if not equals and name in CREDENTIALS:
            raise InvalidRunRequest("options.environment", words, "no variable that leads to the job's credentials")
        environment[name] = value if equals else environ[name]
    return environment


def _allowed_workloads(environ: Mapping[str, str]) -> tuple[str, ...]:
    """`MILLRACE_ALLOWED_WORKLOADS`, names with commas between; all where it is not set."""
    text = environ.get("MILLRACE_ALLOWED_WORKLOADS") or "*"
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise InvalidRunRequest("MILLRACE_ALLOWED_WORKLOADS", text, "names of workloads with commas between, or *")
    return names


def _slots(environ: Mapping[str, str]) -> int | None:
    """How many jobs fit into the vCPUs that a queue has."""
    most = _whole(environ, "MILLRACE_MAX_VCPUS", 1)
    return None if most is None else max(1, int(most / _vcpus(environ)))


def _vcpus(environ: Mapping[str, str]) -> float:
    text = environ.get("MILLRACE_JOB_VCPUS") or "1"
    try:
        each = float(text)
    except ValueError:
        each = 0.0
    if not 0 < each < 1000:
        raise InvalidRunRequest("MILLRACE_JOB_VCPUS", text, "a number of vCPUs, 0.25 or more")
    return each


def _whole(environ: Mapping[str, str], name: str, least: int) -> int | None:
    text = environ.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise InvalidRunRequest(name, text, f"a whole number, {least} or more")
    return int(text)
