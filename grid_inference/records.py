"""The records that others rely on: Prediction, DeadLetter and PredictionMessage, as Compact types and as columns.

Names, kinds and meaning of the fields are a contract; they change only with a version. How they are written:
`flow/encode.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from grid_inference.display import ROWS_SHOWN_MAX, table_html
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.columns import Column, childless, holds_exactly, join_columns
from grid_inference.wire.compact import decode_record
from grid_inference.wire.keys import decode_keys
from grid_inference.wire.schema import FieldKind, Schema

__all__ = [
    "DEAD_LETTER",
    "MESSAGE_FIELDS",
    "PREDICTION",
    "PREDICTION_MESSAGE",
    "DeadLetter",
    "DeadLetterBatch",
    "Prediction",
    "PredictionBatch",
    "Put",
    "RecordTable",
    "pandas_module",
]

_PREDICTION_FIELDS = {
    "deployment": FieldKind.STRING,
    "score": FieldKind.FLOAT64,
    "label": FieldKind.STRING,
    "scores": FieldKind.ARRAY_OF_FLOAT64,
    "model": FieldKind.STRING,
    "version": FieldKind.INT32,
    "input_digest": FieldKind.INT64,
    "owner_epoch": FieldKind.INT64,
    "scored_at_us": FieldKind.INT64,
}
PREDICTION = Schema.of("grid_inference.Prediction", _PREDICTION_FIELDS)
PREDICTION_MESSAGE = Schema.of(
    "grid_inference.PredictionMessage",
    {**_PREDICTION_FIELDS, "key": FieldKind.STRING, "key_data": FieldKind.ARRAY_OF_INT8},
)
MESSAGE_FIELDS = {name: slot.kind for name, slot in PREDICTION_MESSAGE.slots.items() if name != "key_data"}
"""What a topic's `where` may speak of, and of which kind that is."""
DEAD_LETTER = Schema.of(
    "grid_inference.DeadLetter",
    {
        "deployment": FieldKind.STRING,
        "cause": FieldKind.STRING,
        "message": FieldKind.STRING,
        "input_digest": FieldKind.INT64,
        "record": FieldKind.ARRAY_OF_INT8,
        "model": FieldKind.STRING,
        "version": FieldKind.INT32,
        "failed_at_us": FieldKind.INT64,
    },
)


@dataclass(frozen=True, slots=True)
class Prediction:
    """One prediction as an application reads it."""

    key: Any
    """The record's key."""
    deployment: str
    score: float
    """P(classes_[1]) if binary, P(label) if multi-class, P of the likeliest of several labels, or P of what the
    deployment's `score_of` names; the value of a regressor, the first of several; `decision_function` of an outlier
    detector, below 0 for an outlier; P of the record's cluster, or the distance to its centre, or 0 from a model that
    says neither."""
    label: str | None
    """The class or cluster as text, several labels joined by ", ", `inlier` or `outlier`; None for a regressor."""
    scores: tuple[float, ...] | None
    """Probability per class or label, value per output, probability or distance per cluster, in the signature's order;
    None for a regressor of one output and for an outlier detector."""
    model: str
    version: int
    input_digest: int
    """Digest of the record that was scored (`wire/digest.py`)."""
    owner_epoch: int
    scored_at_us: int
    """Microseconds since 1970."""

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> Prediction:
        """From the Data of a key and of a Prediction or PredictionMessage."""
        schema = PREDICTION if _schema_id(value) == PREDICTION.schema_id else PREDICTION_MESSAGE
        fields = decode_record(schema, value)
        fields.pop("key", None)
        fields.pop("key_data", None)
        scores = fields.pop("scores")
        return cls(
            key=decode_keys(Blobs.of([key]))[0],
            scores=None if scores is None else tuple(float(score) for score in scores),
            **fields,
        )


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused record, and why."""

    key: Any
    deployment: str
    cause: str
    """A short code, for example MISSING_FEATURE."""
    message: str
    input_digest: int
    record: bytes = field(repr=False)
    """The record's Data, as it came."""
    model: str
    version: int
    """The model's version that refused it. 0: it is to be scored anew (`dead-letters replay`), and has not been yet."""
    failed_at_us: int
    """Microseconds since 1970."""

    @property
    def waiting(self) -> bool:
        """Whether its record is to be scored anew, and has not been yet."""
        return self.version == 0

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> DeadLetter:
        """From the Data of a key and of a DeadLetter."""
        fields = decode_record(DEAD_LETTER, value)
        record = np.asarray(fields.pop("record") or [], np.int8).tobytes()
        return cls(key=decode_keys(Blobs.of([key]))[0], record=record, **fields)


class Put(int):
    """How many rows were put, as a number; `keys` are fewer where several rows had the same key."""

    keys: int
    """How many different keys they had, and so records."""

    def __new__(cls, rows: int, keys: int) -> Self:
        """Rows and their keys."""
        put = super().__new__(cls, rows)
        put.keys = keys
        return put

    def __str__(self) -> str:
        return f"{int(self):,} {'row' if self == 1 else 'rows'}, {self.keys:,} {'key' if self.keys == 1 else 'keys'}"

    __repr__ = __str__


@dataclass(frozen=True, slots=True, eq=False)
class RecordTable:
    """n records as columns, with their keys."""

    keys: list[Any]
    """Python keys, in the order they were asked for."""
    columns: dict[str, NDArray[Any]]
    """Field → values, shape (n,) or (n, length of the array); null numbers are NaN, moments NaT, others None.

    Whole numbers beside nulls are Python's, and None, where a double would round one of them."""

    @classmethod
    @np.errstate(invalid="ignore")  # a float that is a signalling NaN is a plain one as a double
    def of(cls, keys: list[Any], parts: list[tuple[NDArray[np.intp], dict[str, Column]]]) -> RecordTable:
        """Put columns of several formats together; a field that a record does not have is null there.

        A field `a` that is null in all of them is left out beside a field `a.b`.
        """
        found: dict[str, list[tuple[NDArray[np.intp], Column]]] = {}
        for rows, fields in parts:
            for name, column in fields.items():
                found.setdefault(name, []).append((rows, column))
        whole = len(parts) == 1 and parts[0][0].size == len(keys)
        columns = {name: each[0][1] if whole else join_columns(len(keys), each) for name, each in found.items()}
        kept = childless({name: column.empty for name, column in columns.items()})
        return cls(keys, {name: _with_nulls(columns[name]) for name in kept})

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """One column."""
        return self.columns[name]

    def to_pandas(self) -> Any:
        """A DataFrame with the keys as its index; array fields become columns of lists. Needs pandas."""
        pd = pandas_module()
        flat = {name: list(values) if values.ndim > 1 else values for name, values in self.columns.items()}
        return pd.DataFrame(flat, index=pd.Index(self.keys, name="key"))

    def _repr_html_(self) -> str:
        """The first rows as a notebook shows them."""
        shown = [values[:ROWS_SHOWN_MAX].tolist() for values in self.columns.values()]
        rows = list(zip(self.keys[:ROWS_SHOWN_MAX], *shown, strict=True))
        return table_html(["key", *self.columns], rows, f"{len(self):,} rows x {len(self.columns)} columns")


def pandas_module() -> Any:
    """The pandas package, or ImportError with what to install: it is an optional dependency."""
    try:
        return import_module("pandas")
    except ImportError as error:
        raise ImportError("DataFrames need pandas: pip install 'grid-inference[pandas]'", name="pandas") from error


def _with_nulls(column: Column) -> NDArray[Any]:
    if column.valid is None or bool(column.valid.all()):
        return column.values
    if column.values.dtype.kind == "O":
        return np.where(column.valid, column.values, np.array(None, object))
    if column.values.dtype.kind in "mM":
        return np.where(column.valid, column.values, np.array("NaT", column.values.dtype))
    values: Any = column.values.astype(np.float64 if holds_exactly(column) else np.object_)
    values[~column.valid] = np.nan if values.dtype.kind == "f" else None
    return values


@dataclass(slots=True, eq=False)
class PredictionBatch:
    """n predictions as columns."""

    keys: Blobs
    partitions: NDArray[np.int32]
    digests: NDArray[np.int64]
    score: NDArray[np.float64]
    """Shape (n,)."""
    label_index: NDArray[np.int32] | None
    """What `Signature.label` takes, shape (n,); None for a regressor."""
    scores: NDArray[np.float64] | None
    """Shape (n, `Signature.scores_count`); None if that is 0."""
    epochs: NDArray[np.int64]
    scored_at_us: int

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: NDArray[Any]) -> PredictionBatch:
        """Those at an index array or boolean mask."""
        return PredictionBatch(
            keys=self.keys.take(rows),
            partitions=self.partitions[rows],
            digests=self.digests[rows],
            score=self.score[rows],
            label_index=None if self.label_index is None else self.label_index[rows],
            scores=None if self.scores is None else self.scores[rows],
            epochs=self.epochs[rows],
            scored_at_us=self.scored_at_us,
        )


@dataclass(slots=True, eq=False)
class DeadLetterBatch:
    """n refused records, with the reason of each."""

    keys: Blobs
    partitions: NDArray[np.int32]
    digests: NDArray[np.int64]
    records: Blobs
    causes: list[str]
    messages: list[str]

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: NDArray[np.bool_]) -> DeadLetterBatch:
        """Those at a boolean mask."""
        kept = np.flatnonzero(rows).tolist()
        return DeadLetterBatch(
            keys=self.keys.take(rows),
            partitions=self.partitions[rows],
            digests=self.digests[rows],
            records=self.records.take(rows),
            causes=[self.causes[row] for row in kept],
            messages=[self.messages[row] for row in kept],
        )


def _schema_id(value: bytes) -> int:
    return int.from_bytes(value[8:16], "big", signed=True)
