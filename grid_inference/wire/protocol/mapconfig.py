"""What a member's configuration says of a map, which need not exist; and a new map's configuration as a message.

Source of the layouts: Hazelcast Open Binary Client Protocol 2, `protocol-definitions/MC.yaml` (GetMemberConfig: the
member's whole configuration as XML, for whom it trusts) and `DynamicConfig.yaml` (AddMapConfig). What of a map's
settings the message can't carry is named (`MapSettings.others`), never left out without a word.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from grid_inference.errors import DecodeError
from grid_inference.wire.protocol import frames as f

__all__ = [
    "MapSettings",
    "add_map_config_request",
    "decode_member_config",
    "map_settings",
    "member_config_request",
]

MC_GET_MEMBER_CONFIG = 0x200500
ADD_MAP_CONFIG = 0x1B0C00
DEFAULT: Final = "default"
"""The configuration of maps that no other one is written for."""
SIZE_UNLIMITED = 2**31 - 1

_map_config = struct.Struct("<iiiiBiBiB")
_journal_config = struct.Struct("<Bii")
_capacity = struct.Struct("<qi")
_size = struct.Struct("<i")
_MEGABYTES = 2
_CARRIED = frozenset(
    (
        *("in-memory-format", "statistics-enabled", "per-entry-stats-enabled", "cache-deserialized-values"),
        *("backup-count", "async-backup-count", "time-to-live-seconds", "max-idle-seconds", "merge-policy"),
        *("split-brain-protection-ref", "read-backup-data", "metadata-policy", "event-journal"),
    )
)
"""Elements of a map's configuration that AddMapConfig is made from here. Of all others only those that are off pass."""


@dataclass(frozen=True, slots=True)
class MapSettings:
    """What a map is configured with; the defaults are Hazelcast's."""

    written_for: str = DEFAULT
    """The name or the pattern that the configuration is written for."""
    journal: bool = False
    in_memory_format: str = "BINARY"
    backup_count: int = 1
    async_backup_count: int = 0
    ttl_s: int = 0
    max_idle_s: int = 0
    eviction: tuple[int, str, str] = (SIZE_UNLIMITED, "PER_NODE", "NONE")
    """Size, what it counts, policy."""
    merge_policy: str = "com.hazelcast.spi.merge.PutIfAbsentMergePolicy"
    merge_batch: int = 100
    split_brain_protection: str | None = None
    read_backup_data: bool = False
    statistics: bool = True
    entry_statistics: bool = False
    cache_deserialized_values: str = "INDEX_ONLY"
    metadata_policy: str = "CREATE_ON_UPDATE"
    stale_near_cache: bool = False
    """Whether the member's own code reads it through a near cache that no change invalidates."""
    others: tuple[str, ...] = ()
    """Elements that AddMapConfig is not made from here: a map store, indexes, listeners and so on."""


# ---- a member's configuration


def member_config_request() -> bytearray:
    """MC.GetMemberConfig, for the member that it is sent to; `decode_member_config` reads the answer."""
    return f.request(MC_GET_MEMBER_CONFIG, b"")


def decode_member_config(message: f.Message) -> str:
    """A member's configuration as XML."""
    payloads, _ = message.frames()
    if len(payloads) < 2:
        raise DecodeError("a member's configuration has no text")
    try:
        return payloads[1].decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"a member's configuration is no UTF-8: {error.reason}") from None


def map_settings(xml: str, name: str) -> MapSettings:
    """What a member's configuration says of a map, which need not exist, by Hazelcast's own rule.

    The configuration of just this name, else the pattern that has most in common with it, else the default one.
    """
    try:
        root = ET.fromstring(xml)  # noqa: S314 - from a member, which could do worse; expat bounds what entities make
    except ET.ParseError as error:
        raise DecodeError(f"a member's configuration is no XML: {error}") from None
    maps = {one.get("name", ""): one for one in root if _tag(one) == "map"}
    base = name.partition("@")[0] or name
    if base in maps:
        return _settings(maps[base])
    found = max(((_in_common(pattern, base), pattern) for pattern in maps), default=(-1, ""))
    if found[0] >= 0:
        return _settings(maps[found[1]])
    return _settings(maps[DEFAULT]) if DEFAULT in maps else MapSettings()


def _in_common(pattern: str, name: str) -> int:
    """How many characters of a pattern with a * a name has in common with it; -1 if it does not match."""
    before, star, after = pattern.partition("*")
    matches = star and name.startswith(before) and name.endswith(after)
    return len(before) + len(after) if matches else -1


def _settings(element: ET.Element) -> MapSettings:
    said = {_tag(one): one for one in element}

    def text(tag: str, default: str) -> str:
        return (said[tag].text or default).strip() if tag in said else default

    def attribute(tag: str, name: str, default: str) -> str:
        return said[tag].get(name, default) if tag in said else default

    size, counts, policy = MapSettings().eviction
    return MapSettings(
        written_for=element.get("name", ""),
        journal=attribute("event-journal", "enabled", "false") == "true",
        in_memory_format=text("in-memory-format", "BINARY"),
        backup_count=_number(text("backup-count", "1")),
        async_backup_count=_number(text("async-backup-count", "0")),
        ttl_s=_number(text("time-to-live-seconds", "0")),
        max_idle_s=_number(text("max-idle-seconds", "0")),
        eviction=(
            _number(attribute("eviction", "size", str(size))),
            attribute("eviction", "max-size-policy", counts),
            attribute("eviction", "eviction-policy", policy),
        ),
        merge_policy=text("merge-policy", MapSettings().merge_policy),
        merge_batch=_number(attribute("merge-policy", "batch-size", "100")),
        split_brain_protection=text("split-brain-protection-ref", "") or None,
        read_backup_data=text("read-backup-data", "false") == "true",
        statistics=text("statistics-enabled", "true") == "true",
        entry_statistics=text("per-entry-stats-enabled", "false") == "true",
        cache_deserialized_values=text("cache-deserialized-values", "INDEX_ONLY").replace("-", "_"),
        metadata_policy=text("metadata-policy", "CREATE_ON_UPDATE"),
        stale_near_cache=_is_stale(said.get("near-cache")),
        others=tuple(tag for tag, one in said.items() if not _is_carried(tag, one)),
    )


def _is_stale(near_cache: ET.Element | None) -> bool:
    if near_cache is None or near_cache.get("enabled") == "false":
        return False
    said = {_tag(one): (one.text or "").strip() for one in near_cache}
    return said.get("invalidate-on-change") == "false"


def _is_carried(tag: str, element: ET.Element) -> bool:
    if tag == "eviction":
        return element.get("comparator-class-name") is None
    return tag in _CARRIED or element.get("enabled") == "false"


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise DecodeError(f"a member's configuration has {text[:20]!r} where a number stands") from None


# ---- a new map's configuration


def add_map_config_request(name: str, *, journal_capacity: int, settings: MapSettings) -> bytearray:
    """DynamicConfig.AddMapConfig: a new map's configuration, with an event journal and else with these settings."""
    head = _map_config.pack(
        settings.backup_count,
        settings.async_backup_count,
        settings.ttl_s,
        settings.max_idle_s,
        settings.read_backup_data,
        settings.merge_batch,
        settings.statistics,
        int(settings.metadata_policy == "OFF"),
        settings.entry_statistics,
    )
    size, counts, policy = settings.eviction
    limits = (f.data_frame(_size.pack(size)), f.string_frame(counts), f.string_frame(policy), f.NULL_FRAME * 2)
    journal = _structure(f.data_frame(_journal_config.pack(1, journal_capacity, 0)))
    memory = _structure(_structure(f.data_frame(_capacity.pack(256, _MEGABYTES))))
    disk = _structure(f.data_frame(b"\0"), f.string_frame("default-tiered-store-device"))
    protection = settings.split_brain_protection
    return f.request(
        ADD_MAP_CONFIG,
        head,
        f.string_frame(name),
        f.NULL_FRAME if settings.eviction == MapSettings().eviction else _structure(*limits),
        f.string_frame(settings.cache_deserialized_values),
        f.string_frame(settings.merge_policy),
        f.string_frame(settings.in_memory_format),
        f.NULL_FRAME * 2,  # listeners: none
        f.NULL_FRAME if protection is None else f.string_frame(protection),
        f.NULL_FRAME * 9,  # store, near cache, WAN, indexes and so on: none
        journal,
        f.NULL_FRAME,  # Merkle tree: none
        _structure(f.data_frame(b"\0\0")),  # persistence: off
        _structure(f.data_frame(b"\0"), memory, disk),  # tiered store: off
        f.NULL_FRAME,  # partitioning attributes: none
        f.NULL_FRAME,  # user code namespace: none
    )


def _structure(*frames: bytes) -> bytes:
    return b"".join((f.BEGIN_FRAME, *frames, f.END_FRAME))
