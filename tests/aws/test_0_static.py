"""Stage 0: AWS's own judgement of definition, states, templates and policies. Nothing is made, nothing is paid."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.aws.static import Question, questions
from tests.aws.target import Target

ACCOUNT = os.environ.get("MILLRACE_AWS_ACCOUNT", "123456789012")
REGION = os.environ.get("MILLRACE_AWS_REGION", "us-east-1")
BAD = {"ERROR", "SECURITY_WARNING", "WARNING"}


@pytest.mark.parametrize("question", questions(ACCOUNT, REGION), ids=lambda question: question.name)
def test_aws_has_nothing_against_it(target: Target, question: Question) -> None:
    """No diagnostic, no finding, and each state ends with each mock as the state machine's cases expect."""
    answer: Any = getattr(target.client(question.service), question.operation)(**question.arguments)
    assert not answer.get("diagnostics"), answer["diagnostics"]
    assert not [found for found in answer.get("findings", ()) if found["findingType"] in BAD], answer["findings"]
    if question.expected:
        assert answer["status"] == question.expected, (answer.get("error"), answer.get("cause"))
