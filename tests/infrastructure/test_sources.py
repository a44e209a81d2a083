"""What each role may list and read of one to five sources, by its policies as the template makes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from checks.conditions import Resolver
from checks.security.policies import _Plain
from tests.infrastructure.checkout import REAL

TEMPLATE = REAL.expanded
LISTING = ("PlanJobRole", "PrepareRunFunctionRole")
WORKING = ("MigrateJobRole", "MigrateAndMergeJobRole")
READS = ("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging")
RESULTS = "my-results"
Place = tuple[str, str]
"""A bucket, and the folder of it that may be read, with its last slash; empty for all of the bucket."""

PLACES = st.lists(
    st.tuples(
        st.sampled_from(["one", "two", "two-b", "three.four", "a" * 63]),
        st.lists(st.sampled_from(["in/", "i/", "in2/", "a(1)_!.-/"]), max_size=8).map("".join),
    ),
    min_size=1,
    max_size=5,
    unique=True,
)  # fmt: skip
FIVE: list[Place] = [("one", ""), ("two", "in/"), ("three", "in/2026/11/"), ("four", ""), ("five", "a/b/c/d/e/f/g/h/")]


class Deployed:
    """The template's policies under these sources.

    Attributes:
        places: The sources.
    """

    def __init__(self, places: Iterable[Place], **values: str) -> None:
        self.places = list(places)
        names = ",".join(f"{bucket}/{folder}" if folder else bucket for bucket, folder in self.places)
        assert re.search(TEMPLATE["Parameters"]["SourceBucketNames"]["AllowedPattern"], names)
        given = {"SourceBucketNames": names, "ResultBucketName": RESULTS, **values}
        self._resolver = Resolver(TEMPLATE, given)
        self._plain = _Plain(TEMPLATE, self._resolver)
        self._known: dict[str, list[dict[str, Any]]] = {}

    def properties(self, name: str) -> Any:
        """A resource's properties as plain JSON."""
        return self._plain.value(self._resolver.resolve(TEMPLATE["Resources"][name]["Properties"]))

    def output(self, name: str) -> str:
        """An output."""
        return str(self._plain.value(self._resolver.resolve(TEMPLATE["Outputs"][name]["Value"])))

    def statements(self, role: str) -> list[dict[str, Any]]:
        """What a role's own policies, and ours that it has, say of S3."""
        if role not in self._known:
            self._known[role] = [each for each in self._of(role) if "s3:" in str(each["Action"])]
        return self._known[role]

    def _of(self, role: str) -> Iterator[dict[str, Any]]:
        made = TEMPLATE["Resources"][role]["Properties"]
        documents = self._resolver.resolve([policy["PolicyDocument"] for policy in made["Policies"]])
        for attached in self._resolver.resolve(made.get("ManagedPolicyArns", [])):
            if isinstance(attached, dict) and "Ref" in attached:
                policy = TEMPLATE["Resources"][attached["Ref"]]["Properties"]["PolicyDocument"]
                documents.append(self._resolver.resolve(policy))
        for document in documents:
            yield from self._plain.value(document)["Statement"]

    def may(self, role: str, action: str, resource: str, prefix: str | None = None) -> bool:
        """Whether a role may do this; `prefix` is that of a listing, None for one without."""
        decided = [
            statement["Effect"]
            for statement in self.statements(role)
            if action in listed(statement["Action"])
            and any(like(f"arn:aws:s3:::{resource}", pattern) for pattern in listed(statement["Resource"]))
            and holds(statement.get("Condition", {}), prefix)
        ]
        return "Allow" in decided and "Deny" not in decided

    def covers(self, bucket: str, key: str) -> bool:
        """Whether a key is in a source."""
        return any(bucket == name and key.startswith(folder) for name, folder in self.places)


def listed(value: Any) -> list[Any]:
    """One or several, as a list."""
    return value if isinstance(value, list) else [value]


def like(text: str, pattern: str) -> bool:
    """Whether IAM's pattern fits: a star is any text, a question mark any character."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def holds(condition: dict[str, Any], prefix: str | None) -> bool:
    """Whether a statement's condition holds of a listing: an absent prefix is like nothing."""
    assert set(condition) <= {"StringLike", "Null"}
    if "StringLike" in condition:
        ((name, patterns),) = condition["StringLike"].items()
        assert name == "s3:prefix"
        return prefix is not None and any(like(prefix, pattern) for pattern in listed(patterns))
    return not condition


def asked(places: list[Place]) -> Iterator[Place]:
    """Buckets and keys, or prefixes, worth a look: in each source, beside its folder, above it, and elsewhere."""
    for bucket in dict.fromkeys([*(name for name, _ in places), "elsewhere", "-", "on", "one-more", "tw"]):
        for folder in dict.fromkeys(["", "in/", *(folder for _, folder in places)]):
            yield bucket, folder
            yield bucket, f"{folder}a.txt"
            yield bucket, folder.removesuffix("/")
            yield bucket, f"{folder.removesuffix('/')}2/a.txt"
            yield bucket, f"x/{folder}a.txt"


@settings(max_examples=20, deadline=None)
@given(places=PLACES)
@example(places=FIVE)
@example(places=[("one", "")])
@example(places=[("one", "in/")])
@example(places=[("one", "in/"), ("one", "in2/"), ("two", ""), ("two", "in/")])
def test_each_role_reads_the_sources_and_nothing_else(places: list[Place]) -> None:
    """Listing and reading are allowed within each source's folder; no unused place allows anything."""
    stack = Deployed(places)
    for bucket, key in asked(places):
        inside = stack.covers(bucket, key)
        if bucket == "-":  # an S3 bucket has three letters at least, so that nobody can have it
            continue
        for role in LISTING:
            assert stack.may(role, "s3:ListBucket", bucket, key) == inside, (role, bucket, key)
        for action in READS if key else ():
            for role in WORKING:
                assert stack.may(role, action, f"{bucket}/{key}") == inside, (role, action, bucket, key)
        if key:
            assert stack.may("PlanJobRole", "s3:GetObject", f"{bucket}/{key}") == inside
        for role in (*LISTING, *WORKING):
            assert not any(stack.may(role, f"s3:{verb}Object", f"{bucket}/{key}") for verb in ("Put", "Delete"))
        for role in ("MergeJobRole", "ReadPlanFunctionRole", "ReadResultFunctionRole"):
            assert not stack.may(role, "s3:ListBucket", bucket, key)
            assert not stack.may(role, "s3:GetObject", f"{bucket}/{key}")


@settings(max_examples=15, deadline=None)
@given(places=PLACES)
@example(places=FIVE)
def test_gone_and_denied_are_told_apart_where_the_whole_bucket_is_read(places: list[Place]) -> None:
    """Without a prefix, as S3 asks it of a read, a bucket may be listed that is a source as a whole, and no other."""
    stack = Deployed(places)
    for bucket in {*(name for name, _ in places), "elsewhere"}:
        whole = (bucket, "") in places
        for role in (*LISTING, *WORKING):
            assert stack.may(role, "s3:ListBucket", bucket) == whole, (role, bucket)


@settings(max_examples=15, deadline=None)
@given(places=PLACES)
@example(places=FIVE)
def test_uploads_of_each_source_start_runs(places: list[Place]) -> None:
    """The rule takes what is put into a source's folder, and below it where UploadKeys says, of no other bucket."""
    stack = Deployed(places, UploadRequest='{"workload": "word-count"}', UploadKeys="new/*.csv")
    pattern = stack.properties("UploadRule")["EventPattern"]
    alternatives = [each["detail"] for each in pattern["$or"]]
    for bucket, folder in [*places, ("elsewhere", "")]:
        for key in (f"{folder}new/a.csv", f"{folder}a.csv", f"x/{folder}new/a.csv"):
            taken = any(
                bucket in each["bucket"]["name"] and like(key, each["object"]["key"][0]["wildcard"])
                for each in alternatives
            )
            wanted = any(
                bucket == name and key.startswith(f"{below}new/") and key.endswith(".csv") for name, below in places
            )
            assert taken == wanted, (bucket, key)
    told = stack.properties("StartUploadsFunction")["Environment"]["Variables"]["UPLOAD_SOURCES"]
    assert told.split(",") == [f"{bucket}/{folder}".strip("/") for bucket, folder in places] + ["-"] * (5 - len(places))


@pytest.mark.parametrize("places", [FIVE[:number] for number in range(1, 6)], ids=len)
def test_what_the_stack_says_of_its_sources(places: list[Place]) -> None:
    """The first is where a run reads that is told nothing; all of them are an output, and known to Prepare Run."""
    stack = Deployed(places)
    whole = ",".join(f"{bucket}/{folder}" if folder else bucket for bucket, folder in places)
    assert (stack.output("SourceBucketName"), stack.output("SourceLocations")) == ("one", whole)
    assert '"source": "s3://one/"' in stack.output("RunInput")
    assert '"source": "s3://two/in/"' in Deployed([FIVE[1]]).output("StartExecutionCommand")
    assert stack.properties("PrepareRunFunction")["Environment"]["Variables"]["MILLRACE_SOURCES"] == whole


def test_a_stack_that_makes_its_bucket_reads_all_of_it() -> None:
    """Without SourceBucketNames there is one source, the bucket of the stack."""
    made = Deployed([], SourceBucketNames="")
    assert made.may("PlanJobRole", "s3:ListBucket", "sourcebucket", "")
    assert made.may("MigrateJobRole", "s3:ListBucket", "sourcebucket")
    assert not made.may("MigrateJobRole", "s3:ListBucket", "elsewhere")
    assert made.output("SourceLocations") == made.output("SourceBucketName") == "sourcebucket"
    assert '"source": "s3://sourcebucket/"' in made.output("RunInput")


def endpoint(stack: Deployed, action: str, resource: str) -> bool:
    """Whether the S3 endpoint of a private network lets a request through."""
    document = stack.properties("S3Endpoint")["PolicyDocument"]
    return any(
        any(like(action, pattern) for pattern in listed(statement["Action"]))
        and any(like(f"arn:aws:s3:::{resource}", pattern) for pattern in listed(statement["Resource"]))
        for statement in document["Statement"]
    )


@pytest.mark.parametrize("places", [FIVE[:number] for number in range(1, 6)], ids=len)
def test_the_endpoint_lets_the_sources_and_public_data_through(places: list[Place]) -> None:
    """Of a private network: the sources' buckets, those of public data to be read, and no others."""
    stack = Deployed(places, Network="PRIVATE", PublicBucketNames="open-data,more.data")
    for bucket, _ in FIVE:
        known = bucket in dict(places)
        assert endpoint(stack, "s3:ListBucket", bucket) == endpoint(stack, "s3:GetObject", f"{bucket}/a") == known
    for bucket in ("open-data", "more.data"):
        assert endpoint(stack, "s3:ListBucket", bucket)
        assert endpoint(stack, "s3:GetObject", f"{bucket}/a")
        assert not endpoint(stack, "s3:PutObject", f"{bucket}/a")
        assert not endpoint(Deployed(places, Network="PRIVATE"), "s3:GetObject", f"{bucket}/a")


def test_public_data_is_copied_by_the_jobs_that_work_items() -> None:
    """A copy within S3 is signed, so they may read its source. No role lists or writes there; jobs know the names."""
    stack = Deployed([("one", "")], PublicBucketNames="open-data,more.data")
    for role in (*LISTING, *WORKING):
        for bucket in ("open-data", "more.data"):
            assert stack.may(role, "s3:GetObject", f"{bucket}/a") == (role in WORKING)
            assert not stack.may(role, "s3:ListBucket", bucket, "")
            assert not stack.may(role, "s3:PutObject", f"{bucket}/a")
    told = {"Name": "MILLRACE_PUBLIC_BUCKETS", "Value": "open-data,more.data"}
    for name in ("PlanJobDefinition", "MigrateJobDefinition", "MigrateAndMergeJobDefinition"):
        assert told in stack.properties(name)["ContainerProperties"]["Environment"]
    assert stack.properties("PrepareRunFunction")["Environment"]["Variables"][told["Name"]] == told["Value"]


def test_the_longest_sources_fit_into_policies() -> None:
    """IAM takes 10,240 characters of a role's inline policies, and 6,144 of a managed one (IAM user guide, quotas)."""
    long = [(f"{'b' * 62}{number}", f"{'f' * 750}/") for number in range(5)]
    stack = Deployed(
        long,
        PublicBucketNames=",".join(f"{'p' * 62}{number}" for number in range(5)),
        TableNames=",".join(f"{'t' * 254}{number}" for number in range(5)),
        ManifestLocation=f"{'m' * 63}/{'f' * 100}/",
        KmsKeyArn="arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f",
    )

    def length(document: Any) -> int:
        return len(json.dumps(document, separators=(",", ":")))

    assert length(stack.properties("ListSourcesPolicy")["PolicyDocument"]) <= 6144
    for role in ("PlanJobRole", *WORKING):
        assert sum(length(each["PolicyDocument"]) for each in stack.properties(role)["Policies"]) <= 10_240


@pytest.mark.parametrize(
    "names",
    ["A", "ab", "one,", ",one", "one,two,three,four,five,six", "one/in", "one/", "one//in/", "one two", "s3://one/",
     "one/a/b/c/d/e/f/g/h/i/", "one, two", "one/*/", "-", "one/in/,-"],
)  # fmt: skip
def test_what_names_no_source_is_refused(names: str) -> None:
    """A folder ends with a slash and is at most eight deep; there are five at most, without blanks."""
    assert not re.search(TEMPLATE["Parameters"]["SourceBucketNames"]["AllowedPattern"], names)


@pytest.mark.parametrize(
    ("sources", "result", "allowed"),
    [
        ("one,-,-,-,-", "results", True),
        ("results,-,-,-,-", "results", False),
        ("one,results,-,-,-", "results", False),
        ("one,two/in,results/in/deep,-,-", "results", False),
        ("one,two,three,four,results/in", "results", False),
        ("results-b,my-results,results.c/results,-,-", "results", True),
        ("one/results,-,-,-,-", "results", True),
        ("", "", True),
    ],
)
def test_uploads_come_from_another_bucket(sources: str, result: str, allowed: bool) -> None:  # noqa: FBT001 - expected
    """With uploads no source is in the result bucket, whatever its folder: CloudFormation refuses the nested stack."""
    pattern = REAL.file("stacks/starts.yaml")["Parameters"]["SourcesAndResult"]["AllowedPattern"]
    assert bool(re.search(pattern, f"{sources}={result}")) == allowed
