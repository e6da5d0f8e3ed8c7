"""Parts of ours, each alone in a process: the worker's call of the model, records decoded to Arrow."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import joblib
import numpy as np

from bench.data import NAMES, matrix, table
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.signature import Signature
from grid_inference.wire.arrow.arrays import arrow_columns
from grid_inference.wire.compact import encode_columns, infer_schema

__all__ = ["ENGINE_BATCH", "Engine", "Tables"]

ENGINE_BATCH: Final = 16_384
ROUNDS: Final = 40


class Engine:
    """A model as the worker calls it, on finite values, which is all that it asks of the model."""

    def __init__(self, model: Path) -> None:
        fitted = joblib.load(model)
        signature = Signature.of(fitted, NAMES)
        self._engine = SklearnEngine(fitted, signature)
        self._records = matrix(ENGINE_BATCH).astype(np.dtype(signature.float_dtype))

    def us_per_record(self) -> float:
        """CPU microseconds per record."""
        self._engine.predict(self._records, finite=True)
        started = time.process_time()
        for _ in range(ROUNDS):
            self._engine.predict(self._records, finite=True)
        return (time.process_time() - started) / (ROUNDS * ENGINE_BATCH) * 1e6


class Tables:
    """Bytes of mixed records → columns of an Arrow table."""

    def __init__(self, rows: int) -> None:
        columns = {str(name): values.to_numpy() for name, values in table(rows).items()}
        self._schema = infer_schema("bench.Mixed", columns)
        self._records = encode_columns(self._schema, columns)

    def decode(self) -> float:
        """Seconds to decode all records, in batches of the worker's size."""
        started = time.perf_counter()
        for start in range(0, len(self._records), ENGINE_BATCH):
            rows = np.arange(start, min(start + ENGINE_BATCH, len(self._records)))
            arrow_columns(self._records.take(rows), self._schema)
        return time.perf_counter() - started
