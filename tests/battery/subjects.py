"""`Subject`: a kind of estimator and what it is to learn; how it is fitted, and what the bare one says.

`scikit_learn` has every one of scikit-learn's that predicts; other libraries' are in `boosters`, other formats' in
`graphs` and `folders`.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, ClusterMixin, OutlierMixin, RegressorMixin
from sklearn.compose import make_column_transformer
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  # makes two more of them known
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture._base import BaseMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import all_estimators, get_tags

from tests.battery.bare import Said, of_estimator
from tests.battery.tables import Form

__all__ = ["NEIGHBOURS", "Fitted", "Subject", "behind_columns", "scikit_learn"]

QUICKER = {"n_estimators": 5, "max_iter": 100, "n_init": 1}
WRAPPERS = frozenset(
    {"GridSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV", "RandomizedSearchCV", "RFE", "RFECV", "Pipeline"}
)
SETTLED: dict[str, dict[str, Any]] = {
    "IsotonicRegression": {"out_of_bounds": "clip"},
    "GaussianProcessRegressor": {"alpha": 1e-3},
}
"""What some need: other rows than those of the fit, a kernel of equal rows that has an inverse."""
BY_NAME: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("MultiOutputRegressor", "RegressorChain", "CCA", "PLSCanonical", "MultiTaskElasticNet",
         "MultiTaskElasticNetCV", "MultiTaskLasso", "MultiTaskLassoCV"), ("several values",),
    ),
    **dict.fromkeys(("MultiOutputClassifier", "ClassifierChain"), ("several labels",)),
    **dict.fromkeys(WRAPPERS, ("two classes", "three classes", "value")),
}  # fmt: skip
"""What those learn that do not say it by their class."""
NEIGHBOURS = frozenset(
    {"KNeighborsClassifier", "KNeighborsRegressor", "LocalOutlierFactor", "NearestCentroid",
     "RadiusNeighborsClassifier", "RadiusNeighborsRegressor"}
)  # fmt: skip
"""Those that look up the nearest rows: by brute force which of equally near ones count hangs on the size of a call."""


@dataclass(frozen=True)
class Fitted:
    """A model that was fitted."""

    source: Any
    """What is handed over."""
    said: Callable[[Any], Said]
    """What the bare model says of rows as the form hands them over."""
    publish: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Subject:
    """A kind of estimator."""

    library: str
    name: str
    task: str
    """What it learns: a target of `tables`, or `outliers`, `clusters`."""
    fit: Callable[[Form, Any, Path], Fitted]
    """Fit one on rows of a form and a target; the folder is for files."""
    forms: tuple[str, ...]
    variant: str = ""
    """How it differs from the one of this name by default."""
    single: bool = False
    """Whether it computes in float32."""


FORMS_OF_ALL = (
    "float64", "float32", "int64", "bool", "gaps", "nullable", "polars", "unsampled", "matrix", "matrix32", "array",
    "mixed",
)  # fmt: skip


def scikit_learn() -> Iterator[Subject]:
    """Every estimator of scikit-learn that predicts, by all that it may learn."""
    for name, kind in all_estimators():
        if not hasattr(kind, "predict"):
            continue
        for task in _tasks(name, kind):
            yield Subject("scikit-learn", name, task, _fitting(kind, task), FORMS_OF_ALL)
            if "algorithm" in inspect.signature(kind).parameters and name in NEIGHBOURS:
                brute = _fitting(kind, task, algorithm="brute")
                yield Subject("scikit-learn", name, task, brute, FORMS_OF_ALL, variant="brute")


def _tasks(name: str, kind: type) -> tuple[str, ...]:
    if name in BY_NAME:
        return BY_NAME[name]
    if issubclass(kind, OutlierMixin):
        return ("outliers",)
    if issubclass(kind, ClusterMixin | BaseMixture):
        return ("clusters",)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some will go with a later version
        tags = get_tags(made(kind, "value"))
    several = tags.target_tags.multi_output
    if issubclass(kind, RegressorMixin):
        return ("value", "several values") if several else ("value",)
    more = ("three classes",) if tags.classifier_tags is not None and tags.classifier_tags.multi_class else ()
    return ("two classes", *more, "several labels") if several else ("two classes", *more)


def made(kind: type, task: str) -> Any:
    """An estimator as it is by default, but quick, and with an inner one where it wants one."""
    name = kind.__name__
    regressor = (issubclass(kind, RegressorMixin) and not issubclass(kind, ClassifierMixin)) or (
        name in WRAPPERS and task == "value"
    )
    inner = LinearRegression() if regressor else LogisticRegression()
    grid = {"fit_intercept": [True, False]}
    given = {
        "estimator": inner, "estimators": [("one", inner)], "steps": [("one", inner)], "novelty": True,
        "random_state": 0, "param_grid": grid, "param_distributions": grid,
    }  # fmt: skip
    if name.startswith("Randomized"):
        given["n_iter"] = 2
    model: Any = kind(**{name: value for name, value in given.items() if name in inspect.signature(kind).parameters})
    own = model.get_params(deep=False)
    quicker = {name: most for name, most in QUICKER.items() if isinstance(own.get(name), int) and own[name] > most}
    return model.set_params(**quicker, **SETTLED.get(name, {}))


def behind_columns(model: Any, form: Form) -> Any:
    """A model that takes texts and gaps, too."""
    if form.name not in {"mixed", "columns"}:
        return model
    texts = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    )
    if form.name == "columns":
        columns = make_column_transformer((StandardScaler(), ["age", "amount"]), (OneHotEncoder(), ["city"]))
        return make_pipeline(columns, model)
    columns = make_column_transformer((SimpleImputer(), ["age"]), (texts, ["city"]), ("passthrough", ["amount", "new"]))
    return make_pipeline(columns, model)


def _fitting(kind: type, task: str, **how: Any) -> Callable[[Form, Any, Path], Fitted]:
    def fit(form: Form, target: Any, _folder: Path) -> Fitted:
        if kind.__name__ == "SelfTrainingClassifier":  # what is not labelled yet is -1
            target = np.where(np.arange(len(target)) % 5 == 0, -1, np.unique(target, return_inverse=True)[1])
        model = behind_columns(made(kind, task).set_params(**how), form).fit(form.fitted, target)
        return Fitted(model, lambda rows: of_estimator(model, rows, task))

    return fit
