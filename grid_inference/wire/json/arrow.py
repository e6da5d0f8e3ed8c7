"""Many JSON texts → columns by Arrow's reader: exactly what `lookup.py` finds in them one by one, or RefusedError.

Arrow is told each wanted field's type (learnt from some rows), so it infers nothing: no string becomes a timestamp, and
all other fields are skipped. It refuses a batch in which one row is damaged or of another type: that is the caller's.

What Arrow takes though it is no JSON, or what makes it crash, `suited` keeps from it (as measured with pyarrow 26): a
top-level `null` at the start (segmentation fault), NaN and Infinity, a byte order mark, invalid UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.json as arrow_json
from numpy.typing import NDArray

from grid_inference.errors import DecodeError
from grid_inference.wire.columns import EXACT_MAX, Column
from grid_inference.wire.json.lookup import Path, find, is_step, parse_object, parse_path
from grid_inference.wire.layout import INT64_MAX, INT64_MIN, NESTING_MAX

__all__ = ["ArrowReader", "RefusedError", "field_names", "suited"]

pc: Any = pyarrow.compute  # makes its functions at import, which a type checker can't see

_OPENINGS_MAX = 500
"""Arrow takes any depth of nesting, Python about 1,000: a row that might be deeper than this is Python's to judge."""
_SAMPLE_ROWS = 16
_EXAMPLES_MAX = 4
"""How many rows per field are looked at if the sample's types were not all there are."""
_OPEN, _CLOSE, _NEWLINE = b"{}\n"
_ONE_LINE = bytes.maketrans(b"\n\r", b"\t\t")
"""Between tokens a tab means the same; inside a string it is as illegal as the line's end was, and stays refused."""
_ROW = re.compile(r" in row ([0-9]{1,9})$")
_INT64_SIZE_MAX = 2.0**63
_LARGE_INTEGER = re.compile(rb"(?<![0-9.+])[1-9][0-9]{15,18}(?![0-9.eE])")
_MINUS_ZERO = re.compile(rb"-0(?![.0-9eE])")


def suited(texts: Sequence[bytes], names: Iterable[str]) -> NDArray[np.bool_]:
    """Which texts Arrow may be given, shape (n,).

    Each begins with { and ends with }: so none can run into its neighbours without an error or another count of rows.
    """
    if not all(map(_is_encodable, names)):
        return np.zeros(len(texts), np.bool_)
    whole = b"\n".join(texts) + b"\n"
    found = np.frombuffer(whole, np.uint8)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    ends = np.cumsum(lengths + 1) - 1
    fits = (lengths > 1) & (found[ends - lengths] == _OPEN) & (found[ends - 1] == _CLOSE)
    for row in np.flatnonzero(lengths > 2 * _OPENINGS_MAX).tolist():
        fits[row] &= texts[row].count(b"{") + texts[row].count(b"[") <= _OPENINGS_MAX
    for refused in (b"NaN", b"Inf"):
        if refused[:1] in whole and refused in whole:  # a search for one byte is much the faster one
            fits &= [refused not in text for text in texts]
    if not whole.isascii() and not _is_utf8(whole):
        fits &= [_is_utf8(text) for text in texts]
    return fits


class RefusedError(Exception):
    """Arrow can't give what Python would, because of the rows from `start` to `stop`; of no row, if it can't say which.

    In the latter case both are the middle, where the batch may be cut in two.
    """

    def __init__(self, start: int, stop: int) -> None:
        super().__init__(f"rows {start} to {stop}")
        self.start = start
        self.stop = stop


class ArrowReader:
    """Reads parts of a batch; what it has learnt of the fields' types holds for the whole batch."""

    def __init__(self, texts: Sequence[bytes], names: Sequence[str]) -> None:
        self._names = names
        self._tree = _tree(tuple(names))
        self._sample = _parsed(texts[:: max(1, len(texts) // _SAMPLE_ROWS)])

    def read(self, texts: Sequence[bytes], *, learn: bool) -> dict[str, Column]:
        """The wanted fields of texts that are `suited`. Raises RefusedError.

        `learn`: if the sampled rows' types do not fit all rows, look for rows that show others, and try again.
        """
        whole = _lines(texts)
        try:
            table = self._learn_and_read(whole, len(texts)) if learn else _read(whole, self._schema(), len(texts))
            columns = {name: _column(table, name, self._sample) for name in self._names}
            _mend_floats(columns, texts)
        except _TypesError:
            raise RefusedError(0, len(texts)) from None
        return columns

    def _learn_and_read(self, whole: bytes, count: int) -> Any:
        schema = self._schema()
        try:
            return _read(whole, schema, count)
        except RefusedError:
            self._sample += _parsed(_examples(whole, self._tree, schema))
            if self._schema() == schema:
                raise
            return _read(whole, self._schema(), count)

    def _schema(self) -> Any:
        return pa.schema(_fields(self._tree, self._sample, pa.null()))


class _TypesError(Exception):
    """A field's values are of types that no column of Arrow's holds as Python would."""


def _lines(texts: Sequence[bytes]) -> bytes:
    """Texts that are `suited`, one a line."""
    whole = b"\n".join(texts) + b"\n"
    if np.count_nonzero(np.frombuffer(whole, np.uint8) == _NEWLINE) != len(texts):
        whole = b"\n".join(text.translate(_ONE_LINE) for text in texts) + b"\n"
    return whole


def _is_encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_utf8(text: bytes) -> bool:
    try:
        str(text, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _parsed(texts: Iterable[bytes]) -> list[dict[str, Any]]:
    """The objects of those texts that are whole."""
    records: list[dict[str, Any]] = []
    for text in texts:
        try:
            records.append(parse_object(text))
        except DecodeError:
            continue
    return records


# ---- names


def field_names(texts: Sequence[bytes]) -> list[str] | None:
    """The names in all `flat` objects that the texts are; None if Arrow can't tell, as where types or names are odd."""
    if not suited(texts, ()).all():
        return None
    try:
        return list(_flat_names(_read(_lines(texts), None, len(texts)).schema, 0))
    except (RefusedError, _TypesError):
        return None


def _flat_names(fields: Iterable[Any], depth: int) -> Iterator[str]:
    for each in fields:
        inner: list[Any] = list(each.type) if pa.types.is_struct(each.type) else []
        if depth > NESTING_MAX or not is_step(each.name) or (not inner and pa.types.is_struct(each.type)):
            raise _TypesError
        yield from (f"{each.name}.{name}" for name in _flat_names(inner, depth + 1)) if inner else [each.name]


# ---- types


@dataclass(slots=True)
class _Node:
    """What is wanted of the values at one place: themselves, fields of them, or elements of them."""

    wanted: bool = False
    fields: dict[str, _Node] = field(default_factory=dict[str, "_Node"])
    items: _Node | None = None

    def want(self, path: Path) -> None:
        node = self
        for step in path:
            if isinstance(step, str):
                node = node.fields.setdefault(step, _Node())
            else:
                node.items = node = node.items or _Node()
        node.wanted = True


@lru_cache(maxsize=64)
def _tree(names: tuple[str, ...]) -> _Node:
    root = _Node()
    for name in names:
        root.want((name,))
        root.want(parse_path(name))
    return root


def _fields(node: _Node, records: Sequence[dict[str, Any]], unknown: Any) -> list[tuple[str, Any]]:
    return [
        (name, _type(child, [record.get(name) for record in records], unknown)) for name, child in node.fields.items()
    ]


def _type(node: _Node, values: Iterable[Any], unknown: Any) -> Any:
    """The one Arrow type of the values; `unknown` if there are none."""
    found = [value for value in values if value is not None]
    types: set[type] = set(map(type, found))
    if not types:
        return unknown
    if types == {dict} and node.fields and not node.wanted:
        return pa.struct(_fields(node, found, unknown))
    if types == {list} and node.items and not node.wanted:
        # Not null: pyarrow 26 makes arrays of nulls that are shorter than they say. Nulls fit into any other type.
        return pa.list_(_type(node.items, [item for items in found for item in items], pa.bool_()))
    if types == {bool} and node.wanted:
        return pa.bool_()
    if types == {str} and node.wanted:
        return pa.string()
    if types <= {int, float} and node.wanted:
        fits = types == {int} and INT64_MIN <= min(found) <= max(found) <= INT64_MAX
        return pa.int64() if fits else pa.float64()
    raise _TypesError


def _examples(whole: bytes, tree: _Node, schema: Any) -> list[bytes]:
    """Rows with a value in a field that seemed always null, or with a fraction in one that seemed whole."""
    keys: dict[str, bytes] = {}
    for each in schema:
        _unsure(tree.fields[each.name], each.name, each.type, keys)
    texts: list[bytes] = []
    for key, value in keys.items():
        pattern = re.compile(b'"' + re.escape(key.encode()) + rb'"[ \t]*:[ \t]*' + value)
        found = [match.start() for match in islice(pattern.finditer(whole), _EXAMPLES_MAX)]
        texts += [whole[whole.rfind(b"\n", 0, at) + 1 : whole.index(b"\n", at)] for at in found]
    return texts


def _unsure(node: _Node, key: str, kind: Any, keys: dict[str, bytes]) -> None:
    """Note under a field's key which values would change its type; elements of arrays are not looked for."""
    if pa.types.is_null(kind):
        keys[key] = rb"[^n \t]"
    elif pa.types.is_int64(kind):
        keys.setdefault(key, rb"-?[0-9]+[.eE]")
    elif pa.types.is_struct(kind):
        for each in kind:
            _unsure(node.fields[each.name], each.name, each.type, keys)


# ---- values


def _read(whole: bytes, schema: Any | None, count: int) -> Any:
    """A table of one chunk and `count` rows: what the schema says, or without one all there is. Raises RefusedError."""
    others = "infer" if schema is None else "ignore"
    parse = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=others)
    read = arrow_json.ReadOptions(use_threads=False, block_size=len(whole) + 1)
    try:
        table = arrow_json.read_json(pa.py_buffer(whole), read_options=read, parse_options=parse)
        table.validate()
    except pa.ArrowInvalid as error:
        row = _ROW.search(str(error))  # a hint: wherever the batch is cut, the result is the same
        start = int(row[1]) if row and int(row[1]) < count else count // 2
        raise RefusedError(start, start + (row is not None)) from None
    if table.num_rows != count:
        raise RefusedError(count // 2, count // 2)
    return table


def _column(table: Any, name: str, sample: Sequence[dict[str, Any]]) -> Column:
    path = parse_path(name)
    column = _values(_array(table, (name,)))
    if len(path) > 1:
        column = _first(column, _values(_array(table, path)))
    if any(isinstance(step, int) for step in path) and column.values.dtype == np.float64:
        _check_floats(column, [find(record, name) for record in sample])
    return column


def _array(table: Any, path: Path) -> Any:
    """The values at a path, one a row; null where something on the way is missing or of another kind."""
    array: Any = table.column(path[0]).combine_chunks()
    for step in path[1:]:
        if isinstance(step, str) and pa.types.is_struct(array.type):
            array = pc.struct_field(array, [array.type.get_field_index(step)])
        elif isinstance(step, int) and pa.types.is_list(array.type):
            offsets = array.offsets.to_numpy().astype(np.int64)
            inside = array.is_valid().to_numpy(zero_copy_only=False) & (np.diff(offsets) > step)
            array = array.values.take(pa.array(np.where(inside, offsets[:-1] + step, 0), mask=~inside))
        else:
            return pa.nulls(len(array))
    return array


def _values(array: Any) -> Column:
    if pa.types.is_null(array.type):
        return Column(np.zeros(len(array)), np.zeros(len(array), np.bool_))
    valid: NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_string(array.type):
        return Column(array.to_numpy(zero_copy_only=False), valid)
    if not pa.types.is_primitive(array.type):
        return Column(np.zeros(len(array)), np.zeros(len(array), np.bool_))
    filled = array.fill_null(pa.scalar(0, pa.int8()).cast(array.type)) if array.null_count else array
    return Column(np.array(filled.to_numpy(zero_copy_only=False)), valid)


def _first(left: Column, right: Column) -> Column:
    """The left value of each row where it is valid, else the right one."""
    for column, other in ((left, right), (right, left)):
        if other.valid is not None and not other.valid.any():
            return column
    if left.values.dtype != right.values.dtype or left.valid is None or right.valid is None:
        raise _TypesError
    return Column(np.where(left.valid, left.values, right.values), left.valid | right.valid)


def _check_floats(column: Column, sample: Sequence[Any]) -> None:
    """Refuse floats that may all have been integers: the elements of an array share one type in Arrow."""
    whole = column.values[column.valid] == np.trunc(column.values[column.valid])
    if bool(whole.all()) and not any(isinstance(value, float) for value in sample):
        raise _TypesError


def _mend_floats(columns: dict[str, Column], texts: Sequence[bytes]) -> None:
    """Undo what Arrow makes of integers in a column of floats: -0 is 0, and one that was rounded is refused."""
    for name, column in columns.items():
        if column.values.dtype != np.float64:
            continue
        for row in np.flatnonzero((column.values == 0) & np.signbit(column.values)).tolist():
            if _MINUS_ZERO.search(texts[row]):
                column.values[row] = float(find(parse_object(texts[row]), name))
        size = np.abs(column.values)
        for row in np.flatnonzero((size >= EXACT_MAX) & (size <= _INT64_SIZE_MAX)).tolist():
            if not _LARGE_INTEGER.search(texts[row]):
                continue
            value = find(parse_object(texts[row]), name)
            if isinstance(value, int) and abs(value) > EXACT_MAX and INT64_MIN <= value <= INT64_MAX:
                raise _TypesError
