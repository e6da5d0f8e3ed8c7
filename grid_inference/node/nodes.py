"""Several nodes on this machine: members that have joined each other, each with workers of its own.

Nodes can be added, and killed, while the others run: for the demo and the benchmark. One by itself is `cli/node.py`.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import IO, Self

from grid_inference.grid.member import Member, MemberConfig
from grid_inference.node.workers import Workers

__all__ = ["Nodes"]


class Nodes:
    """A cluster on this machine. Its end in `with` stops the nodes, the last one first; from one thread at a time.

    `workers` and `threads` of their models are those of each node; without `threads` a node shares out all cores.
    `keys` is the folder of keys that all of them trust.
    """

    def __init__(
        self,
        config: MemberConfig,
        workers: int,
        *,
        threads: int | None = None,
        log: IO[bytes] | None = None,
        keys: str | None = None,
    ) -> None:
        self._config = config
        self._workers_each = workers
        self._threads = threads
        self._log = log
        self.keys = keys
        self._running = ExitStack()
        self.members: list[Member] = []
        """The members that run, in the order of their start."""
        self.workers: list[Workers] = []
        """The workers of each."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def address(self) -> str:
        """Of the first member, which is killed last."""
        return self.members[0].address

    @property
    def processes(self) -> dict[str, list[int]]:
        """Process ids of all members and of all workers."""
        workers = [process_id for each in self.workers for process_id in each.pids]
        return {"member": [member.pid for member in self.members], "workers": workers}

    def add(self) -> Member:
        """Start a member that joins the others, and its workers; returns when the member is up."""
        config = replace(self._config, join=tuple(member.address for member in self.members))
        member = self._running.enter_context(Member.start(config))
        workers = Workers(
            member.address,
            member.cluster_name,
            self._workers_each,
            node_address=member.address,
            threads=self._threads,
            log=self._log,
            keys=self.keys,
        )
        self.members.append(member)
        self.workers.append(self._running.enter_context(workers))
        return member

    def kill_last(self) -> str:
        """Kill a node, its member and its workers, as a machine that loses its power would; returns its address."""
        self.workers.pop().kill()
        member = self.members.pop()
        member.kill()
        return member.address
