"""Which requests a test means, and waiting for them.

Chance goes by the rule's seed, the verb, the key's last part and how often that request was made before; neither by the
order in which several jobs happen to ask, nor by names that are new in every run: the same seed hits the same requests.
"""

from __future__ import annotations

import random
import re
import threading
from dataclasses import dataclass, field

SECONDS = 60.0
"""The longest that a test waits for a request, and the proxy for an answer or a gate."""


@dataclass(eq=False)
class Rule:
    """Requests that a test is interested in.

    Attributes:
        verb: GET, PUT, HEAD, DELETE, POST or LIST; a regular expression.
        uri: Searched in `s3://bucket/key`; a regular expression.
        chance: How likely a request is hit.
        times: How many are hit at most.
        seed: Decides which ones, where chance is less than 1.
        hits: How many were hit so far.
        answered: How many of those are over.
    """

    verb: str
    uri: str
    chance: float = 1.0
    times: int | None = None
    seed: int = 0
    hits: int = 0
    answered: int = 0
    _over: threading.Condition = field(default_factory=threading.Condition)

    def hit(self, verb: str, uri: str, before: int) -> bool:
        """Whether this request, made so many times before, is hit."""
        if self.times is not None and self.hits >= self.times:
            return False
        if not re.fullmatch(self.verb, verb) or not re.search(self.uri, uri):
            return False
        if self.chance < 1:
            drawn = random.Random(f"{self.seed} {verb} {uri.rpartition('/')[2]} {before}").random()
            if drawn >= self.chance:
                return False
        self.arrived()
        return True

    def arrived(self) -> None:
        """Count a hit."""
        with self._over:
            self.hits += 1
            self._over.notify_all()

    def done(self) -> None:
        """Count a hit that is over."""
        with self._over:
            self.answered += 1
            self._over.notify_all()

    def wait_for_hits(self, times: int = 1) -> None:
        """Wait until so many requests have arrived."""
        with self._over:
            assert self._over.wait_for(lambda: self.hits >= times, SECONDS), f"{self.hits} of {times}: {self}"

    def wait_for_answers(self, times: int = 1) -> None:
        """Wait until so many requests have been answered, or broken."""
        with self._over:
            assert self._over.wait_for(lambda: self.answered >= times, SECONDS), f"{self.answered} of {times}: {self}"
