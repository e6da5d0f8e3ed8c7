"""Cases: frames put by some way and read by all, and records that a model hashes, held against what was drawn."""

from __future__ import annotations

import json
import math
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

import grid_inference as gi
from tests.frames.draw import Drawn, column
from tests.frames.seen import hash_of
from tests.frames.ways import SORTS, canonical, out, ways
from tests.integration.changes import stock_client

MODEL_FIELDS = {"n": "whole", "x": "fraction", "t": "text"}
SCORED_EACH = 25
"""Each so many-th case puts records before the model instead."""
VERIFY_S = 120.0


class Run:
    """Cases by their numbers, each the same for the same seed."""

    def __init__(self, grid: gi.Grid, seed: int) -> None:
        self.seed = seed
        self.differences: list[str] = []
        self.counts = Counter[str]()
        self._grid = grid
        self._scored: dict[int, float] = {}

    def cases(self, first: int, count: int) -> None:
        """Run so many cases; `differences` gets what was other than drawn."""
        name = f"frames-{self.seed}-{first}"
        sample = pd.DataFrame({"n": [1.0, 2.0, None], "x": [0.5, 1.5, None], "t": ["a", "b", None]})
        self._grid.deploy(name, "tests.frames.seen:hashed", features=f"{name}-in", sample=sample, nan="score")
        with stock_client(self._grid) as client, tempfile.TemporaryDirectory() as folder:
            for number in range(first, first + count):
                self._case(number, client, Path(folder), f"{name}-in")
        self._judge_scores(name)
        self._grid.undeploy(name)

    def _case(self, number: int, client: Any, folder: Path, scored: str) -> None:
        random_ = random.Random(f"{self.seed}/{number}")
        way, put = random_.choice(list(ways(client).items()))
        rows, before = random_.randint(1, 6), len(self.differences)
        self.counts[way] += 1
        for_model = number % SCORED_EACH == 0
        frame = _for_model(random_, rows, way) if for_model else _frame(random_, rows, way)
        said = f"case {number}, {way}, {', '.join(f'{name}: {drawn.said}' for name, drawn in frame.items())}"
        try:
            if for_model:
                put(self._grid, scored, frame, folder, number * 10)
                listed = zip(*(drawn.values for drawn in frame.values()), strict=True)
                self._scored |= {number * 10 + row: hash_of(values) for row, values in enumerate(listed)}
            else:
                self._read(f"c{self.seed}-{number}", put, frame, folder, said)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            self.differences.append(f"{said}: {type(error).__name__}: {error}")
        self.counts["different"] += len(self.differences) > before

    def _read(self, name: str, put: Any, frame: dict[str, Drawn], folder: Path, said: str) -> None:
        put(self._grid, name, frame, folder, 0)
        for field, drawn in frame.items():
            expected = [canonical(value) for value in drawn.values]
            for reader, found in out(self._grid, name, len(expected), field).items():
                if found != expected:
                    self.differences.append(f"{said}: {reader} gives {found} for {field} = {expected}")
        self._grid.features(name).destroy()

    def _judge_scores(self, deployment: str) -> None:
        verdict = self._grid.verify(deployment, VERIFY_S)
        if not verdict.complete or verdict.dead_letters:
            letters = [letter.message for letter in self._grid.dead_letters(deployment)[:3]]
            self.differences.append(f"the model scored not all: {verdict}, {letters}")
        found = self._grid.predictions(deployment).get_batch(list(self._scored))
        for key, score in zip(found.keys, found["score"].tolist(), strict=True):
            if score != self._scored[key]:
                self.differences.append(f"case {key // 10}, row {key % 10}: the model saw another record")
        self.counts["scored"] += len(found)

    def report(self) -> str:
        """All of it as a line of JSON."""
        return json.dumps({"seed": self.seed, **self.counts, "differences": len(self.differences)})


def _frame(random_: random.Random, rows: int, way: str) -> dict[str, Drawn]:
    frame = {name: column(random_, rows, SORTS.get(way, ())) for name in ("a", "b", "c")[: random_.randint(1, 3)]}
    return {name: _finite(drawn) if way in {"jsonl", "stock client"} else drawn for name, drawn in frame.items()}


def _for_model(random_: random.Random, rows: int, way: str) -> dict[str, Drawn]:
    """Columns of the model's sorts, within what its doubles are exact for."""
    frame = {name: column(random_, rows, {sort}) for name, sort in MODEL_FIELDS.items()}
    finite = {name: _finite(drawn) for name, drawn in frame.items()}
    large = [value is not None and abs(value) > 2**53 for value in finite["n"].values]
    if any(large):
        values = [None if gone else value for value, gone in zip(finite["n"].values, large, strict=True)]
        finite["n"] = Drawn("whole of list", "whole", values, values)
    return finite


def _finite(drawn: Drawn) -> Drawn:
    """Without infinity, which JSON has no form for."""
    if not any(isinstance(value, float) and math.isinf(value) for value in drawn.values):
        return drawn
    values = [None if isinstance(value, float) and math.isinf(value) else value for value in drawn.values]
    return Drawn("finite fractions of list", drawn.sort, values, values)
