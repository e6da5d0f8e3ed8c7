"""Any values are counted, once each, and nothing in the statistics is what JSON can't hold."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from grid_inference.drift.distance import SHARE_FLOOR, psi
from grid_inference.model.store.statistics import Column, Statistics

NUMBERS = st.lists(st.floats(width=64) | st.integers(-3, 3).map(float), min_size=1, max_size=60)
TEXTS = st.lists(
    st.text(max_size=4) | st.sampled_from(["a", "b"]) | st.none() | st.just(math.nan), min_size=1, max_size=60
)
COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=20).filter(any)


def described(values: Any, live: Any) -> None:
    """Each value falls into one bin, in training and at work."""
    column = Column.of("a", values)
    if column is None:
        return
    statistics = Statistics(values.size, (column,), 0, ())
    text = json.dumps(statistics.to_mapping(), allow_nan=False)
    assert Statistics.from_mapping(json.loads(text)) == statistics
    counts, sums = column.bins().count(live)
    assert counts.sum() == live.size
    assert counts.size == sums.size == len(column.shares) == column.bins().size
    assert np.isfinite(sums).all()
    own, _ = column.bins().count(values)
    np.testing.assert_allclose(own / values.size, column.shares)


@given(NUMBERS, NUMBERS)
def test_numbers(training: list[float], live: list[float]) -> None:
    described(np.array(training), np.array(live))


@given(TEXTS, TEXTS)
def test_texts(training: list[Any], live: list[Any]) -> None:
    one, other = np.empty(len(training), object), np.empty(len(live), object)
    one[:], other[:] = training, live
    described(one, other)


@given(COUNTS, st.data())
def test_psi_is_the_formula_for_any_shares(one: list[int], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.integers(0, 1000), min_size=len(one), max_size=len(one)).filter(any))
    shares = [[max(n / sum(some), SHARE_FLOOR) for n in some] for some in (one, other)]
    expected = sum((q - p) * math.log(q / p) for p, q in zip(*shares, strict=True))
    found = psi([n / sum(one) for n in one], [n / sum(other) for n in other])
    assert math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)
    assert found >= 0
    assert math.isclose(found, psi([n / sum(other) for n in other], [n / sum(one) for n in one]), abs_tol=1e-12)
