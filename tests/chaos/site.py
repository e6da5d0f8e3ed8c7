"""A client on one host of a network: it deploys, writes, and judges what stands on the side where it is."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from typing import Any

import grid_inference as gi
from grid_inference.grid.leases import holders
from grid_inference.grid.topology import read_workers
from tests.chaos.checker import AtWork, Histories, Write, check
from tests.chaos.child import Commands
from tests.chaos.log import ACKNOWLEDGED, INDETERMINATE
from tests.chaos.model import trained
from tests.chaos.reading import Reader
from tests.chaos.workload import CONNECT_TIMEOUT_S, FEATURES, RECORDS, Form, connect, records

VERIFY_S_MAX = 60.0


class Site:
    """Each of its public methods is a command; arguments and answers are plain values."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._address, self._cluster = options["address"], options["cluster"]
        self._grid = gi.connect(self._address, cluster_name=self._cluster, connect_timeout_s=CONNECT_TIMEOUT_S)
        self._client = connect([self._address], self._cluster)
        self._map = self._client.get_map(RECORDS)

    def deploy(self) -> dict[str, Any]:
        """The model on the map of records."""
        self._grid.deploy(RECORDS, trained(), features=RECORDS, columns=FEATURES)
        return {}

    def write(self, keys: list[int], seq: int, form: int = Form.PLAIN) -> dict[str, Any]:
        """Put, or remove, these keys; which of them were acknowledged."""
        made = records(keys, [seq] * len(keys), [form] * len(keys))
        calls = [
            self._map.delete(key) if form == Form.REMOVED else self._map.set(key, record)
            for key, record in zip(keys, made, strict=True)
        ]
        return {"outcomes": [self._outcome(call) for call in calls]}

    @staticmethod
    def _outcome(call: Any) -> int:
        try:
            call.result()
        except Exception:  # noqa: BLE001 - whatever it was: the writer does not know
            return INDETERMINATE
        return ACKNOWLEDGED

    def status(self) -> dict[str, Any]:
        """Members, living workers, and what the workers say of the deployment."""
        now = self._grid.status()
        one = now.deployments[0] if now.deployments else None
        said = (
            {"owned": one.owned, "unexplained": one.unexplained, "gaps": one.gaps, "failures": one.failures}
            if one
            else {}
        )
        return {"members": len(now.cluster_members), "workers": len(now.workers), **said}

    def owners(self) -> dict[str, Any]:
        """Whom the leases name, what each worker says that it scores, and whose partitions they are: for trouble."""
        link = self._grid._grid.link
        held = Counter(worker for worker, _ in self._grid._loop.run(holders(link)).values())
        said = self._grid._loop.run(read_workers(link))
        return {
            "members": link.members(),
            "partitions": Counter(link.partition_owners().values()),
            "leases": held,
            "workers": {worker: {"member": one["member"], **one["deployments"]} for worker, one in said.items()},
        }

    def verify(self) -> dict[str, Any]:
        """The product's own proof."""
        verdict = self._grid.verify(RECORDS, VERIFY_S_MAX)
        return {"complete": verdict.complete, "said": str(verdict)}

    def judge(self, histories: dict[str, list[tuple[int, int | None, bool]]]) -> dict[str, Any]:
        """The independent judge, over maps as the stock client reads them."""
        known: Histories = {int(key): [Write(*write) for write in writes] for key, writes in histories.items()}
        reader = Reader([self._address], self._cluster)
        try:
            end = reader.read(RECORDS, at_work := AtWork(RECORDS))
        finally:
            reader.close()
        verdict = check(known, end.records, end.predictions, end.dead_letters, end.expected, at_work)
        return {"found": verdict.found, "examples": verdict.examples}

    def close(self) -> None:
        """Disconnect."""
        self._client.shutdown()
        self._grid.close()


def main() -> None:
    """Do what is asked until told to end."""
    logging.basicConfig(level="ERROR")
    logging.getLogger("hazelcast").setLevel("CRITICAL")
    site, commands = Site(json.loads(sys.argv[1])), Commands()
    commands.answer()
    while (command := commands.take(3600.0)) is None or command["do"] != "end":
        if command:
            given = {name: value for name, value in command.items() if name not in {"do", "number"}}
            commands.answer(command, **getattr(site, command["do"])(**given))
    site.close()


if __name__ == "__main__":
    main()
