"""What a batch's size may change is found where a model is published, and then scored in calls of one size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, RadiusNeighborsClassifier
from threadpoolctl import threadpool_limits

from grid_inference.errors import SignatureError
from grid_inference.model.engines.steadiness import CALL_ROWS
from tests.battery.records import Published

BATCHES = (1, 40, 129, 1000, 4096)
ROWS = max(BATCHES)
ALONE = 200
"""So many records are asked for one by one."""
RANDOM = np.random.default_rng(16)
NAMES = list("abcdef")


class Crowded(RegressorMixin, BaseEstimator):
    """Says more where it is asked for many rows at once."""

    def __init__(self, many: int = 129) -> None:
        self.many = many

    def fit(self, rows: Any, target: Any) -> Crowded:
        del target
        self.n_features_in_ = rows.shape[1]
        return self

    def predict(self, rows: Any) -> Any:
        return np.asarray(rows, float)[:, 0] + (len(rows) >= self.many)


class Last(Crowded):
    """Says of each row what hangs on the last one of the call."""

    def predict(self, rows: Any) -> Any:
        found = np.asarray(rows, float)[:, 0]
        return found + found[-1]


def frame(values: Any) -> pd.DataFrame:
    return pd.DataFrame(values, columns=NAMES)


def said(published: Published, table: pd.DataFrame) -> dict[int, list[tuple[Any, ...]]]:
    """By the size of the batches, what is said of the records."""
    found = {size: published.answers(table[: ALONE if size == 1 else ROWS], batch=size) for size in BATCHES}
    return {size: [(each.label, each.score, each.scores, each.refused) for each in answers]
            for size, answers in found.items()}  # fmt: skip


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize(
    "model",
    [
        KNeighborsClassifier(5, algorithm="brute"),
        KNeighborsClassifier(5, algorithm="brute", metric="cosine"),
        KNeighborsRegressor(5, algorithm="brute"),
        RadiusNeighborsClassifier(1.5, algorithm="brute", outlier_label=0),
    ],
    ids=str,
)
def test_neighbours_by_brute_force_are_those_of_one_bare_call(model: Any, sampled: bool) -> None:  # noqa: FBT001
    table = frame(RANDOM.normal(size=(ROWS, len(NAMES))))
    model.fit(table[:1000], RANDOM.integers(0, 3, 1000))
    published = Published(model, sample=table if sampled else None)
    assert published.signature.call_rows == CALL_ROWS
    bare = model.predict(table)
    for size, answers in said(published, table).items():
        if hasattr(model, "classes_"):
            assert [label for label, *_ in answers] == [str(label) for label in bare[: len(answers)]], size
        else:
            np.testing.assert_allclose([score for _, score, *_ in answers], bare[: len(answers)], rtol=1e-12)


@pytest.mark.parametrize("sampled", [True, False])
def test_of_equally_near_neighbours_the_same_count_whatever_the_batch(sampled: bool) -> None:  # noqa: FBT001
    table = frame(RANDOM.integers(0, 4, (ROWS, len(NAMES))).astype(float))
    model = KNeighborsClassifier(5, algorithm="brute").fit(table, RANDOM.integers(0, 3, ROWS))
    answers = said(Published(model, sample=table if sampled else None), table)
    assert len({str(each[:ALONE]) for each in answers.values()}) == 1
    assert len({str(each) for size, each in answers.items() if size > 1}) == 1
    with threadpool_limits(1, "openmp"):  # which these are hangs on how many threads look for them
        bare = model.predict(table)
    assert [label for label, *_ in answers[ROWS]] == [str(label) for label in bare]


def test_what_hangs_on_the_size_of_a_call_is_found_at_publish() -> None:
    table = frame(RANDOM.normal(size=(ROWS, len(NAMES))))
    published = Published(Crowded().fit(table.to_numpy(), None), columns=NAMES, sample=table)
    assert published.signature.call_rows == CALL_ROWS
    for size, answers in said(published, table).items():
        assert [score for _, score, *_ in answers] == table["a"][: len(answers)].tolist(), size


def test_a_small_sample_finds_it_too() -> None:
    table = frame(RANDOM.normal(size=(7, len(NAMES))))
    model = Crowded(many=300).fit(table.to_numpy(), None)
    assert Published(model, columns=NAMES, sample=table).signature.call_rows == CALL_ROWS


def test_a_steady_model_is_asked_for_whole_batches() -> None:
    table = frame(RANDOM.normal(size=(ROWS, len(NAMES))))
    model = KNeighborsClassifier(5, algorithm="kd_tree").fit(table, RANDOM.integers(0, 3, ROWS))
    published = Published(model, sample=table)
    assert published.signature.call_rows == 0
    bare = [str(label) for label in model.predict(table)]
    for size, answers in said(published, table).items():
        assert [label for label, *_ in answers] == bare[: len(answers)], size


def test_what_hangs_on_the_mates_in_calls_of_one_size_is_refused() -> None:
    table = frame(RANDOM.normal(size=(600, len(NAMES))))
    with pytest.raises(SignatureError, match="hangs on the records beside it"):
        Published(Last().fit(table.to_numpy(), None), columns=NAMES, sample=table)
