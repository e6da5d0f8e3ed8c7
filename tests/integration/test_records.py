"""Records of every kind, through a real member and a real worker: equal to the bare model."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import grid_inference as gi
from tests.integration.conftest import Names

ROWS = 2_000


def orders(seed: int = 5) -> pd.DataFrame:
    """A table with strings, numbers and gaps."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "city": np.array(["Ghent", "Łódź", "Porto", "Αθήνα"], object)[random.integers(0, 4, ROWS)],
            "amount": random.exponential(40, ROWS),
            "items": random.integers(1, 9, ROWS),
        }
    )
    table.loc[::9, "city"] = None
    table.loc[::7, "amount"] = np.nan
    return table


def test_a_column_transformer_scores_strings_and_gaps_as_by_itself(local_grid: gi.Grid, names: Names) -> None:
    table = orders()
    target = np.where(table["amount"].fillna(0) + 20 * (table["city"] == "Porto") > 40, "late", "early")
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    model = make_pipeline(
        ColumnTransformer([("texts", texts, ["city"]), ("numbers", numbers, ["amount", "items"])]), LogisticRegression()
    ).fit(table.fillna({"city": np.nan}), target)
    local_grid.deploy(names.deployment, model, features=names.features, nan="score")
    local_grid.features(names.features).put_batch(table.assign(key=np.arange(ROWS)), key="key")
    verdict = local_grid.verify(names.deployment, 30.0)
    assert verdict.complete, verdict
    assert (verdict.predictions, verdict.dead_letters) == (ROWS, 0)
    found = local_grid.predictions(names.deployment).get_batch(np.arange(ROWS))
    expected = table.fillna({"city": np.nan})
    np.testing.assert_allclose(found["scores"], model.predict_proba(expected), rtol=0, atol=1e-12)
    assert found["label"].tolist() == model.predict(expected).tolist()
