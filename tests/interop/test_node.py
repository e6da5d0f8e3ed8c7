"""The ordinary Node.js client puts a Compact record and reads its prediction, under a LONG key.

It subscribes to the predictions map and to a reliable topic: hazelcast-client 5.6.0 has no plain ones, and its listener
on a reliable one ends at the first Compact record whose schema the client has not met elsewhere, so it puts one before.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

import grid_inference as gi
from grid_inference.wire.keys import encode_keys
from tests.interop.conftest import (
    COLUMNS,
    KEY,
    PYTHON_RECORD,
    Program,
    Seen,
    as_node_read,
    as_python_reads,
    check_scores,
    settled_prediction,
)

pytestmark = pytest.mark.real

NODE_RECORD = {"amount": 912.35, "hour": 3.0, "distance": 81.7}
"""What read_prediction.js puts."""


@pytest.fixture(scope="module")
def run(node: Program, interop_grid: gi.Grid, bare_model: Pipeline) -> Iterator[Seen]:
    """One run of the program, next to a deployment that Python has already fed."""
    interop_grid.deploy("returns", bare_model, features="orders", columns=COLUMNS)
    interop_grid.deploy("return-alerts", bare_model, features="orders", columns=COLUMNS, topic={"kind": "reliable"})
    yield Seen(settled_prediction(interop_grid, "returns"), node("read_prediction.js"))
    interop_grid.undeploy("return-alerts")
    interop_grid.undeploy("returns")


def test_node_reads_the_prediction_of_a_record_that_python_put(run: Seen, bare_model: Pipeline):
    assert run.report["found_record"] == PYTHON_RECORD
    assert as_node_read(run.report["found_prediction"]) == as_python_reads(run.before)
    assert (run.report["label"], run.report["score"]) == (run.before.label, run.before.score)
    check_scores(run.report["found_prediction"], bare_model, list(PYTHON_RECORD.values()))


def test_node_reads_the_prediction_of_its_own_record(run: Seen, bare_model: Pipeline):
    assert run.report["prediction"]["label"] != run.before.label
    check_scores(run.report["prediction"], bare_model, list(NODE_RECORD.values()))


def test_node_gets_the_event_of_its_prediction(run: Seen):
    assert run.report["event"] == {"key": str(KEY), "value": run.report["prediction"]}


def test_node_gets_the_message_of_a_reliable_topic(run: Seen, bare_model: Pipeline):
    message = run.report["message"]
    assert (message["deployment"], message["key"]) == ("return-alerts", str(KEY))
    assert message["input_digest"] == run.report["prediction"]["input_digest"]
    assert np.array(message["key_data"], np.uint8).tobytes() == encode_keys([KEY])[0]
    check_scores(message, bare_model, list(NODE_RECORD.values()))


def test_python_reads_what_node_put(run: Seen, interop_grid: gi.Grid):
    orders = interop_grid.features("orders")
    assert orders.size() == 1, "a key of another type is another entry"
    assert orders.get(KEY) == NODE_RECORD
    current = interop_grid.predictions("returns").get_current(KEY)
    assert current is not None, "there is no prediction of the record as it is now"
    assert as_python_reads(current) == as_node_read(run.report["prediction"])
    assert interop_grid.verify("returns").complete
