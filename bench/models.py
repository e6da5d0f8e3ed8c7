"""`python -m bench.models`: every format of models at batches of 1, 64 and 4,096, and what translating to ONNX brings.

Both sides in turns in one process: a worker's call of the model, and the library's own call with the same rows.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import lightgbm
import mlflow.sklearn
import numpy as np
import onnxruntime
import pandas as pd
import xgboost
from rich.console import Console
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bench.measure import machine
from bench.tables import show_table
from grid_inference.model.engines.native import engine_of
from grid_inference.model.engines.timing import BATCHES, took
from grid_inference.model.store.artifact import load
from grid_inference.model.store.making import inputs_of, make
from grid_inference.model.store.trust import Trust

__all__ = ["main"]

OUTPUT: Final = Path(__file__).with_name("models.json")
ROWS: Final = 8_192
FIELDS: Final = [f"f{number}" for number in range(10)]
KINDS: Final = np.array(["food", "travel", "home", "cash"])
MEASURE_S: Final = 0.5
HERE: Final = Trust(allow_pickle=True, loopback=True)


def main() -> None:
    """Measure, print the tables, write models.json."""
    parser = argparse.ArgumentParser(prog="python -m bench.models", description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the JSON goes (default: bench/models.json)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    facts, found = machine(), {}
    with (
        tempfile.TemporaryDirectory(prefix="grid-inference-bench-") as folder,
        Console(stderr=True).status("") as status,
    ):
        for name, (source, bare, how) in subjects(Path(folder)).items():
            status.update(f"measuring: {name}")
            found[name] = measured(source, bare, how)
    show(found)
    options.output.write_text(json.dumps({"models": found, "machine": facts}, indent=1) + "\n", encoding="utf-8")


def subjects(folder: Path) -> dict[str, tuple[Any, Callable[[pd.DataFrame], Any], dict[str, Any]]]:
    """What is published, the library's own call, and how it is published; by the name in the table."""
    numbers, mixed, labels = records(ROWS)
    matrix, zero_one = numbers.to_numpy(), (labels == "fraud").astype(int)
    linear = LogisticRegression(max_iter=1000).fit(matrix, labels)
    forest = RandomForestClassifier(100, max_depth=10, random_state=0).fit(matrix, labels)
    boosting = GradientBoostingClassifier(random_state=0).fit(matrix, labels)
    histogram = HistGradientBoostingClassifier().fit(matrix, labels)
    steps = [("numbers", StandardScaler(), FIELDS), ("texts", OneHotEncoder(handle_unknown="ignore"), ["kind"])]
    columns = make_pipeline(ColumnTransformer(steps), LogisticRegression(max_iter=1000)).fit(mixed, labels)
    columns_forest = make_pipeline(
        ColumnTransformer(steps), RandomForestClassifier(100, max_depth=10, random_state=0)
    ).fit(mixed, labels)
    named = {"columns": FIELDS, "sample": numbers}
    found: dict[str, tuple[Any, Callable[[pd.DataFrame], Any], dict[str, Any]]] = {}
    for name, model, frame in (
        ("logistic regression", linear, False),
        ("forest of 100 trees", forest, False),
        ("gradient boosting", boosting, False),
        ("histogram gradient boosting", histogram, False),
        ("ColumnTransformer, logistic regression", columns, True),
        ("ColumnTransformer, forest", columns_forest, True),
    ):
        bare = partial(_proba, model, frame=frame)
        how = {"sample": mixed} if frame else named
        found[f"scikit-learn: {name}"] = model, bare, how
        found[f"compiled: {name}"] = model, bare, {**how, "compile": True}
    boosters = xgboost.XGBClassifier(n_estimators=100).fit(matrix, zero_one)
    leaves = lightgbm.LGBMClassifier(n_estimators=100, verbose=-1).fit(matrix, labels)
    found["XGBoost: 100 trees"] = boosters, partial(_proba, boosters, frame=False), named
    found["LightGBM: 100 trees"] = leaves, partial(_proba, leaves, frame=False), named
    graph = to_onnx(forest, matrix[:1].astype(np.float32), options={id(forest): {"zipmap": False}})
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    found["ONNX: forest of 100 trees"] = graph, partial(_run, session), named
    mlflow.sklearn.save_model(linear, folder / "model", pip_requirements=["mlflow"], serialization_format="cloudpickle")
    pyfunc = mlflow.pyfunc.load_model(str(folder / "model"))
    found["MLflow: logistic regression"] = (
        folder / "model",
        pyfunc.predict,
        {"sample": numbers, "classes": ["fraud", "good"]},
    )
    found["function: one pass of numpy"] = (
        "bench.models:chance",
        _chance,
        {**named, "classes": ["good", "fraud"], "sample": matrix},
    )
    return found


def records(rows: int) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray[Any, Any]]:
    """Numbers alone, the same with a text, and labels."""
    rng = np.random.default_rng(5)
    numbers = pd.DataFrame(rng.normal(size=(rows, len(FIELDS))), columns=FIELDS)
    kinds = KINDS[rng.integers(0, len(KINDS), rows)]
    noisy = numbers.to_numpy()[:, :4].sum(axis=1) + (kinds == "cash") + rng.normal(size=rows)
    return numbers, numbers.assign(kind=kinds), np.where(noisy > 1, "fraud", "good")


def chance(matrix: Any) -> Any:
    """How likely fraud is, by a function."""
    return 1 / (1 + np.exp(-matrix[:, :4].sum(axis=1)))


def _proba(model: Any, rows: pd.DataFrame, *, frame: bool) -> Any:
    return model.predict_proba(rows if frame else rows.to_numpy())


def _run(session: Any, rows: pd.DataFrame) -> Any:
    return session.run(None, {session.get_inputs()[0].name: rows.to_numpy().astype(np.float32)})


def _chance(rows: pd.DataFrame) -> Any:
    return chance(rows.to_numpy())


def measured(source: Any, bare: Callable[[pd.DataFrame], Any], how: dict[str, Any]) -> dict[str, Any]:
    """Records per second of ours and of the bare library, by the size of the batch."""
    made = make(source, **how)
    engine = engine_of(load(made.artifact, HERE), made.signature)
    numbers, mixed, _ = records(max(BATCHES))
    sizes: dict[str, Any] = {}
    for size in BATCHES:
        rows = (mixed if "kind" in made.signature.names else numbers)[:size]
        inputs = inputs_of(rows if made.signature.frame else rows.to_numpy(), made.signature)
        ours_us, theirs_us = took(partial(engine.score, inputs), partial(bare, rows), seconds=MEASURE_S)
        sizes[str(size)] = {"records_per_s": round(size / ours_us * 1e6), "of_bare": round(theirs_us / ours_us, 2)}
    report = made.compiled
    compiled = report and {"difference": report.difference, "used": list(report.used), "reason": report.reason}
    return {"format": made.artifact.manifest.format, "batches": sizes, "compiled": compiled}


def show(found: dict[str, Any]) -> None:
    """Print what goes into docs/models.md."""
    headings = ["model", *(f"{size:,} a batch" for size in BATCHES), "of the bare library's", "ONNX used at"]
    rows: list[list[str]] = []
    for name, one in found.items():
        each = one["batches"].values()
        used = ""
        if one["compiled"]:
            sizes = ", ".join(f"{size:,}" for size in one["compiled"]["used"])
            used = f"{sizes}; differs by {one['compiled']['difference']:.0e}" if sizes else one["compiled"]["reason"]
        cells = [name, *(f"{size['records_per_s']:,}" for size in each)]
        rows.append([*cells, ", ".join(f"{size['of_bare']:.2f} x" for size in each), used])
    show_table("records per second", headings, rows, numbers=len(BATCHES))


if __name__ == "__main__":
    main()
