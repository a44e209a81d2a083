"""The request for the text of PDF files, with the real pdftotext: apt-get install poppler-utils."""

import json
from pathlib import Path

import pytest

from batch_jobs.migrating.outputs import SpooledOutputs
from batch_jobs.workloads.registry import load_workload
from millrace import ErrorCode, Item, ItemError
from millrace.request.run_request import RunRequest

REQUEST = RunRequest.parse(json.loads((Path(__file__).parent / "request.json").read_text()))


def pdf(text: str) -> bytes:
    """A PDF file of one page with one line of text."""
    page = f"BT /F1 24 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(page), page), b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )  # fmt: skip
    made, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return made + b"xref\n0 6\n0000000000 65535 f \n%strailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        table,
        len(made),
    )


def text_of(data: bytes) -> bytes:
    command = load_workload(REQUEST.workload, REQUEST.options)
    with SpooledOutputs(lambda name: None if name in command.item_suffixes else "not declared") as files:
        command.migrate(Item("in/a.pdf", len(data), '"e"'), iter([data]), files)
        (held,) = files
        held.file.seek(0)
        return held.file.read()


def test_the_text_of_a_page_is_found() -> None:
    assert text_of(pdf("Exactly once")).split() == [b"Exactly", b"once"]


def test_what_is_no_pdf_is_the_items_row() -> None:
    with pytest.raises(ItemError) as caught:
        text_of(b"no pdf")
    assert caught.value.code is ErrorCode.COMMAND_FAILED
