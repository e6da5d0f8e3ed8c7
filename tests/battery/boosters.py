"""Subjects of XGBoost and LightGBM: their estimators by objective and kind of booster, and boosters themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import xgboost
from scipy.special import softmax

from tests.battery.bare import VALUES, Said, of_classes, of_estimator, of_values
from tests.battery.subjects import FORMS_OF_ALL, Fitted, Subject
from tests.battery.tables import FITTED, Form

__all__ = ["KINDS", "boosters"]

FORMS = (*(name for name in FORMS_OF_ALL if name != "mixed"), "large")
FEW = ("float64", "int64", "gaps", "matrix", "array")
TREES = 5
LIGHT = {"n_estimators": TREES, "verbose": -1, "min_child_samples": 5, "num_threads": 1}
Given = dict[str, Any]
KINDS = (
    (xgboost.XGBClassifier, {"n_estimators": TREES}),
    (xgboost.XGBRegressor, {"n_estimators": TREES}),
    (lightgbm.LGBMClassifier, LIGHT),
    (lightgbm.LGBMRegressor, LIGHT),
)
"""Those that other formats hold, too."""

XGBOOST: tuple[tuple[str, str, str, Given], ...] = (
    ("XGBClassifier", "two classes", "", {}),
    ("XGBClassifier", "three classes", "", {}),
    ("XGBClassifier", "several labels", "", {}),
    ("XGBClassifier", "two classes", "dart", {"booster": "dart", "rate_drop": 0.5}),
    ("XGBClassifier", "two classes", "gblinear", {"booster": "gblinear"}),
    ("XGBClassifier", "three classes", "gblinear", {"booster": "gblinear"}),
    ("XGBClassifier", "three classes", "multi:softmax", {"objective": "multi:softmax"}),
    ("XGBClassifier", "two classes", "binary:logitraw", {"objective": "binary:logitraw"}),
    ("XGBClassifier", "two classes", "binary:hinge", {"objective": "binary:hinge"}),
    ("XGBClassifier", "two classes", "missing=0", {"missing": 0.0}),
    ("XGBClassifier", "two classes", "enable_categorical", {"enable_categorical": True}),
    ("XGBClassifier", "several labels", "trees of several outputs", {"multi_strategy": "multi_output_tree"}),
    ("XGBRFClassifier", "two classes", "", {}),
    ("XGBRFClassifier", "three classes", "", {}),
    ("XGBRegressor", "value", "", {}),
    ("XGBRegressor", "several values", "", {}),
    ("XGBRegressor", "several values", "trees of several outputs", {"multi_strategy": "multi_output_tree"}),
    ("XGBRegressor", "value", "dart", {"booster": "dart", "rate_drop": 0.5}),
    ("XGBRegressor", "value", "gblinear", {"booster": "gblinear"}),
    ("XGBRegressor", "value", "missing=0", {"missing": 0.0}),
    ("XGBRegressor", "value", "early stopping", {"early_stopping_rounds": 1, "n_estimators": 40, "learning_rate": 1.0}),
    ("XGBRegressor", "value", "quantiles",
     {"objective": "reg:quantileerror", "quantile_alpha": np.array([0.2, 0.8])}),
    *(("XGBRegressor", "value", objective, {"objective": objective}) for objective in (
        "count:poisson", "reg:gamma", "reg:tweedie", "reg:absoluteerror", "reg:pseudohubererror", "reg:squaredlogerror",
        "survival:cox",
    )),
    ("XGBRegressor", "shares", "reg:logistic", {"objective": "reg:logistic"}),
    ("XGBRegressor", "shares", "binary:logistic", {"objective": "binary:logistic"}),
    ("XGBRFRegressor", "value", "", {}),
    ("XGBRanker", "ranks", "", {}),
)  # fmt: skip
LIGHTGBM: tuple[tuple[str, str, str, Given], ...] = (
    ("LGBMClassifier", "two classes", "", {}),
    ("LGBMClassifier", "three classes", "", {}),
    ("LGBMClassifier", "three classes", "multiclassova", {"objective": "multiclassova"}),
    ("LGBMClassifier", "two classes", "dart", {"boosting_type": "dart"}),
    ("LGBMClassifier", "two classes", "rf", {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}),
    ("LGBMClassifier", "three classes", "rf", {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}),
    ("LGBMClassifier", "two classes", "linear_tree", {"linear_tree": True}),
    ("LGBMClassifier", "two classes", "sigmoid=2", {"sigmoid": 2.0}),
    ("LGBMClassifier", "two classes", "class_weight", {"class_weight": "balanced"}),
    ("LGBMClassifier", "two classes", "zero_as_missing", {"zero_as_missing": True}),
    ("LGBMClassifier", "two classes", "cross_entropy", {"objective": "cross_entropy"}),
    ("LGBMClassifier", "two classes", "categorical_feature", {"categorical_feature": [2]}),
    ("LGBMClassifier", "two classes", "early stopping", {"early_stopping_round": 2, "n_estimators": 40}),
    ("LGBMRegressor", "value", "", {}),
    ("LGBMRegressor", "value", "dart", {"boosting_type": "dart"}),
    ("LGBMRegressor", "value", "linear_tree", {"linear_tree": True}),
    *(("LGBMRegressor", "value", objective, {"objective": objective}) for objective in (
        "poisson", "gamma", "tweedie", "l1", "huber", "fair", "quantile", "mape",
    )),
    ("LGBMRegressor", "shares", "binary", {"objective": "binary"}),
    ("LGBMRegressor", "value", "reg_sqrt", {"reg_sqrt": True}),
    ("LGBMRegressor", "shares", "cross_entropy", {"objective": "cross_entropy"}),
    ("LGBMRegressor", "shares", "cross_entropy_lambda", {"objective": "cross_entropy_lambda"}),
    ("LGBMRanker", "ranks", "", {}),
)  # fmt: skip


def boosters() -> Iterator[Subject]:
    """Those of both libraries."""
    for name, task, variant, given in XGBOOST:
        forms = FORMS if not variant else (*FEW, "categories") if "categorical" in variant else FEW
        fit = _estimator(getattr(xgboost, name), {"n_estimators": TREES, "n_jobs": 1, "random_state": 0} | given, task)
        yield Subject("XGBoost", name, task, fit, forms, variant, single=True)
    for objective, task in (
        ("binary:logistic", "two classes"), ("multi:softprob", "three classes"), ("multi:softmax", "three classes"),
        ("reg:squarederror", "value"),
    ):  # fmt: skip
        yield Subject("XGBoost", "Booster", task, _xgboost_booster(objective, task), FEW, objective, single=True)
    for name, task, variant, given in LIGHTGBM:
        forms = (*FORMS, "categories") if not variant else FEW
        yield Subject("LightGBM", name, task, _estimator(getattr(lightgbm, name), LIGHT | given, task), forms, variant)
    for objective, task in (
        ("binary", "two classes"), ("multiclass", "three classes"), ("multiclassova", "three classes"),
        ("regression", "value"),
    ):  # fmt: skip
        yield Subject("LightGBM", "Booster", task, _lightgbm_booster(objective, task), FEW, objective)


def _numbered(target: Any, task: str) -> Any:
    """Classes as their numbers: these libraries know no others."""
    return np.unique(target, return_inverse=True)[1] if task.endswith("classes") else target


def _estimator(kind: type, given: Given, task: str) -> Callable[[Form, Any, Path], Fitted]:
    def fit(form: Form, target: Any, _folder: Path) -> Fitted:
        rows = form.fitted
        own = kind.__module__.startswith("lightgbm")
        target = target if own else _numbered(target, task)
        more: Given = {"group": [FITTED // 3] * 3} if task == "ranks" else {}
        if {"early_stopping_round", "early_stopping_rounds"} & given.keys():
            more |= {} if own else {"verbose": False}
            more |= {"eval_set": [(rows, np.roll(target, 1))]}  # which is learnt badly, so that it stops
        model = kind(**given).fit(rows, target, **more)
        return Fitted(model, lambda asked: of_estimator(model, asked, task))

    return fit


def _xgboost_booster(objective: str, task: str) -> Callable[[Form, Any, Path], Fitted]:
    def fit(form: Form, target: Any, _folder: Path) -> Fitted:
        target = _numbered(target, task)
        given: Given = {"objective": objective, "nthread": 1}
        if objective.startswith("multi"):
            given["num_class"] = len(np.unique(target))
        model = xgboost.train(given, xgboost.DMatrix(form.fitted, target), TREES)
        margins = objective == "multi:softmax"  # else it says the class's number alone

        def said(asked: Any) -> Said:
            found = model.predict(xgboost.DMatrix(asked), output_margin=margins)
            return _of_booster(softmax(found, axis=1) if margins else found, task)

        return Fitted(model, said)

    return fit


def _lightgbm_booster(objective: str, task: str) -> Callable[[Form, Any, Path], Fitted]:
    def fit(form: Form, target: Any, _folder: Path) -> Fitted:
        target, rows = _numbered(target, task), form.fitted
        given: Given = {"objective": objective, "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
        if objective.startswith("multi"):
            given["num_class"] = len(np.unique(target))
        model = lightgbm.train(given, lightgbm.Dataset(rows, target), TREES)
        return Fitted(model, lambda asked: _of_booster(model.predict(asked), task))

    return fit


def _of_booster(found: np.ndarray, task: str) -> Said:
    """What an array means: values, probabilities of the second class or of each."""
    if task in VALUES:
        return of_values(found)
    if task == "two classes":
        return of_classes(np.stack([1 - found, found], axis=1), (found > 0.5).astype(int), [0, 1])
    return of_classes(found, found.argmax(axis=1), [0, 1, 2])
