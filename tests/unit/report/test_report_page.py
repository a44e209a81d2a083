"""report.html: what it says, that it is safe, small and always the same. How it looks: tests/browser."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.aws.run_jobs import Attempt, RunJobs
from millrace.cost.run_cost import cost_of
from millrace.cost.worked import Worked
from millrace.records.figures import EXAMPLES, MOST_FAILED, MOST_OUTPUTS, RunFigures
from millrace.records.plan import Plan
from millrace.report.page.blocks import Name, Paragraph, Section
from millrace.report.page.outputs import outputs
from millrace.report.page.rendering import rendered
from millrace.report.page.workload_part import workload_part
from tests.report_pages import HOSTILE, Found, commits_of, figures_of, page_of, plan_of
from tests.run_in_memory import RunInMemory

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "a", "header", "h1", "p", "main", "section", "h2", "dl", "div",
    "dt", "dd", "table", "caption", "thead", "tbody", "tr", "th", "td", "svg", "rect", "polygon", "polyline", "figure",
    "figcaption", "span", "ul", "li", "details", "summary", "bdi", "footer", "label", "input", "output", "script",
}  # fmt: skip
"""All elements that a page has: none that loads anything; its one script is told by its digest."""


def own(addresses: list[str]) -> list[str]:
    """The addresses that are no outputs: those are below the folder of folders, and hold nothing but encoded keys."""
    return [each for each in addresses if not re.fullmatch(r"\.\./\.\./[A-Za-z0-9._~%/-]+", each)]


def page_with(section: Section) -> str:
    """A page of this section alone."""
    return rendered("report.html", title="t", plan=plan_of(1, 1), outcome="o", outcome_style="good", sections=[section])


def test_the_page_of_a_run() -> None:
    """Outcome, counts, failures by code with examples, stragglers, attempts, what was asked for."""
    commits = commits_of(100, ("in/good", "in/also good"))
    words = Found(page_of(commits)).words

    for said in (
        "Run letters-2026", "Succeeded, with failures that the run tolerates", "in/good", "Most frequent words", "mill",
        "NOT_FOUND", "Stragglers: shards that took more than 2 times the median", "100 shards in",
        "shards committed by a later attempt", "Option stop_words", '["and", "the"]', "Skipped: folder markers",
    ):  # fmt: skip
        assert said in words


def test_a_run_that_was_gone_on_with() -> None:
    """Shards that an earlier job committed are named as kept; a run of one job says nothing of it."""
    assert "33 of 100 shards with 66 items had been worked by an earlier job" in Found(page_of(commits_of(100))).words
    alone = [replace(commit, job={"id": "job:1", "attempt": 1}) for commit in commits_of(10)]
    assert "earlier job" not in page_of(alone)


ATTEMPTS = (Attempt("plan", 2.0, 1, 2, "FARGATE"), Attempt("migrate", 90.0, 1, 2, "FARGATE_SPOT"))


ATTEMPTS = (Attempt("plan", 2.0, 1, 2, "FARGATE"), Attempt("migrate", 90.0, 1, 2, "FARGATE_SPOT"))


def test_a_named_run() -> None:
    """The name and the tags stand in the request's table and in plan.json; a run without them has neither."""
    plan = plan_of(1, 1, name="Nightly", tags={"team": "ads"})
    assert Plan.from_json(plan.to_json(), "plan.json") == plan
    assert b'"tags"' not in plan_of(1, 1).to_json()
    words = Found(page_of(commits_of(1), name="Nightly", tags={"team": "ads"})).words
    assert "Nightly" in words
    assert "team=ads" in words
    assert "Tags" not in Found(page_of(commits_of(1))).words


def test_what_it_cost() -> None:
    """Where the cost is known the page has the sum, the estimate, the parts and the stages; else where."""
    jobs = RunJobs({"a": "plan", "b": "migrate"}, ATTEMPTS, running=False)
    cost = cost_of(jobs, Worked(workload="word-count"), "us-east-1")
    words = Found(page_of(commits_of(3), cost=cost)).words
    for said in ("Cost, about$0.00", "S3 requests", "Migrate", "1 attempt on FARGATE_SPOT", "Prices of us-east-1"):
        assert said in words
    assert "cost.json in the run folder" not in words
    assert "cost.json in the run folder" in Found(page_of(commits_of(3))).words
    assert "Estimated" not in Found(page_of(commits_of(3), cost={**cost, "estimated_dollars": None})).words


def test_what_was_reused() -> None:
    """What was kept of which run, and what it saved; of a run that could reuse nothing, why."""
    reuse = {"base": "run-0", "base_retry": 1, "kept": 7, "changed": 1, "new": 2, "removed": 3, "kept_shards": 1}
    jobs = RunJobs({"a": "plan", "b": "migrate"}, ATTEMPTS, running=False)
    worked = Worked(
        "word-count", 10, 10, 10**12, 2, 3, 1, kept_items=7, kept_bytes=7 * 10**11, kept_shards=1, reuses=True
    )
    cost = cost_of(jobs, worked, "us-east-1")
    words = Found(page_of(commits_of(3), cost=cost, reuse=reuse)).words
    assert "Reuse: 7 items of run-0, retry 1 kept in 1 shard; 1 changed, 2 new, 3 gone." in words
    assert "Saved by reuse, about$" in words
    words = Found(page_of(commits_of(3), reuse={"base": "", "why_not": "<b>no</b> run has succeeded yet"})).words
    assert "Reuse: nothing reused: <b>no</b> run has succeeded yet." in words
    assert "Reuse" not in Found(page_of(commits_of(3))).words


@pytest.mark.parametrize("count", [0, 1, 2])
def test_small_runs(count: int) -> None:
    """No shard, one and two have a page; so have shards that took no time at all, without a throughput."""
    commits = commits_of(count)
    assert ("Throughput" in Found(page_of(commits)).words) == (count > 0)
    at_once = [replace(each, started_at=commits[0].started_at, finished_at=commits[0].started_at) for each in commits]
    assert "Throughput" not in Found(page_of(at_once)).words


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_key_is_text(hostile: str) -> None:
    """Keys, messages, words, options and names that hold markup come out as text: no element, handler, address more."""
    usual = Found(page_of(commits_of(8, ("in/a",))))
    page = page_of(
        commits_of(8, (hostile,)),
        {hostile: hostile, "top": [{"word": hostile, "count": 3}], "numbers": {hostile: 3}, "list": [hostile, None]},
        options={hostile: hostile}, include=[hostile], run_id="x", source=f"s3://b/{hostile}",
    )  # fmt: skip
    found = Found(page)

    assert set(found.tags) <= ELEMENTS
    assert found.handlers == []
    assert own(found.addresses) == own(usual.addresses)
    assert len(found.ids) == len(set(found.ids))
    assert "<script" not in page
    assert all(character.isprintable() or character == "\n" for character in page)


@given(key=KEYS)
def test_any_text_is_text(key: str) -> None:
    """Whatever is put in, a parser finds no element; printable text is found as it was."""
    usual, found = (
        Found(page_with(Section("a", "b", [Paragraph(Name(each)), Paragraph(each)]))) for each in ("x", key)
    )
    assert found.tags == usual.tags
    if key.isprintable():
        assert found.words.count(key) >= 2


def test_nothing_is_loaded_and_nothing_runs() -> None:
    """The policy allows the page's own style, by its digest, and pictures in it; links lead to files beside it."""
    page = page_of(commits_of(30))
    assert re.search(
        r"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src 'sha256-", page
    )
    links = Found(page).addresses
    assert own(links) == ["#content", "./words.csv", "./report.csv", "./failures.jsonl", "./result.json"]
    assert {"../../in/a.txt", "../../in/b.txt"} <= set(links)
    assert not re.search("https?:", page)


def test_it_stays_small() -> None:
    """10,000 shards with 200 items each make a page as small as that of 200 shards: figures are a row per shard."""
    figures = figures_of(commits_of(50, tuple(f"in/{number}" for number in range(200))))
    assert all(len(examples) <= EXAMPLES for examples in figures.examples.values())
    large, small = page_of(commits_of(10_000)), page_of(commits_of(200))
    assert len(large) < len(small) + 10_000 // 7 * 150 + MOST_OUTPUTS * 150 < 600_000


def test_failures_can_be_searched() -> None:
    """Ten thousand rows at most, and its one script is allowed by its digest; where all are examples there is none."""
    figures, failed = RunFigures(), [each for each in commits_of(1, ("in/a",))[0].outcomes if each.error_code]
    for shard in range(MOST_FAILED + 5):
        figures.add_outcomes(shard, failed)
    assert (len(figures.failed), sum(figures.codes.values())) == (MOST_FAILED, MOST_FAILED + 5)
    page = page_of(commits_of(100, ("in/a",)))
    assert "All 15 failed items, to be searched" in page
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script is not None
    digest = b64encode(sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    few = page_of(commits_of(8, ("in/a",)))
    assert "<script" not in few
    assert "script-src" not in few


def test_it_is_always_the_same() -> None:
    """The same commits give the same bytes."""
    assert page_of(commits_of(40)) == page_of(commits_of(40))


def test_every_table_and_chart_has_its_name() -> None:
    """Tables have captions, charts a sentence, sections a heading, headings no gap."""
    page = page_of(commits_of(300))
    found = Found(page)
    assert found.tags["caption"] == found.tags["table"]
    assert len(re.findall(r'<svg class="plot" role="img" aria-label="[^"]+"', page)) == page.count('<svg class="plot"')
    assert page.count('<svg class="strip" aria-hidden="true"') == page.count('<svg class="strip"')
    assert found.tags["h2"] == found.tags["section"]
    assert found.tags["h1"] == 1


@pytest.mark.parametrize(
    ("workload", "result", "says"),
    [
        ("word-count", {"top": [{"word": "mill", "count": 9}], "total_words": 12}, ["Most frequent words", "mill"]),
        ("csv-to-dynamodb", {"table": "t", "most_rejected": [{"file": "f", "rejected": 3}]}, ["Most rejected", "f"]),
        ("images", {"formats": {"JPEG": 3}, "bytes": 12_300_000}, ["Formats", "JPEG", "12.3 MB"]),
        ("mine:Mine", {"anything": [1, "two", {"three": 3}]}, ["Anything", '{"three": 3}']),
        ("mine:Mine", {"rows": [{"a": 1, "b": "x"}] * 30}, ["Rows: the first 25 of 30"]),
    ],
)  # fmt: skip
def test_a_workloads_part(workload: str, result: dict[str, Any], says: list[str]) -> None:
    """Bars, tables and facts by the result's shape, of a user's own workload too."""
    words = Found(page_with(workload_part(workload, result, lambda _name: None))).words
    assert all(said in words for said in says)


def test_pictures_of_the_contact_sheet() -> None:
    """The page shows the sheet's pictures, and nothing else that the sheet holds."""
    sheet = b"""<img src="data:image/jpeg;base64,AAAA" alt="in/a&lt;b"><img src="https://evil/x.png" alt="x">
        <img src="data:text/html;base64,AAAA"><script>alert(1)</script><img src="data:image/svg+xml;base64,AAAA">"""
    part = page_with(workload_part("images", {"images": 1}, lambda _name: sheet))
    assert re.findall(r"<img [^>]+>", part) == [
        '<img src="data:image/jpeg;base64,AAAA" alt="in/a&lt;b" loading="lazy">'
    ]
    assert "script" not in part


def test_merge_writes_it() -> None:
    """A merged run has its page, one that failed for its failures too; a repeated merge writes the same."""
    for request in ({}, {"tolerated_failure_percent": 100}):
        run = RunInMemory({"in/<b>": b"x", "in/bad": b"bad"}, {"shard": {"max_items": 1}, **request})
        try:
            run.all()
        except Exception as error:  # noqa: BLE001
            assert type(error).__name__ == "TooManyFailuresError"  # noqa: PT017
        page = (run.file("report.html") or b"").decode()
        assert ("Failed: more items failed" in page) == (not request)
        assert "NOT_TEXT" in page
        stored = run.client.stored("result", run.folder.file("report.html").key)
        assert stored is not None
        assert stored.content_type == "text/html; charset=utf-8"


def test_outputs_are_links_from_the_run_folder() -> None:
    """Relative, whatever the key holds; one that a browser would change is a text, and so is another folder's."""
    keys = ("a b/é?#.txt", "a/../b", "a//b", "<i>")
    (commit,) = commits_of(1, keys)
    made = [
        replace(each, status="SUCCEEDED", error_code=None, message=None, outputs=(f"s3://results/out/{each.key}.size",))
        for each in commit.outcomes
    ]
    made.append(replace(made[0], outputs=("s3://elsewhere/x",)))
    figures = RunFigures()
    figures.add_outcomes(0, made)
    linked = page_with(outputs(figures, "s3://results/out/", "", linked=True))
    assert '<a href="../../a%20b/%C3%A9%3F%23.txt.size"><bdi>a b/é?#.txt.size</bdi></a>' in linked
    assert '<a href="../../%3Ci%3E.size"><bdi>&lt;i&gt;.size</bdi></a>' in linked
    for uri in ("s3://results/out/a/../b.size", "s3://results/out/a//b.size", "s3://elsewhere/x"):
        assert f"<bdi>{uri}</bdi>" in linked
        assert f'href="{uri}' not in linked
    assert linked.count("<a href=") == 2
    deeper = outputs(figures, "s3://results/out/", "s3://results/out/_millrace/r/reruns/1/report.html", linked=True)
    assert 'href="../../../../a%20b/' in page_with(deeper)
    alone = page_with(outputs(figures, "s3://results/out/", "", linked=False))
    assert "<a href=" not in alone
    assert "<bdi>s3://results/out/a b/é?#.txt.size</bdi>" in alone


def test_of_many_outputs_the_first_are_shown() -> None:
    """And report.csv is said to have them all."""
    (commit,) = commits_of(1, ("a",))
    one = replace(
        commit.outcomes[0], status="SUCCEEDED", error_code=None, message=None, outputs=("s3://results/out/a.x",)
    )
    figures = RunFigures()
    figures.add_outcomes(0, [one] * (MOST_OUTPUTS + 5))
    page = page_with(outputs(figures, "s3://results/out/", "", linked=True))
    assert f"The first {MOST_OUTPUTS:,} of {MOST_OUTPUTS + 5:,} outputs" in page
    assert "report.csv names all of them." in page
    assert page.count("<a href=") == MOST_OUTPUTS
