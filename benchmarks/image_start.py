"""How large is the job image, and how long does a job take from its container's start to its first request?

    python -m benchmarks.image_start [--image millrace] [--rounds 10]

Each step is a container of its own, as the job definitions make it, but without a network; a row is the shortest of all
rounds. It needs a Docker engine that has the image: `make image`. What a cloud adds, capacity and the image's download,
is not in it.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import subprocess
import time

from benchmarks.results import Table, add_output_option

OPTIONS = ["--rm", "--init", "--read-only", "--network=none", "--mount=type=volume,dst=/scratch"]
CLIENT = (
    "import boto3; boto3.client('s3', region_name='us-east-1', aws_access_key_id='a', aws_secret_access_key='a').meta"
)
STEPS = {
    "the container alone": ["--entrypoint=true", "{image}"],
    "and the interpreter": ["--entrypoint=python", "{image}", "-c", "pass"],
    "and the job's own modules (its usage is printed)": ["{image}", "migrate", "--help"],
    "the interpreter, boto3 and its first S3 client": ["--entrypoint=python", "{image}", "-c", CLIENT],
}


def docker(*arguments: str) -> bytes:
    """What a docker command prints."""
    return subprocess.run([_DOCKER, *arguments], check=True, stdout=subprocess.PIPE).stdout  # noqa: S603 - our own


def seconds(arguments: list[str]) -> float:
    """How long a container takes from the command to its end."""
    began = time.perf_counter()
    docker("run", *OPTIONS, *arguments)
    return time.perf_counter() - began


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default="millrace", help="its name in the engine")
    parser.add_argument("--rounds", type=int, default=10)
    add_output_option(parser)
    given = parser.parse_args()
    table = Table("image-start", ["from `docker run` to the end of", "seconds"])
    shortest = dict.fromkeys(STEPS, float("inf"))
    for _ in range(given.rounds):
        for step, arguments in STEPS.items():
            taken = seconds([word.format(image=given.image) for word in arguments])
            shortest[step] = min(shortest[step], taken)
    for step, taken in shortest.items():
        table.add({"from `docker run` to the end of": step, "seconds": f"{taken:.2f}"})
    whole = int(docker("image", "inspect", "--format", "{{.Size}}", given.image))
    added = docker("run", *OPTIONS, "--entrypoint=tar", given.image, "-C", "/opt", "-cf", "-", "millrace")
    table.note(
        f"The image has {whole / 1e6:.0f} MB; its own layer has {len(added) / 1e6:.0f} MB of that, "
        f"{len(gzip.compress(added, 6)) / 1e6:.0f} MB as it is stored and pulled"
    )
    table.show(given.output)


_DOCKER = shutil.which("docker") or "docker"

if __name__ == "__main__":
    main()
