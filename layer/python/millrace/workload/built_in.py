"""The built-in workloads and their options, declared once here."""

from __future__ import annotations

from millrace.s3.header_values import check_content_type, check_header, check_metadata, check_tags
from millrace.workload.options import Option

WORKLOAD_OPTIONS: dict[str, tuple[Option, ...]] = {
    "word-count": (
        Option("min_length", 3, "The shortest word of the top list, in characters.", minimum=1, maximum=1000),
        Option(
            "min_count", 3, "The fewest occurrences that bring a word into the top list.", minimum=1, maximum=10**12
        ),
        Option("top", 100, "How many words the top list has at most.", minimum=0, maximum=10_000),
        Option("stop_words", ("and", "the"), "Words that the top list leaves out, lower-case."),
        Option("outputs", "per-item", "Whether each object has its own list of words.", choices=("per-item", "none")),
    ),
    "csv-to-dynamodb": (
        Option(
            "table",
            "",
            "The table's name or ARN.",
            required=True,
            pattern=r"[A-Za-z0-9_.-]{3,255}|arn:[^\s:]+:dynamodb:[^\s:]+:\d{12}:table/[A-Za-z0-9_.-]{3,255}",
            form="a table's name, 3 to 255 of letters, digits, '_', '.' and '-', or its ARN",
        ),
        Option("columns", {}, "Which columns are imported, and as which attributes; empty: all, by their own names."),
        Option("types", {}, "The attributes that are not strings.", choices=("S", "N", "BOOL", "B", "JSON")),
        Option("key_columns", (), "The columns that fill the table's partition key and sort key, in this order."),
        Option("key_prefix", "", "Put in front of every partition key."),
        Option("constants", {}, "Attributes with the same text in every row."),
        Option(
            "computed",
            {},
            "Attributes made of text and {source_key}, {file_name}, {member}, {line} and {imported_at}.",
            pattern=r"([^{}]|\{(source_key|file_name|member|line|imported_at)\})*",
            form="text with {source_key}, {file_name}, {member}, {line} and {imported_at}",
        ),
        Option("empty_cells", "omit", "What an empty cell becomes.", choices=("omit", "null", "string", "reject")),
        Option("on_bad_row", "report", "Whether a bad row fails its whole file.", choices=("report", "fail")),
        Option("cut_large_files", default=True, doc="Whether files larger than a shard are cut at rows, over shards."),
        Option("delimiter", "auto", "One character, or auto.", pattern=r"auto|[^\r\n]", form="one character, or auto"),
        Option("quote", '"', "One character; empty: no quoting.", pattern=r"[^\r\n]?", form="one character, or empty"),
        Option("escape", "", "One character; empty: none.", pattern=r"[^\r\n]?", form="one character, or empty"),
        Option("header", default=True, doc="Whether the first row holds the columns' names."),
        Option("column_names", (), "The columns' names, where there is no header or it is not to be used."),
        Option("encoding", "utf-8", "As Python names it; a byte order mark is dropped."),
        Option("members", ("*.csv", "*.tsv", "*.txt"), "Which files of a zip are imported, as patterns."),
        Option("max_unpacked_mib", 10_240, "The most that one archive may unpack to.", minimum=1, maximum=2**20),
        Option("parallel_writes", 16, "How many requests a job has under way at once.", minimum=1, maximum=256),
        Option(
            "write_units_per_second",
            0,
            "The most write units (1 KB of one item) that the whole run takes; 0: no limit.",
            minimum=0,
            maximum=10**7,
        ),
    ),
    "images": (
        Option("thumbnail_width", 200, "The box a thumbnail fits in, in pixels.", minimum=1, maximum=10_000),
        Option("thumbnail_height", 200, "The box a thumbnail fits in, in pixels.", minimum=1, maximum=10_000),
        Option("format", "jpeg", "The format of the pictures made.", choices=("jpeg", "png", "webp")),
        Option("quality", 85, "The quality of JPEG and WebP pictures made.", minimum=1, maximum=100),
        Option("filter", "none", "A filtered picture beside the thumbnail.", choices=("none", "grayscale", "sepia")),
        Option(
            "filter_longest_side",
            0,
            "The filtered picture's longest side in pixels; 0: as it was.",
            minimum=0,
            maximum=65_500,
        ),
        Option("color_profile", "srgb", "Convert a thumbnail to sRGB or keep its profile.", choices=("srgb", "keep")),
        Option("keep_gps", default=False, doc="Leave the place of a photograph in its metadata."),
        Option("max_pixels", 89_478_485, "Larger pictures are refused unread.", minimum=1, maximum=1_000_000_000),
        Option("max_megabytes", 500, "Larger objects are refused unread.", minimum=1, maximum=100_000),
        Option("contact_sheet", 60, "How many thumbnails the contact sheet shows.", minimum=0, maximum=500),
    ),
    "copy": (
        Option("strip_prefix", "", "What is taken away from the beginning of every key, below the source."),
        Option("add_prefix", "", "What is put before every key, below the destination."),
        # RE2 itself is in the job image alone: the plan job compiles the pattern, and refuses it before a copy is made.
        Option(
            "key_pattern",
            "",
            "A regular expression of RE2's that a whole key matches, what strip_prefix takes away apart.",
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
    "command": (
        Option(
            "command", (), "the program and its arguments, with {input}, {output}, {key}, {name} and {stem}", minimum=1
        ),
        Option(
            "output_suffixes", (".out",), "What is put behind a key: {output}, {output2}, … or the standard output."
        ),
        Option(
            "content_type",
            "application/octet-stream",
            "The Content-Type of the outputs.",
            pattern=".+",
            form="a content type: text/plain",
            rule=check_content_type,
        ),
        Option("time_limit_seconds", 300, "How long the command may take for one item.", minimum=1, maximum=86_400),
        Option("parallel", 0, "How many commands run at once; 0: as many as there are cores.", minimum=0, maximum=256),
        Option("success_exit_codes", ("0",), "Exit codes that mean success: 0 or 0-1."),
        Option("retry_exit_codes", ("75",), "Exit codes that mean: try again in another attempt of the job."),
        Option("bad_item_exit_codes", ("1-255",), "Exit codes that mean a bad item; any other ends the job."),
        Option("environment", (), "Names of the job's environment variables that the command gets, or NAME=VALUE."),
    ),
}
"""The built-in workloads, by name. A user's own workload declares its options in its own code."""
