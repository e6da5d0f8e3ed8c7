"""What stands in the end: maps by the stock client, as plain values for the judge, and the model's own answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from hazelcast.serialization.api import CompactReader, CompactSerializer, CompactWriter

from tests.chaos.checker import Expected, Predicted, Stored
from tests.chaos.digest import digest_of
from tests.chaos.model import trained
from tests.chaos.workload import DEPLOYMENTS, REFUSED, Bulk, Record, RecordSerializer, connect, derived, form_of


@dataclass(slots=True)
class Letter:
    """A dead letter as the stock client reads it."""

    digest: int
    cause: str


class PredictedSerializer(CompactSerializer[Predicted]):
    """Predictions; the witness only reads."""

    def read(self, reader: CompactReader) -> Predicted:
        score = reader.read_float64("score")
        return Predicted(reader.read_int64("input_digest"), score, reader.read_string("label"))

    def write(self, writer: CompactWriter, obj: Predicted) -> None:
        raise NotImplementedError

    def get_class(self) -> type[Predicted]:
        return Predicted

    def get_type_name(self) -> str:
        return "grid_inference.Prediction"


class LetterSerializer(CompactSerializer[Letter]):
    """Dead letters; the witness only reads."""

    def read(self, reader: CompactReader) -> Letter:
        return Letter(reader.read_int64("input_digest"), reader.read_string("cause") or "")

    def write(self, writer: CompactWriter, obj: Letter) -> None:
        raise NotImplementedError

    def get_class(self) -> type[Letter]:
        return Letter

    def get_type_name(self) -> str:
        return "grid_inference.DeadLetter"


@dataclass(slots=True)
class End:
    """How one deployment's maps stand; keys as Python's."""

    records: dict[int, Stored]
    predictions: dict[int, Predicted]
    dead_letters: dict[int, int]
    expected: dict[int, Expected]


class Reader:
    """Reads the maps of all deployments."""

    def __init__(self, addresses: list[str], cluster: str) -> None:
        bulk = [RecordSerializer(type(f"Bulk_{name}", (Bulk,), {"__slots__": ()}), name) for name in DEPLOYMENTS]
        self._client = connect(addresses, cluster, PredictedSerializer(), LetterSerializer(), *bulk)
        self._model = trained()

    def sizes(self, name: str) -> tuple[int, int]:
        """Records, and results of them."""
        records, predictions, letters = (
            self._client.get_map(one).size().result() for one in (name, f"{name}.predictions", f"{name}.dead-letters")
        )
        return records, predictions + letters

    def read(self, name: str) -> End:
        """Everything of one deployment."""
        pairs = self._with_digests(name)
        predictions = dict(self._client.get_map(f"{name}.predictions").entry_set().result())
        letters = self._client.get_map(f"{name}.dead-letters").entry_set().result()
        found = {key: record for key, (record, _) in pairs.items()}
        genuine = dict(zip(found, self._genuine(found), strict=True))
        records = {
            key: Stored(record.seq, form_of(record), digest, genuine[key]) for key, (record, digest) in pairs.items()
        }
        return End(records, predictions, {key: one.digest for key, one in letters}, self.expected(found))

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

    def expected(self, found: Mapping[int, Record]) -> dict[int, Expected]:
        """What the model says of those that it can score."""
        good = {key: record for key, record in found.items() if form_of(record) not in REFUSED}
        if not good:
            return {}
        inputs = np.array([(record.a, record.b, record.c, record.mark) for record in good.values()])
        scores, labels = self._model.predict_proba(inputs)[:, 1], self._model.predict(inputs)
        return {
            key: Expected(float(score), str(label))
            for key, score, label in zip(good, scores.tolist(), labels.tolist(), strict=True)
        }

    def close(self) -> None:
        """Disconnect."""
        self._client.shutdown()
