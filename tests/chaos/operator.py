"""The operator: deploys, asks the product what it says of itself, and does what no good operator would do.

Each public method is a command; arguments and answers are plain values. It may be a mutant, as workers may.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import count
from typing import Any

from hazelcast.core import HazelcastJsonValue

import grid_inference as gi
from tests.chaos.checker import Told
from tests.chaos.child import Commands
from tests.chaos.ends import LEASES, POSITIONS, WORKERS, Ends
from tests.chaos.model import sample, trained
from tests.chaos.mutants import MUTANTS
from tests.chaos.raw import raw
from tests.chaos.versions import FIRST, VERSIONS
from tests.chaos.workload import (
    CONNECT_TIMEOUT_S,
    DEPLOYMENTS,
    FEATURES,
    HEARD,
    JOURNALED,
    MODEL,
    RECONCILE_S,
    VOLATILE,
    Form,
    connect,
    records,
)

VERIFY_S = 5.0
READY_S_MAX = 120.0
ASKED_S_MAX = 30.0
POLL_S = 0.2
GOLD, THIEF = "gold", "thief"
"""Somebody else's map, and a deployment that would have it for its predictions."""
GOLD_ENTRIES = 200
ROBBED_S = 8.0
"""So long a deployment that was not refused has to do harm."""
NEW = "new"
NEW_SCORED_S_MAX = 15.0
OLDER, NEWER = range(50), range(50, 250)
HEAVY = "heavy"
HEAVY_RECORDS, HEAVY_BYTES = 100, 1_000_000
HEAVY_S_MAX = 120.0
STRANGE_PARTITIONS, STRANGE_BYTES = 3, 7
JUNK = "junk"
DEPLOYMENTS_MAP = "grid_inference.deployments"


class Operator:
    """One connection of the product's and one of the stock client."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._grid, self._client, self._ends = self._connected()
        self._numbers = count(1)

    def _connected(self) -> tuple[gi.Grid, Any, Ends]:
        options = self._options
        grid = gi.connect(
            options["addresses"][0],
            cluster_name=options["cluster"],
            connect_timeout_s=CONNECT_TIMEOUT_S,
            keys=options["keys"],
        )
        client = connect(options["addresses"], options["cluster"])
        return grid, client, Ends(client)

    def forget(self) -> dict[str, Any]:
        """All members have ended and others begun."""
        self.close()
        self._grid, self._client, self._ends = self._connected()
        return {}

    # ---- models and deployments

    def publish(self) -> dict[str, Any]:
        """All versions that are promoted by turns, and one that never is."""
        for version in range(FIRST, VERSIONS + 2):
            self._grid.publish(trained(version), name=MODEL, columns=FEATURES, sample=sample())
        self._grid.promote(MODEL, FIRST)
        return {}

    def deploy(self, name: str, variant: int = FIRST, model: str = "") -> dict[str, Any]:
        """Deploy a model; one that is named and is not published yet is published first. What is at work then."""
        how = {"trigger": "listener", "reconcile_s": RECONCILE_S} if name == HEARD else {}
        if model and model != MODEL:
            self._grid.publish(trained(variant), name=model, columns=FEATURES, sample=sample())
        if model:
            which = f"{model}@champion" if model == MODEL else f"{model}@{FIRST}"
            one = self._grid.deploy(name, which, features=name, **how)
        else:
            one = self._grid.deploy(name, trained(variant), features=name, columns=FEATURES, **how)
        if one.version != FIRST:
            raise AssertionError(f"the version of {one} is not {FIRST}, so that numbers tell models apart")
        return {"at_work": {"model": one.model, "variant": variant, "since_us": one.deployed_at_us}}

    def wait_until_owned(self, workers: int) -> dict[str, Any]:
        """Wait for workers, and for all partitions of all deployments to be scored."""
        self._grid.wait_for_workers(workers, READY_S_MAX)
        self._until(lambda: not self._ends.not_owned_once(), READY_S_MAX)
        return {"not_owned": self._ends.not_owned_once()}

    # ---- what is said

    def mark(self) -> dict[str, Any]:
        """Note where the journals end."""
        _asked(self._ends.mark)
        return {}

    def behind(self) -> dict[str, Any]:
        """What has not come to the mark yet, or is not owned once."""
        return {"behind": _asked(self._ends.behind)}

    def told(self) -> dict[str, Any]:
        """What the product says of each deployment, and how the positions stand."""
        return {"told": [asdict(self._told(name)) for name in DEPLOYMENTS]}

    def _told(self, name: str) -> Told:
        journaled = name in JOURNALED
        try:
            one = next(one for one in _asked(self._grid.status).deployments if one.name == name)
            verdict = _asked(lambda: self._grid.verify(name, VERIFY_S))
            behind = _asked(lambda: self._ends.not_at_the_end(name)) if journaled else []
        except Exception as error:  # noqa: BLE001 - whatever it says: it should have told
            return Told(name, journaled, 0, None, failures=(f"not told: {type(error).__name__}: {error}",))
        incomplete = "" if verdict.complete else str(verdict)
        return Told(name, journaled, one.owned, one.lag, tuple(behind), incomplete, tuple(one.failures))

    # ---- faults

    def rob(self) -> dict[str, Any]:
        """Deploy with somebody else's map for the predictions: whether that was refused, and what it holds then."""
        gold, feathers = self._client.get_map(GOLD), {f"k{i}": f"v{i}" for i in range(GOLD_ENTRIES)}
        gold.put_all(feathers).result()
        try:
            self._grid.deploy(THIEF, trained(), features=VOLATILE, columns=FEATURES, predictions=GOLD)
            refused = ""
            time.sleep(ROBBED_S)
            self._grid.undeploy(THIEF)
        except gi.DeploymentError as error:
            refused = str(error)
        lost = feathers.items() - gold.get_all(list(feathers)).result().items()
        gold.destroy()
        return {"refused": refused, "lost": len(lost)}

    def begin_new(self) -> dict[str, Any]:
        """Deploy with start = "new" and put behind it: which keys have no prediction, and which should have none."""
        name = f"{NEW}-{next(self._numbers)}"
        features, predictions = self._client.get_map(name), self._client.get_map(f"{NEW}.predictions")
        self._put(features, OLDER)
        self._grid.deploy(NEW, trained(), features=name, columns=FEATURES, start="new")
        self._put(features, NEWER)
        self._until(lambda: set(predictions.key_set().result()) >= set(NEWER), NEW_SCORED_S_MAX)
        there = set(predictions.key_set().result())
        self._grid.undeploy(NEW)
        for one in (features, predictions, self._client.get_map(f"{NEW}.dead-letters")):
            one.destroy()
        return {"missing": sorted(set(NEWER) - there), "older": sorted(there & set(OLDER))}

    @staticmethod
    def _put(features: Any, keys: range) -> None:
        made = records(keys, [1] * len(keys), [Form.PLAIN] * len(keys))
        calls = [features.set(key, record) for key, record in zip(keys, made, strict=True)]
        for call in calls:
            call.result()

    def load(self) -> dict[str, Any]:
        """Put large records, and deploy a model on them, which have to be scanned then."""
        features = self._grid.features(HEAVY)
        for key in range(HEAVY_RECORDS):
            features.put(key, {**dict.fromkeys(FEATURES, 0.5), "mark": 0.0, "text": f"{key:>{HEAVY_BYTES}}"})
        self._grid.deploy(HEAVY, trained(), features=HEAVY, columns=FEATURES)
        predictions = self._client.get_map(f"{HEAVY}.predictions")
        self._until(lambda: predictions.size().result() == HEAVY_RECORDS, HEAVY_S_MAX)
        return {"scored": predictions.size().result(), "wanted": HEAVY_RECORDS}

    def unload(self) -> dict[str, Any]:
        """Take all of that away."""
        self._grid.undeploy(HEAVY)
        for name in (HEAVY, f"{HEAVY}.predictions", f"{HEAVY}.dead-letters"):
            self._client.get_map(name).destroy()
        return {}

    def spoil(self) -> dict[str, Any]:
        """Put what is none of ours into our own maps: over some leases and positions, and beside the others."""
        self._replace_some(LEASES, HazelcastJsonValue("{}"))
        self._replace_some(POSITIONS, bytearray(STRANGE_BYTES))
        for name in (WORKERS, DEPLOYMENTS_MAP):
            one = self._client.get_map(name)
            for number, value in enumerate((HazelcastJsonValue("[1]"), HazelcastJsonValue("{}"), "text", 7)):
                one.set(f"{JUNK}-{number}", value).result()
        return {}

    def _replace_some(self, name: str, value: Any) -> None:
        """Put a value under some keys as they are: the stock client's own would lie in another partition."""
        proxy = self._client.get_map(name)
        as_object = proxy._to_object
        raw(proxy)
        try:
            for key in proxy.key_set().result()[:STRANGE_PARTITIONS]:
                proxy.set(key, value).result()
        finally:
            proxy._to_object = as_object

    def clean(self) -> dict[str, Any]:
        """Take away what was put beside."""
        for name in (WORKERS, DEPLOYMENTS_MAP):
            for number in range(4):
                self._client.get_map(name).delete(f"{JUNK}-{number}").result()
        return {}

    def results(self, name: str) -> dict[str, Any]:
        """How many results of a deployment stand."""
        maps = (f"{name}.predictions", f"{name}.dead-letters")
        return {"count": sum(_asked(self._client.get_map(one).size().result) for one in maps)}

    @staticmethod
    def _until(condition: Callable[[], bool], timeout_s: float) -> None:
        """Wait for something that may never come: whoever asked looks at what did."""
        limit_s = time.monotonic() + timeout_s
        while not _asked(condition) and time.monotonic() < limit_s:
            time.sleep(POLL_S)

    def close(self) -> None:
        """Disconnect."""
        self._client.shutdown()
        self._grid.close()


def _asked(question: Callable[[], Any]) -> Any:
    """An answer of a grid that may just lose a member."""
    limit_s = time.monotonic() + ASKED_S_MAX
    while True:
        try:
            return question()
        except Exception:  # a stock client's errors are of all sorts
            if time.monotonic() > limit_s:
                raise
            time.sleep(POLL_S)


def main() -> None:
    """Do what is asked until told to end."""
    logging.basicConfig(level="ERROR")
    logging.getLogger("hazelcast").setLevel("CRITICAL")
    options = json.loads(sys.argv[1])
    if options.get("mutant"):
        MUTANTS[options["mutant"]]()
    operator, commands = Operator(options), Commands()
    commands.answer()
    while (command := commands.take(3600.0)) is None or command["do"] != "end":
        if command:
            given = {name: value for name, value in command.items() if name not in {"do", "number"}}
            commands.answer(command, **getattr(operator, command["do"])(**given))
    operator.close()


if __name__ == "__main__":
    main()
