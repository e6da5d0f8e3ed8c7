"""Targets: the scorer with real small models, given good, damaged and foreign values in one batch.

Every row ends in a batch as it ends alone: as a prediction of the same score or as a dead letter of the same cause. The
value behind a prediction is one that the stock client reads too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from strategies import VALUES
from test_json_properties import expected_record

from grid_inference.flow.encode import PredictionEncoder, encode_dead_letters
from grid_inference.flow.events import Events
from grid_inference.flow.feeds import Arrivals
from grid_inference.flow.score import Outcome, Scorer
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.signature import Signature
from grid_inference.records import PREDICTION_MESSAGE, DeadLetter, Prediction
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema, decode_record, encode_record
from grid_inference.wire.json.values import encode_json
from tests.requests import entries_of, messages_of

from .case import Case, Target, scattered
from .compact import stock_fields
from .inputs import Inputs, drawn, pick
from .json_values import JSON_TOKENS
from .limits import NOTHING
from .mutation import mutated
from .records import Answers, finished

__all__ = ["SCORING"]

K = FieldKind
ROWS = 200
BATCH_ROWS = (1, 2, 4, 8, 8, 36)
CITIES = ("Ghent", "Łódź", "Porto", "Αθήνα")
CAUSES = {
    *("NAN_FEATURE", "MISSING_FEATURE", "WRONG_TYPE", "UNDECODABLE", "UNKNOWN_SCHEMA", "UNSUPPORTED_FORMAT"),
    *("MODEL_ERROR", "BAD_OUTPUT"),
}
JSON_TYPE = (-130).to_bytes(4, "big", signed=True)
ORDINARY_MAX = 1e6
"""Beyond it the sums of a linear model lose so many digits that their order shows."""
SCORE_DIFFERENCE_MAX = 1e-12


@dataclass(frozen=True)
class Subject:
    """A deployed model, and what its records are."""

    signature: Signature
    engine: SklearnEngine
    schema: Schema
    fields: tuple[str, ...]
    """The record's fields that the model reads."""

    @property
    def others(self) -> tuple[Schema, Schema]:
        """Schemas of records that lack what the model needs, and that have it as another type."""
        return Schema.of("lacking", {"unit": K.INT8}), Schema.of("texts", dict.fromkeys(self.fields, K.ARRAY_OF_STRING))

    def scorer(self, nan: Any) -> Scorer:
        """A scorer in a cluster that knows these schemas."""
        return Scorer(
            Answers((self.schema, *self.others)),
            _Here(self.engine),
            PredictionEncoder("d", "m", 1, self.signature),
            inputs={},
            nan=nan,
        )


@dataclass(frozen=True)
class _Here:
    """Calls of the model on the spot, without a loop."""

    engine: SklearnEngine

    async def run(self, work: Any, *_: Any, **__: Any) -> Any:
        return work(self.engine.score)


# ---- models


def _subject(model: Any, fields: dict[str, FieldKind], **known: Any) -> Subject:
    signature = Signature.of(model, **known)
    others = {"note": K.STRING, "zeros": K.ARRAY_OF_INT8, "at": K.TIMESTAMP}
    return Subject(signature, SklearnEngine(model, signature), Schema.of("card", fields | others), tuple(fields))


def _numbers() -> Subject:
    rng = np.random.default_rng(1)
    fields = {"amount": K.FLOAT64, "count": K.INT32, "rate": K.NULLABLE_FLOAT32, "new": K.BOOLEAN, "old": K.INT64}
    table = pd.DataFrame(rng.normal(size=(ROWS, len(fields))), columns=list(fields))
    return _subject(DecisionTreeClassifier(max_depth=4).fit(table, table.sum(axis=1) > 0), fields)


def _array() -> Subject:
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(ROWS, 4))
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix, np.digitize(matrix[:, 0], [-0.5, 0.5]))
    return _subject(model, {"x": K.ARRAY_OF_FLOAT32}, columns=["x"])


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    """A user's own step, which says what it does not like as users do."""
    for value in table["city"]:
        if value not in CITIES:
            raise ValueError(f"no such city: {value}")
    return table


def _frame() -> Subject:
    rng = np.random.default_rng(3)
    fields = {"city": K.STRING, "price": K.DECIMAL, "weight": K.FLOAT32, "day": K.DATE, "when": K.TIMESTAMP}
    days = pd.Timestamp("2024-01-01").to_numpy() + rng.integers(0, 300, ROWS).astype("m8[D]")
    table = pd.DataFrame(
        {
            "city": np.array(CITIES, object)[rng.integers(0, len(CITIES), ROWS)],
            "price": rng.exponential(40, ROWS),
            "weight": rng.exponential(1, ROWS),
            "day": days,
            "when": days,
        }
    )
    columns = ColumnTransformer(
        [
            ("city", make_pipeline(FunctionTransformer(_checked), OneHotEncoder(handle_unknown="ignore")), ["city"]),
            ("days", FunctionTransformer(_days), ["day", "when"]),
        ],
        remainder="passthrough",
    )
    model = make_pipeline(columns, DecisionTreeClassifier(max_depth=4)).fit(table, table["price"] > 30)
    return _subject(model, fields, sample=table)


def _days(table: pd.DataFrame) -> np.ndarray:
    return np.stack([table[name].to_numpy().astype("M8[D]").astype(np.float64) for name in table], axis=1)


SUBJECTS = {"numbers": cache(_numbers), "array": cache(_array), "frame": cache(_frame)}


# ---- cases


@cache
def _compact_rows(name: str) -> list[bytes]:
    schema = SUBJECTS[name]().schema
    values = {each.name: VALUES[each.kind] for each in schema.fields}
    special = {
        "x": st.lists(st.floats(-3, 3, width=32), min_size=4, max_size=4),
        "city": st.sampled_from(CITIES),
        "note": st.none() | st.just("n"),
        "zeros": st.none() | st.just(b"\0" * 3),
    }
    record = st.fixed_dictionaries(values | {key: each for key, each in special.items() if key in values})
    return [encode_record(schema, each) for each in drawn(record, 60, 5)]


@cache
def _json_rows(name: str) -> list[bytes]:
    rng = np.random.default_rng(4)
    fields = SUBJECTS[name]().fields
    rows: list[bytes] = []
    for city in CITIES * 10:
        numbers = dict(zip(fields, rng.normal(size=len(fields)).round(3).tolist(), strict=True))
        special = {"city": city, "x": rng.normal(size=4).tolist(), "day": "2024-02-29", "count": 7, "old": True}
        rows.append(encode_json(numbers | {key: value for key, value in special.items() if key in numbers}))
    return rows


def _make(rng: np.random.Generator, inputs: Inputs) -> Case:
    """Good rows, damaged ones, JSON values, and values of other types and schemas."""
    name = pick(rng, list(SUBJECTS))
    some = [_compact_rows(name), _json_rows(name)]
    share, json_share = pick(rng, (0.02, 0.3, 1.0)), pick(rng, (0.0, 0.0, 0.2, 1.0))
    items = [_row(rng, some[int(rng.random() < json_share)], share) for _ in range(pick(rng, BATCH_ROWS))]
    if rng.random() < 0.3:
        lacking, texts = SUBJECTS[name]().others
        items += [encode_record(lacking, {"unit": 1}), encode_record(texts, {})]
        items += [pick(rng, inputs.keys), pick(rng, pick(rng, inputs.records).items)]
    return Case(tuple(items), names=(name, pick(rng, ("score", "dead-letter"))))


def _row(rng: np.random.Generator, some: list[bytes], damaged_share: float) -> bytes:
    row, other = pick(rng, some), pick(rng, some)
    if rng.random() >= damaged_share:
        return row
    # Behind type and schema id or length: those that are wrong are told apart at once.
    head = 0 if rng.random() < 0.15 else 16
    tokens = JSON_TOKENS if row[4:8] == JSON_TYPE else ()
    if tokens and head:
        text = mutated(rng, row[12:], other[12:], tokens)
        return row[:8] + len(text).to_bytes(4, "big") + text
    return row[:head] + mutated(rng, row[head:], other[head:], tokens)


# ---- scoring


def _events(items: tuple[bytes, ...]) -> Events:
    """The rows, and one more whose entry is gone. Each has its number in its key, and some a hostile rest."""
    values = Blobs.concat(
        [scattered(items), Blobs(np.empty(0, np.uint8), np.zeros(1, np.int64), -np.ones(1, np.int64))]
    )
    keys = [
        b"\0\0\0\0\xff\xff\xff\xf8" + row.to_bytes(8, "big")
        if row % 3
        else row.to_bytes(4, "big") + item[4:40].ljust(4)
        for row, item in enumerate((*items, b"\0" * 8))
    ]
    return Events.of(Blobs.of(keys), values)


@dataclass(frozen=True)
class Written:
    """An outcome, and its records as they are written."""

    outcome: Outcome
    predictions: list[bytes]
    messages: list[bytes]
    letters: list[bytes]


def _score(case: Case) -> Written:
    name, nan = case.names
    subject = SUBJECTS[name]()
    rows = _events(case.items)
    arrivals = Arrivals(rows, np.zeros(len(rows), np.int32), [], [], 0, {0: 1})
    outcome = finished(subject.scorer(nan).score(arrivals))
    encoder = outcome.encoder
    written = entries_of(encoder.predictions(outcome.predictions, "p"))
    return Written(
        outcome,
        [written[key] for key in outcome.predictions.keys.tolist()],
        messages_of(encoder.messages(outcome.predictions, "t")[1]),
        encode_dead_letters(outcome.dead, encoder.constants, 1).tolist(),
    )


End = tuple[str, str, Any]
"""What became of a row: the cause of its dead letter or "", its label, its scores."""


def _ends(case: Case, found: Written) -> list[End]:
    """Of each row; every one is in just one place, under its own key."""
    ends: dict[bytes, End] = {}
    for key, value in zip(found.outcome.predictions.keys.tolist(), found.predictions, strict=True):
        assert key not in ends
        ends[key] = _predicted(Prediction.decode(key, value))
    messages = [(decode_record(PREDICTION_MESSAGE, each), Prediction.decode(b"", each)) for each in found.messages]
    assert {bytes(np.array(fields["key_data"], np.int8)): _predicted(one) for fields, one in messages} == ends
    for key, value in zip(found.outcome.dead.keys.tolist(), found.letters, strict=True):
        letter = DeadLetter.decode(key, value)
        assert key not in ends
        assert letter.cause in CAUSES
        ends[key] = (letter.cause, "", letter.record)
    keys = _events(case.items).keys.tolist()
    assert found.outcome.removed.tolist() == keys[-1:]
    assert ends.keys() == set(keys[:-1])
    return [ends[key] for key in keys[:-1]]


def _predicted(one: Prediction) -> End:
    return "", one.label or "", (one.score, *(one.scores or ()))


def _check(case: Case, found: Written) -> None:
    subject = SUBJECTS[case.names[0]]()
    for item, end in zip(case.items, _ends(case, found), strict=True):
        if item[4:8] == JSON_TYPE and subject.signature.frame:
            continue  # known: a frame's column of JSON values takes its type from all of the batch
        alone = _alone(item, case.names)
        assert end[0] == alone[0]
        if end[0]:
            assert end[2] == item
            continue
        read = _read(subject, item)
        assert read is not NOTHING
        _same_score(end, alone, read)
        assert _alone(_rewritten(subject, item, read), case.names) == alone


@lru_cache(maxsize=512)
def _alone(item: bytes, names: tuple[str, ...]) -> End:
    """What becomes of a row in a batch of its own."""
    case = Case((item,), names=names)
    return _ends(case, _score(case))[0]


def _same_score(end: End, alone: End, read: dict[str, Any]) -> None:
    linear = read.get("x") or ()
    if all(value is not None and abs(value) <= ORDINARY_MAX for value in linear):
        assert end[1] == alone[1]
        assert np.abs(np.subtract(end[2], alone[2])).max() <= SCORE_DIFFERENCE_MAX


def _read(subject: Subject, item: bytes) -> Any:
    """The model's fields as other readers see them, or NOTHING."""
    if item[4:8] != JSON_TYPE:
        return stock_fields(subject.schema, subject.fields, item)
    found = expected_record(item)
    return NOTHING if found is None else found


def _rewritten(subject: Subject, item: bytes, read: dict[str, Any]) -> bytes:
    """A new record of just the values that were read."""
    if item[4:8] == JSON_TYPE:
        return encode_json({name: read.get(name) for name in subject.fields})
    return encode_record(subject.schema, {name: read[name] for name in subject.fields})


SCORING = (Target("scoring", _make, _score, _check, refuses=False, weight=4),)
