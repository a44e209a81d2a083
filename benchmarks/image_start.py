"""How large is the job image, and how long does a job take from its container's start to its first request?

    python -m benchmarks.image_start [--image millrace] [--rounds 10]

Each step is a container of its own, as the job definitions make it, but without a network; a row is the shortest of all
rounds. It needs a Docker engine that has the image: `make image`. What a cloud adds, capacity and the image's download,
is not in it.
"""

from __future__ import annotations

import argparse
import gzip
import re
import shutil
import subprocess
import time

from benchmarks.results import Table, add_output_option

OPTIONS = ["--rm", "--init", "--read-only", "--network=none", "--mount=type=volume,dst=/scratch"]
CLIENT = "import boto3; boto3.client('s3', region_name='us-east-1', aws_access_key_id='a', aws_secret_access_key='a')"
FIRST_REQUEST = """
import os, socket, subprocess, sys
server = socket.create_server(("127.0.0.1", 0))
given = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.getsockname()[1]}", "AWS_REGION": "us-east-1",
         "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "a"}
words = ["batch_jobs", "plan", "--request", "s3://results/_millrace/run/run.json"]
job = subprocess.Popen([sys.executable, "-m", *words], env={**os.environ, **given}, stderr=subprocess.DEVNULL)
server.settimeout(60)
server.accept()[0].recv(1)
job.kill()
job.wait()
"""
"""Ends when a job asks S3 for its request: on the container's own loopback, in place of S3."""
STEPS = {
    "the container alone": "true",
    "and the interpreter": "python -c pass",
    "and the job's own modules (it prints its usage)": "python -m batch_jobs migrate --help",
    "and its first request to S3": f"python -c '{FIRST_REQUEST}'",
    "or boto3 and its first S3 client": f'python -c "{CLIENT}"',
}
"""Each with the container around it."""
PACKERS = ("gzip -6 -c", "zstd -3 -q -c")
"""As the engine packs a layer, and as `make push` does where skopeo is."""


def docker(*arguments: str) -> bytes:
    """What a docker command prints."""
    return subprocess.run([_DOCKER, *arguments], check=True, stdout=subprocess.PIPE).stdout  # noqa: S603 - our own


def seconds(image: str, command: str) -> tuple[float, float]:
    """How long a container takes from the start of `docker run` to its end, and the CPU time of what runs in it."""
    began = time.perf_counter()
    said = docker("run", *OPTIONS, "--entrypoint=sh", image, "-c", f"{command} > /dev/null && times")
    taken = time.perf_counter() - began
    children = said.decode().splitlines()[-1]
    return taken, sum(60 * float(minutes) + float(rest) for minutes, rest in re.findall(r"(\d+)m([\d.]+)s", children))


def packed(packer: str, layer: bytes) -> str:
    """How large a layer is as this program packs it, and how long it takes to unpack."""
    if shutil.which(packer.split(maxsplit=1)[0]) is None:
        return f"{packer} is not installed here"
    small = subprocess.run(packer.split(), input=layer, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603
    times = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([packer.split(maxsplit=1)[0], "-dc"], input=small, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        times.append(time.perf_counter() - began)
    return f"Packed by {packer}: {len(small) / 1e6:.1f} MB, unpacked in {min(times):.2f} s"


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default="millrace", help="its name in the engine")
    parser.add_argument("--rounds", type=int, default=10)
    add_output_option(parser)
    given = parser.parse_args()
    table = Table("image-start", ["up to", "seconds", "CPU seconds"])
    measured: dict[str, list[tuple[float, float]]] = {step: [] for step in STEPS}
    for _ in range(given.rounds):
        for step, command in STEPS.items():
            measured[step].append(seconds(given.image, command))
    for step, rounds in measured.items():
        taken, cpu = map(min, zip(*rounds, strict=True))
        table.add({"up to": step, "seconds": f"{taken:.2f}", "CPU seconds": f"{cpu:.2f}"})
    added = docker("run", *OPTIONS, "--entrypoint=tar", given.image, "-C", "/opt", "-cf", "-", "millrace")
    stored = len(gzip.compress(added, 6)) / 1e6
    table.note(f"What it adds to its base: {len(added) / 1e6:.0f} MB, {stored:.0f} MB as gzip packs it")
    for packer in PACKERS:
        table.note(packed(packer, added))
    table.show(given.output)


_DOCKER = shutil.which("docker") or "docker"

if __name__ == "__main__":
    main()
