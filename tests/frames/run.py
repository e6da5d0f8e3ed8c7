"""Cases: frames put by some way and read by all, and records that a model hashes, held against what was drawn."""

from __future__ import annotations

import json
import random
import tempfile
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grid_inference as gi
from tests.frames import stock
from tests.frames.draw import Drawn, column
from tests.frames.out import Tables, at
from tests.frames.seen import FLAT_SEEN, INPUTS, NESTING, RECORD_SEEN, SAMPLE, SORTS_SEEN, hash_of
from tests.frames.ways import SORTS, STOCK_COMPACT, TYPED_WAYS, Put, fit_for, ways
from tests.integration.changes import stock_client

SCORED_EACH = 25
"""Each so many-th case puts records before the model instead."""
TOGETHER_MAX = 16
"""So many frames at most share a map, which is then read once; one alone is drawn too."""
THREADS = 8
"""So many maps at a time: each mostly waits for the member."""
ROWS_MAX = 6
KEYS_EACH = 10
VERIFY_S = 300.0


class Run:
    """Cases by their numbers, each the same for the same seed."""

    def __init__(self, grid: gi.Grid, seed: int) -> None:
        self.seed = seed
        self.differences: list[str] = []
        self.counts = Counter[str]()
        self._grid = grid
        self._lock = threading.Lock()
        self._scored: dict[int, float] = {}

    def cases(self, first: int, count: int) -> None:
        """Run so many cases; `differences` gets what was other than drawn."""
        name, end = f"frames-{self.seed}-{first}", first + count
        features = f"{name}-in"
        self._grid.deploy(
            name, "tests.frames.seen:hashed", features=features, sample=SAMPLE, inputs=INPUTS, nan="score"
        )
        with (
            stock_client(self._grid, stock.SERIALIZERS) as client,
            tempfile.TemporaryDirectory() as folder,
            ThreadPoolExecutor(THREADS) as pool,
        ):
            by = ways(client)
            scored = pool.submit(self._for_models, range(first, end), by, Path(folder), self._grid.features(features))
            read: list[Future[list[str]]] = []
            while first < end:
                together = random.Random(f"{self.seed}/{first}/together").choice((1, 4, TOGETHER_MAX))
                numbers = range(first, min(end, first + together))
                (own := Path(folder, str(first))).mkdir()
                read.append(pool.submit(self._together, numbers, by, own))
                first += together
            self.differences += [each for future in (scored, *read) for each in future.result()]
        self._judge_scores(name)
        self._grid.undeploy(name)
        self._grid.features(features).destroy()

    def _together(self, numbers: range, by: dict[str, Put], folder: Path) -> list[str]:
        """Frames into one map, each with fields and keys of its own, but for the stock client's one type."""
        features, put = self._grid.features(f"c{self.seed}-{numbers[0]}"), dict[int, tuple[str, dict[str, Drawn]]]()
        differences: list[str] = []
        for number in numbers:
            if number % SCORED_EACH == 0:
                continue
            random_ = random.Random(f"{self.seed}/{number}")
            way = random_.choice(list(by))
            frame = _frame(random_, random_.randint(1, ROWS_MAX), way, number)
            said = self._said(number, way, frame)
            try:
                by[way](features, frame, folder, number * KEYS_EACH)
                put[number] = said, frame
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                differences.append(f"{said}: {type(error).__name__}: {error}")
        try:
            tables = Tables(features) if put else None
            for number, (said, frame) in put.items():
                found = tables.differences(number * KEYS_EACH, frame) if tables else ()
                differences += [f"{said}: {each}" for each in found]
        except Exception as error:  # noqa: BLE001 - the same
            listed = "; ".join(said for said, _ in put.values())
            differences.append(f"{type(error).__name__}: {error}, in {listed}")
        features.destroy()
        return differences

    def _said(self, number: int, way: str, frame: dict[str, Drawn]) -> str:
        """A case in words, counted."""
        with self._lock:
            self.counts[way] += 1
        return f"case {number}, {way}, {', '.join(f'{name}: {drawn.said}' for name, drawn in frame.items())}"

    def _for_models(self, numbers: range, by: dict[str, Put], folder: Path, features: gi.Features) -> list[str]:
        """Records before the model that hashes them."""
        differences: list[str] = []
        for number in numbers:
            if number % SCORED_EACH:
                continue
            random_ = random.Random(f"{self.seed}/{number}")
            way = random_.choice(list(by))
            frame = _frame_for_model(random_, random_.randint(1, ROWS_MAX), way)
            said = self._said(number, way, frame)
            try:
                by[way](features, frame, folder, number * KEYS_EACH)
            except Exception as error:  # noqa: BLE001 - the same
                differences.append(f"{said}: {type(error).__name__}: {error}")
                continue
            for row in range(len(next(iter(frame.values())).values)):
                seen = [_seen(frame, name, row) for name in SAMPLE]
                self._scored[number * KEYS_EACH + row] = hash_of(seen)
        return differences

    def _judge_scores(self, deployment: str) -> None:
        verdict = self._grid.verify(deployment, VERIFY_S)
        if not verdict.complete or verdict.dead_letters:
            letters = [f"{letter.key}: {letter.message}" for letter in self._grid.dead_letters(deployment)[:3]]
            self.differences.append(f"the model scored not all: {verdict}, {letters}")
        found = self._grid.predictions(deployment).get_batch(list(self._scored))
        for key, score in zip(found.keys, found["score"].tolist() if self._scored else [], strict=True):
            if score != self._scored[key]:
                self.differences.append(f"case {key // KEYS_EACH}, row {key % KEYS_EACH}: the model saw another record")
        self.counts["scored"] += len(found)
        self._scored.clear()

    def report(self) -> str:
        """All of it as a line of JSON."""
        return json.dumps({"seed": self.seed, **self.counts, "differences": len(self.differences)})


def _frame(random_: random.Random, rows: int, way: str, number: int) -> dict[str, Drawn]:
    if way == STOCK_COMPACT:
        return stock.frame(random_, rows)
    names = [f"{letter}{number}" for letter in "abc"[: random_.randint(1, 3)]]
    return {name: fit_for(way, column(random_, rows, SORTS[way], typed=way in TYPED_WAYS)) for name in names}


def _frame_for_model(random_: random.Random, rows: int, way: str) -> dict[str, Drawn]:
    """Columns of the sorts that the model was fitted on; what it has as doubles within what these are exact for."""
    sorts = SORTS_SEEN | (RECORD_SEEN if way in NESTING else FLAT_SEEN)
    typed = way in TYPED_WAYS
    frame = {
        name: fit_for(way, column(random_, rows, {sort}, kind, typed=typed)) for name, (sort, kind) in sorts.items()
    }
    return {name: _finite(drawn, small=name == "n") for name, drawn in frame.items()}


def _seen(frame: dict[str, Drawn], name: str, row: int) -> Any:
    """What the model is to see as one of its inputs."""
    if name in frame:
        return frame[name].values[row]
    return at(frame["r"].values[row], (name.removeprefix("in_"),))


def _finite(drawn: Drawn, *, small: bool) -> Drawn:
    def gone(value: Any) -> bool:
        return (isinstance(value, float) and abs(value) == float("inf")) or (
            small and value is not None and abs(value) > 2**53
        )

    if not any(map(gone, drawn.values)):
        return drawn
    values = [None if gone(value) else value for value in drawn.values]
    return Drawn(f"{drawn.sort} of list", drawn.sort, values, values)
