"""Hazelcast Compact records ⇄ columns and dicts.

A record is a Data:

    offset  type      meaning
    0       int32 BE  partition hash, 0 in values
    4       int32 BE  type id, -55
    8       int64 BE  schema id, see `wire/schema.py`
    16      int32 BE  bytes of fixed and variable part; absent in a schema without variable-size fields
    then    bytes     fixed part: numbers, widest first, then booleans as bits, the lowest bit first
    then    bytes     variable part: what each field that is not null holds; in order of name if we or a GenericRecord
                      write it, in the order of its calls if an application's serializer does
    then    table     where each variable-size field begins, counted from the fixed part; uint8, uint16 or int32 BE as
                      the bytes of both parts are < 255, < 65535 or more; all ones for a null

A nullable number is itself, a nullable boolean a byte, a string or array has an int32 length before it, booleans in an
array are bits. Dates and times: `temporal.py`; decimals: `decimal.py`. An array with nullable items,
and one of strings, dates, times, decimals or records, is like a record: int32 bytes of data, int32 count, data, table.
A nested record is all of the above from the schema id on; its table points into itself.

Who wrote a record is not known, so every byte is taken for hostile. Columns: `encode.py`, `decode.py`; one record:
`record.py`, and `plain.py` for those of numbers and texts alone; records in records: `nested.py`.
"""

from grid_inference.wire.columns import Column, ColumnLike, as_column, join_columns
from grid_inference.wire.compact.arrays import ArraysEncoder, Dtypes, dtypes_of
from grid_inference.wire.compact.decode import (
    decode_columns,
    decode_even_columns,
    decode_matrix,
    decode_text_blobs,
    schema_ids,
)
from grid_inference.wire.compact.encode import encode_columns
from grid_inference.wire.compact.nested import element_of, flat_names, has_field, is_nested, nested_schema_ids
from grid_inference.wire.compact.plain import PlainDecoder, PlainEncoder, Shape, schema_id_of, shape_of
from grid_inference.wire.compact.record import NESTING_MAX, NO_SCHEMAS, decode_record, encode_record
from grid_inference.wire.compact.record_schemas import infer_record_schemas
from grid_inference.wire.kinds import infer_schema
from grid_inference.wire.schema import Field, FieldKind, Schema

__all__ = [
    "NESTING_MAX",
    "NO_SCHEMAS",
    "ArraysEncoder",
    "Column",
    "ColumnLike",
    "Dtypes",
    "Field",
    "FieldKind",
    "PlainDecoder",
    "PlainEncoder",
    "Schema",
    "Shape",
    "as_column",
    "decode_columns",
    "decode_even_columns",
    "decode_matrix",
    "decode_record",
    "decode_text_blobs",
    "dtypes_of",
    "element_of",
    "encode_columns",
    "encode_record",
    "flat_names",
    "has_field",
    "infer_record_schemas",
    "infer_schema",
    "is_nested",
    "join_columns",
    "nested_schema_ids",
    "schema_id_of",
    "schema_ids",
    "shape_of",
]
