"""Keys ⇄ Python objects, and which partition a key lies in. Records: `compact/`.

A Python `int` becomes a LONG whatever its size, so that Java's `map.get(4711L)` finds it. A key of a type that is not
known here, or that is not well-formed, is kept as the bytes it came in (`DataKey`): one odd key stops nobody else's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import EncodeError
from grid_inference.wire import layout
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.missing import plain_value

__all__ = [
    "KEY_KINDS",
    "DataKey",
    "decode_keys",
    "encode_key",
    "encode_keys",
    "guard_key",
    "key_text",
    "key_texts",
    "murmur3",
    "partition_id",
    "partition_ids",
]

KeyValues = Sequence[Any] | NDArray[Any]


class DataKey(bytes):
    """A key as whole Data, header included; `encode_keys` takes it as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"DataKey({self.hex()})"


_NUMBERS: dict[str, tuple[int, str]] = {
    "byte": (layout.TYPE_BYTE, ">i1"),
    "short": (layout.TYPE_SHORT, ">i2"),
    "int": (layout.TYPE_INT, ">i4"),
    "long": (layout.TYPE_LONG, ">i8"),
    "float": (layout.TYPE_FLOAT, ">f4"),
    "double": (layout.TYPE_DOUBLE, ">f8"),
}
KEY_KINDS = (*_NUMBERS, "string", "bytes", "uuid", "data")
"""What `encode_keys` takes as `kind`; "data" is whole Data as bytes."""
_NUMBER_DTYPES = {type_id: np.dtype(code) for type_id, code in _NUMBERS.values()}
_LENGTH = struct.Struct(">i")
_LONG = struct.Struct(">iiq")
_PAYLOAD = layout.DATA_HEADER_BYTES
_TEXT = _PAYLOAD + layout.LENGTH_BYTES


# ---- Python → keys


def encode_keys(values: KeyValues, kind: str | None = None) -> Blobs:
    """Key Data of `values`, all of one `kind`, or each by its Python type: int → long, float → double, str → string."""
    if kind is not None and kind not in KEY_KINDS:
        raise EncodeError(f"{kind!r} is no kind of key; there are {', '.join(KEY_KINDS)}")
    if not len(values):
        return Blobs.empty()
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        default = "long" if values.dtype.kind in "iu" else "double"
        return _encode_kind(values, kind or default)
    plain = [plain_value(value) for value in values]
    if kind is not None:
        return _encode_kind(plain, kind)
    kinds = [_kind_of(value) for value in plain]
    if kinds.count(kinds[0]) == len(kinds):
        return _encode_kind(plain, kinds[0])
    return Blobs.concat([_encode_kind([value], each) for value, each in zip(plain, kinds, strict=True)])


def encode_key(value: Any) -> bytes:
    """The Data of one key, of the kind that its Python type says."""
    if type(value) is int and layout.INT64_MIN <= value <= layout.INT64_MAX:
        return _LONG.pack(0, layout.TYPE_LONG, value)
    if type(value) is str and value.isascii():
        return _string_key(value)
    return encode_keys([value])[0]


def _kind_of(value: Any) -> str:
    for python_type, kind in _PYTHON_KINDS:
        if isinstance(value, python_type) and not isinstance(value, bool):
            return kind
    raise EncodeError(f"{value!r} can't be a key: {type(value).__name__} is none of int, float, str, bytes, UUID")


_PYTHON_KINDS: tuple[tuple[type, str], ...] = (
    (int, "long"),
    (str, "string"),
    (float, "double"),
    (UUID, "uuid"),
    (DataKey, "data"),
    (bytes, "bytes"),
    (bytearray, "bytes"),
)


def _encode_kind(values: KeyValues, kind: str) -> Blobs:
    if kind in _NUMBERS:
        return _encode_numbers(values, kind)
    encode = _ENCODERS[kind]
    try:
        return Blobs.of([encode(value) for value in values])
    except (AttributeError, TypeError, UnicodeEncodeError) as error:
        raise EncodeError(f"a {kind} key: {error}") from None


def _encode_numbers(values: KeyValues, kind: str) -> Blobs:
    type_id, code = _NUMBERS[kind]
    numbers = _numbers(values, kind, np.dtype(code))
    dtype = np.dtype(code)
    data = np.empty((numbers.size, _PAYLOAD + dtype.itemsize), np.uint8)
    data[:, :_PAYLOAD] = np.frombuffer(_header(type_id), np.uint8)
    payload: NDArray[Any] = np.ndarray((numbers.size,), dtype, data, _PAYLOAD, (data.shape[1],))
    with np.errstate(over="ignore"):
        payload[:] = numbers
    return Blobs.from_matrix(data)


def _numbers(values: KeyValues, kind: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array that fits `dtype` without a change of value, except that a double is rounded to a float."""
    array = values if isinstance(values, np.ndarray) else np.array(values, object)
    if array.dtype == np.object_:
        wanted = int if dtype.kind == "i" else (int, float)
        if any(isinstance(v, bool) or not isinstance(v, wanted) for v in array.tolist()):
            raise EncodeError(f"not every key is a number that a {kind} can hold")
        try:
            array = array.astype(np.int64 if dtype.kind == "i" else np.float64)
        except OverflowError:
            raise EncodeError(f"a key does not fit into {kind}") from None
    if array.ndim != 1 or (dtype.kind == "i" and array.dtype.kind not in "iu"):
        raise EncodeError(f"keys of {array.dtype} in {array.ndim} dimensions can't be of kind {kind}")
    if dtype.kind == "i" and not np.can_cast(array.dtype, dtype):
        limits = np.iinfo(dtype)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise EncodeError(f"a key does not fit into {kind}")
    return array


def _header(type_id: int, stored_hash: int = 0) -> bytes:
    return layout.DATA_HEADER.pack(stored_hash, type_id)


def _with_length(type_id: int, payload: bytes, stored_hash: int = 0) -> bytes:
    return _header(type_id, stored_hash) + _LENGTH.pack(len(payload)) + payload


def _whole_data(value: bytes) -> bytes:
    if len(value) < _PAYLOAD:
        raise EncodeError(f"a key of kind data has a header of {_PAYLOAD} bytes, this one has {len(value)} in all")
    return bytes(value)


_STRING_HEADER = _header(layout.TYPE_STRING)


def _string_key(value: str) -> bytes:
    payload = value.encode()
    return b"%b%b%b" % (_STRING_HEADER, _LENGTH.pack(len(payload)), payload)


_ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "string": _string_key,
    "bytes": lambda value: _with_length(layout.TYPE_BYTE_ARRAY, memoryview(value).tobytes()),
    "uuid": lambda value: _header(layout.TYPE_UUID) + value.bytes,
    "data": _whole_data,
}


def guard_key(text: str, partition: int, count: int) -> bytes:
    """A string key that lies in a chosen partition, whatever its text: that is stored as its partition hash."""
    if not 0 <= partition < count:
        raise EncodeError(f"there is no partition {partition} among {count}")
    # A hash of 0 would mean that none is stored.
    return _with_length(layout.TYPE_STRING, text.encode(), partition or count)


# ---- keys → Python


def decode_keys(keys: Blobs) -> list[Any]:
    """Python objects; None for a null, `DataKey` for what has no Python form here."""
    long_enough = keys.lengths >= _PAYLOAD
    types = np.zeros(len(keys), np.int32)
    types[long_enough] = keys.take(long_enough).read(layout.TYPE_OFFSET, ">i4")
    found: list[Any] = [None] * len(keys)
    for type_id in np.unique(types).tolist():
        rows = np.flatnonzero(types == type_id)
        for row, value in zip(rows.tolist(), _decode_type(keys.take(rows), type_id), strict=True):
            found[row] = value
    return found


def _decode_type(keys: Blobs, type_id: int) -> list[Any]:
    dtype = _NUMBER_DTYPES.get(type_id)
    if dtype is not None and bool((keys.lengths == _PAYLOAD + dtype.itemsize).all()):
        return keys.read(_PAYLOAD, dtype).tolist()
    return [_decode_key(data, type_id) for data in keys.tolist()]


def _decode_key(data: bytes, type_id: int) -> Any:
    if len(data) <= _PAYLOAD and type_id == layout.TYPE_NULL:
        return None if len(data) in (0, _PAYLOAD) else DataKey(data)
    payload = data[_PAYLOAD:]
    dtype = _NUMBER_DTYPES.get(type_id)
    if dtype is not None and len(payload) == dtype.itemsize:
        return np.frombuffer(payload, dtype)[0].item()
    if type_id == layout.TYPE_UUID and len(payload) == 16:
        return UUID(bytes=payload)
    if type_id in (layout.TYPE_STRING, layout.TYPE_BYTE_ARRAY) and payload[:4] == _LENGTH.pack(len(data) - _TEXT):
        try:
            return data[_TEXT:].decode() if type_id == layout.TYPE_STRING else data[_TEXT:]
        except UnicodeDecodeError:
            return DataKey(data)
    return DataKey(data)


def key_text(keys: Blobs) -> list[str]:
    """A form for people's eyes: numbers and strings as they are, other bytes in hex."""
    return [value.hex() if isinstance(value, bytes) else str(value) for value in decode_keys(keys)]


def key_texts(keys: Blobs) -> Blobs:
    """`key_text` as UTF-8 bytes; a worker's predictions go by `kernels/texts.py`."""
    return Blobs.of([text.encode() for text in key_text(keys)])


# ---- keys → partitions

_C1, _C2 = 0xCC9E2D51, 0x1B873593
_MURMUR_SEED = 0x01000193
_MASK = 0xFFFFFFFF
_SCALAR_ROWS_MAX = 8
"""So few rows are hashed faster one by one."""


def partition_ids(keys: Blobs, count: int) -> NDArray[np.int32]:
    """The partition of each key among `count`, by the hash stored in it or else by its payload."""
    if len(keys) <= _SCALAR_ROWS_MAX:
        return np.array([partition_id(key, count) for key in keys.tolist()], np.int32)
    if int(keys.lengths.min()) >= 4:
        hashes = keys.read(0, ">i4").astype(np.int32)
    else:
        hashes, long_enough = np.zeros(len(keys), np.int32), keys.lengths >= 4
        hashes[long_enough] = keys.take(long_enough).read(0, ">i4")
    absent = hashes == 0
    if bool(absent.all()):
        hashes = murmur3(keys)
    elif bool(absent.any()):
        hashes[absent] = murmur3(keys.take(absent))
    # Java: Integer.MIN_VALUE has no absolute value and means partition 0.
    sizes = np.abs(hashes.astype(np.int64)) % count
    sizes[hashes == layout.INT32_MIN] = 0
    return sizes.astype(np.int32)


def partition_id(key: bytes, count: int) -> int:
    """The same for one key, without arrays."""
    stored = int.from_bytes(key[:4], "big", signed=True) if len(key) >= 4 else 0
    found = stored or _signed(_murmur3_one(key[_PAYLOAD:]))
    return 0 if found == layout.INT32_MIN else abs(found) % count


def _signed(number: int) -> int:
    return number - (number >> 31 << 32)


def murmur3(blobs: Blobs, offset: int = _PAYLOAD) -> NDArray[np.int32]:
    """murmur3_x86_32 with Hazelcast's seed over each blob's bytes from `offset` on, shape (n,)."""
    sizes = np.maximum(blobs.lengths - offset, 0)
    hashes = np.empty(len(blobs), np.uint32)
    if len(blobs) and bool((sizes == sizes[0]).all()):
        return _murmur3_equal(blobs, offset, int(sizes[0])).view(np.int32)
    found, group = np.unique(sizes, return_inverse=True)
    for i, size in enumerate(found.tolist()):
        rows = np.flatnonzero(group == i)
        if rows.size <= _SCALAR_ROWS_MAX:
            hashes[rows] = [_murmur3_one(blobs[row][offset:]) for row in rows.tolist()]
        else:
            hashes[rows] = _murmur3_equal(blobs.take(rows), offset, size)
    return hashes.view(np.int32)


def _murmur3_equal(blobs: Blobs, offset: int, size: int) -> NDArray[np.uint32]:
    padded = blobs.matrix(offset, size)
    if size % 4:
        padded = np.pad(padded, ((0, 0), (0, -size % 4)))
    words = padded.view("<u4").T.astype(np.uint32)
    words *= np.uint32(_C1)
    words = (words << np.uint32(15)) | (words >> np.uint32(17))
    words *= np.uint32(_C2)
    h = np.full(len(blobs), _MURMUR_SEED, np.uint32)
    for word in words[: size // 4]:
        h ^= word
        h = (h << np.uint32(13)) | (h >> np.uint32(19))
        h *= np.uint32(5)
        h += np.uint32(0xE6546B64)
    if size % 4:
        h ^= words[-1]
    h ^= np.uint32(size)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return h


def _murmur3_one(payload: bytes) -> int:
    size = len(payload)
    h = _MURMUR_SEED
    for (word,) in struct.iter_unpack("<I", payload[: size // 4 * 4]):
        h ^= _murmur3_word(word)
        h = ((h << 13 | h >> 19) * 5 & _MASK) + 0xE6546B64 & _MASK
    h ^= _murmur3_word(int.from_bytes(payload[size // 4 * 4 :], "little")) ^ size
    h = (h ^ h >> 16) * 0x85EBCA6B & _MASK
    h = (h ^ h >> 13) * 0xC2B2AE35 & _MASK
    return h ^ h >> 16


def _murmur3_word(word: int) -> int:
    word = word * _C1 & _MASK
    return (word << 15 | word >> 17) * _C2 & _MASK
