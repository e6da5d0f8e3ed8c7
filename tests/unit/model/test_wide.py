"""Models of thousands of inputs: what is done to put one to work grows with their number, and not with its square."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from grid_inference.config import DeploymentConfig
from grid_inference.model.inputs.binding import Binding, bind
from grid_inference.model.inputs.difference import differences
from grid_inference.model.store.making import make
from grid_inference.model.store.published import ModelVersion
from grid_inference.model.store.registry import Deployed
from grid_inference.wire.compact import infer_schema
from grid_inference.wire.json.values import encode_json

FEW, MANY = 100, 400


def calls(work: Callable[[], Any]) -> int:
    """How many functions are called meanwhile, of Python and of C."""
    count = 0

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def put_to_work(width: int) -> dict[str, Callable[[], Any]]:
    """What is done to a model of so many inputs, a step each."""
    sample = pd.DataFrame(np.random.default_rng(0).random((40, width)), columns=[f"c{n}" for n in range(width)])
    model = LogisticRegression().fit(sample, sample["c0"] > 0.5)
    made = make(model, None, sample)
    version = ModelVersion(
        "m", 1, made.signature, made.artifact.manifest, made.expected, 1, "me", None, made.statistics
    )
    deployed = Deployed.of(DeploymentConfig(name="d", features="f"), version, "champion", 1)
    schema = infer_schema("f", {name: sample[name].to_numpy() for name in sample})
    entry = encode_json(deployed.to_mapping())
    assert isinstance(bind(made.signature, schema), Binding)
    assert Deployed.read(entry) == deployed
    return {
        "make": lambda: make(model, None, sample),
        "version": version.to_mapping,
        "write": deployed.to_mapping,
        "read": lambda: Deployed.read(entry),
        "bind": lambda: bind(made.signature, schema),
        "differences": lambda: differences(made.signature, schema),
    }


@pytest.fixture(scope="module")
def work() -> tuple[dict[str, Callable[[], Any]], dict[str, Callable[[], Any]]]:
    return put_to_work(FEW), put_to_work(MANY)


@pytest.mark.parametrize("step", ["make", "version", "write", "read", "bind", "differences"])
def test_the_work_grows_with_the_inputs(work: tuple[dict[str, Any], dict[str, Any]], step: str) -> None:
    few, many = (calls(each[step]) for each in work)
    assert many < 1.5 * MANY / FEW * few


def test_a_wide_entry_is_written_without_copying_its_values(work: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert calls(work[1]["write"]) < 10 * MANY
