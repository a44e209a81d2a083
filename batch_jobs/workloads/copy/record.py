"""The record of the workload `copy`."""

from __future__ import annotations

from millrace.s3.header_values import check_content_type, check_header, check_metadata, check_tags
from millrace.workload import Option, Pace, WorkloadRecord

RECORD = WorkloadRecord(
    name="copy",
    title="object to object within S3, verified",
    class_path="batch_jobs.workloads.copy.workload:CopyObjects",
    options=(
        Option("strip_prefix", "", "The prefix removed from every key, below the source."),
        Option("add_prefix", "", "The prefix added to every key, below the destination."),
        # RE2 itself is in the job image alone: the plan job compiles the pattern, and refuses it before a copy is made.
        Option(
            "key_pattern",
            "",
            "A regular expression of RE2's that a whole key matches, without what strip_prefix removes.",
            pattern=r"(?=[\s\S]{0,1024}\Z)([^\\(]|\\[^1-9Z]|\((?!\?([=!>(]|<[=!]|P=)))*",
            form=r"a regular expression of at most 1,024 characters, as RE2 has it: no lookaround, no \1, no \Z",
        ),
        Option(
            "key_template",
            "",
            r"What becomes of a key that matches: text with \1, \2, \g<name>.",
            pattern=r"[\s\S]{0,1024}",
            form="text of at most 1,024 characters",
        ),
        Option("metadata", {}, "The copies' user-defined metadata; empty: that of their sources.", rule=check_metadata),
        Option("content_type", "", "The copies' Content-Type; empty: that of their sources.", rule=check_content_type),
        Option("tags", {}, "The copies' tags; empty: those of their sources.", rule=check_tags),
        Option("keep_tags", default=True, doc="Whether copies have the tags of their sources, where `tags` is empty."),
        Option(
            "storage_class",
            "",
            "The copies' storage class; empty: that of their sources.",
            choices=(
                *("", "STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING"),
                *("GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"),
            ),
        ),
        Option(
            "encryption",
            "bucket",
            "The copies' encryption: the destination bucket's default, that of their sources, or one of S3's.",
            choices=("bucket", "keep", "AES256", "aws:kms", "aws:kms:dsse"),
        ),
        Option(
            "kms_key",
            "",
            "The ARN of the KMS key, with aws:kms and aws:kms:dsse; empty: the account's own.",
            rule=check_header,
        ),
    ),
    # On S3's own machines: 16 requests at once, each of some 60 ms, two an object: ASSUMED, as are the bytes.
    pace=Pace(seconds_per_item=0.008, bytes_per_second=400_000_000, outputs=1),
    memory_mib=512,
    names_outputs=True,
    compares_outputs=lambda options: bool(options["key_pattern"] or options["key_template"]),
)
