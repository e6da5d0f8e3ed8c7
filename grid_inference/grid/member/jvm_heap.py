"""How full a Java process's heap is, from the file that HotSpot keeps of each process of this user.

Source of the layout: OpenJDK, `perfMemory.hpp` (PerfDataPrologue, PerfDataEntry). The prologue has 32 bytes: magic,
byte order, version; offset and number of the entries stand in its last eight. An entry: int32 length, offset of its
name, vector length; four bytes of type, flags, unit and variability; int32 offset of its value.
"""

from __future__ import annotations

import re
import struct
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Heap", "heap_of"]

MAGIC = b"\xca\xfe\xc0\xc0"
LITTLE_ENDIAN = 1
LONG = ord("J")
LINUX_FOLDER = "/tmp"  # noqa: S108 - HotSpot's choice, whatever TMPDIR says
USED = re.compile(rb"sun\.gc\.generation\.\d+\.space\.\d+\.used")
MAX = re.compile(rb"sun\.gc\.generation\.\d+\.maxCapacity")
_prologue = struct.Struct("<4sB19xii")
_entry = struct.Struct("<iii4Bi")
_value = struct.Struct("<q")


@dataclass(frozen=True, slots=True)
class Heap:
    """Bytes."""

    used_bytes: int
    """As of the last collection or enlargement."""
    max_bytes: int


def heap_of(process_id: int, folder: Path | None = None) -> Heap | None:
    """The heap of a Java process of this user; None where its file is not there, or is none that we know."""
    where = folder or Path(LINUX_FOLDER if sys.platform == "linux" else tempfile.gettempdir())
    for each in where.glob("hsperfdata_*"):
        try:
            return _read((each / str(process_id)).read_bytes())
        except OSError:
            continue
        except (struct.error, ValueError):
            return None  # half written, or of a Java that writes it in another way
    return None


def _read(data: bytes) -> Heap | None:
    magic, order, offset, count = _prologue.unpack_from(data)
    if magic != MAGIC or order != LITTLE_ENDIAN:
        return None
    used, most = 0, 0
    for _ in range(count):
        length, name_at, vector, kind, _, _, _, value_at = _entry.unpack_from(data, offset)
        name = data[offset + name_at : data.index(b"\0", offset + name_at)]
        if kind == LONG and not vector:
            (value,) = _value.unpack_from(data, offset + value_at)
            if USED.fullmatch(name):
                used += value
            elif MAX.fullmatch(name):
                most = max(most, value)  # with G1 each generation may take all of it
        offset += max(length, _entry.size)
    return Heap(used, most) if most else None
