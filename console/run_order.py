"""The run request, from a command's options to the execution input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.transfer.directories import Place, refuse_overlap
from millrace.errors import InvalidRunRequest
from millrace.layout import S3Uri
from millrace.request.chained import next_request
from millrace.request.run_request import RunRequest
from millrace.workload.registry import is_own_workload, option_value


@dataclass(frozen=True)
class RunOrder:
    """What the user asked for, checked before anything is started.

    Attributes:
        source: The folder or URI to read.
        destination: The folder or URI to write.
        rest: The other fields of the execution input that the user gave.
    """

    source: Place
    destination: Place
    rest: dict[str, Any]

    @classmethod
    def check(cls, source: str, destination: str, rest: dict[str, Any]) -> RunOrder:
        """Check an order with the rules that Prepare Run checks the execution input with.

        Raises:
            InvalidRunRequest: A field is wrong; nothing has been started.
        """
        order = cls(Place.parse(source, "source"), Place.parse(destination, "destination"), rest)
        refuse_overlap(order.source, order.destination)
        # The names of the stack's buckets are not known yet; any two that differ do for the check.
        RunRequest.parse(order.request("source-folder", "destination-folder"))
        return order

    def request(self, source_bucket: str, result_bucket: str) -> dict[str, Any]:
        """The execution input.

        Args:
            source_bucket: The stack's bucket for sources, for a folder of this machine.
            result_bucket: The stack's bucket for results, likewise.
        """
        return {
            "source": str(self.source.uri(source_bucket)),
            "destination": str(self.destination.uri(result_bucket)),
            **self.rest,
        }

    def destination_uri(self, result_bucket: str) -> S3Uri:
        """The destination in S3."""
        return self.destination.uri(result_bucket)


def readable_places(sources: Sequence[str], result_bucket: str, public: frozenset[str]) -> tuple[str, ...]:
    """Where a run's source may be, as s3://bucket/folder/: a stack's sources, its results and the public buckets."""
    return (*sources, f"s3://{result_bucket}/", *(f"s3://{bucket}/" for bucket in sorted(public)))


def refuse_foreign_buckets(
    request: Mapping[str, Any],
    sources: Sequence[str] | None,
    result_bucket: str,
    public: frozenset[str] = frozenset(),
) -> None:
    """Refuse what is not the stack's, as its roles do on AWS; the embedded AWS asks no role by default.

    Args:
        request: The execution input; the runs that follow are looked at too.
        sources: The folders that a source may be in, as s3://bucket/folder/; None for any. An earlier run's outputs
            are a source as well.
        result_bucket: The only one for the destination.
        public: The buckets of public data, which may be sources too.

    Raises:
        InvalidRunRequest: A source or a destination is in another bucket.
    """
    results = f"s3://{result_bucket}/"
    readable = None if sources is None else readable_places(sources, result_bucket, public)
    path, link = "", dict(request)
    while True:
        for field, places, does in (("source", readable, "reads"), ("destination", (results,), "writes")):
            if places is not None and not str(S3Uri.parse_folder(link[field], field)).startswith(places):
                theirs = " or ".join(sources if sources and field == "source" else places)
                allowed = f"a folder of {theirs}, which this stack {does}"
                more = "; copy the objects there, or name a folder of this machine to: millrace local run"
                raise InvalidRunRequest(path + field, link[field], allowed + (more if field == "source" else ""))
        following = next_request(link, "", "")
        if following is None:
            return
        path, link = f"{path}then.", following


def workload_options(workload: str, given: Iterable[str]) -> dict[str, object]:
    """Read `--option K=V …` by the types that the workload declares, as `option_value` does.

    A list is a JSON list, words with commas between them, or the option given several times. Whether a value is
    allowed is for `RunRequest.parse` to say, or for the job: what a user's own workload declares is not known here,
    and an option of its given several times is a list.

    Args:
        workload: The workload's name.
        given: The options in the user's words.

    Raises:
        InvalidRunRequest: There is no such workload or option, one has no `=`, or is given twice without being a list.
    """
    options: dict[str, object] = {}
    is_own = is_own_workload(workload)
    for words in given:
        name, value = option_value(workload, words)
        earlier = options.get(name)
        if is_own and name in options:
            earlier, value = (each if isinstance(each, list) else [each] for each in (earlier, value))
        if isinstance(earlier, list) and isinstance(value, list):
            value = [*earlier, *value]
        elif name in options:
            raise InvalidRunRequest(f"options.{name}", value, "one value; it is given twice")
        options[name] = value
    return options
