"""Texts scored against a query, as with embeddings: each text is a vector, its score the cosine to the query's."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np

from millrace import Item, ItemBody, workload

DIMENSIONS = 1024


@lru_cache(64)
def vector(text: str) -> np.ndarray:
    """A text's direction: three letters at a time, hashed. Put your model here."""
    padded = f"  {text.lower()}  "
    places = [crc32(padded[start : start + 3].encode()) % DIMENSIONS for start in range(len(padded) - 2)]
    counts = np.bincount(places, minlength=DIMENSIONS).astype(np.float64)
    return counts / np.linalg.norm(counts)


@workload(table="parquet")
def scoring(item: Item, body: ItemBody, *, query: str, least: float = 0.0) -> Iterator[dict[str, Any]]:
    """Give each text's score: a line is a text.

    Args:
        query: What to look for.
        least: Texts below this score are left out.
    """
    for number, text in enumerate(body.lines(), start=1):
        score = round(float(vector(text) @ vector(query)), 6)
        if score >= least:
            yield {"key": item.key, "line": number, "score": score, "text": text}
