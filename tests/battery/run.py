"""The battery's cases: an estimator fitted on a table of one form, its records, and what the bare model says."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.utils import all_estimators

from grid_inference.errors import GridInferenceError
from tests.battery.records import Published

ROWS = 90
KINDS = ("classifier", "regressor", "cluster", "outlier_detector")
FORMS = ("float64", "float32", "int64", "gaps")
TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "int64": 1e-9, "gaps": 1e-9}
QUICKER = {"n_estimators": 5, "max_iter": 100, "n_init": 1}


@dataclass(frozen=True)
class Case:
    """An estimator class on a table of one form."""

    kind: type
    task: str
    form: str

    @property
    def name(self) -> str:
        return f"{self.kind.__name__} of {self.form}"


@dataclass(frozen=True)
class Held:
    """What came of a case: nothing to say if all was equal."""

    name: str
    said: str = ""
    differs: bool = False


def cases() -> Iterator[Case]:
    """In turn every estimator of scikit-learn that predicts, by every form."""
    seen = set[str]()
    for task in KINDS:
        for name, kind in all_estimators(type_filter=None if task == "outlier_detector" else task):
            detects = task != "outlier_detector" or name in {
                "IsolationForest", "OneClassSVM", "LocalOutlierFactor", "EllipticEnvelope", "SGDOneClassSVM",
            }  # fmt: skip
            if name in seen or not detects or not hasattr(kind, "predict"):
                continue
            seen.add(name)
            yield from (Case(kind, task, form) for form in FORMS)


def held(case: Case) -> Held:
    """A case against the bare model; an estimator that can't be fitted on such a table says so."""
    table, target = _table(case.form), _target(case.task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = _made(case.kind).fit(table, target)
            labels = np.asarray(model.predict(table))
        except Exception as error:  # noqa: BLE001  # it takes other inputs than this
            return Held(case.name, f"the bare model refuses: {type(error).__name__}")
        try:
            published = Published(model, sample=table)
        except GridInferenceError as error:
            return Held(case.name, f"refused: {error}")
        for form in ("compact", "json"):
            for batch in (0, 1):
                rows = table if not batch else table.iloc[:5]
                if said := _difference(published.answers(rows, form, batch=batch), labels, case):
                    return Held(case.name, f"{form}, batches of {batch or 'all'}: {said}", differs=True)
    return Held(case.name)


def _difference(answers: list[Any], labels: np.ndarray, case: Case) -> str:
    for row, answer in enumerate(answers):
        if answer.refused:
            return f"row {row} is refused, the bare model says {labels[row]}: {answer.refused}"
        if answer.label is None:
            mine = answer.scores or (answer.score,)
            if not np.allclose(mine, labels[row], rtol=TOLERANCE[case.form], atol=TOLERANCE[case.form]):
                return f"row {row} is {mine}, not {labels[row]}"
        else:
            said = labels[row]
            if case.task == "outlier_detector":
                said = "inlier" if said == 1 else "outlier"
            if answer.label != str(said):
                return f"row {row} is {answer.label}, not {said}"
    return ""


def _table(form: str) -> pd.DataFrame:
    random = np.random.default_rng(7)
    table = pd.DataFrame(np.abs(random.normal(size=(ROWS, 4))), columns=["age", "amount", "hour", "rate"])
    if form == "int64":
        return (table * 10).astype("int64")
    if form == "gaps":
        return table.mask(random.random(table.shape) < 0.1)
    return table.astype(form)


def _target(task: str) -> Any:
    base = _table("float64")
    value = base["age"] - base["amount"]
    return value + 5 if task == "regressor" else np.where(value > 0, "yes", "no") if task == "classifier" else None


def _made(kind: type) -> Any:
    regressor = issubclass(kind, RegressorMixin) and not issubclass(kind, ClassifierMixin)
    inner = LinearRegression() if regressor else LogisticRegression()
    given = {"estimator": inner, "estimators": [("one", inner)], "novelty": True, "random_state": 0}
    model = kind(**{name: value for name, value in given.items() if name in inspect.signature(kind).parameters})
    own = model.get_params(deep=False)
    quicker = {name: most for name, most in QUICKER.items() if isinstance(own.get(name), int) and own[name] > most}
    return model.set_params(**quicker)
