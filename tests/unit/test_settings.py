"""What the environment says to jobs and Lambdas."""

import pytest

from millrace.errors import InvalidRunRequest
from millrace.queue_rules import QueueRule
from millrace.settings import FunctionSettings, JobSettings, aws_region, bucket_owner, log_level
from millrace.version import VERSION


def test_a_job_outside_batch_has_defaults() -> None:
    """Without a variable set, a job is child 0, attempt 1, without a time limit."""
    assert JobSettings.from_environment({}) == JobSettings(0, None, "", 1, None, 16, 256, None, VERSION)


def test_a_child_knows_its_place() -> None:
    """Batch's variables and the job definition's are read."""
    environ = {
        "AWS_BATCH_JOB_ARRAY_INDEX": "7",
        "AWS_BATCH_JOB_ARRAY_SIZE": "40",
        "AWS_BATCH_JOB_ID": "abc:7",
        "AWS_BATCH_JOB_ATTEMPT": "2",
        "MILLRACE_ATTEMPT_SECONDS": "3600",
        "MILLRACE_CONCURRENCY": "4",
        "MILLRACE_MOST_IN_FLIGHT": "99",
        "MILLRACE_MAX_VCPUS": "16",
        "MILLRACE_JOB_VCPUS": "0.5",
        "MILLRACE_CODE_VERSION": "1.2.3",
    }
    expected = JobSettings(7, 40, "abc:7", 2, 3600, 4, 99, 32, "1.2.3", vcpus=0.5)
    assert JobSettings.from_environment(environ) == expected


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "٣", " 1"])
def test_a_variable_that_is_no_number_is_named(value: str) -> None:
    """A wrong variable is refused by name, not taken for 0."""
    with pytest.raises(InvalidRunRequest, match="AWS_BATCH_JOB_ARRAY_INDEX is"):
        JobSettings.from_environment({"AWS_BATCH_JOB_ARRAY_INDEX": value})


def test_no_concurrency_is_refused() -> None:
    """Nothing gets done none at a time."""
    with pytest.raises(InvalidRunRequest, match="1 or more"):
        JobSettings.from_environment({"MILLRACE_CONCURRENCY": "0"})


def test_a_lambda_knows_the_queues() -> None:
    """QUEUES is a JSON object of ARNs by name."""
    settings = FunctionSettings.from_environment({"QUEUES": '{"standard": "arn:q"}', "MILLRACE_CODE_VERSION": "2"})
    assert settings == FunctionSettings({"standard": "arn:q"}, "2")


@pytest.mark.parametrize("text", ["[]", "{", '{"standard": 1}'])
def test_queues_of_another_form_are_refused(text: str) -> None:
    """What is not an object of ARNs is refused by name."""
    with pytest.raises(InvalidRunRequest, match="QUEUES is"):
        FunctionSettings.from_environment({"QUEUES": text})


def test_a_lambda_knows_the_queue_rules() -> None:
    """QUEUE_RULES is a JSON list of prefixes and queues, in order; without it there are none."""
    queues = '{"standard": "arn:q", "urgent": "arn:u"}'
    environ = {"QUEUES": queues, "QUEUE_RULES": '[{"prefix": "now/", "queue": "urgent"}]'}
    assert FunctionSettings.from_environment(environ).queue_rules == (QueueRule("now/", "urgent"),)
    assert FunctionSettings.from_environment({"QUEUES": queues}).queue_rules == ()


@pytest.mark.parametrize(
    "rules",
    ["{", "7", "[7]", '[{"prefix": "a"}]', '[{"prefix": 1, "queue": "standard"}]', '[{"prefix": "", "queue": "x"}]'],
)
def test_queue_rules_of_another_form_are_refused(rules: str) -> None:
    """What is no rule, or names a queue that the stack has not, is refused by name."""
    with pytest.raises(InvalidRunRequest, match="QUEUE_RULES is"):
        FunctionSettings.from_environment({"QUEUES": '{"standard": "arn:q"}', "QUEUE_RULES": rules})


def test_read_plan_knows_what_a_job_has() -> None:
    """vCPUs, MiB and the kind of compute; without them, what the template's defaults are, and no kind."""
    environ = {"MILLRACE_JOB_VCPUS": "4", "MILLRACE_JOB_MIB": "30720", "MILLRACE_COMPUTE": "FARGATE_ARM64"}
    settings = FunctionSettings.from_environment(environ)
    assert (settings.job_vcpus, settings.job_mib, settings.compute) == (4.0, 30_720, "FARGATE_ARM64")
    usual = FunctionSettings.from_environment({})
    assert (usual.job_vcpus, usual.job_mib, usual.compute) == (1.0, 2048, "")


@pytest.mark.parametrize("mib", ["0", "-1", "1.5", "2 GB"])
def test_a_memory_that_is_none_is_named(mib: str) -> None:
    """A wrong variable is refused by name."""
    with pytest.raises(InvalidRunRequest, match="MILLRACE_JOB_MIB is"):
        FunctionSettings.from_environment({"MILLRACE_JOB_MIB": mib})


def test_the_region_may_be_unset() -> None:
    """Without AWS_REGION, botocore looks in its own places."""
    assert aws_region({}) is None
    assert aws_region({"AWS_REGION": "eu-west-1"}) == "eu-west-1"


@pytest.mark.parametrize(("given", "level"), [({}, "INFO"), ({"MILLRACE_LOG_LEVEL": "DEBUG"}, "DEBUG")])
def test_the_log_level_is_the_job_definitions(given: dict[str, str], level: str) -> None:
    """A job logs from the level that its definition sets, INFO where it sets none."""
    assert log_level(given) == level


def test_an_unknown_log_level_is_refused() -> None:
    """A level that the logging module does not know is named, with those that are allowed."""
    with pytest.raises(InvalidRunRequest, match="MILLRACE_LOG_LEVEL is 'LOUD'; allowed: DEBUG"):
        log_level({"MILLRACE_LOG_LEVEL": "LOUD"})


def test_an_owner_is_an_account() -> None:
    """Twelve digits, or nothing; else the variable is named."""
    assert bucket_owner({"MILLRACE_BUCKET_OWNER": "123456789012"}) == "123456789012"
    assert bucket_owner({"MILLRACE_BUCKET_OWNER": ""}) is None
    with pytest.raises(InvalidRunRequest, match="MILLRACE_BUCKET_OWNER is"):
        bucket_owner({"MILLRACE_BUCKET_OWNER": "me"})
