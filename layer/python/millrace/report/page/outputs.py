"""What the items became: the first outputs, each as a link where the page lies in the run folder."""

from __future__ import annotations

from urllib.parse import quote

from millrace.layout import RESERVED_FOLDER, S3Uri
from millrace.records.figures import MOST_OUTPUTS, RunFigures
from millrace.report.page.blocks import Block, Cell, Details, Link, Name, Paragraph, Section, Table


def outputs(figures: RunFigures, destination: str, page: str, *, linked: bool) -> Section:
    """The first outputs of the run.

    Args:
        figures: What the commits add up to.
        destination: The folder that the outputs are in.
        page: The URI of the page; empty where it is the run's own.
        linked: Whether the page lies in the run folder, so that a link leads to an output beside that. Such links work
            wherever the destination is copied to, or is served from.
    """
    shown, count = figures.outputs[:MOST_OUTPUTS], figures.output_count
    folder = S3Uri.parse(destination, "destination")
    place = page.removeprefix(str(folder)) if page.startswith(str(folder)) else f"{RESERVED_FOLDER}run/report.html"
    rows = [(Name(key), _cell(uri, folder, place.count("/") if linked else None)) for key, uri in shown]
    caption = f"All {count:,} outputs" if len(shown) == count else f"The first {len(shown):,} of {count:,} outputs"
    blocks: list[Block] = [Details(caption, [Table(caption, ("Key", "Output"), rows)])]
    if len(shown) < count:
        blocks.append(Paragraph("report.csv names all of them."))
    return Section("outputs", "Outputs", blocks)


def _cell(uri: str, destination: S3Uri, up: int | None) -> Cell:
    """A link; the bare URI where a browser would take the key for another one, as with a segment of two dots."""
    key = uri.removeprefix(str(destination))
    segments = key.split("/")
    if up is None or not uri.startswith(str(destination)) or {"", ".", ".."} & set(segments):
        return Name(uri)
    return Link(
        "../" * up + "/".join(quote(segment, safe="", errors="surrogatepass") for segment in segments), Name(key)
    )
