"""Models of one-dimensional input, and ones that give frames of polars: as the bare model, whatever the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.compose import make_column_transformer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from grid_inference.errors import SignatureError
from grid_inference.model.inputs.binding import resolve
from grid_inference.model.signature import Signature
from tests.battery.records import Published

RANDOM = np.random.default_rng(3)
TABLE = pd.DataFrame(RANDOM.random((60, 3)), columns=list("abc")).assign(city=["Ulm", "Bonn", "Trier"] * 20)
TARGET = RANDOM.integers(0, 2, 60)
VALUES = TABLE["a"].to_numpy()


@pytest.mark.parametrize(
    "how",
    [
        {"columns": ["a"]},
        {"columns": ["a"], "sample": VALUES},
        {"columns": ["a"], "sample": VALUES.tolist()},
        {"columns": ["a"], "sample": VALUES[:, None]},
        {"sample": TABLE[["a"]]},
        {"sample": TABLE["a"]},
        {"sample": pl.Series("a", VALUES)},
    ],
    ids=str,
)
def test_isotonic_regression(how: dict[str, Any]) -> None:
    model = IsotonicRegression(out_of_bounds="clip").fit(VALUES, VALUES * 2 + TARGET)
    published = Published(model, **how)
    assert (published.signature.names, published.signature.inputs_count) == (("a",), 1)
    for batch in (0, 1):
        np.testing.assert_allclose(
            [each.score for each in published.answers(TABLE[["a"]], batch=batch)], model.predict(VALUES), rtol=1e-12
        )
    if "sample" in how:
        assert len(published.made.expected.score) == 20


def test_which_field_feeds_one_input_is_asked_for() -> None:
    model = IsotonicRegression().fit(VALUES, VALUES)
    with pytest.raises(SignatureError, match="which record field feeds its one input") as refused:
        resolve(Signature.of(model), None)
    assert refused.value.remedy.startswith('write columns = ["first"]')


def _pipelines() -> dict[str, Any]:
    columns = make_column_transformer((StandardScaler(), ["a", "b"]), (OneHotEncoder(sparse_output=False), ["city"]))
    return {
        "columns": (make_pipeline(columns, LogisticRegression()), [*TABLE]),
        "numbers": (make_pipeline(StandardScaler(), LogisticRegression()), ["a", "b", "c"]),
        "function": (
            make_pipeline(
                StandardScaler(), FunctionTransformer(np.negative, feature_names_out="one-to-one"), LogisticRegression()
            ),
            ["a", "b", "c"],
        ),
        "its own setting": (
            make_pipeline(StandardScaler().set_output(transform="polars"), LogisticRegression()),
            ["a", "b", "c"],
        ),
    }


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("handed", [pd.DataFrame, pl.from_pandas])
@pytest.mark.parametrize("name", _pipelines())
def test_a_model_fitted_to_give_frames_of_polars(name: str, handed: Any, sampled: bool) -> None:  # noqa: FBT001
    model, fields = _pipelines()[name]
    rows = handed(TABLE[fields])
    with sklearn.config_context(transform_output="polars"):
        model.fit(rows, TARGET)
        expected = model.predict_proba(rows)
    published = Published(model, sample=rows if sampled else None)
    for batch in (0, 1):
        found = [each.scores for each in published.answers(TABLE[fields], batch=batch)]
        np.testing.assert_allclose(np.array(found), expected, rtol=1e-12)
