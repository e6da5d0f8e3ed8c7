"""The stock Python client's serializer, without a cluster, as the oracle of our codecs."""

from typing import Any

from hazelcast.config import Config, IntType
from hazelcast.serialization.api import CompactReader, CompactSerializer, CompactWriter
from hazelcast.serialization.compact import FieldDescriptor
from hazelcast.serialization.compact import Schema as StockSchema
from hazelcast.serialization.data import Data
from hazelcast.serialization.service import SerializationServiceV1

from grid_inference.wire.compact import Schema


def stock_schema(schema: Schema) -> StockSchema:
    return StockSchema(schema.type_name, [FieldDescriptor(each.name, int(each.kind)) for each in schema.fields])


class StockRecords:
    """Writes and reads dicts as records of one schema by the stock client."""

    def __init__(self, schema: Schema) -> None:
        self._record_type = type("Record", (), {})
        config = Config()
        config.compact_serializers = [_DictSerializer(schema, self._record_type)]
        self._service = SerializationServiceV1(config)
        compact = self._service._compact_stream_serializer
        compact.register_schema_to_type(stock_schema(schema), self._record_type)

    def encode(self, record: dict[str, Any]) -> bytes:
        item = self._record_type()
        item.fields = record
        return _bytes(self._service, item)

    def decode(self, data: bytes) -> dict[str, Any]:
        return self._service.to_object(Data(data)).fields


def _bytes(service: SerializationServiceV1, item: Any) -> bytes:
    return bytes(service.to_data(item).buffer)


class _DictSerializer(CompactSerializer):
    def __init__(self, schema: Schema, record_type: type) -> None:
        self._schema = schema
        self._record_type = record_type

    def write(self, writer: CompactWriter, item: Any) -> None:
        for name, slot in self._schema.slots.items():
            getattr(writer, f"write_{slot.kind.name.lower()}")(name, item.fields[name])

    def read(self, reader: CompactReader) -> Any:
        item = self._record_type()
        item.fields = {
            name: getattr(reader, f"read_{slot.kind.name.lower()}")(name) for name, slot in self._schema.slots.items()
        }
        return item

    def get_class(self) -> type:
        return self._record_type

    def get_type_name(self) -> str:
        return self._schema.type_name


def stock_key(value: Any, int_type: int = IntType.LONG) -> bytes:
    """A key's Data as the stock client writes it with the given default type of `int`."""
    config = Config()
    config.default_int_type = int_type
    return _bytes(SerializationServiceV1(config), value)
