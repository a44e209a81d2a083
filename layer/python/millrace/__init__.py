"""What Millrace's Lambdas, jobs and command line share; and what authors of workloads import: `from millrace import …`.

Standard library and boto3 only, so that the layer stays small and the same files go into the job image.
"""

from millrace.version import VERSION
from millrace.workload import ErrorCode, Item, ItemBody, ItemError, Outputs, Quantiles, TryAgainError, try_on, workload

__all__ = [
    "ErrorCode",
    "Item",
    "ItemBody",
    "ItemError",
    "Outputs",
    "Quantiles",
    "TryAgainError",
    "try_on",
    "workload",
]

__version__ = VERSION
