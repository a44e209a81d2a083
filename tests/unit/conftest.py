"""What the unit tests of the functions need: an environment in which their modules can be imported."""

import os

os.environ.setdefault("AWS_REGION", "us-east-1")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "millrace")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "Millrace")
os.environ.setdefault("POWERTOOLS_TRACE_DISABLED", "1")
