"""`demo`: a grid of its own, a model trained on simulated card payments, and a stream of later ones, scored live."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from grid_inference.api import aio
from grid_inference.cli.common import console, examples, write_json
from grid_inference.cli.demo_screen import Numbers, Screen, milliseconds, quantiles_ms
from grid_inference.cli.demo_stream import DEPLOYMENT, FEATURES_MAP, deploy, scores_of, stream
from grid_inference.cli.ending import GRID, INCOMPLETE, Ending
from grid_inference.config import GridConfig
from grid_inference.demo.features import feature_matrix
from grid_inference.demo.training import FraudModel, Quality, quality, train
from grid_inference.grid.member import MemberConfig
from grid_inference.node.nodes import Nodes
from grid_inference.observe.status import DeploymentStatus

__all__ = ["demo"]

RECORDS: Final = 120_000
RATE: Final = 8_000
VERIFY_TIMEOUT_S: Final = 120.0
CLUSTER: Final = "grid-inference-demo"
HEAP_MB: Final = 512
"""Of each member, where there are several."""
T = TypeVar("T")


@click.command(
    epilog=examples(
        "grid-inference demo", "grid-inference demo --nodes 3 --kill", "grid-inference demo --rate 30000 --keep"
    )
)
@click.option("--records", type=click.IntRange(1), default=RECORDS, show_default=True, help="Payments to stream.")
@click.option("--rate", type=click.FloatRange(1), default=RATE, show_default=True, help="Payments put per second.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed, other payments.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Worker processes of each node.")
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="Nodes: members and their workers.")
@click.option("--kill", is_flag=True, help="Kill a node, its member and its workers, when half is put.")
@click.option("--address", metavar="HOST:PORT", help="Use a grid that runs, by one of its members, and start none.")
@click.option("--cluster-name", metavar="NAME", help="That grid's name. [default: grid-inference]")
@click.option("--json", "as_json", is_flag=True, help="Write the results as JSON, as the last line of stdout.")
@click.option("--keep", is_flag=True, help="Leave the grid running afterwards, until Ctrl-C.")
def demo(
    records: int,
    rate: float,
    seed: int,
    workers: int,
    nodes: int,
    kill: bool,
    address: str | None,
    cluster_name: str | None,
    as_json: bool,
    keep: bool,
) -> int:
    """Card fraud, live: start a grid, train, deploy, stream, verify.

    Payments are simulated after the Fraud Detection Handbook; latency is measured from the put of a payment to its
    prediction seen by the same program. Exit code 1 unless `verify`, run by a separate process, finds all complete.
    """
    if kill and nodes == 1:
        raise click.UsageError("--kill needs --nodes 2 or more: one node has nobody to take its share over")
    if address and (kill or keep or nodes > 1):
        raise click.UsageError("--kill, --keep and --nodes are for a grid that the demo starts: leave out --address")
    screen = Screen(console(stderr=as_json))
    try:
        with ExitStack() as running:
            training = _Training(seed, records)
            if address:
                config = GridConfig.load(flags={"address": address, "cluster_name": cluster_name})
                screen.done("grid", f"{address}, which runs already")
                outcome = _run(config, screen, training, rate, None)
            else:
                keys = running.enter_context(tempfile.TemporaryDirectory(prefix="grid-inference-demo-"))
                cluster = _start(running, screen, nodes, workers, keys)
                config = GridConfig(address=cluster.address, cluster_name=CLUSTER, keys=keys)
                outcome = _run(config, screen, training, rate, cluster.kill_last if kill else None)
            _summary(screen, outcome)
            if as_json:
                write_json(outcome.to_mapping())
            if keep:
                _wait(screen, outcome.config)
    finally:
        screen.stop()
    return 0 if outcome.complete else INCOMPLETE


class _Training(threading.Thread):
    """Trains while the grid starts."""

    def __init__(self, seed: int, records: int) -> None:
        super().__init__(name="training", daemon=True)
        self._seed = seed
        self._records = records
        self._result: FraudModel | BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = train(self._seed, records=self._records)
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._result = error

    def result(self) -> FraudModel:
        """Wait for it."""
        self.join()
        if isinstance(self._result, FraudModel):
            return self._result
        raise self._result or RuntimeError("the training gave nothing")


@dataclass(slots=True)
class _Outcome:
    """Everything that the demo found."""

    config: GridConfig
    numbers: Numbers
    quality: Quality
    seconds: float
    verdict: dict[str, Any]
    status: DeploymentStatus
    versions: dict[int, int]
    """Predictions by the version that made them."""

    @property
    def unexplained(self) -> int:
        return self.status.unexplained

    @property
    def declared(self) -> int:
        return sum(self.status.repairs.values()) - self.unexplained

    @property
    def complete(self) -> bool:
        return bool(self.verdict["complete"]) and not self.unexplained and self.verdict["records"] == self.numbers.total

    def to_mapping(self) -> dict[str, Any]:
        """The line of `--json`."""
        found = self.verdict
        p50, p99 = quantiles_ms(self.numbers.latencies_s)
        counts = {
            name: found[name] for name in ("records", "predictions", "missing", "stale", "orphans", "dead_letters")
        }
        return {
            **counts,
            "repairs": {"declared": self.declared, "unexplained": self.unexplained},
            "alerts": self.numbers.alerts,
            "throughput_per_s": round(self.numbers.total / self.seconds, 1),
            "latency_ms": {"p50": p50, "p99": p99},
            "auc": self.quality.auc,
            "versions": self.versions,
            "killed": self.numbers.killed or None,
            "longest_gap_s": round(self.numbers.longest_gap_s, 2),
        }


def _start(running: ExitStack, screen: Screen, nodes: int, workers: int, keys: str) -> Nodes:
    what = "a Hazelcast member and its workers" if nodes == 1 else f"{nodes} nodes"
    screen.working(f"starting {what}, training meanwhile")
    log = running.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    config = MemberConfig(cluster_name=CLUSTER, heap_mb=None if nodes == 1 else HEAP_MB)
    # Keys of its own: a demo should not leave any behind.
    cluster = running.enter_context(Nodes(config, workers, threads=1, log=log, keys=keys))
    for _ in range(nodes):
        cluster.add()
    many = "1 worker" if workers == 1 else f"{workers} workers"
    screen.done("grid", f"{', '.join(member.address for member in cluster.members)}; {many}{' each' * (nodes > 1)}")
    return cluster


def _run(
    config: GridConfig, screen: Screen, training: _Training, rate: float, kill: Callable[[], str] | None
) -> _Outcome:
    screen.working("training on two weeks of simulated card payments")
    fraud = training.result()
    screen.done(
        "model", f"gradient boosting on two weeks of simulated payments, AUC {fraud.auc_test:.3f} on a later week"
    )
    return _run_loop(_deploy_and_stream(config, screen, fraud, rate, kill))


async def _deploy_and_stream(
    config: GridConfig, screen: Screen, fraud: FraudModel, rate: float, kill: Callable[[], str] | None
) -> _Outcome:
    numbers = Numbers(total=len(fraud.stream), threshold=fraud.threshold)
    async with await aio.connect(config) as grid:
        screen.working("deploying")
        version = await deploy(grid, fraud)
        screen.done(
            "deployed", f"{DEPLOYMENT} version {version}: map {FEATURES_MAP} → map and topic {DEPLOYMENT}.predictions"
        )
        screen.working("publishing a newer model")
        newer = (await grid.publish(fraud.newer, name=DEPLOYMENT, sample=_sample(fraud))).version
        screen.done(
            "published", f"{DEPLOYMENT} version {newer}: fitted on the later week too; promoted while records come"
        )
        screen.working("streaming")
        screen.begin_stream()
        streamed = await stream(grid, fraud, numbers, screen, rate, newer, kill)
        screen.draw(numbers, last=True)
        screen.working("reading the predictions back, and verifying in another process")
        verdict = await asyncio.to_thread(_verify, config)
        scores, versions = await scores_of(grid, fraud.stream.transactions.transaction_id)
        judged = quality(np.nan_to_num(scores), fraud.stream.transactions.fraud, fraud.threshold)
        status = next(one for one in (await grid.status()).deployments if one.name == DEPLOYMENT)
    screen.stop()
    return _Outcome(config, numbers, judged, streamed.seconds, verdict, status, versions)


def _verify(config: GridConfig) -> dict[str, Any]:
    """What a process says that knows nothing of this one."""
    where = ["--address", config.address, "--cluster-name", config.cluster_name]
    command = [sys.executable, "-m", "grid_inference.cli", "verify", DEPLOYMENT, "--json", *where]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=VERIFY_TIMEOUT_S, check=False)  # noqa: S603
    lines = ran.stdout.splitlines()
    if ran.returncode not in {0, INCOMPLETE} or not lines:
        raise Ending(GRID, f"verify failed: {ran.stderr.strip() or ran.returncode}")
    verdict: dict[str, Any] = json.loads(lines[-1])
    return verdict


def _run_loop(work: Coroutine[Any, Any, T]) -> T:
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def _summary(screen: Screen, outcome: _Outcome) -> None:
    numbers, judged, found = outcome.numbers, outcome.quality, outcome.verdict
    per_s = f"{numbers.total / outcome.seconds:,.0f} per second"
    p50, p99 = quantiles_ms(numbers.latencies_s)
    word = "[green]complete[/]" if outcome.complete else "[red]not complete[/]"
    lines = {
        "scored": f"{numbers.predictions:,} of {numbers.total:,} payments in {outcome.seconds:.1f} s: {per_s}",
        "latency": f"p50 {milliseconds(p50)}, p99 {milliseconds(p99)} from the put to its prediction seen here "
        f"[dim]({len(numbers.latencies_s)} sampled payments)[/]",
        "quality": f"AUC {judged.auc:.3f} on the stream; {_alerts(judged)}",
        "versions": f"{_shares(outcome)} [dim](promoted at {numbers.promoted_at:,} payments, without a pause)[/]",
        "verify": f"{word}: {found['missing']} missing, {found['stale']} stale, {found['orphans']} orphans, "
        f"{found['dead_letters']} refused [dim](found by a separate process)[/]",
        "repairs": f"{outcome.declared} declared, {outcome.unexplained} unexplained",
    }
    if numbers.killed:
        lines["killed"] = (
            f"node {numbers.killed} at {numbers.killed_at:,} payments; "
            f"at the longest no new prediction came for {numbers.longest_gap_s:.1f} s"
        )
    screen.out.print()
    for what, text in lines.items():
        screen.out.print(f"  [bold]{what:<9}[/]{text}")
    screen.out.print()


def _shares(outcome: _Outcome) -> str:
    return ", ".join(f"{DEPLOYMENT}@{version} scored {count:,}" for version, count in outcome.versions.items())


def _sample(fraud: FraudModel) -> NDArray[np.float64]:
    """Some rows, shape (20, k): every worker checks that the model says the same of them."""
    return feature_matrix({name: column[:20] for name, column in fraud.stream.features.items()})


def _alerts(judged: Quality) -> str:
    if not judged.alerts:
        return f"no alerts, {judged.frauds:,} frauds"
    found = "" if math.isnan(judged.alert_recall) else f", which found {judged.alert_recall:.0%} of the frauds"
    return f"{judged.alerts:,} alerts, {judged.alert_precision:.0%} of them right{found}"


def _wait(screen: Screen, config: GridConfig) -> None:
    where = f"--address {config.address} --cluster-name {config.cluster_name}"
    screen.out.print("The grid runs on until Ctrl-C. In another terminal:")
    for command in ("status", f"watch {DEPLOYMENT}", f"verify {DEPLOYMENT}"):
        screen.out.print(f"  grid-inference {command} {where}", markup=False)
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        return
