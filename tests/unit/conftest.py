"""What the unit tests of the functions need: an environment in which their modules can be imported."""

import os

from hypothesis import settings

os.environ.setdefault("AWS_REGION", "us-east-1")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "millrace")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "Millrace")
os.environ.setdefault("POWERTOOLS_TRACE_DISABLED", "1")

# How long an example takes says more of the machine, and of who else is using it, than of the code.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
