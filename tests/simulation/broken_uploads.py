"""The protocol, broken on purpose in how uploads become runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

import start_uploads
from millrace.settings import UploadSettings

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


def a_run_has_a_new_name_each_time(patch: pytest.MonkeyPatch) -> None:
    """A batch that comes again starts another run."""
    numbers = count()

    def named(_uploads: Iterable[start_uploads.Upload]) -> dict[str, Any]:
        return {"run_id": f"upload-{next(numbers):032x}", "once": True}

    patch.setattr(start_uploads, "_named", named)


def a_run_is_named_after_its_keys_alone(patch: pytest.MonkeyPatch) -> None:
    """Another upload of the same keys finds the run of the first one there, and starts nothing."""

    def named(uploads: Iterable[start_uploads.Upload]) -> dict[str, Any]:
        keys = json.dumps([upload.key for upload in uploads])
        return {"run_id": f"upload-{hashlib.sha256(keys.encode()).hexdigest()[:32]}", "once": True}

    patch.setattr(start_uploads, "_named", named)


def the_earlier_of_two_events_counts(patch: pytest.MonkeyPatch) -> None:
    """The later upload of a key is taken for the earlier one, which may have had its run."""
    real = start_uploads.later
    patch.setattr(start_uploads, "later", lambda one, other: other if real(one, other) == one else one)


def a_run_that_was_not_started_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The messages of a throttled StartExecution are deleted."""
    real = start_uploads._start

    def start(request: Mapping[str, Any], settings: UploadSettings, states: SFNClient) -> None:
        real(request, settings, states)

    patch.setattr(start_uploads, "_start", start)
