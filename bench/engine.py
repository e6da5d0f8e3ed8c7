"""The model's own share of a worker's CPU: the worker's call of it, alone in a process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import joblib
import numpy as np

from bench.data import NAMES, matrix
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.signature import Signature

__all__ = ["ENGINE_BATCH", "Engine"]

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
