"""Logs: one form for all records of a process, stable keys, and no value of a record."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import datetime

import pytest

from grid_inference.errors import ConfigError, DecodeError, GridError
from grid_inference.logs import HIDDEN, logger, set_up

CANARY = "canary-4711"
SCRIPT = """
import logging, os, sys
from grid_inference.errors import DecodeError, GridError
from grid_inference.logs import bind, logger, set_up

set_up(os.environ.get("LEVEL", "INFO"))
bind(worker="w-1")
_log = logger("grid_inference.part")
_log.debug("not shown", error=1 / 1)
_log.info("partition is reconciled", partition=3, cause="overflow")
_log.warning("batch not written, scored again", records=7, error=GridError("the member is gone"))
_log.warning("value is no prediction", error=DecodeError("canary-4711 can't be read"))
logging.getLogger("hazelcast.lifecycle").warning("(of %s) the client is %s", "somebody", "connected")
try:
    float("canary-4711")
except ValueError:
    _log.exception("batch failed, scored again", records=7)
    logging.getLogger("asyncio").exception("Task exception was never retrieved")
"""


def lines(**environ: str) -> list[str]:
    command = [sys.executable, "-c", SCRIPT]
    ran = subprocess.run(command, env={"PATH": "", **environ}, capture_output=True, text=True, check=True)
    assert not ran.stdout
    return ran.stderr.splitlines()


def test_json_is_a_line_for_each_event_with_stable_keys() -> None:
    found = [json.loads(line) for line in lines(GRID_INFERENCE_LOG_FORMAT="json")]
    assert len(found) == 6
    for one in found:
        assert {"timestamp", "level", "logger", "event", "worker", "pid"} <= one.keys()
        assert datetime.fromisoformat(one["timestamp"]).utcoffset() is not None
        assert one["worker"] == "w-1"
    gap, unwritten, _, foreign, failed, of_asyncio = found
    assert (gap["event"], gap["partition"], gap["cause"], gap["level"]) == (
        "partition is reconciled",
        3,
        "overflow",
        "info",
    )
    assert (unwritten["error"], unwritten["error_class"]) == ("the member is gone", "GridError")
    assert foreign["event"] == "(of somebody) the client is connected"
    assert foreign["logger"] == "hazelcast.lifecycle"
    for one in (failed, of_asyncio):
        assert one["error_class"] == "ValueError"
        assert "line " in one["traceback"]


def test_no_value_of_a_record_is_shown_unless_that_is_allowed() -> None:
    for form in ("json", "console"):
        assert CANARY not in "\n".join(lines(GRID_INFERENCE_LOG_FORMAT=form))
        assert HIDDEN.partition(":")[0] in "\n".join(lines(GRID_INFERENCE_LOG_FORMAT=form))
        shown = "\n".join(lines(GRID_INFERENCE_LOG_FORMAT=form, GRID_INFERENCE_LOG_VALUES="1"))
        assert shown.count(CANARY) >= 3


def test_people_read_it_too() -> None:
    text = "\n".join(lines())
    assert "partition is reconciled" in text
    assert "cause=overflow" in text
    assert "worker=w-1" in text
    assert "\x1b" not in text  # piped, there are no colours


@pytest.mark.parametrize(
    ("level", "environ", "said"),
    [
        ("LOUD", {}, "GRID_INFERENCE_LOG_LEVEL = 'LOUD' is not one of DEBUG"),
        ("INFO", {"GRID_INFERENCE_LOG_FORMAT": "xml"}, "GRID_INFERENCE_LOG_FORMAT = 'xml' is not one of console, json"),
    ],
)
def test_settings_that_can_not_be(level, environ, said) -> None:
    with pytest.raises(ConfigError) as caught:
        set_up(level, environ)
    assert said in str(caught.value)


def test_an_application_sees_our_events_by_its_own_settings(caplog: pytest.LogCaptureFixture) -> None:
    log = logger("grid_inference.some")
    with caplog.at_level(logging.INFO, "grid_inference.some"):
        log.info("gap, partition is reconciled", partition=3, cause="100 % full")
        log.debug("never made", costly=object())
        log.warning("beat not acknowledged", error=GridError("no answer"))
        log.error("taker failed", exc_info=DecodeError(CANARY))
    first, second, third = caplog.messages
    assert first == "gap, partition is reconciled partition=3 cause=100 % full"
    assert second == "beat not acknowledged error=no answer error_class=GridError"
    assert third.startswith("taker failed error_class=DecodeError error=not shown")
    assert CANARY not in caplog.text
