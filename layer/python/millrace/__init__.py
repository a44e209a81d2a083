"""What Millrace's Lambdas, jobs and command line share; and what authors of workloads import: `from millrace import …`.

`millrace.run(…)` starts a run from Python.

Standard library and boto3 only, so that the layer stays small and the same files go into the job image.
"""

from millrace.client import StartedRun, run
from millrace.version import VERSION
from millrace.workload import ErrorCode, Item, ItemBody, ItemError, Outputs, Quantiles, TryAgainError, try_on, workload

__all__ = [
    "ErrorCode",
    "Item",
    "ItemBody",
    "ItemError",
    "Outputs",
    "Quantiles",
    "StartedRun",
    "TryAgainError",
    "run",
    "try_on",
    "workload",
]

__version__ = VERSION
