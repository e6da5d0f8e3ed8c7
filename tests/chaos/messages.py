"""The messages of one topic as they come: what is counted of all, and some that are kept whole for the judge."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.chaos.checker import duplicates
from tests.chaos.raw import fields_of, key_of
from tests.chaos.versions import sampled


class Messages:
    """Fed by one thread, read by another."""

    def __init__(self) -> None:
        self._digests: list[int] = []
        self.versions = Counter[int]()
        """Messages by the version that they name."""
        self.sample: list[tuple[int, int, int, float, int]] = []
        """The fields of `Message`."""

    def came(self, message: Any) -> None:
        """Take a message, as a stock client's Data."""
        digest, _, score, scored_at_us, version = fields_of(message)
        self._digests.append(digest)
        self.versions[version] += 1
        key = key_of(message)
        if sampled(key):
            self.sample.append((key, digest, version, score, scored_at_us))

    @property
    def count(self) -> int:
        """How many came."""
        return len(self._digests)

    @property
    def duplicates(self) -> int:
        """How many had come before."""
        return duplicates(self._digests)
