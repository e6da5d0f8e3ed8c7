"""A feature map: records in, one by one or by columns, and out again. Keys and records: `aio.py`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from grid_inference.api.field_kinds import FieldKinds
from grid_inference.api.tables import Scan, to_pandas
from grid_inference.errors import EncodeError
from grid_inference.grid.entries import by_format
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap, last_of_each, rows_of
from grid_inference.records import Put, RecordTable, pandas_module
from grid_inference.wire.arrow.intake import column_from, frame_columns, key_values
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import (
    ArraysEncoder,
    Dtypes,
    FieldKind,
    PlainDecoder,
    PlainEncoder,
    Schema,
    Shape,
    dtypes_of,
    encode_columns,
    encode_record,
    infer_record_schemas,
    infer_schema,
    schema_id_of,
    shape_of,
)
from grid_inference.wire.compact.record_schemas import plain_record, unsaid_fields
from grid_inference.wire.digest import digest_of
from grid_inference.wire.keys import decode_keys, encode_key, encode_keys
from grid_inference.wire.kinds import all_settled, nested_columns, undecided

__all__ = ["Features", "python_keys"]

SHAPES_MAX = 256
_Shape = TypeVar("_Shape")
_Encoder = TypeVar("_Encoder")


class Features:
    """One feature map. It belongs to its grid's event loop: elsewhere it raises GridError."""

    def __init__(self, link: Link, name: str) -> None:
        self.name = name
        """The map's name."""
        self._link = link
        self._map = GridMap(link, name)
        self._kinds = FieldKinds(link, name)
        self._encoders: dict[Shape, PlainEncoder] = {}
        """By the shape of records that were put one by one."""
        self._array_encoders: dict[Dtypes, ArraysEncoder] = {}
        """By the names and dtypes of columns that were put."""
        self._decoders: dict[int, PlainDecoder | None] = {}
        """By the schema of records that were read one by one; None where their fields are not plain."""

    async def put(self, key: Any, record: Mapping[str, Any]) -> int:
        """Write one record: values become float64, int64, boolean or nullable string. Returns its digest.

        A dict in a field, or a list of dicts, becomes a nested record of the type `<map>.<field>`. What is missing
        (None, NA, NaT, NaN where the field is no float) is a null of the field's kind, as the map's records or a model
        have it. Raises EncodeError that names the field for a value that no field holds, and beyond NESTING_MAX records
        in one another.
        """
        value = await self._encoded(record)
        await self._link.create_map(self.name)
        await self._map.set(encode_key(key), value)
        return digest_of(value)

    async def put_batch(self, columns: Any, *, key: Any, key_type: str | None = None) -> Put:
        """Write n records from columns: a dict of arrays, or a frame of pandas, polars or Arrow. Returns how many.

        `key` names the column that holds the keys, or is a sequence of keys itself. Of equal keys the last one counts.
        A column's kind follows from its type, never from its nulls; one that is null throughout and has no type is of
        the kind that the map's records or a model have. Raises EncodeError that names column and row for what no field
        holds or holds only rounded, and for a row without a key; nothing is put then. Structs of Arrow or polars
        become nested records of the type `<map>.<field>`.
        """
        named = frame_columns(columns)
        given: Any = named.pop(key) if isinstance(key, str) and key in named else key
        if isinstance(given, str):
            raise EncodeError(f"there is no column {key!r} for the keys; there are: {', '.join(named)}")
        keys = key_values(key if isinstance(key, str) else "key", given, key_type)
        if not len(keys):
            return Put(0, 0)
        values, data = await self._encoded_columns(named), encode_keys(keys, key_type)
        if len(values) != len(data):
            raise EncodeError(f"{len(data)} keys for {len(values)} records")
        last = last_of_each(data)
        await self._link.create_map(self.name)
        await self._map.put_batch(data.take(last), values.take(last))
        return Put(len(data), len(last))

    async def get(self, key: Any) -> dict[str, Any] | None:
        """One record as a dict, or None; a record or an object in a field is a dict too.

        Raises DecodeError for a value that is neither a Compact record nor a JSON object.
        """
        data = encode_key(key)
        value = await self._map.get(data)
        if value is None:
            return None
        schema_id = schema_id_of(value)
        decoder = self._decoders.get(schema_id) if schema_id is not None else None
        if decoder and (record := decoder.decode(value)) is not None:
            return record
        [(_, found)] = await by_format(self._link, self.name, Blobs.of([data]), Blobs.of([value]))
        if schema_id is not None and schema_id not in self._decoders:
            self._decoders[schema_id] = PlainDecoder.of(await self._link.schema(schema_id))
        return found.records()[0]

    async def get_batch(self, keys: Any, key_type: str | None = None) -> RecordTable:
        """Those records of the keys that are there, as columns, in the keys' order; `a.b` is the field b of that in a.

        A field that only some records have is null elsewhere. Raises DecodeError for a record that can't be read.
        """
        keys = key_values("keys", keys, key_type)
        data = encode_keys(keys, key_type)
        found, values = await self._map.get_batch(data)
        rows = rows_of(data, found)
        there = rows >= 0
        parts = await by_format(self._link, self.name, data.take(there), values.take(rows[there]))
        return RecordTable.of(python_keys(keys, data, there), [(at, part.columns()) for at, part in parts])

    def scan(self, where: str | None = None, columns: Sequence[str] | None = None) -> AsyncGenerator[RecordTable]:
        """The records as they are now, in chunks of some thousand rows; in no order, and memory stays flat.

        `where` is Hazelcast's SQL-predicate syntax over the fields and `__key`; `columns` names the fields wanted. Both
        take `a.b` for the field b of the record or object in a, and `a[0]` for an array's first element. A field that
        only some records have is null elsewhere. Raises ConfigError for a field that no record has, DecodeError for a
        value that is no Compact record and no JSON object.
        """
        return Scan(self._link, self.name, where, columns).tables()

    async def to_arrow(self, where: str | None = None, columns: Sequence[str] | None = None) -> Any:
        """The records as one pyarrow.Table: the keys as `key` (`__key` beside a field `key`), then the fields.

        A null is an Arrow null. Parameters and errors are those of `scan`; DecodeError also if no Arrow type holds all
        values of a field.
        """
        return await Scan(self._link, self.name, where, columns).to_arrow()

    async def to_pandas(self, where: str | None = None, columns: Sequence[str] | None = None) -> Any:
        """The same as `to_arrow` as a DataFrame, indexed by key; ImportError without pandas."""
        pandas_module()
        return to_pandas(await self.to_arrow(where, columns))

    async def remove(self, key: Any) -> None:
        """Remove one record; its prediction goes too, unless the deployment keeps it."""
        await self._map.delete(encode_key(key))

    async def size(self) -> int:
        """How many records there are."""
        return await self._map.size()

    async def clear(self) -> None:
        """Remove all records."""
        await self._map.clear()

    async def destroy(self) -> None:
        """Take the whole map away, its journal included; deployments on it go on with what is put next."""
        await self._map.destroy()

    async def _encoded_columns(self, named: Mapping[str, Any]) -> Blobs:
        dtypes = dtypes_of(named)
        encoder = self._array_encoders.get(dtypes)
        if encoder and (values := encoder.encode(named)) is not None:
            await self._link.send_schema(encoder.schema)
            return values
        given_fields = {name: column_from(name, values) for name, values in named.items()}
        unsaid = undecided(given_fields)
        fields = all_settled(given_fields, await self._kinds.of(unsaid)) if unsaid else given_fields
        schema = infer_schema(self.name, fields)
        nested = {name: infer_schema(name, columns) for name, columns in nested_columns(self.name, fields)}
        self._kinds.put(schema, unsaid, {name.removeprefix(f"{self.name}."): each for name, each in nested.items()})
        for inner in nested.values():
            await self._link.send_schema(inner)
        await self._link.send_schema(schema)
        if encoder is None and (learnt := ArraysEncoder.of(schema, dtypes)):
            _keep(self._array_encoders, dtypes, learnt)
        return encode_columns(schema, fields)

    async def _encoded(self, record: Mapping[str, Any]) -> bytes:
        shape = shape_of(record)
        encoder = self._encoders.get(shape)
        if encoder and (value := encoder.encode(record)) is not None:
            await self._link.send_schema(encoder.schema)
            return value
        unsaid = unsaid_fields(record)
        known = await self._kinds.of(unsaid) if unsaid else {}
        record = plain_record(record, known)
        schema, nested = infer_record_schemas(self.name, record, known)
        self._kinds.put(schema, unsaid, nested)
        for inner in nested.values():
            await self._link.send_schema(inner)
        await self._link.send_schema(schema)
        if encoder is None and not unsaid:
            self._learn(shape, schema)
        return encode_record(schema, record, nested)

    def _learn(self, shape: Shape, schema: Schema) -> None:
        """Encode the next dicts of this shape by what was found out of this one, if its fields are plain."""
        floats = [slot.name for slot in schema.slots.values() if slot.kind is FieldKind.FLOAT64]
        if (encoder := PlainEncoder.of(schema, shape, nan=self._kinds.numbers(floats))) is None:
            return
        _keep(self._encoders, shape, encoder)


def _keep(kept: dict[_Shape, _Encoder], shape: _Shape, encoder: _Encoder) -> None:
    """So many at the most: where fields differ each time none comes again."""
    if len(kept) == SHAPES_MAX:
        kept.clear()
    kept[shape] = encoder


def python_keys(asked: Any, data: Blobs, there: NDArray[np.bool_]) -> list[Any]:
    """Python keys of the rows that are there; whole numbers need not be decoded again."""
    if isinstance(asked, np.ndarray) and asked.dtype.kind in "iu":
        found: list[Any] = asked[there].tolist()
        return found
    return decode_keys(data.take(there))
