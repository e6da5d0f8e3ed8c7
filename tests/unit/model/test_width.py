"""How many values a regressor gives for a record is known before it is published: learned, said, asked, or refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema, TensorSpec
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, LogisticRegression, RANSACRegressor, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from grid_inference.errors import SignatureError
from grid_inference.model.engines.native import engine_of, library_of
from grid_inference.model.engines.width import settled
from grid_inference.model.signature import Signature
from grid_inference.model.store.artifact import read_file
from grid_inference.model.store.making import inputs_of, make
from tests.cases import BINARY, TEXTS, VALUES

THREE = np.column_stack([VALUES, VALUES[:, 0]])


def encoded(last: Any) -> Any:
    columns = ColumnTransformer([("numbers", StandardScaler(), ["a", "b"]), ("texts", OneHotEncoder(), ["kind"])])
    return make_pipeline(columns, last)


LASTS = [
    LinearRegression(),
    KNeighborsRegressor(3),
    KernelRidge(),
    GaussianProcessRegressor(),
    RandomForestRegressor(3, random_state=0),
    TransformedTargetRegressor(Ridge()),
    RANSACRegressor(LinearRegression(), random_state=0),
    GridSearchCV(KernelRidge(), {"alpha": [1.0]}, cv=2),
    MLPRegressor(hidden_layer_sizes=(3,), max_iter=20, random_state=0),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.parametrize("last", LASTS, ids=lambda last: type(last).__name__)
@pytest.mark.parametrize("values", [THREE, THREE[:, :1], THREE[:, 0]], ids=["three", "a column", "one"])
def test_behind_a_column_transformer_without_a_sample(last: Any, values: Any) -> None:
    model = encoded(last).fit(TEXTS, values)
    expected = 3 if values.ndim == 2 and values.shape[1] == 3 else 0
    made = make(model)
    assert made.signature.outputs == expected
    engine = engine_of(model, made.signature)
    scores, good, failures = engine.score(inputs_of(TEXTS[:20], made.signature))
    assert (len(good), failures) == (20, [])
    bare = model.predict(TEXTS[:20])
    np.testing.assert_allclose(scores.scores if expected else scores.score, np.squeeze(bare), rtol=0, atol=1e-9)


def test_a_target_transformed_around_all_steps() -> None:
    assert make(TransformedTargetRegressor(encoded(Ridge())).fit(TEXTS, THREE)).signature.outputs == 3


def test_a_class_of_one_value_needs_no_answer() -> None:
    model = HistGradientBoostingRegressor(max_iter=2).fit(TEXTS.assign(kind=TEXTS.kind.astype("category")), THREE[:, 0])
    assert make(model).signature.outputs == 0


class Odd(RegressorMixin, BaseEstimator):
    """A regressor that takes frames of known texts only."""

    def fit(self, frame: Any, values: Any) -> Odd:
        self.feature_names_in_, self.means_ = np.array(frame.columns, object), values[:3]
        return self

    def predict(self, frame: Any) -> Any:
        return self.means_[frame["kind"].map({"x": 0, "y": 1, "z": 2}).astype(int)]


def test_what_nothing_tells_is_asked_for() -> None:
    model = Odd().fit(TEXTS, THREE)
    with pytest.raises(SignatureError, match="nothing tells how many values") as caught:
        make(model)
    assert caught.value.remedy == "give rows of its inputs as the sample"
    assert make(model, sample=TEXTS[:5]).signature.outputs == 3


def test_a_row_of_the_sample_with_a_gap_tells_nothing() -> None:
    model = encoded(KernelRidge()).fit(TEXTS, THREE)  # raises for a gap
    gaps = TEXTS[:5].assign(a=[None, 1.0, 2.0, 3.0, 4.0])
    signature = Signature.of(model, sample=gaps)
    assert settled(engine_of(model, signature), inputs_of(gaps, signature)).outputs == 3


# ---- MLflow

INPUTS = Schema([ColSpec("double", "a"), ColSpec("double", "b"), ColSpec("string", "kind")])


def saved(model: Any, folder: Path, outputs: Schema | None) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            model,
            folder / "model",
            signature=ModelSignature(INPUTS, outputs),
            serialization_format="cloudpickle",
            pip_requirements=["mlflow"],
        )
    return folder / "model"


OUTPUTS = {
    "a tensor": (Schema([TensorSpec(np.dtype(float), (-1, 3))]), 3),
    "columns": (Schema([ColSpec("double", name) for name in "xyz"]), 3),
}


@pytest.mark.parametrize("said", OUTPUTS)
def test_the_signature_of_an_mlflow_model_says_its_outputs(said: str, tmp_path: Path) -> None:
    schema, count = OUTPUTS[said]
    path = saved(encoded(KNeighborsRegressor(3)).fit(TEXTS, THREE), tmp_path, schema)
    made = make(path)
    assert made.signature.outputs == count
    model = read_file(path)
    library = library_of(model)
    assert library is not None
    scores, good, failures = library.engine(model, made.signature).score(inputs_of(TEXTS[:9], made.signature))
    assert (len(good), failures) == (9, [])
    np.testing.assert_array_equal(scores.scores, mlflow.sklearn.load_model(str(path)).predict(TEXTS[:9]))


@pytest.mark.parametrize("schema", [Schema([ColSpec("double")]), Schema([TensorSpec(np.dtype(float), (-1,))])])
def test_one_output_needs_no_answer(schema: Schema, tmp_path: Path) -> None:
    made = make(saved(encoded(KNeighborsRegressor(3)).fit(TEXTS, THREE[:, 0]), tmp_path, schema))
    assert made.signature.outputs == 0


def test_a_signature_of_inputs_alone(tmp_path: Path) -> None:
    path = saved(encoded(KNeighborsRegressor(3)).fit(TEXTS, THREE), tmp_path, None)
    with pytest.raises(SignatureError, match="nothing tells how many values"):
        make(path)
    assert make(path, sample=TEXTS[:5]).signature.outputs == 3


def test_numbers_are_asked_for_zeros(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": TEXTS.a, "b": TEXTS.b})
    model = KNeighborsRegressor(3).fit(frame, THREE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            model,
            tmp_path / "model",
            signature=infer_signature(frame),
            serialization_format="cloudpickle",
            pip_requirements=["mlflow"],
        )
    assert make(tmp_path / "model").signature.outputs == 3


def test_texts_need_their_classes(tmp_path: Path) -> None:
    path = saved(encoded(LogisticRegression()).fit(TEXTS, BINARY), tmp_path, Schema([ColSpec("string")]))
    with pytest.raises(SignatureError, match="gives texts, no numbers") as caught:
        make(path)
    assert "classes = [...]" in caught.value.remedy
    assert make(path, classes=["no", "yes"]).signature.task == "classifier"
