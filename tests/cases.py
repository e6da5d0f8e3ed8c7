"""One model of every format and task, with what the bare library says of any rows: for the battery and for the grid."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightgbm
import mlflow.sklearn
import numpy as np
import onnx
import pandas as pd
import xgboost
from mlflow.models import infer_signature
from skl2onnx import to_onnx
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from tests import rules

FIELDS = ("a", "b", "c")
RNG = np.random.default_rng(3)
MATRIX = RNG.normal(size=(400, 3))
FRAME = pd.DataFrame(MATRIX, columns=list(FIELDS))
BINARY = np.where(MATRIX.sum(axis=1) > 0, "yes", "no")
ZERO_ONE = (BINARY == "yes").astype(int)
THREE = np.digitize(MATRIX[:, 0] + MATRIX[:, 1], [-0.7, 0.7])
LABELS = np.stack([MATRIX[:, 0] > 0, MATRIX[:, 1] + MATRIX[:, 2] > 0], axis=1).astype(int)
VALUES = MATRIX @ np.array([[1.0, 0.5], [2.0, -1.0], [0.0, 1.0]])
TEXTS = pd.DataFrame({"a": MATRIX[:, 0], "b": MATRIX[:, 1], "kind": np.array(["x", "y", "z"])[THREE]})
SINGLE, DOUBLE = 1e-5, 1e-12
"""How far scores may be off: of libraries that compute in float32, and of all others."""

Said = tuple[np.ndarray, list[str] | None]
"""Scores, shape (n,) or (n, k), and labels: what a library says."""


@dataclass(frozen=True)
class Case:
    """A model to be published."""

    id: str
    source: Callable[[Path], Any]
    """What is handed over, made in a folder."""
    said: Callable[[Any, pd.DataFrame], Said]
    """What the library itself says of rows; its first argument is what `source` made."""
    rows: Callable[[int], pd.DataFrame]
    task: str
    format: str
    publish: dict[str, Any] = field(default_factory=dict[str, Any])
    tolerance: float = DOUBLE
    takes_nan: bool = False


def plain_rows(count: int) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(count).normal(size=(count, 3)), columns=list(FIELDS))


def mixed_rows(count: int) -> pd.DataFrame:
    rows = plain_rows(count)
    return rows[["a", "b"]].assign(kind=np.array(["x", "y", "z"])[np.arange(count) % 3])


def of_classifier(model: Any, rows: pd.DataFrame) -> Said:
    handed = rows if hasattr(model, "feature_names_in_") else rows.to_numpy()
    return model.predict_proba(handed), list(map(str, model.predict(handed)))


def of_regressor(model: Any, rows: pd.DataFrame) -> Said:
    return model.predict(rows.to_numpy()), None


CASES: list[Case] = []


def case(name: str, task: str, form: str, said: Any = of_classifier, **more: Any) -> Callable[[Any], Any]:
    """Enter what makes a model."""

    def enter(source: Callable[[Path], Any]) -> Callable[[Path], Any]:
        rows = more.pop("rows", plain_rows)
        CASES.append(Case(name, source, said, rows, task, form, **more))
        return source

    return enter


# ---- scikit-learn

MATRIX_ONLY = {"columns": FIELDS, "sample": MATRIX[:30]}


@case("skops linear", "classifier", "skops", publish=MATRIX_ONLY)
def _(_folder: Path) -> Any:
    return LogisticRegression().fit(MATRIX, BINARY)


@case("skops forest of three classes", "classifier", "skops", publish=MATRIX_ONLY)
def _(_folder: Path) -> Any:
    return RandomForestClassifier(10, random_state=0).fit(MATRIX, THREE)


def plus_one(matrix):
    return matrix + 1


@case("joblib with a function of its own", "classifier", "joblib", publish=MATRIX_ONLY)
def _(_folder: Path) -> Any:
    return make_pipeline(FunctionTransformer(plus_one), LogisticRegression()).fit(MATRIX, BINARY)


def of_labels(model: Any, rows: pd.DataFrame) -> Said:
    proba = np.stack([each[:, 1] for each in model.predict_proba(rows.to_numpy())], axis=1)
    on = model.predict(rows.to_numpy())
    return proba, [", ".join(str(label) for label in np.flatnonzero(row)) for row in on]


@case("skops several labels", "multilabel", "skops", of_labels, publish=MATRIX_ONLY)
def _(_folder: Path) -> Any:
    return RandomForestClassifier(10, random_state=0).fit(MATRIX, LABELS)


@case("skops several outputs", "regressor", "skops", of_regressor, publish=MATRIX_ONLY)
def _(_folder: Path) -> Any:
    return RandomForestRegressor(10, random_state=0).fit(MATRIX, VALUES)


def of_detector(model: Any, rows: pd.DataFrame) -> Said:
    outlier = model.predict(rows.to_numpy()) == -1
    return model.decision_function(rows.to_numpy()), ["outlier" if each else "inlier" for each in outlier]


@case("skops outliers", "outlier_detector", "skops", of_detector, publish=MATRIX_ONLY)
def _(_folder: Path) -> Any:
    return IsolationForest(n_estimators=10, random_state=0).fit(MATRIX)


def of_clusters(model: Any, rows: pd.DataFrame) -> Said:
    return model.transform(rows.to_numpy()), list(map(str, model.predict(rows.to_numpy())))


@case("skops clusters", "clusterer", "skops", of_clusters, publish=MATRIX_ONLY)
def _(_folder: Path) -> Any:
    return KMeans(3, n_init=1, random_state=0).fit(MATRIX)


# ---- ONNX


def of_onnx(model: Any, rows: pd.DataFrame) -> Said:
    content = Path(model).read_bytes() if isinstance(model, str | Path) else model.SerializeToString()
    import onnxruntime  # noqa: PLC0415

    session = onnxruntime.InferenceSession(content)
    dtypes = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(string)": object}
    inputs = session.get_inputs()
    if len(inputs) == 1:
        feed = {inputs[0].name: rows.to_numpy().astype(dtypes[inputs[0].type])}
    else:
        feed = {each.name: rows[[each.name]].to_numpy().astype(dtypes[each.type]) for each in inputs}
    found = session.run(None, feed)
    if len(found) == 1:
        return found[0], None
    labels, proba = found
    if isinstance(proba, list):
        proba = np.array([list(each.values()) for each in proba])
    return proba, list(map(str, labels))


@case(
    "onnx linear", "classifier", "onnx", of_onnx, publish={"columns": FIELDS, "sample": MATRIX[:30]}, tolerance=SINGLE
)
def _(_folder: Path) -> Any:
    return to_onnx(LogisticRegression().fit(MATRIX, BINARY), MATRIX[:1].astype(np.float32))


@case("onnx double", "classifier", "onnx", of_onnx, publish={"columns": FIELDS})
def _(_folder: Path) -> Any:
    return to_onnx(LogisticRegression().fit(MATRIX, THREE), MATRIX[:1], options={"zipmap": False})


@case("onnx file", "classifier", "onnx", of_onnx, publish={"columns": FIELDS}, tolerance=SINGLE)
def _(folder: Path) -> Any:
    forest = RandomForestClassifier(10, random_state=0).fit(MATRIX, BINARY)
    onnx.save(to_onnx(forest, MATRIX[:1].astype(np.float32)), folder / "forest.onnx")
    return folder / "forest.onnx"


@case("onnx several outputs", "regressor", "onnx", of_onnx, publish={"columns": FIELDS})
def _(_folder: Path) -> Any:
    return to_onnx(LinearRegression().fit(MATRIX, VALUES), MATRIX[:1])


@case("onnx columns", "classifier", "onnx", of_onnx, publish={"sample": TEXTS[:30]}, rows=mixed_rows, tolerance=SINGLE)
def _(_folder: Path) -> Any:
    columns = ColumnTransformer([("numbers", StandardScaler(), ["a", "b"]), ("texts", OneHotEncoder(), ["kind"])])
    model = make_pipeline(columns, LogisticRegression()).fit(TEXTS, BINARY)
    return to_onnx(model, TEXTS.astype({"a": np.float32, "b": np.float32})[:1])


# ---- boosters


@case("xgboost", "classifier", "xgboost", publish={"sample": FRAME[:30]}, takes_nan=True)
def _(_folder: Path) -> Any:
    return xgboost.XGBClassifier(n_estimators=10).fit(FRAME, ZERO_ONE)


@case("xgboost three classes", "classifier", "xgboost", publish={"columns": FIELDS}, takes_nan=True)
def _(_folder: Path) -> Any:
    return xgboost.XGBClassifier(n_estimators=10).fit(MATRIX, THREE)


def of_xgboost_labels(model: Any, rows: pd.DataFrame) -> Said:
    on = model.predict(rows.to_numpy())
    return model.predict_proba(rows.to_numpy()), [", ".join(str(label) for label in np.flatnonzero(row)) for row in on]


@case("xgboost several labels", "multilabel", "xgboost", of_xgboost_labels, publish={"columns": FIELDS})
def _(_folder: Path) -> Any:
    return xgboost.XGBClassifier(n_estimators=10).fit(MATRIX, LABELS)


@case("xgboost several outputs", "regressor", "xgboost", of_regressor, publish={"columns": FIELDS})
def _(_folder: Path) -> Any:
    return xgboost.XGBRegressor(n_estimators=10).fit(MATRIX, VALUES)


def of_booster(model: Any, rows: pd.DataFrame) -> Said:
    booster = xgboost.Booster()
    booster.load_model(model)
    second = booster.predict(xgboost.DMatrix(rows.to_numpy(), feature_names=list(FIELDS)))
    return np.stack([1 - second, second], axis=1), ["fraud" if each > 0.5 else "good" for each in second]


@case("xgboost file", "classifier", "xgboost", of_booster, publish={"classes": ["good", "fraud"]})
def _(folder: Path) -> Any:
    data = xgboost.DMatrix(MATRIX, ZERO_ONE, feature_names=list(FIELDS))
    xgboost.train({"objective": "binary:logistic"}, data, 10).save_model(folder / "booster.ubj")
    return folder / "booster.ubj"


@case("lightgbm", "classifier", "lightgbm", publish={"columns": FIELDS, "sample": MATRIX[:30]}, takes_nan=True)
def _(_folder: Path) -> Any:
    return lightgbm.LGBMClassifier(n_estimators=10, verbose=-1).fit(MATRIX, BINARY)


@case("lightgbm three classes", "classifier", "lightgbm", publish={"columns": FIELDS})
def _(_folder: Path) -> Any:
    return lightgbm.LGBMClassifier(n_estimators=10, verbose=-1).fit(MATRIX, THREE)


def of_lightgbm_file(model: Any, rows: pd.DataFrame) -> Said:
    return lightgbm.Booster(model_file=str(model)).predict(rows.to_numpy()), None


@case("lightgbm file", "regressor", "lightgbm", of_lightgbm_file)
def _(folder: Path) -> Any:
    model = lightgbm.LGBMRegressor(n_estimators=10, verbose=-1).fit(FRAME, VALUES[:, 0])
    model.booster_.save_model(folder / "booster.txt")
    return folder / "booster.txt"


# ---- MLflow


def saved(model: Any, folder: Path, signed: pd.DataFrame | None = None) -> Path:
    """MLflow warns of much that is no concern of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = None if signed is None else infer_signature(signed, model.predict(signed))
        mlflow.sklearn.save_model(
            model,
            folder / "model",
            signature=signature,
            serialization_format="cloudpickle",
            pip_requirements=["mlflow"],
        )
    return folder / "model"


def of_mlflow(model: Any, rows: pd.DataFrame) -> Said:
    labels = mlflow.sklearn.load_model(str(model)).predict(rows)
    return (np.asarray(labels)[:, None] == np.array(["no", "yes"])).astype(float), list(labels)


@case("mlflow classifier", "classifier", "mlflow", of_mlflow, publish={"classes": ["no", "yes"]}, rows=mixed_rows)
def _(folder: Path) -> Any:
    columns = ColumnTransformer([("numbers", StandardScaler(), ["a", "b"]), ("texts", OneHotEncoder(), ["kind"])])
    model = make_pipeline(columns, LogisticRegression()).fit(TEXTS, BINARY)
    return saved(model, folder, signed=TEXTS)


def of_mlflow_regressor(model: Any, rows: pd.DataFrame) -> Said:
    return mlflow.sklearn.load_model(str(model)).predict(rows), None


@case("mlflow regressor", "regressor", "mlflow", of_mlflow_regressor, publish={"sample": FRAME[:30]})
def _(folder: Path) -> Any:
    model = LinearRegression().fit(FRAME, VALUES[:, 0])
    return saved(model, folder)


# ---- Python functions


def of_function(model: str, rows: pd.DataFrame) -> Said:
    name = model.partition(":")[2]
    found = np.asarray(getattr(rules, name)(rows if name in {"verdict", "value"} else rows.to_numpy()))
    if name == "chance":
        return np.stack([1 - found, found], axis=1), ["high" if each > 0.5 else "low" for each in found]
    if name == "chances":
        return found, [FIELDS[each] for each in found.argmax(axis=1)]
    if name == "verdict":
        return (found[:, None] == np.array(["no", "yes"])).astype(float), found.tolist()
    return found, None


@case(
    "function of chances",
    "classifier",
    "function",
    of_function,
    publish={"columns": FIELDS, "classes": ["low", "high"]},
)
def _(_folder: Path) -> Any:
    return "tests.rules:chance"


@case("function of three", "classifier", "function", of_function, publish={**MATRIX_ONLY, "classes": FIELDS})
def _(_folder: Path) -> Any:
    return "tests.rules:chances"


@case("function of labels", "classifier", "function", of_function,
      publish={"sample": FRAME[:30], "classes": ["no", "yes"]})  # fmt: skip
def _(_folder: Path) -> Any:
    return "tests.rules:verdict"


@case("function of values", "regressor", "function", of_function, publish={"sample": FRAME[:30]})
def _(_folder: Path) -> Any:
    return "tests.rules:value"


@case("function of several values", "regressor", "function", of_function, publish=MATRIX_ONLY)
def _(_folder: Path) -> Any:
    return "tests.rules:values"


# ---- translated to ONNX where that is faster


@case("compiled forest", "classifier", "compiled", tolerance=SINGLE,
      publish={"columns": FIELDS, "sample": MATRIX, "compile": True})  # fmt: skip
def _(_folder: Path) -> Any:
    return RandomForestClassifier(10, random_state=0).fit(MATRIX, BINARY)


def of_pipeline(model: Any, rows: pd.DataFrame) -> Said:
    return model.predict_proba(rows), model.predict(rows).tolist()


@case("compiled columns", "classifier", "compiled", of_pipeline, tolerance=SINGLE, rows=mixed_rows,
      publish={"sample": TEXTS, "compile": True})  # fmt: skip
def _(_folder: Path) -> Any:
    columns = ColumnTransformer([("numbers", StandardScaler(), ["a", "b"]), ("texts", OneHotEncoder(), ["kind"])])
    return make_pipeline(columns, RandomForestClassifier(10, random_state=0)).fit(TEXTS, BINARY)
