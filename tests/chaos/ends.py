"""What stands in our own maps and in the journals, by the stock client; entries that are none of ours are left out.

The journal's codec, which the stock client lacks, is written here once more: nothing of the flow is used.
"""

from __future__ import annotations

import json
import struct
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hazelcast.core import HazelcastJsonValue
from hazelcast.invocation import Invocation
from hazelcast.protocol.builtin import FixSizedTypesCodec, StringCodec
from hazelcast.protocol.client_message import (
    REQUEST_HEADER_SIZE,
    RESPONSE_HEADER_SIZE,
    OutboundMessage,
    create_initial_buffer,
)

from tests.chaos.workload import DEPLOYMENTS, JOURNALED

PARTITIONS = 31
WORKERS, LEASES, POSITIONS = (f"grid_inference.{name}" for name in ("workers", "leases", "positions"))
JOURNAL_RANGE = 0x014100
NEWEST_OFFSET = RESPONSE_HEADER_SIZE + 8
"""Behind the oldest sequence."""
SAID_WITHIN_S = 2.0
"""Who has said nothing for so long may own nothing any more."""
_position = struct.Struct(">qq?qqi")
"""A stored position begins with sequence, witness, whether there is one, epoch, when it was stored, and generation:
`grid_inference/flow/positions.py`."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it stands."""

    worker: str
    epoch: int
    deaths: int


def _json_of(value: Any) -> Any:
    try:
        return json.loads(value.to_string()) if isinstance(value, HazelcastJsonValue) else None
    except ValueError:
        return None


def leases_of(entries: Iterable[tuple[Any, Any]]) -> dict[str, Lease]:
    """Place → lease."""
    found = ((place, _json_of(value)) for place, value in entries)
    return {
        place: Lease(said["worker"], said["epoch"], said.get("deaths", 0))
        for place, said in found
        if isinstance(said, dict) and {"worker", "epoch"} <= said.keys()
    }


def positions_of(entries: Iterable[tuple[Any, Any]]) -> dict[str, tuple[int, int, int]]:
    """Deployment and partition → sequence, the epoch of whoever stored it, and the generation of the deployment."""
    found: dict[str, tuple[int, int, int]] = {}
    for place, stored in entries:
        if isinstance(stored, (bytes, bytearray)) and len(stored) >= _position.size:
            sequence, _, _, epoch, _, generation = _position.unpack_from(stored)
            found[place] = sequence, epoch, generation
    return found


def said_by(values: Iterable[Any]) -> list[dict[str, Any]]:
    """What workers say of themselves."""
    found = (_json_of(value) for value in values)
    return [said for said in found if isinstance(said, dict) and {"id", "pid", "said_at_us"} <= said.keys()]


def owned_by(workers: Sequence[Mapping[str, Any]], now_s: float) -> Counter[str]:
    """How many partitions of each deployment are owned, by the words of those that have said something just now."""
    owned = Counter[str](dict.fromkeys(DEPLOYMENTS, 0))
    for one in workers:
        if now_s - one["said_at_us"] / 1e6 < SAID_WITHIN_S:
            owned.update({name: said.get("owned", 0) for name, said in one.get("deployments", {}).items()})
    return owned


class Ends:
    """Asks the members where journals end and how far positions have come."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._marks: dict[str, dict[int, int]] = {}

    def newest(self, name: str) -> dict[int, int]:
        """The newest sequence of each partition's journal; -1 where it has none."""
        asked = {partition: self._ask(name, partition) for partition in range(PARTITIONS)}
        return {partition: future.result() for partition, future in asked.items()}

    def _ask(self, name: str, partition: int) -> Any:
        request = create_initial_buffer(REQUEST_HEADER_SIZE, JOURNAL_RANGE)
        StringCodec.encode(request, name, True)
        call = Invocation(
            OutboundMessage(request, True),
            partition_id=partition,
            response_handler=lambda answer: FixSizedTypesCodec.decode_long(answer.next_frame().buf, NEWEST_OFFSET),
        )
        self._client._invocation_service.invoke(call)
        return call.future

    def mark(self) -> None:
        """Note where the journals end now."""
        self._marks = {name: self.newest(name) for name in JOURNALED}

    def behind(self) -> list[str]:
        """Which positions have not come to the mark yet, and which deployments are not owned just once."""
        stored = self.positions()
        found = [
            f"{name}/{partition}: {stored.get(f'{name}/{partition}')} of {mark + 1}"
            for name, marks in self._marks.items()
            for partition, mark in marks.items()
            if stored.get(f"{name}/{partition}", -1) <= mark and mark >= 0
        ]
        return found + self.not_owned_once()

    def not_owned_once(self) -> list[str]:
        """Deployments of which more or less partitions are owned than there are."""
        owned = owned_by(said_by(self._client.get_map(WORKERS).values().result()), time.time())
        return [f"{name}: {owned[name]} owned" for name in DEPLOYMENTS if owned[name] != PARTITIONS]

    def not_at_the_end(self, name: str) -> list[str]:
        """Partitions whose stored position is not just where their journal ends."""
        newest, stored = self.newest(name), self.positions()
        return [
            f"partition {partition}: position {stored.get(f'{name}/{partition}')}, its journal ends at {last}"
            for partition, last in newest.items()
            if last >= 0 and stored.get(f"{name}/{partition}") != last + 1
        ]

    def positions(self) -> dict[str, int]:
        """Deployment and partition → sequence."""
        entries = self._client.get_map(POSITIONS).entry_set().result()
        return {place: sequence for place, (sequence, *_) in positions_of(entries).items()}
