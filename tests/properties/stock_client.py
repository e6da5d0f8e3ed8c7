"""The stock Python client's serializer, without a cluster, as the oracle of our codecs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hazelcast.config import Config, IntType
from hazelcast.serialization.api import CompactReader, CompactSerializer, CompactWriter
from hazelcast.serialization.compact import FieldDescriptor
from hazelcast.serialization.compact import Schema as StockSchema
from hazelcast.serialization.data import Data
from hazelcast.serialization.service import SerializationServiceV1

from grid_inference.wire.compact import FieldKind, Schema

_NESTED_KINDS = (FieldKind.COMPACT, FieldKind.ARRAY_OF_COMPACT)


def stock_schema(schema: Schema) -> StockSchema:
    return StockSchema(schema.type_name, [FieldDescriptor(each.name, int(each.kind)) for each in schema.fields])


class StockRecords:
    """Writes and reads dicts as records of one schema by the stock client.

    A nested dict is of the schema that `nested` has for its field, whatever record the field is in.
    """

    def __init__(self, schema: Schema, nested: Mapping[str, Schema] = MappingProxyType({})) -> None:
        types = {each: type("Record", (), {}) for each in (schema, *nested.values())}
        self._record_type = types[schema]
        config, inner = Config(), {name: types[each] for name, each in nested.items()}
        config.compact_serializers = [_DictSerializer(each, record_type, inner) for each, record_type in types.items()]
        self._service = SerializationServiceV1(config)
        for each, record_type in types.items():
            compact = self._service._compact_stream_serializer
            compact.register_schema_to_type(stock_schema(each), record_type)

    def encode(self, record: dict[str, Any]) -> bytes:
        return _bytes(self._service, _item(self._record_type, record))

    def decode(self, data: bytes) -> dict[str, Any]:
        return self._service.to_object(Data(data)).fields


def _item(record_type: type, fields: Any) -> Any:
    if fields is None:
        return None
    if isinstance(fields, list):
        return [_item(record_type, each) for each in fields]
    item = record_type()
    item.fields = fields
    return item


def _fields(item: Any) -> Any:
    return [_fields(each) for each in item] if isinstance(item, list) else item and item.fields


def _bytes(service: SerializationServiceV1, item: Any) -> bytes:
    return bytes(service.to_data(item).buffer)


class _DictSerializer(CompactSerializer):
    def __init__(self, schema: Schema, record_type: type, nested: Mapping[str, type]) -> None:
        self._schema = schema
        self._nested = nested
        self._record_type = record_type

    def write(self, writer: CompactWriter, item: Any) -> None:
        for name, slot in self._schema.slots.items():
            value = item.fields[name]
            if slot.kind in _NESTED_KINDS:
                value = _item(self._nested[name], value)
            getattr(writer, f"write_{slot.kind.name.lower()}")(name, value)

    def read(self, reader: CompactReader) -> Any:
        fields: dict[str, Any] = {}
        for name, slot in self._schema.slots.items():
            value = getattr(reader, f"read_{slot.kind.name.lower()}")(name)
            fields[name] = _fields(value) if slot.kind in _NESTED_KINDS else value
        return _item(self._record_type, fields)

    def get_class(self) -> type:
        return self._record_type

    def get_type_name(self) -> str:
        return self._schema.type_name


def stock_key(value: Any, int_type: int = IntType.LONG) -> bytes:
    """A key's Data as the stock client writes it with the given default type of `int`."""
    config = Config()
    config.default_int_type = int_type
    return _bytes(SerializationServiceV1(config), value)
