"""Records that differ in a few places only, written from templates and framed into requests of the client protocol.

A template is a whole Compact record (`compact/`) of one label, with an empty text and no bytes in two of its fields of
variable size, if it has these. Numbers are set at constant places, text and bytes put in, and the table of offsets
is written anew. One buffer takes all requests, each as `protocol/messages.py` has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from grid_inference.wire.kernels.kernel import (
    Bytes,
    Columns,
    Int32s,
    Ints,
    Numbers,
    Room,
    Scored,
    Table,
    Templates,
    kernel,
    part,
)
from grid_inference.wire.kernels.words import Laid, copy, frame, laid, put_int32, put_word

__all__ = [
    "AROUND_BYTES_MAX",
    "END",
    "FIXED",
    "KEY",
    "KEY_DATA",
    "SCORES",
    "START",
    "VARIABLE",
    "messages",
    "predictions",
]

U64 = np.uint64
START, KEY, KEY_DATA, END, SCORES, VARIABLE = range(6)
"""Of a template: where it begins in the buffer of all; from there on: what follows on the lengths of key and key_data
(0: it has neither), the end of the variable part, the first score; then the offset of each field of variable size."""
FIXED = 20
"""Bytes before the fixed part: header, schema id, length."""
Template = tuple[Laid, Table, Ints]
"""The records, their places, and where the numbers lie in each."""
_FRAME_HEADER = 6
AROUND_BYTES_MAX = 2 * _FRAME_HEADER + 4 * 32
"""Beside the variable part's end, key and text a record takes at most so many: frames, and offsets of 32 fields."""


@part
def _width(size: int) -> int:
    return 1 if size < 0xFF else 2 if size < 0xFFFF else 4


@part
def _record_bytes(places: Table, label: int, text: int, key: int) -> Any:
    size = places[label, END] - FIXED + text + key
    return FIXED + size + _width(size) * (places.shape[1] - VARIABLE)


@part
def _template(labels: Ints, label: int) -> int:
    """The place of a label among those that are known, which are in order; -1 if it is not."""
    low, high = 0, labels.size - 1
    while low < high:
        middle = (low + high) // 2
        if labels[middle] < label:
            low = middle + 1
        else:
            high = middle
    return low if labels.size and labels[low] == label else -1


@part
def _put_parts(
    room: Laid,
    at: int,
    template: Template,
    label: int,
    texts: Laid,
    text_at: int,
    text: int,
    keys: Laid,
    key_at: int,
    key: int,
) -> int:
    """All of a record up to its table of offsets; where that begins."""
    record, places = template[0], template[1]
    base, end = places[label, START], places[label, END]
    key_place, data_place = places[label, KEY], places[label, KEY_DATA]
    if not key_place:
        return copy(room, at, record, base, end)
    at = copy(room, at, record, base, key_place)
    put_int32(room, at - 4, text)
    at = copy(room, at, texts, text_at, text)
    at = copy(room, at, record, base + key_place, data_place - key_place)
    put_int32(room, at - 4, key)
    at = copy(room, at, keys, key_at, key)
    return copy(room, at, record, base + data_place, end - data_place)


@part
def _put_offsets(room: Laid, at: int, size: int, places: Table, label: int, text: int, key: int) -> int:
    """The table of offsets into so many bytes; where it ends."""
    width = _width(size)
    for field in range(VARIABLE, places.shape[1]):
        offset = places[label, field]
        if places[label, KEY] and offset >= 0:  # a null's is -1, all ones in any width
            behind_text, behind_key = offset + FIXED >= places[label, KEY], offset + FIXED >= places[label, KEY_DATA]
            offset += (text if behind_text else 0) + (key if behind_key else 0)
        for i in range(width):
            room[0][U64(at)] = (offset >> (8 * (width - 1 - i))) & 0xFF
            at += 1
    return at


@part
def _put_record(
    room: Laid,
    at: int,
    template: Template,
    label: int,
    scored: Scored,
    row: int,
    texts: Laid,
    text_at: int,
    text: int,
    keys: Laid,
    key_at: int,
    key: int,
) -> int:
    """One record whole; where it ends."""
    end = _put_parts(room, at, template, label, texts, text_at, text, keys, key_at, key)
    places, numbers, size = template[1], template[2], end - at - FIXED
    put_int32(room, at + FIXED - 4, size)
    put_word(room, at + numbers[0], np.float64(scored[0][row]).view(np.uint64))
    put_word(room, at + numbers[1], U64(scored[1][row]))
    put_word(room, at + numbers[2], U64(scored[2][row]))
    put_word(room, at + numbers[3], U64(scored[3]))
    place = at + places[label, SCORES] + (text + key if places[label, KEY] else 0)
    for column in range(scored[4].shape[1]):
        put_word(room, place + 8 * column, np.float64(scored[4][row, column]).view(np.uint64))
    return _put_offsets(room, end, size, places, label, text, key)


@part
def _sort(partitions: Int32s, begins: Numbers, order: Table) -> None:
    """Rows in the order of their partitions, those of one partition as they came → `order[0]`."""
    for partition in range(begins.size):
        begins[partition] = 0
    for row in range(partitions.size):
        begins[partitions[row] + 1] += 1
    for partition in range(begins.size - 1):
        begins[partition + 1] += begins[partition]
    for row in range(partitions.size):
        order[0, begins[partitions[row]]] = row
        begins[partitions[row]] += 1


@kernel
def predictions(
    keys: Columns,
    partitions: Int32s,
    labels: Int32s,
    scored: Scored,
    templates: Templates,
    head: Bytes,
    tail: Bytes,
    body: Room,
    most: int,
    begins: Numbers,
    requests: Table,
) -> int:
    """Requests of entries, a record a key, each request of one partition and of `most` bytes of entries if it can be.

    All of them one behind the other → `body`; partition and end of each → `requests[1]` and `requests[2]`, of shape
    (3, n). `begins` has two numbers more than the highest partition. Returned is how many requests they are, or -1
    where a label is none of `templates`.
    """
    _sort(partitions, begins, requests)
    key_data, key_starts, key_lengths = laid(keys[0]), keys[1], keys[2]
    known, places, template = templates[0], templates[2], (laid(templates[1]), templates[2], templates[3])
    room, head_data, tail_data = laid(body), laid(head), laid(tail)
    at, count, filled, current = 0, 0, 0, -1
    for i in range(partitions.size):
        row = int(requests[0, i])
        label = _template(known, labels[row])
        if label < 0:
            return -1
        value = _record_bytes(places, label, 0, 0)
        size = 2 * _FRAME_HEADER + key_lengths[row] + value
        if partitions[row] != current or filled + size > most:
            if count:
                at = copy(room, at, tail_data, 0, tail.size)
                requests[2, count - 1] = at
            at = copy(room, at, head_data, 0, head.size)
            current, filled = partitions[row], 0
            requests[1, count] = current
            count += 1
        filled += size
        at = copy(room, frame(room, at, key_lengths[row]), key_data, key_starts[row], key_lengths[row])
        at = frame(room, at, value)
        at = _put_record(room, at, template, label, scored, row, key_data, 0, 0, key_data, 0, 0)
    if count:
        requests[2, count - 1] = copy(room, at, tail_data, 0, tail.size)
    return count


@kernel
def messages(
    keys: Columns,
    texts: Bytes,
    text_places: Table,
    labels: Int32s,
    scored: Scored,
    templates: Templates,
    head: Bytes,
    tail: Bytes,
    body: Room,
    most: int,
    rows: Table,
) -> int:
    """Requests of messages, a record each that holds its key as bytes and as text; `most` records a request.

    All of them one behind the other → `body`; `rows`, shape (3, n), has where each record begins and ends, and of each
    request in turn where that ends. Returned is how many requests they are, or -1 where a label is none of `templates`.
    """
    key_data, key_starts, key_lengths = laid(keys[0]), keys[1], keys[2]
    known, places, template = templates[0], templates[2], (laid(templates[1]), templates[2], templates[3])
    room, head_data, tail_data, text_data = laid(body), laid(head), laid(tail), laid(texts)
    at = 0
    for row in range(labels.size):
        label, text_at, text = _template(known, labels[row]), text_places[0, row], text_places[1, row]
        if label < 0:
            return -1
        if row % most == 0:
            at = copy(room, at, head_data, 0, head.size)
        key_at, key = key_starts[row], key_lengths[row]
        at = frame(room, at, _record_bytes(places, label, text, key))
        rows[0, row] = at
        at = _put_record(room, at, template, label, scored, row, text_data, text_at, text, key_data, key_at, key)
        rows[1, row] = at
        if row + 1 == labels.size or (row + 1) % most == 0:
            at = copy(room, at, tail_data, 0, tail.size)
            rows[2, row // most] = at
    return (labels.size + most - 1) // most
