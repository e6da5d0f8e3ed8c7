"""What is written: every value follows from its key and sequence, so that the judge knows it without having seen it.

Also the stock client as all witnesses use it, with the Compact serializers of the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import hazelcast
import numpy as np
from hazelcast.config import IntType
from hazelcast.serialization.api import CompactReader, CompactSerializer, CompactWriter
from numpy.typing import NDArray

RECORDS = "records"
VOLATILE = "volatile"
"""The map that is cleared and destroyed; each map is that of the deployment of its name."""
HEARD = "heard"
"""The map that is listened to, though it has a journal."""
DEPLOYMENTS = (RECORDS, VOLATILE, HEARD)
JOURNALED = (RECORDS, VOLATILE)
"""Those of them that are read by their journals, so that they have positions."""
RECONCILE_S = 20.0
"""How long an event that the listener has lost may stay so."""
MODEL = "chaos"
"""Whose alias the deployments follow where versions are promoted."""
FEATURES = ("a", "b", "c", "mark")
HEARTBEAT_S, HEARTBEAT_TIMEOUT_S = 2.0, 10.0
INVOCATION_TIMEOUT_S = 30.0
"""A write that has not been answered by then is indeterminate."""
BACKUP_TIMEOUT_S = 2.0
"""As docs/operations.md says: as long as the members themselves wait for a backup."""
CONNECT_TIMEOUT_S = 60.0
_SALTS = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)


class Form(IntEnum):
    """What a write was; from `RAISES` on the record's `mark`, by which the model misbehaves."""

    PLAIN = 0
    NAN = 1
    SHORT = 2
    """A record without the field c."""
    RAISES = 3
    NAN_SCORE = 4
    HANGS = 5
    DIES = 6
    REMOVED = 254
    CLEARED = 255
    """All keys of the writer's map are gone."""


REFUSED = frozenset({Form.NAN, Form.SHORT, Form.RAISES, Form.NAN_SCORE, Form.HANGS, Form.DIES})
"""Records that must end as dead letters."""


def derived(keys: NDArray[np.int64], seqs: NDArray[np.int64]) -> NDArray[np.float64]:
    """The features a, b and c of records, in [0, 1), shape (n, 3)."""
    mixed = keys.astype(np.uint64)[:, None] * _SALTS + seqs.astype(np.uint64)[:, None] * _SALTS[::-1]
    mixed ^= mixed >> np.uint64(29)
    mixed *= _SALTS
    mixed ^= mixed >> np.uint64(32)
    return (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def mark_of(form: int) -> float:
    """The field `mark` of a record."""
    return float(form) if Form.RAISES <= form <= Form.DIES else 0.0


@dataclass(slots=True)
class Record:
    """A record as the stock client writes it."""

    seq: int
    a: float
    b: float
    c: float
    mark: float


class Bulk(Record):
    """A record as put_batch writes it: its type has the map's name."""

    __slots__ = ()


class Short(Record):
    """A record whose field c was forgotten."""

    __slots__ = ()


class RecordSerializer(CompactSerializer[Record]):
    """One of the three as Compact."""

    def __init__(self, kind: type[Record], type_name: str) -> None:
        self._kind = kind
        self._type_name = type_name

    def read(self, reader: CompactReader) -> Record:
        c = float("nan") if self._kind is Short else reader.read_float64("c")
        values = (reader.read_float64("a"), reader.read_float64("b"), c, reader.read_float64("mark"))
        return self._kind(reader.read_int64("seq"), *values)

    def write(self, writer: CompactWriter, obj: Record) -> None:
        writer.write_int64("seq", obj.seq)
        writer.write_float64("a", obj.a)
        writer.write_float64("b", obj.b)
        if self._kind is not Short:
            writer.write_float64("c", obj.c)
        writer.write_float64("mark", obj.mark)

    def get_class(self) -> type[Record]:
        return self._kind

    def get_type_name(self) -> str:
        return self._type_name


def records(keys: Sequence[int], seqs: Sequence[int], forms: Sequence[int]) -> list[Record]:
    """Records to be written by the stock client."""
    values = derived(np.array(keys, np.int64), np.array(seqs, np.int64)).tolist()
    made: list[Record] = []
    for seq, form, (a, b, c) in zip(seqs, forms, values, strict=True):
        kind = Short if form == Form.SHORT else Record
        made.append(kind(seq, float("nan") if form == Form.NAN else a, b, c, mark_of(form)))
    return made


def form_of(record: Record) -> Form:
    """What a record must have been written as."""
    if isinstance(record, Short):
        return Form.SHORT
    return Form(int(record.mark)) if record.mark else Form.NAN if record.a != record.a else Form.PLAIN


def connect(addresses: Sequence[str], cluster: str, *more: CompactSerializer[Any]) -> Any:
    """A stock client whose acknowledged writes are acknowledged: what it does not know it calls indeterminate."""
    return hazelcast.HazelcastClient(
        cluster_name=cluster,
        cluster_members=list(addresses),
        cluster_connect_timeout=CONNECT_TIMEOUT_S,
        connection_timeout=5.0,
        heartbeat_interval=HEARTBEAT_S,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_S,
        invocation_timeout=INVOCATION_TIMEOUT_S,
        fail_on_indeterminate_operation_state=True,
        operation_backup_timeout=BACKUP_TIMEOUT_S,
        default_int_type=IntType.LONG,
        statistics_enabled=False,
        compact_serializers=[
            RecordSerializer(Record, "chaos.Record"),
            RecordSerializer(Short, "chaos.Short"),
            *more,
        ],
    )
