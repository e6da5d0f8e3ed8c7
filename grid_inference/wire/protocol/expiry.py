"""What a map is made with as to copies, format and limits, and the times of one entry: what lets entries go.

Source of the layouts: Hazelcast Open Binary Client Protocol 2, `protocol-definitions/MC.yaml` (GetMapConfig, which
members answer to whom they trust), `Map.yaml` and `Custom.yaml` (GetEntryView). Behind the response's header:

    GetMapConfig    int32 in-memory format (1 OBJECT), backups, async backups, time to live in s, max idle in s, size,
                    size policy; byte read backup data; int32 eviction policy (0 LRU, 1 LFU, 2 none, 3 random); then
                    more frames
    GetEntryView    int64 max idle; frames: BEGIN, ten int64 (the last two are time to live and max idle in ms), key,
                    value, END; a null frame in their place for a key that is not there. What is unlimited is 2^63 - 1
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from grid_inference.errors import DecodeError
from grid_inference.wire.protocol import frames as f

__all__ = ["MapLimits", "decode_entry_times", "decode_map_limits", "entry_view_request", "map_config_request"]

MC_GET_MAP_CONFIG = 0x200300
MAP_GET_ENTRY_VIEW = 0x011D00
MEMORY_OBJECT = 1
EVICTION_NONE = 2
SIZE_UNLIMITED = 2**31 - 1
EVICTION_NAMES: Final = {0: "LRU", 1: "LFU", 2: "NONE", 3: "RANDOM"}

_no_thread = struct.pack("<q", 0)
_map_config = struct.Struct("<7iBi")
_entry_view = struct.Struct("<10q")


@dataclass(frozen=True, slots=True)
class MapLimits:
    """How long, how many and how often a map keeps its entries, as it was made."""

    ttl_s: int
    """Time to live; 0: none."""
    max_idle_s: int
    """0: none."""
    size_max: int
    eviction: str
    """NONE, LRU, LFU, RANDOM, or a policy's number."""
    backups: int = 0
    """Copies of an entry besides the first, those that nobody waits for included."""
    keeps_objects: bool = False
    """Whether values are kept as objects and written anew for each reader, with other bytes than were put."""

    @property
    def evicts(self) -> bool:
        """Whether entries may go because there are too many."""
        return self.eviction != EVICTION_NAMES[EVICTION_NONE] and 0 < self.size_max < SIZE_UNLIMITED


def map_config_request(name: str) -> bytearray:
    """MC.GetMapConfig; `decode_map_limits` reads the answer. A map that does not exist is made as it is configured."""
    return f.request(MC_GET_MAP_CONFIG, b"", f.string_frame(name))


def decode_map_limits(message: f.Message) -> MapLimits:
    """What GetMapConfig answered."""
    memory, backups, async_backups, ttl_s, max_idle_s, size_max, _, _, eviction = message.fixed(_map_config)
    policy = EVICTION_NAMES.get(eviction, str(eviction))
    return MapLimits(ttl_s, max_idle_s, size_max, policy, backups + async_backups, memory == MEMORY_OBJECT)


def entry_view_request(name: str, key: bytes) -> bytearray:
    """Map.GetEntryView; `decode_entry_times` reads the answer."""
    return f.request(MAP_GET_ENTRY_VIEW, _no_thread, f.string_frame(name), f.data_frame(key))


def decode_entry_times(message: f.Message) -> tuple[int, int] | None:
    """(time to live, max idle) of an entry in ms, 2^63 - 1 where there is no limit; None if there is no entry."""
    payloads, flags = message.frames()
    if len(payloads) > 1 and int(flags[1]) & f.IS_NULL:
        return None
    if len(payloads) < 3 or not int(flags[1]) & f.BEGIN or int(payloads.lengths[2]) < _entry_view.size:
        raise DecodeError(f"a view of an entry has {len(payloads)} frames, and its times are not among them")
    *_, ttl_ms, max_idle_ms = _entry_view.unpack_from(payloads[2])
    return ttl_ms, max_idle_ms
