"""CPU and memory of a thumbnail: Millrace's `images` beside the usual way and beside the other libraries.

    python -m benchmarks.images [--pictures N] [--rounds N]

Makes N JPEG photographs of 12 megapixels with a fixed seed, then, in the same process, turns by turn, lets every way
make a thumbnail of 200 x 200 of each. Prints a Markdown table: CPU per picture (the median round), and how many times
less that is than `open, copy, thumbnail`. Peak memory is measured with one more picture in a process of its own.
OpenCV and simplejpeg take part where they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import statistics
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from batch_jobs.migrating.outputs import SpooledOutputs
from batch_jobs.workloads.registry import load_workload
from benchmarks.results import Table, add_output_option
from millrace.records.plan import Item
from millrace.workload.registry import checked_options

WIDTH, HEIGHT, BOX = 4000, 3000, 200

Way = Callable[[bytes], object]


def photograph(seed: int) -> bytes:
    """A JPEG of 12 megapixels with a photograph's spectrum; quality 85, 4:2:0, about 3.6 MB.

    The amplitude of photographs falls with the spatial frequency as 1/f^1.2 or so (Field 1987; Tolhurst 1992), and that
    is what the length of a JPEG, and the time of its decoding, depend on.
    """
    import numpy as np  # noqa: PLC0415 - the processes whose peak is measured do without

    chance = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None, :])
    frequency[0, 0] = 1

    def plane(exponent: float, contrast: float) -> Any:
        spectrum = (chance.standard_normal(frequency.shape) + 1j * chance.standard_normal(frequency.shape)) / (
            frequency**exponent
        )
        spectrum[0, 0] = 0
        values = np.fft.irfft2(spectrum, (HEIGHT, WIDTH))
        return np.clip(values / values.std() * contrast + 128, 0, 255).astype(np.uint8)

    planes = (plane(1.2, 50), plane(1.4, 15), plane(1.4, 15))
    image = Image.merge("YCbCr", [Image.fromarray(values) for values in planes])
    image.convert("RGB").save(file := BytesIO(), "JPEG", quality=85)
    return file.getvalue()


def usual(raw: bytes) -> bytes:
    """`open`, `copy`, `thumbnail`, `save`: what one writes first."""
    thumbnail = Image.open(BytesIO(raw)).copy()
    thumbnail.thumbnail((BOX, BOX))
    thumbnail.save(file := BytesIO(), "JPEG")
    return file.getvalue()


def usual_and_saved(raw: bytes) -> bytes:
    """The same, and the picture itself saved again, as the script does that this workload replaces."""
    image = Image.open(BytesIO(raw))
    thumbnail = image.copy()
    thumbnail.thumbnail((BOX, BOX))
    thumbnail.save(BytesIO(), "JPEG")
    image.save(file := BytesIO(), "JPEG")
    return file.getvalue()


def in_place(raw: bytes) -> bytes:
    """`open`, `thumbnail`, `save`: Pillow decodes at a reduced scale."""
    image = Image.open(BytesIO(raw))
    image.thumbnail((BOX, BOX))
    image.save(file := BytesIO(), "JPEG")
    return file.getvalue()


def millrace(**options: object) -> Way:
    """The workload, all of it: thumbnail, metadata, the contact sheet's cell."""
    workload = load_workload("images", checked_options("images", options))

    def work(raw: bytes) -> object:
        with SpooledOutputs(lambda _name: None) as files:
            return workload.migrate(Item("a.jpg", len(raw), '"e"'), [raw], files)

    return work


def opencv() -> Way:
    """OpenCV, one thread, decoding at an eighth."""
    import cv2  # noqa: PLC0415 - optional
    import numpy as np  # noqa: PLC0415 - OpenCV needs it

    cv2.setNumThreads(1)

    def work(raw: bytes) -> object:
        pixels = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)
        return cv2.imencode(".jpg", cv2.resize(pixels, (BOX, BOX * HEIGHT // WIDTH), interpolation=cv2.INTER_AREA))

    return work


def simplejpeg() -> Way:
    """simplejpeg, decoding at a reduced scale; Pillow scales the rest and writes."""
    import simplejpeg  # noqa: PLC0415 - optional

    def work(raw: bytes) -> object:
        image = Image.fromarray(simplejpeg.decode_jpeg(raw, min_width=BOX, min_height=BOX * HEIGHT // WIDTH))
        image.thumbnail((BOX, BOX))
        image.save(file := BytesIO(), "JPEG")
        return file

    return work


WAYS: dict[str, Callable[[], Way]] = {
    "open, copy, thumbnail": lambda: usual,
    "open, copy, thumbnail; saved in full": lambda: usual_and_saved,
    "open, thumbnail": lambda: in_place,
    "Millrace, all outputs": millrace,
    "Millrace, no contact sheet": lambda: millrace(contact_sheet=0),
    "Millrace, sepia in full size": lambda: millrace(filter="sepia"),
    "OpenCV, reduced by 8": opencv,
    "simplejpeg": simplejpeg,
}
_NEEDS = {"OpenCV, reduced by 8": "cv2", "simplejpeg": "simplejpeg"}


def peak_mib(name: str, raw: bytes) -> float:
    """The peak of a fresh process that makes one thumbnail, in MiB, everything imported included (Linux)."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_peak, (name, raw))


def _peak(name: str, raw: bytes) -> float:
    WAYS[name]()(raw)
    status = Path("/proc/self/status").read_text(encoding="utf-8")  # getrusage would include the parent's peak
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-memory", action="store_true", help="leave out the peaks of memory")
    add_output_option(parser)
    given = parser.parse_args()
    pictures = [photograph(seed) for seed in range(given.pictures)]
    names = [name for name in WAYS if importlib.util.find_spec(_NEEDS.get(name, "PIL"))]
    ways = {name: WAYS[name]() for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(given.rounds + 1):
        for name, work in ways.items():
            started = time.process_time()
            for raw in pictures:
                work(raw)
            if number:  # the first round warms up
                seconds[name].append((time.process_time() - started) / len(pictures))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    size = sum(map(len, pictures)) / len(pictures) / 1e6
    columns = ["way", "CPU per picture, ms", "times less than the usual", "peak memory, MiB"]
    table = Table("images", columns)
    table.note(f"{len(pictures)} JPEGs of {WIDTH} x {HEIGHT}, {size:.1f} MB each; {given.rounds} rounds.")
    for name, median in medians.items():
        cells = [name, f"{median * 1000:.1f}", f"{medians['open, copy, thumbnail'] / median:.1f}"]
        cells.append("" if given.no_memory else f"{peak_mib(name, pictures[0]):.0f}")
        table.add(dict(zip(columns, cells, strict=True)))
    mine, least = medians["Millrace, all outputs"], medians["open, thumbnail"]
    table.goal("CPU of a picture: Millrace by Pillow's thumbnail alone", mine / least, at_most=1.25, digits=2)
    table.show(given.output)


if __name__ == "__main__":
    main()
