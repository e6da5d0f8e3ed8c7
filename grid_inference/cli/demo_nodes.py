"""The demo's nodes: members that have joined each other, each with workers of its own; one of them may be killed."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from grid_inference.grid.member import Member, MemberConfig
from grid_inference.node import Workers

__all__ = ["Nodes"]

CLUSTER: Final = "grid-inference-demo"
HEAP_MB: Final = 512
"""Of each member, where there are several."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """A cluster on this machine."""

    members: list[Member]
    workers: list[Workers]

    @classmethod
    def start(cls, running: ExitStack, count: int, workers: int) -> Nodes:
        """Start the nodes one after the other; the stack stops them, the last one first."""
        nodes = cls([], [])
        log = running.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        for _ in range(count):
            config = MemberConfig(
                cluster_name=CLUSTER,
                join=tuple(member.address for member in nodes.members),
                heap_mb=None if count == 1 else HEAP_MB,
            )
            member = running.enter_context(Member.start(config))
            helpers = Workers(member.address, CLUSTER, workers, node_address=member.address, threads=1, log=log)
            nodes.members.append(member)
            nodes.workers.append(running.enter_context(helpers))
        return nodes

    @property
    def address(self) -> str:
        """Of the first member, which is never killed."""
        return self.members[0].address

    def kill_last(self) -> str:
        """Kill a node, its member and its workers, as a machine that loses its power would; returns its address."""
        self.workers[-1].kill()
        self.members[-1].kill()
        return self.members[-1].address
