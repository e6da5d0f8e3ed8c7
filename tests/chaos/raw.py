"""What the witnesses read of a prediction without decoding it: the fixed-size fields stand at fixed places.

Compact keeps fixed-size fields by size and name behind the schema's id and the length, so in Prediction and
PredictionMessage alike: input_digest, owner_epoch, score, scored_at_us, version.
"""

from __future__ import annotations

import struct
from typing import Any

_fixed = struct.Struct(">qqdqi")
_FIXED_OFFSET = 8 + 8 + 4


def fields_of(data: Any) -> tuple[int, int, float, int, int]:
    """Digest, epoch, score, scored_at_us and version of a stock client's Data."""
    return _fixed.unpack_from(data.buffer, _FIXED_OFFSET)


def raw(proxy: Any) -> Any:
    """A stock proxy that hands out Data instead of objects."""
    proxy._to_object = lambda data: data
    return proxy
