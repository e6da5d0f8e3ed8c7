"""The ordinary Java client puts a record and reads its prediction; it and Python find each other's keys."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

import grid_inference as gi
from tests.interop.conftest import (
    COLUMNS,
    KEY,
    PYTHON_RECORD,
    Program,
    Seen,
    as_python_reads,
    check_scores,
    settled_prediction,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

JAVA_INPUTS = (912.35, 3.0, float(np.float32(81.7)))
"""What ReadPrediction.java puts: a double, an int, a float."""


@pytest.fixture(scope="module")
def run(java: Program, interop_grid: gi.Grid, bare_model: Pipeline) -> Iterator[Seen]:
    """One run of the program, next to two deployments on a map that Python has already fed."""
    interop_grid.deploy("fraud", bare_model, features="payments", columns=COLUMNS)
    interop_grid.deploy("alerts", bare_model, features="payments", columns=COLUMNS, topic={"kind": "reliable"})
    before = settled_prediction(interop_grid, "fraud")
    yield Seen(before, java("ReadPrediction"))
    interop_grid.undeploy("alerts")
    interop_grid.undeploy("fraud")


def test_java_reads_the_prediction_of_a_record_that_python_put(run: Seen, bare_model: Pipeline):
    assert run.report["found_record"] == PYTHON_RECORD
    assert run.report["found_prediction"] == as_python_reads(run.before)
    assert (run.report["label"], run.report["score"]) == (run.before.label, run.before.score)
    check_scores(run.report["found_prediction"], bare_model, list(PYTHON_RECORD.values()))


def test_java_reads_the_prediction_of_its_own_record(run: Seen, bare_model: Pipeline):
    assert run.report["prediction"]["deployment"] == "fraud"
    assert run.report["prediction"]["label"] != run.before.label
    check_scores(run.report["prediction"], bare_model, JAVA_INPUTS)


def test_java_computes_the_digest_of_its_own_record(run: Seen):
    assert run.report["prediction"]["input_digest"] == run.report["digest"] != run.before.input_digest


def test_java_gets_the_message_of_a_plain_topic(run: Seen):
    message = dict(run.report["message"])
    assert (message.pop("key"), message.pop("key_data")) == (str(KEY), run.report["key_data"])
    assert message == run.report["prediction"]


def test_java_gets_the_message_of_a_reliable_topic(run: Seen, bare_model: Pipeline):
    alert = run.report["alert"]
    assert (alert["deployment"], alert["key"], alert["key_data"]) == ("alerts", str(KEY), run.report["key_data"])
    assert alert["input_digest"] == run.report["digest"]
    check_scores(alert, bare_model, JAVA_INPUTS)


def test_python_reads_what_java_put(run: Seen, interop_grid: gi.Grid):
    payments = interop_grid.features("payments")
    assert payments.size() == 1, "a key of another type is another entry"
    assert payments.get(KEY) == dict(zip(COLUMNS, JAVA_INPUTS, strict=True))
    current = interop_grid.predictions("fraud").get_current(KEY)
    assert current is not None, "there is no prediction of the record as it is now"
    assert as_python_reads(current) == run.report["prediction"]
    assert interop_grid.verify("fraud").complete
