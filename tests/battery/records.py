"""A table as records, and what a published model makes of them: bytes → binding → engine, as the flow has it, no grid.

`answers` is what the battery and the tests of single values hold against the bare model.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import NanPolicy
from grid_inference.model.engines.native import engine_of
from grid_inference.model.inputs.binding import bind
from grid_inference.model.inputs.json_binding import JsonBinding
from grid_inference.model.inputs.sources import Mismatch, Sources
from grid_inference.model.signature import Signature
from grid_inference.model.store.artifact import load
from grid_inference.model.store.making import make
from grid_inference.model.store.published import Made
from grid_inference.model.store.trust import Trust
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import Column, encode_columns, infer_schema
from grid_inference.wire.json.values import encode_json

HERE = Trust(allow_pickle=True, loopback=True)


@dataclass(frozen=True)
class Answer:
    """What became of one record."""

    label: str | None = None
    score: float | None = None
    scores: tuple[float, ...] | None = None
    refused: str = ""
    """Its dead letter's cause and message."""


class Published:
    """A model that was written down, read again, and can be asked for records."""

    def __init__(self, model: Any, columns: Sequence[str] | None = None, sample: Any = None, **how: Any) -> None:
        self.made: Made = make(model, columns, sample, **how)
        self.signature: Signature = Signature.from_mapping(self.made.signature.to_mapping())
        self.engine: Engine = engine_of(load(self.made.artifact, HERE), self.signature)
        if self.made.expected:
            self.made.expected.check(self.engine, "m@1")

    def answers(
        self, table: pd.DataFrame, form: str = "compact", nan: NanPolicy = "score", batch: int = 0
    ) -> list[Answer]:
        """One for each row, which are scored `batch` rows at a time, or all at once."""
        records = list(_rows(table))
        size = batch or max(1, len(table))
        found: list[Answer] = []
        for start in range(0, len(table), size):
            some = table.iloc[start : start + size]
            found += self._asked(some, records[start : start + size], form, nan)
        return found

    def _asked(self, table: pd.DataFrame, records: list[dict[str, Any]], form: str, nan: NanPolicy) -> list[Answer]:
        if form == "json":
            values = Blobs.of([encode_json(record) for record in records])
            inputs, misfits = JsonBinding(Sources(self.signature, {})).inputs(values)
        else:
            columns = {str(name): _column(table[name]) for name in table.columns}
            schema = infer_schema("t", columns)
            binding = bind(self.signature, schema)
            if isinstance(binding, Mismatch):
                return [Answer(refused=f"{binding.cause}: {binding.message}")] * len(table)
            inputs, misfits = binding.inputs(encode_columns(schema, columns))
        answers = [Answer(refused=f"{misfits[row].cause}: {misfits[row].message}") if row in misfits else Answer()
                   for row in range(len(table))]  # fmt: skip
        fitting = np.delete(np.arange(len(table)), list(misfits))
        scores, good, failures = self.engine.score(inputs[fitting], nan)
        for failure in failures:
            answers[fitting[failure.row]] = Answer(refused=f"{failure.cause}: {failure.message}")
        for at, row in enumerate(fitting[good].tolist()):
            label = None if scores.label_index is None else self.signature.label(int(scores.label_index[at]))
            several = None if scores.scores is None else tuple(scores.scores[at].tolist())
            answers[row] = Answer(label, float(scores.score[at]), several)
        return answers


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """As JSON has them."""
    return [
        {str(name): _json(value) for name, value in zip(table.columns, row, strict=True)}
        for row in zip(*(table[name].tolist() for name in table.columns), strict=True)
    ]


def _json(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT or value != value:  # noqa: PLR0124  # NaN
        return None
    return value.isoformat() if isinstance(value, dt.date | dt.time) else value


def _column(series: pd.Series) -> Column:
    """As `put_batch` makes it of a column of pandas."""
    valid = series.notna().to_numpy()
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biufM":
        return Column(series.to_numpy())
    if isinstance(series.dtype, pd.BooleanDtype):
        return Column(series.fillna(value=False).to_numpy(np.bool_), valid)
    if hasattr(series.dtype, "numpy_dtype") and series.dtype.kind in "iuf":
        return Column(series.fillna(0).to_numpy(series.dtype.numpy_dtype), valid)
    values = np.empty(len(series), np.object_)
    values[:] = [value if there else None for value, there in zip(series.tolist(), valid.tolist(), strict=True)]
    values[:] = [each.to_pydatetime() if isinstance(each, pd.Timestamp) else each for each in values.tolist()]
    return Column(values, valid)
