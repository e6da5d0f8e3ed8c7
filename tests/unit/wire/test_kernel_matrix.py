"""A matrix of fields: compiled and plain kernels give what one record's decoder gives, and refuse what is damaged."""

from __future__ import annotations

import numpy as np
import pytest

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema, decode_matrix, decode_record, encode_record

KINDS = {
    **{f"n{kind}": FieldKind[f"NULLABLE_{kind}"] for kind in ("BOOLEAN", "INT8", "INT16", "INT32", "INT64", "FLOAT32")},
    **{f"p{kind}": FieldKind[kind] for kind in ("INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64")},
    **{f"b{index}": FieldKind.BOOLEAN for index in range(10)},
    "n": FieldKind.NULLABLE_FLOAT64,
    "text": FieldKind.STRING,
}
SCHEMA = Schema.of("r", KINDS)
NAMES = [name for name in KINDS if name != "text"][::-1]
RNG = np.random.default_rng(2)


def value(kind: FieldKind) -> float | bool | str | None:
    name = kind.name.removeprefix("NULLABLE_")
    if kind.name != name and RNG.random() < 0.3:
        return None
    if name == "STRING":
        return "x" * int(RNG.integers(0, 300))
    if name == "BOOLEAN":
        return bool(RNG.integers(2))
    if name.startswith("FLOAT"):
        return float(np.float32(RNG.normal()))
    limits = np.iinfo(name.lower())
    return int(RNG.integers(limits.min, limits.max, endpoint=True))


def records(count: int, text: int | None = None) -> list[bytes]:
    every = [{name: value(kind) for name, kind in KINDS.items()} for _ in range(count)]
    return [encode_record(SCHEMA, one if text is None else one | {"text": "x" * text}) for one in every]


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("text", [0, 300, 70_000], ids=["offsets of 1", "of 2", "of 4 bytes"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_kind_is_what_one_record_gives(text: int, dtype: type[np.floating]) -> None:
    some = records(7, text)
    found = decode_matrix(Blobs.of(some), SCHEMA, NAMES, dtype)
    fields = [decode_record(SCHEMA, record) for record in some]
    expected = [[np.nan if one[name] is None else float(one[name]) for name in NAMES] for one in fields]
    assert found.dtype == dtype
    assert np.array_equal(found, np.array(expected).astype(dtype), equal_nan=True)


@pytest.mark.usefixtures("either_kernels")
def test_a_damaged_record_gives_a_matrix_or_a_decode_error() -> None:
    refused = 0
    for record in records(60):
        damaged = bytearray(record[: int(RNG.integers(0, len(record) + 1))])
        for place in RNG.integers(16, len(record), 2).tolist():
            damaged[place : place + 1] = bytes(RNG.integers(0, 256, len(damaged[place : place + 1]), np.uint8))
        try:
            decode_matrix(Blobs.of([record, bytes(damaged)]), SCHEMA, NAMES)
        except DecodeError:
            refused += 1
    assert refused > 5


def test_what_is_not_one_number_is_refused() -> None:
    with pytest.raises(DecodeError, match="STRING, not one number"):
        decode_matrix(Blobs.of(records(1)), SCHEMA, ["text"])
