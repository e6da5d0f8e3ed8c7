"""The workers' entry under chaos: routes through proxies, failpoints, perhaps a mutant; then the worker as it is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hazelcast.core import Address
from hazelcast.internal.asyncio_connection import DefaultAsyncioAddressProvider

from grid_inference.node.worker.__main__ import main as work
from tests.chaos.failpoints import Failpoints, install
from tests.chaos.mutants import MUTANTS
from tests.chaos.worker import PLAN_VARIABLE


def table(file: Path) -> dict[str, int]:
    """A member's port → its proxy's."""
    return json.loads(file.read_text(encoding="utf-8"))


def route(file: Path) -> None:
    """Lead each connection to the proxy of its member, by a table that may grow while the worker lives."""

    async def translate(_: Any, address: Address) -> Address:
        ports = table(file)
        return Address(address.host, ports.get(str(address.port), address.port))

    DefaultAsyncioAddressProvider.translate = translate  # type: ignore[method-assign]


def main() -> None:
    """Do to this process what the plan says, and work."""
    plan = json.loads(os.environ[PLAN_VARIABLE])
    route(Path(plan["routes"]))
    install(Failpoints(Path(plan["failpoints"])))
    if plan.get("mutant"):
        MUTANTS[plan["mutant"]]()
    work()


if __name__ == "__main__":
    main()
