"""What the unit tests of the functions need: an environment in which their modules can be imported."""

import os

import pytest
from hypothesis import settings
from PIL import Image

os.environ.setdefault("AWS_REGION", "us-east-1")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "millrace")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "Millrace")
os.environ.setdefault("POWERTOOLS_TRACE_DISABLED", "1")

# How long an example takes says more of the machine, and of who else is using it, than of the code.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@pytest.fixture(autouse=True)
def _pillow_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The workload `images` limits the pixels for its whole process: not for the next test."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
