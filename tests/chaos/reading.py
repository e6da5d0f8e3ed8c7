"""What stands in the end: maps by the stock client, as plain values for the judge, and the model's own answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from hazelcast.serialization.api import CompactReader, CompactSerializer, CompactWriter
from hazelcast.serialization.compact import SchemaNotReplicatedError

from tests.chaos.checker import AtWork, Expected, Histories, Predicted, Refused, Stored, Write
from tests.chaos.digest import digest_of
from tests.chaos.model import trained
from tests.chaos.versions import FIRST, VERSIONS, Message
from tests.chaos.workload import (
    DEPLOYMENTS,
    REFUSED,
    Bulk,
    Record,
    RecordSerializer,
    connect,
    derived,
    form_of,
    records,
)

PUBLISHED = range(FIRST, VERSIONS + 1)


class PredictedSerializer(CompactSerializer[Predicted]):
    """Predictions; the witness only reads."""

    def read(self, reader: CompactReader) -> Predicted:
        score = reader.read_float64("score")
        made = reader.read_int32("version"), reader.read_int64("scored_at_us"), reader.read_string("model") or ""
        return Predicted(reader.read_int64("input_digest"), score, reader.read_string("label"), *made)

    def write(self, writer: CompactWriter, obj: Predicted) -> None:
        raise NotImplementedError

    def get_class(self) -> type[Predicted]:
        return Predicted

    def get_type_name(self) -> str:
        return "grid_inference.Prediction"


class LetterSerializer(CompactSerializer[Refused]):
    """Dead letters; the witness only reads."""

    def read(self, reader: CompactReader) -> Refused:
        made = reader.read_int32("version"), reader.read_int64("failed_at_us"), reader.read_string("model") or ""
        return Refused(reader.read_int64("input_digest"), *made)

    def write(self, writer: CompactWriter, obj: Refused) -> None:
        raise NotImplementedError

    def get_class(self) -> type[Refused]:
        return Refused

    def get_type_name(self) -> str:
        return "grid_inference.DeadLetter"


@dataclass(slots=True)
class End:
    """How one deployment's maps stand; keys as Python's."""

    records: dict[int, Stored]
    predictions: dict[int, Predicted]
    dead_letters: dict[int, Refused]
    expected: dict[int, Expected]


class Reader:
    """Reads the maps of all deployments."""

    def __init__(self, addresses: list[str], cluster: str) -> None:
        self._bulk = {name: type(f"Bulk_{name}", (Bulk,), {"__slots__": ()}) for name in DEPLOYMENTS}
        bulk = [RecordSerializer(kind, name) for name, kind in self._bulk.items()]
        self._client = connect(addresses, cluster, PredictedSerializer(), LetterSerializer(), *bulk)
        self._model = cache(trained)

    def sizes(self, name: str) -> tuple[int, int]:
        """Records, and results of them."""
        records, predictions, letters = (
            self._client.get_map(one).size().result() for one in (name, f"{name}.predictions", f"{name}.dead-letters")
        )
        return records, predictions + letters

    def read(self, name: str, at_work: AtWork) -> End:
        """Everything of one deployment, and what the model that is at work says of it."""
        pairs = self._with_digests(name)
        predictions = dict(self._client.get_map(f"{name}.predictions").entry_set().result())
        letters = dict(self._client.get_map(f"{name}.dead-letters").entry_set().result())
        found = {key: record for key, (record, _) in pairs.items()}
        genuine = dict(zip(found, self._genuine(found), strict=True))
        records = {
            key: Stored(record.seq, form_of(record), digest, genuine[key]) for key, (record, digest) in pairs.items()
        }
        named = {key: one.version for key, one in predictions.items()}
        return End(records, predictions, letters, self.expected(found, named, at_work.variant))

    def _with_digests(self, name: str) -> dict[int, tuple[Record, int]]:
        proxy = self._client.get_map(name)
        as_object = proxy._to_object

        def both(data: Any) -> Any:
            value = as_object(data)
            return (value, digest_of(data.buffer)) if isinstance(value, Record) else value

        proxy._to_object = both  # the records' own bytes are seen nowhere else
        try:
            return dict(proxy.entry_set().result())
        finally:
            proxy._to_object = as_object

    @staticmethod
    def _genuine(found: Mapping[int, Record]) -> list[bool]:
        """Whether each record has the values that follow from its key and sequence."""
        if not found:
            return []
        keys, seqs = np.array(list(found)), np.array([record.seq for record in found.values()])
        given = np.array([(record.a, record.b, record.c) for record in found.values()])
        return ((given == derived(keys, seqs)) | np.isnan(given)).all(axis=1).tolist()

    def expected(self, found: Mapping[int, Record], named: Mapping[int, int], variant: int) -> dict[int, Expected]:
        """What the model says of those that it can score: the version that is named, or the first if that is none.

        `variant` is the first one.
        """
        good: dict[int, dict[int, Record]] = {}
        for key, record in found.items():
            if form_of(record) not in REFUSED:
                version = named.get(key, FIRST)
                good.setdefault(version if version in PUBLISHED else FIRST, {})[key] = record
        return {key: one for version, some in good.items() for key, one in self._scored(version, some, variant).items()}

    def _scored(self, version: int, found: Mapping[int, Record], variant: int = FIRST) -> dict[int, Expected]:
        """What a version says of records, by whatever they are known here."""
        model = self._model(variant + version - FIRST)
        inputs = np.array([(record.a, record.b, record.c, record.mark) for record in found.values()])
        scores, labels = model.predict_proba(inputs)[:, 1], model.predict(inputs)
        return {
            key: Expected(float(score), str(label), version)
            for key, score, label in zip(found, scores.tolist(), labels.tolist(), strict=True)
        }

    def said(
        self, name: str, messages: Iterable[Message], written: Histories
    ) -> tuple[dict[tuple[int, int], bool], dict[tuple[int, int], Expected]]:
        """Of the keys of messages, what was ever written, and what the versions that are named say of it.

        By key and digest whether the model takes a value; by digest and version what it says.
        """
        every, known = list(messages), dict[tuple[int, int], Record]()
        for key in {one.key for one in every}:
            for record in self._made(name, key, written.get(key, ())):
                with suppress(SchemaNotReplicatedError):  # no record of its kind stands, so none was scored
                    data = self._client._serialization_service.to_data(record)
                    known[key, digest_of(data.buffer)] = record
        takes = {place: form_of(record) not in REFUSED for place, record in known.items()}
        asked: dict[int, dict[int, Record]] = {}
        for one in every:
            if takes.get((one.key, one.digest)) and one.version in PUBLISHED:
                asked.setdefault(one.version, {})[one.digest] = known[one.key, one.digest]
        says = {
            (digest, version): expected
            for version, some in asked.items()
            for digest, expected in self._scored(version, some).items()
        }
        return takes, says

    def _made(self, name: str, key: int, writes: Sequence[Write]) -> list[Record]:
        """The values that were written under a key, as whoever wrote them may have: alone, or in a batch."""
        values = [(write.seq, write.form) for write in writes if write.form is not None]
        if not values:
            return []
        alone = records([key] * len(values), *zip(*values, strict=True))
        return alone + [self._bulk[name](one.seq, one.a, one.b, one.c, one.mark) for one in alone]

    def close(self) -> None:
        """Disconnect."""
        self._client.shutdown()
