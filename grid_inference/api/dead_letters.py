"""The dead letters of a deployment: counted, read, explained, scored anew, dropped. Keys: `aio.py`.

A replay asks for a record's scoring without ever leaving the record without a result. First the dead letter is marked
(version 0): it still proves why the record has no prediction, but no scan takes it for the last word any more. Then the
record is set to just the bytes that stand, by compare-and-set: an event for whoever scores, and no way to overwrite a
newer value. Whatever dies in between, the record is scored with the event, or with the next scan. Scoring is not here.
"""

from __future__ import annotations

import asyncio
import heapq
import struct
import time
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import ConfigError, DecodeError
from grid_inference.flow.standing import WAITING
from grid_inference.grid.entries import by_format
from grid_inference.grid.link import Link
from grid_inference.grid.maps import SCAN_ENTRIES, GridMap, last_of_each, rows_of
from grid_inference.model.store.registry import Deployed, Registry
from grid_inference.records import DEAD_LETTER, DeadLetter
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import decode_columns, decode_record, encode_record, schema_ids
from grid_inference.wire.digest import digest_of
from grid_inference.wire.keys import decode_keys, encode_key, encode_keys, key_text

__all__ = ["DROPPED", "REMEDIES", "DeadLetters", "Drop", "Explanation", "Replay"]

POLL_S_MIN, POLL_S_MAX = 0.05, 1.0
"""How often a replay that waits looks for what is not scored yet: often at first, then less."""
HEAD_BYTES: Final = 64
"""So many bytes of a record that can't be read are shown."""
DROPPED: Final = "DROPPED"
"""The cause of a dead letter that was given up: it stands as its record's result, and is listed only by this cause."""
_INT32 = struct.Struct(">i")
_VERSION_AT = DEAD_LETTER.data_start + DEAD_LETTER.slots["version"].offset

REMEDIES: Final = {
    "MISSING_FEATURE": "put the record with this field, or say in the deployment's `inputs` where it stands or what is "
    "its `default`, and deploy again",
    "WRONG_TYPE": "put the field in a type that the model takes, or let the deployment's `inputs` cast it, and deploy "
    "again",
    "WRONG_VALUE": "put a value that the model knows, or add it to `one_of` in `inputs` or give a `default` there, and "
    "deploy again",
    "NAN_FEATURE": "put the record with a number there, or give the input a `default`; deploy a model that was trained "
    'on gaps with nan = "score"',
    "UNSUPPORTED_FORMAT": "put the record as a Compact record or a JSON value",
    "UNKNOWN_SCHEMA": "let the client that wrote it put any record of its type, which brings the schema, then replay",
    "UNDECODABLE": "put the record again: its bytes are damaged, or no JSON object",
    "MODEL_ERROR": "correct the record or deploy a model that takes it; if what the model lacked is there now, replay",
    DROPPED: "nothing: it was given up; a new value of the record is scored, and a replay tries this one again",
    "BAD_OUTPUT": "correct the record or deploy a model that gives a finite score and one of its classes for it",
}
"""What to do about a cause. After a deploy all refused records are scored again without a replay."""
OTHER_REMEDY: Final = "correct the record, or deploy a version that takes it; if the reason has gone by itself, replay"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One dead letter, with all that is known of its record."""

    letter: DeadLetter
    record: dict[str, Any] | None
    """The refused record's fields; None if it can't be read."""
    head: str
    """If it can't be read: its first bytes in hex."""
    unreadable: str
    """Why it can't be read, or empty."""
    now: Literal["unchanged", "changed", "gone"]
    """The record in the feature map, against the one that was refused."""
    remedy: str
    """What to do."""


@dataclass(slots=True)
class Replay:
    """What a replay did; the counts are of dead letters."""

    replayed: int = 0
    """Records that were put before the model again."""
    changed: int = 0
    """Their record or dead letter changed meanwhile, so that the newest value is scored anyway."""
    gone: int = 0
    """Their record is gone, and the dead letter now too."""
    waiting: int = 0
    """Not scored anew yet when the waiting ended."""
    unknown: list[Any] = field(default_factory=list[Any])
    """Keys that were named and have no dead letter."""


@dataclass(slots=True)
class Drop:
    """What dropping did."""

    dropped: int = 0
    changed: int = 0
    """Dead letters that were written anew or removed meanwhile, and were left alone."""
    unknown: list[Any] = field(default_factory=list[Any])
    """Keys that were named and have no dead letter."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which dead letters are meant."""

    keys: Blobs | None
    cause: str | None
    since_us: int

    @classmethod
    def of(cls, keys: Any, cause: str | None, since: datetime | None) -> Self:
        data = None if keys is None else encode_keys(keys)
        if data is not None and len(data):
            data = data.take(last_of_each(data))
        return cls(data, cause, 0 if since is None else int(since.timestamp() * 1e6))

    def require(self, *, every: bool) -> None:
        """Raise ConfigError if all are meant without a word of it."""
        if self.keys is None and self.cause is None and not self.since_us and not every:
            raise ConfigError("it is not said which dead letters", remedy="name keys, a cause, a time, or say `every`")


@dataclass(frozen=True, slots=True, eq=False)
class _Page:
    """Some dead letters: their Data and what they are chosen by."""

    keys: Blobs
    values: Blobs
    causes: NDArray[np.object_]
    failed_at_us: NDArray[np.int64]
    versions: NDArray[np.int32]

    @classmethod
    def of(cls, map_name: str, keys: Blobs, values: Blobs) -> Self:
        compact, ids = schema_ids(values)
        strange = ~compact | (ids != DEAD_LETTER.schema_id)
        if bool(strange.any()):
            key = key_text(keys.take(strange))[0]
            raise DecodeError(f"the value of key {key} in {map_name!r} is no dead letter", remedy="remove it")
        columns = decode_columns(values, DEAD_LETTER, ["cause", "failed_at_us", "version"])
        return cls(keys, values, *(columns[name].values for name in ("cause", "failed_at_us", "version")))

    def chosen(self, choice: _Choice) -> _Page:
        wanted = self.failed_at_us >= choice.since_us
        if choice.cause is not None:
            wanted &= self.causes == choice.cause
        elif choice.keys is None:
            wanted &= self.causes != DROPPED
        return self if bool(wanted.all()) else self.take(wanted)

    def take(self, rows: NDArray[Any]) -> _Page:
        keys, values = self.keys.take(rows), self.values.take(rows)
        return _Page(keys, values, self.causes[rows], self.failed_at_us[rows], self.versions[rows])


class DeadLetters:
    """The dead letters of one deployment; of `keys`, `cause` and `since` all that are given choose among them.

    It belongs to its grid's event loop: elsewhere it raises GridError.
    """

    def __init__(self, link: Link, deployment: str) -> None:
        self.deployment = deployment
        """The deployment's name."""
        self._link = link
        self._deployed: Deployed | None = None

    async def get(self, key: Any) -> DeadLetter | None:
        """The dead letter of a key, or None."""
        data = encode_key(key)
        value = await (await self._letters()).get(data)
        return None if value is None else DeadLetter.decode(data, value)

    async def newest(
        self, limit: int | None = None, *, keys: Any = None, cause: str | None = None, since: datetime | None = None
    ) -> list[DeadLetter]:
        """Dead letters, the newest first, `limit` of them at the most."""
        found: list[tuple[int, bytes, bytes]] = []
        async for page in self._pages(_Choice.of(keys, cause, since)):
            found += zip(page.failed_at_us.tolist(), page.keys.tolist(), page.values.tolist(), strict=True)
            if limit is not None and len(found) > limit:
                found = heapq.nlargest(limit, found)
        return [DeadLetter.decode(key, value) for _, key, value in sorted(found, reverse=True)]

    async def counts(
        self, *, keys: Any = None, cause: str | None = None, since: datetime | None = None
    ) -> dict[str, int]:
        """How many dead letters there are of each cause, the most frequent first."""
        counts = Counter[str]()
        async for page in self._pages(_Choice.of(keys, cause, since)):
            counts.update(page.causes.tolist())
        return dict(counts.most_common())

    async def explain(self, key: Any) -> Explanation | None:
        """The dead letter of a key, its record as readable as may be, and what to do; None if there is none."""
        letter = await self.get(key)
        if letter is None:
            return None
        config, data = (await self._resolved()).config, encode_key(key)
        refused = Blobs.of([letter.record])
        record, head, unreadable = None, "", ""
        try:
            [(_, entries)] = await by_format(self._link, config.features, Blobs.of([data]), refused)
            record = entries.records()[0]
        except DecodeError as error:
            head, unreadable = letter.record[:HEAD_BYTES].hex(), str(error)
        standing = await GridMap(self._link, config.features).get(data)
        same = standing is not None and digest_of(standing) == letter.input_digest
        now = "gone" if standing is None else "unchanged" if same else "changed"
        return Explanation(letter, record, head, unreadable, now, REMEDIES.get(letter.cause, OTHER_REMEDY))

    async def replay(
        self,
        keys: Any = None,
        *,
        cause: str | None = None,
        since: datetime | None = None,
        every: bool = False,
        wait_s: float = 0.0,
    ) -> Replay:
        """Have refused records scored anew, as they stand now; waits up to `wait_s` seconds until they are.

        A record that is refused again has its dead letter again; one that is gone loses it. To whoever listens to the
        feature map a replay is an update without a change. Raises ConfigError if nothing says which; `every` is all.
        """
        choice, done = _Choice.of(keys, cause, since), Replay()
        choice.require(every=every)
        deadline = time.monotonic() + wait_s
        async for page in self._pages(choice, done.unknown):
            await self._ask_again(page, done)
        pause = POLL_S_MIN
        done.waiting = await self._waiting(choice)
        while done.waiting and time.monotonic() < deadline:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, POLL_S_MAX)
            done.waiting = await self._waiting(choice)
        return done

    async def drop(
        self, keys: Any = None, *, cause: str | None = None, since: datetime | None = None, every: bool = False
    ) -> Drop:
        """Give dead letters up: they get the cause `DROPPED` and are listed only by it.

        Removing them would leave their records without a result, and the next comparison would have them scored, and
        refused, again. A new value of the record is scored as ever; a deploy has all of them tried again. To be rid of
        a record for good remove it, which takes the dead letter along. Raises ConfigError if nothing says which;
        `every` is all.
        """
        choice, done = _Choice.of(keys, cause, since), Drop()
        choice.require(every=every)
        letters = await self._letters()
        async for page in self._pages(choice, done.unknown):
            given_up = Blobs.of([_given_up(value) for value in page.values.tolist()])
            dropped = int((await letters.replace_batch_if_same(page.keys, page.values, given_up)).sum())
            done.dropped += dropped
            done.changed += len(page.keys) - dropped
        return done

    # ---- how

    async def _ask_again(self, page: _Page, done: Replay) -> None:
        """Mark these dead letters, then touch the records; what has changed meanwhile has an event of its own."""
        letters, features = await self._letters(), GridMap(self._link, (await self._resolved()).config.features)
        marked = Blobs.of([_marked(value) for value in page.values.tolist()])
        await letters.replace_batch_if_same(page.keys, page.values, marked)
        # The answers may call a mark missed that was set by a request whose first answer was lost: so look.
        found, standing = await letters.get_batch(page.keys)
        ours = _equal(page.keys, marked, found, standing)
        done.changed += int((~ours).sum())
        keys, marked = page.keys.take(ours), marked.take(ours)
        found, records = await features.get_batch(keys)
        touched = await features.replace_batch_if_same(found, records, records)
        done.replayed += int(touched.sum())
        done.changed += int((~touched).sum())
        gone = rows_of(keys, found) < 0
        # Put again meanwhile, it is scored all the same: nothing takes a marked dead letter for a result.
        await letters.delete_batch_if_same(keys.take(gone), marked.take(gone))
        done.gone += int(gone.sum())

    async def _waiting(self, choice: _Choice) -> int:
        return sum([int((page.versions == WAITING).sum()) async for page in self._pages(choice)])

    async def _pages(self, choice: _Choice, unknown: list[Any] | None = None) -> AsyncGenerator[_Page]:
        """The chosen dead letters; named keys without one go to `unknown`."""
        letters = await self._letters()
        if choice.keys is None:
            async for page in letters.scan_all():
                if len(page.keys):
                    yield _Page.of(letters.name, page.keys, page.values).chosen(choice)
            return
        for start in range(0, len(choice.keys), SCAN_ENTRIES):
            wanted = choice.keys.take(np.arange(start, min(start + SCAN_ENTRIES, len(choice.keys))))
            keys, values = await letters.get_batch(wanted)
            if unknown is not None:
                unknown += decode_keys(wanted.take(rows_of(wanted, keys) < 0))
            yield _Page.of(letters.name, keys, values).chosen(choice)

    async def _resolved(self) -> Deployed:
        if self._deployed is None:
            self._deployed = await Registry(self._link).deployment(self.deployment)
        return self._deployed

    async def _letters(self) -> GridMap:
        return GridMap(self._link, (await self._resolved()).config.dead_letters)


def _marked(letter: bytes) -> bytes:
    """The same dead letter, waiting."""
    return letter[:_VERSION_AT] + _INT32.pack(WAITING) + letter[_VERSION_AT + _INT32.size :]


def _given_up(letter: bytes) -> bytes:
    """The same dead letter under the cause `DROPPED`; its message tells the one that it had."""
    fields = decode_record(DEAD_LETTER, letter)
    if fields["cause"] == DROPPED:
        return letter
    return encode_record(
        DEAD_LETTER, {**fields, "cause": DROPPED, "message": f"{fields['cause']}: {fields['message']}"}
    )


def _equal(keys: Blobs, values: Blobs, found: Blobs, others: Blobs) -> NDArray[np.bool_]:
    """Whether each key is found with just its value, shape (n,)."""
    rows = rows_of(keys, found).tolist()
    theirs = others.tolist()
    same = (row >= 0 and theirs[row] == value for row, value in zip(rows, values.tolist(), strict=True))
    return np.fromiter(same, np.bool_, len(rows))
