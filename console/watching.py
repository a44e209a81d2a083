"""Watching a run to its end."""

from __future__ import annotations

import time

from console.aws import Aws
from console.executions import Run
from console.run_display import Show
from console.run_progress import RunProgress, observe

LOCAL_SECONDS = 0.4
"""Between two looks on the embedded AWS."""

AWS_SECONDS = 3.0
"""Between two looks on AWS: DescribeExecution and GetExecutionHistory are throttled there."""


def watch(aws: Aws, run: Run, show: Show) -> RunProgress:
    """Look at a run until it has ended.

    Args:
        aws: Where it runs.
        run: The run.
        show: Called with each look, the last one included.

    Returns:
        The last look.
    """
    while True:
        progress = observe(aws, run.execution_arn)
        show(progress)
        if progress.ended:
            return progress
        time.sleep(AWS_SECONDS if aws.endpoint_url is None else LOCAL_SECONDS)
