"""Deployments that are proposed: what workers load before anything of it is at work, and what each says of it.

A proposal and its answers stand in maps of their own, and go by themselves: a deployer that dies leaves nothing behind.
What is in the deployments' own map is not touched.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from grid_inference.errors import DecodeError, DeploymentError
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.logs import error_once, logger
from grid_inference.model.store.registry import Deployed
from grid_inference.wire.json.values import decode_json, encode_json
from grid_inference.wire.keys import encode_key, encode_keys

__all__ = ["ANSWERS_MAP", "PROPOSALS_MAP", "Proposal", "Proposals"]

_log = logger(__name__)

PROPOSALS_MAP = "grid_inference.proposals"
ANSWERS_MAP = "grid_inference.proposals.answers"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A deployment that workers are asked to load."""

    deployed: Deployed
    time_s: float
    """It goes by itself after so long, and so do its answers."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """Tells it from others of the same name: an answer is to this one."""


class Proposals:
    """The proposals of one grid."""

    def __init__(self, link: Link) -> None:
        self._proposals = GridMap(link, PROPOSALS_MAP)
        self._answers = GridMap(link, ANSWERS_MAP)
        self._read: dict[bytes, Proposal] = {}
        """Entries as they stood at the last look: a worker looks each turn, and a wide model's takes long."""

    async def make(self, proposal: Proposal) -> None:
        """Have every worker load it."""
        said = {"token": proposal.token, "time_s": proposal.time_s, "deployed": proposal.deployed.to_mapping()}
        await self._proposals.set(encode_key(proposal.token), encode_json(said), ttl_s=proposal.time_s)

    async def withdraw(self, proposal: Proposal) -> None:
        """Ask no more; the answers go by themselves."""
        await self._proposals.delete(encode_key(proposal.token))

    async def standing(self) -> list[Proposal]:
        """All that stand now; entries that are none are left out, and told of once."""
        found = dict[bytes, Proposal]()
        for value in await self._proposals.values():
            try:
                found[value] = self._read.get(value) or _proposal(decode_json(value))
            except (DecodeError, DeploymentError, LookupError, TypeError, ValueError) as error:
                error_once(_log, "entry left out, it is no proposal", error=f"{type(error).__name__}: {error}")
        self._read = found
        return list(found.values())

    async def answer(self, proposal: Proposal, worker: str, failure: str) -> None:
        """Say that a worker has loaded it, or why it could not."""
        said = {"worker": worker, "failure": failure}
        await self._answers.set(encode_key(f"{proposal.token}/{worker}"), encode_json(said), ttl_s=proposal.time_s)

    async def answers(self, proposal: Proposal, workers: Iterable[str]) -> dict[str, str]:
        """Of these workers those that have answered: empty, or why they could not load it."""
        keys = encode_keys([f"{proposal.token}/{worker}" for worker in workers], "string")
        _, values = await self._answers.get_batch(keys)
        said = dict[str, str]()
        for value in values.tolist():
            with suppress(DecodeError, LookupError, TypeError):  # none of ours
                one = decode_json(value)
                said[str(one["worker"])] = str(one["failure"])
        return said


def _proposal(said: Any) -> Proposal:
    return Proposal(Deployed.from_mapping(said["deployed"]), float(said["time_s"]), str(said["token"]))
