"""The program on each language's page in docs/clients/: what it hears and reads are the predictions of what it puts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

import grid_inference as gi
from grid_inference.wire.keys import DataKey, encode_keys
from tests.interop.conftest import COLUMNS, Command, lines_of

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

PROGRAMS = {"go": "transfers", "java": "Transfers", "node": "transfers.js", "python": "transfers.py"}
RECORDS = ((912.35, 3.0, 81.7), (12.5, 15.0, 1.25), (312.5, 12.0, 81.7))
"""COLUMNS of the transfers: a Compact record, a JSON value, a Compact record."""
INT_KEYS = (("order-1", None), (4711, None), (4711, "int"))
DOUBLE_KEYS = (("order-1", None), (4711, None), (47.5, None))
KEYS = {"go": INT_KEYS, "java": INT_KEYS, "node": DOUBLE_KEYS, "python": DOUBLE_KEYS}
"""Their keys, and what Python calls the kind if it is not its own."""


@dataclass
class Run:
    """What the program of a language printed, by the first word of the line, and what Python then read by the keys."""

    language: str
    printed: dict[str, list[list[str]]]
    records: list[object]
    predictions: list[gi.Prediction | None]
    size: int


@pytest.fixture(scope="module", params=PROGRAMS)
def run(request: pytest.FixtureRequest, interop_grid: gi.Grid, bare_model: Pipeline) -> Iterator[Run]:
    """One run of each, on a map that is empty before and after."""
    language = request.param
    command: Command = request.getfixturevalue(f"{language}_command")
    topic = {"kind": "reliable"} if language == "node" else None
    interop_grid.deploy("scam", bare_model, features="transfers", columns=COLUMNS, topic=topic)
    assert interop_grid.verify("scam").complete, "from here on each record is scored once"
    lines = [line.split() for line in lines_of(*command(PROGRAMS[language]))]
    keys = [DataKey(encode_keys([value], kind)[0]) for value, kind in KEYS[language]]
    features, predictions = interop_grid.features("transfers"), interop_grid.predictions("scam")
    yield Run(
        language,
        {first: [words[1:] for words in lines if words[0] == first] for first in ("event", "message", "read")},
        [features.get(key) for key in keys],
        [predictions.get_current(key) for key in keys],
        features.size(),
    )
    for key in keys:
        features.remove(key)
    assert interop_grid.verify("scam").complete, "the predictions are gone with their records"
    interop_grid.undeploy("scam")


@pytest.fixture
def expected(run: Run, bare_model: Pipeline) -> list[tuple[str, str, float]]:
    """Key as text, label and score of each, in order."""
    labels, scores = bare_model.predict(np.array(RECORDS)), bare_model.predict_proba(np.array(RECORDS))[:, 1]
    return [
        (str(key), str(label), pytest.approx(score, rel=0, abs=1e-12))
        for (key, _), label, score in zip(KEYS[run.language], labels, scores, strict=True)
    ]


def numbered(lines: list[list[str]]) -> list[tuple[str, str, float]]:
    return [(key, label, float(score)) for key, label, score, *_ in lines]


def in_order(lines: list[tuple[str, str, float]]) -> list[tuple[str, str, float]]:
    """Two of them have equal keys and labels that differ."""
    return sorted(lines, key=lambda line: line[:2])


def test_it_reads_the_predictions_of_its_records(run: Run, expected: list[tuple[str, str, float]]):
    assert numbered(run.printed["read"]) == expected
    assert [line[3] for line in run.printed["read"]] == [
        str(found.version) for found in run.predictions if found is not None
    ]


@pytest.mark.parametrize("way", ["event", "message"])
def test_it_hears_them(run: Run, expected: list[tuple[str, str, float]], way: str):
    assert in_order(numbered(run.printed[way])) == in_order(expected)


def test_python_finds_them_under_the_same_keys(run: Run, expected: list[tuple[str, str, float]]):
    assert run.records == [dict(zip(COLUMNS, values, strict=True)) for values in RECORDS]
    assert [
        (str(key), found and found.label, found and found.score)
        for (key, _), found in zip(KEYS[run.language], run.predictions, strict=True)
    ] == expected
    assert run.size == len(RECORDS)
