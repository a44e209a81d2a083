"""Start the embedded AWS: `python -m local_aws --port 4566`.

Exit codes: 0 stopped as asked, 2 wrong usage, a port that is taken or no Docker engine, 3 the wrong ministack.
"""

import logging
import os
import sys

from local_aws.executors.docker_engine import EngineMissingError
from local_aws.ministack.hooks import MinistackChangedError
from local_aws.options import parse_options
from local_aws.server import PortTakenError, run


def main() -> int:
    """Run the server; returns the exit code."""
    options = parse_options(sys.argv[1:])
    logging.basicConfig(
        filename=options.log_file,
        level=os.environ.get("LOG_LEVEL", "INFO").upper(),
        format="%(asctime)s %(levelname)s [%(name)s] %(message)s",
    )
    try:
        run(options)
    except (PortTakenError, EngineMissingError) as error:
        sys.stderr.write(f"local_aws: {error}\n")
        return 2
    except MinistackChangedError as error:
        sys.stderr.write(f"local_aws: {error}\n")
        return 3
    return 0


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    # Executions and Lambda workers of ministack may still sit in threads that Python would wait for.
    os._exit(code)
