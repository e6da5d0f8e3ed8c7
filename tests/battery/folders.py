"""Subjects in MLflow: folders of its flavours and of what somebody has written, asked by MLflow itself.

MLflow is imported when the first folder is made: its import warns of its own type hints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from tests.battery.bare import Said, of_certain, of_classes, of_values
from tests.battery.boosters import KINDS
from tests.battery.subjects import Fitted, Subject, behind_columns, made
from tests.battery.tables import Form

__all__ = ["folders"]

FORMS = {
    "signed": ("float64", "float32", "int64", "bool", "gaps", "columns", "mixed"),
    "unsigned": ("float64", "int64", "mixed"),
    "predict_proba": ("float64", "columns"),
}
MLFLOW: tuple[tuple[type, str], ...] = (
    (LogisticRegression, "two classes"),
    (LogisticRegression, "three classes"),
    (RandomForestClassifier, "two classes"),
    (HistGradientBoostingClassifier, "two classes"),
    (DecisionTreeClassifier, "three classes"),
    (GaussianNB, "two classes"),
    (KNeighborsClassifier, "three classes"),
    (LinearDiscriminantAnalysis, "two classes"),
    (MLPClassifier, "two classes"),
    (SVC, "two classes"),
    (LinearSVC, "three classes"),
    (LinearRegression, "value"),
    (Ridge, "several values"),
    (RandomForestRegressor, "several values"),
    (GradientBoostingRegressor, "value"),
    (SVR, "value"),
    (KMeans, "clusters"),
    (IsolationForest, "outliers"),
)


def folders() -> Iterator[Subject]:
    """Of scikit-learn's, of boosters, and of a function."""
    for kind, task in MLFLOW:
        for variant in ("signed", "unsigned", "predict_proba"):
            if variant == "predict_proba" and not (task.endswith("classes") and hasattr(made(kind, task), variant)):
                continue
            yield Subject("MLflow", kind.__name__, task, partial(_mlflow, kind, task, variant), FORMS[variant], variant)
    for kind, given in KINDS:
        task = "two classes" if kind.__name__.endswith("Classifier") else "value"
        fit = partial(_mlflow_booster, kind, given, task)
        single = kind.__name__.startswith("XGB")
        yield Subject("MLflow", kind.__name__, task, fit, ("float64", "float32", "int64", "gaps"), "signed", single)
    for task in ("two classes", "value", "several values"):
        fit = partial(_pyfunc, task)
        yield Subject("MLflow", "PythonModel", task, fit, ("float64", "float32", "int64", "bool", "gaps", "columns"))


def _mlflow(kind: type, task: str, variant: str, form: Form, target: Any, folder: Path) -> Fitted:
    import mlflow.sklearn  # noqa: PLC0415

    model = behind_columns(made(kind, task), form).fit(form.fitted, target)
    function = variant if variant == "predict_proba" else "predict"
    mlflow.sklearn.save_model(
        model,
        folder / "model",
        signature=None if variant == "unsigned" else _signature(form.fitted, getattr(model, function)),
        serialization_format="cloudpickle",
        pip_requirements=["mlflow"],
        pyfunc_predict_fn=function,
    )
    return _folder(folder / "model", task, getattr(model, "classes_", None))


def _mlflow_booster(kind: type, given: Any, task: str, form: Form, target: Any, folder: Path) -> Fitted:
    import mlflow.lightgbm  # noqa: PLC0415
    import mlflow.xgboost  # noqa: PLC0415

    target = np.unique(target, return_inverse=True)[1] if task == "two classes" else target
    model = kind(**given).fit(form.fitted, target)
    flavour = mlflow.xgboost if kind.__module__.startswith("xgboost") else mlflow.lightgbm
    signature = _signature(form.fitted, model.predict)
    flavour.save_model(model, folder / "model", signature=signature, pip_requirements=["mlflow"])
    return _folder(folder / "model", task, getattr(model, "classes_", None))


def _rule(task: str) -> Callable[[pd.DataFrame], Any]:
    """What somebody has written, of two of the columns, which all forms have."""

    def ask(rows):
        value = rows["age"].astype(float) - rows["amount"].astype(float)
        if task == "value":
            return value
        if task == "several values":
            return pd.DataFrame({"one": value, "other": value * 2})
        return np.where(value > 0, "yes", "no")

    return ask


def _pyfunc(task: str, form: Form, _target: Any, folder: Path) -> Fitted:
    import mlflow.pyfunc  # noqa: PLC0415

    ask = _rule(task)

    class Rule(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input: pd.DataFrame, params=None):
            del context, params
            return ask(model_input)

    mlflow.pyfunc.save_model(
        folder / "model",
        python_model=Rule(),
        signature=_signature(form.fitted, ask),
        pip_requirements=["mlflow"],
    )
    return _folder(folder / "model", task, np.array(["no", "yes"]))


def _signature(rows: Any, ask: Callable[[Any], Any]) -> Any:
    from mlflow.models import infer_signature  # noqa: PLC0415

    return infer_signature(rows, ask(rows))


def _folder(path: Path, task: str, classes: Any) -> Fitted:
    """As MLflow itself asks the folder."""
    import mlflow.pyfunc  # noqa: PLC0415

    loaded = mlflow.pyfunc.load_model(str(path))
    names = [str(each) for each in classes] if task.endswith("classes") else None

    def said(rows: Any) -> Said:
        found = np.asarray(loaded.predict(rows))
        if names is None:
            return of_values(found)
        if found.ndim == 2 and found.shape[1] == len(names):
            return of_classes(found, [names[each] for each in found.argmax(axis=1)], names)
        return of_certain(found.reshape(-1), names)

    return Fitted(str(path), said, {"classes": names} if names else {})
