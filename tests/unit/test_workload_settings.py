"""Settings and secrets of workloads: what a deployment may name, and what a job writes of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from millrace.errors import InvalidRunRequest
from millrace.settings import FunctionSettings, take_workload_environment
from millrace.workload_settings import Hiding, check_account, parse_environment, parse_secrets
from tests.infrastructure.checkout import REAL

PARAMETERS = REAL.template["Parameters"]
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:api/token-AbCdEf"
NAMES = st.sampled_from(
    ["API_URL", "_x", "a1", "1a", "", "a-b", "é", "AWS_REGION", "AWSX", "PATH", "PATHS", "LD_PRELOAD", "PYTHONPATH",
     "MILLRACE_IMAGE", "MILLRACE_LOG_LEVEL", "ECS_AGENT_URI", "TMPDIR", "HOME"]
)  # fmt: skip
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\x7f"), max_size=20)


@given(given=st.dictionaries(NAMES, TEXTS | st.integers(0, 9) | st.none(), max_size=3), ascii_only=st.booleans())
@example(given={"A": 'a "quoted" \\ path\n'}, ascii_only=True)
def test_template_and_jobs_take_the_same_settings(given: dict[str, Any], *, ascii_only: bool) -> None:
    """What the parameter's pattern lets in, the jobs take; what it refuses, they refuse."""
    text = json.dumps(given, ensure_ascii=ascii_only)
    matches = re.fullmatch(PARAMETERS["WorkloadEnvironment"]["AllowedPattern"], text) is not None
    try:
        taken = parse_environment(text)
    except InvalidRunRequest:
        assert not matches, text
        return
    assert matches, text
    assert taken == given


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": {"b": "c"}}', '{"a": 1}', '{"a" "b"}', "null", '{"a": "b",}'])
def test_other_json_is_refused_by_both(text: str) -> None:
    """Only a flat object of texts makes environment variables."""
    assert re.fullmatch(PARAMETERS["WorkloadEnvironment"]["AllowedPattern"], text) is None
    with pytest.raises(InvalidRunRequest, match="a JSON object of texts"):
        parse_environment(text)


def test_an_error_has_no_value() -> None:
    """What is refused may be a secret in the wrong place: names are shown, values never."""
    for text in ('{"AWS_KEY": "hush-hush"}', '["hush-hush"]', '{"a": ["hush-hush"]}', '{"a": "hush-hush'):
        with pytest.raises(InvalidRunRequest) as refused:
            parse_environment(text)
        assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("", True),
        (f"TOKEN={SECRET}", True),
        (f"TOKEN={SECRET}:password::", True),
        ("TOKEN=arn:aws:ssm:eu-west-1:123456789012:parameter/team/token", True),
        (",".join(f"T{number}={SECRET}" for number in range(5)), True),
        (f"AWS_TOKEN={SECRET}", False),
        (f"MILLRACE_LOG_LEVEL={SECRET}", False),
        (f"PATH={SECRET}", False),
        (f"a-b={SECRET}", False),
        ("TOKEN=my-token", False),
        ("TOKEN=arn:aws:s3:::bucket", False),
        (SECRET, False),
    ],
)
def test_template_and_jobs_take_the_same_secrets(text: str, *, good: bool) -> None:
    """The same for names of secrets."""
    assert (re.fullmatch(PARAMETERS["WorkloadSecrets"]["AllowedPattern"], text) is not None) is good
    if good:
        assert [*parse_secrets(f"{text},,,").values()] == [each.partition("=")[2] for each in text.split(",") if each]
    else:
        with pytest.raises(InvalidRunRequest, match="WorkloadSecrets"):
            parse_secrets(text)


def test_a_name_is_there_once() -> None:
    """Two secrets cannot be one variable, nor can a setting and a secret."""
    with pytest.raises(InvalidRunRequest, match="each name once"):
        parse_secrets(f"A={SECRET},A={SECRET}")
    environ = {"MILLRACE_WORKLOAD_ENVIRONMENT": '{"A": "b"}', "MILLRACE_WORKLOAD_SECRETS": f"A={SECRET}", "A": "c"}
    with pytest.raises(InvalidRunRequest, match="names that WorkloadSecrets does not have"):
        take_workload_environment(environ)


def test_a_job_takes_its_settings() -> None:
    """The settings become variables, and the JSON is gone; the secrets are told apart."""
    environ = {
        "MILLRACE_WORKLOAD_ENVIRONMENT": '{"A": "b"}', "MILLRACE_LOG_LEVEL": "INFO",
        "MILLRACE_WORKLOAD_SECRETS": f"TOKEN={SECRET},,", "TOKEN": "hush-hush",
    }  # fmt: skip
    assert take_workload_environment(environ) == ("hush-hush",)
    assert environ == {
        "A": "b", "MILLRACE_LOG_LEVEL": "INFO", "MILLRACE_WORKLOAD_SECRETS": f"TOKEN={SECRET},,", "TOKEN": "hush-hush",
    }  # fmt: skip
    assert take_workload_environment({}) == ()


def test_only_the_stacks_own_account() -> None:
    """Prepare Run knows the account by its queues, and says where to copy the secret."""
    queues = '{"standard": "arn:aws:batch:us-east-1:999999999999:job-queue/q"}'
    settings = FunctionSettings.from_environment({"QUEUES": queues, "MILLRACE_WORKLOAD_SECRETS": f"TOKEN={SECRET}"})
    with pytest.raises(InvalidRunRequest, match="own account, 999999999999; copy it there"):
        settings.check_workload_secrets()
    check_account(parse_secrets(f"TOKEN={SECRET}"), "123456789012")


@given(secret=st.text(min_size=4, max_size=12), before=st.sampled_from(["", "at ", "x="]))
def test_no_form_of_a_secret_is_left(secret: str, before: str) -> None:
    """As it is, inside JSON, as Python shows it or quoted for a URL: each is hidden."""
    hidden = Hiding([secret])
    for form in (secret, json.dumps(secret), repr(secret)):
        assert re.fullmatch(f"{before}[\"']?\\*\\*\\*[\"']?", hidden(f"{before}{form}"))


def test_what_is_hidden() -> None:
    """Lines and JSON values of a secret too, the longest first, and nothing that is too short to be looked for."""
    hidden = Hiding(["pass word", "pass word longer", '{"user": "reader", "password": "s3cret!"}', "two\nlines", "abc"])
    assert hidden("pass%20word, pass word longer, s3cret!, reader; lines; abc") == "***, ***, ***, ***; ***; abc"
    assert Hiding(())("anything") == "anything"


def test_a_job_writes_no_secret() -> None:
    """Prints, its log and what libraries log, in a process of its own: each has `***` in place of the secret."""
    program = """
import logging, sys, threading
from batch_jobs import job_log
job_log.log_to_stderr()
job_log.hide(["hush-hush"])
print("the token", "is hush-hush")
print("hush-hush", file=sys.stderr)
logging.getLogger("batch_jobs").info("asked with %s", "hush-hush")
logging.getLogger("urllib3").warning("https://example.com/?token=hush-hush")
print(job_log.hidden("hush-hush!"))
threads = [threading.Thread(target=lambda: print("of", "a", "thread", "hush-hush")) for _ in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("hush-", end="")
print("hush", end="")
sys.stdout.flush()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "the token is ***\n***!\n" + 20 * "of a thread ***\n" + "***"
    assert ended.stderr.count("***") == 3
    assert "hush" not in ended.stderr
