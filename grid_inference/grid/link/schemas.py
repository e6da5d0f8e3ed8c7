"""Compact schemas of a cluster: fetched by their ids, made known before their first record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from hazelcast.protocol.codec import client_fetch_schema_codec, client_send_schema_codec
from hazelcast.serialization.api import FieldKind as StockFieldKind
from hazelcast.serialization.compact import FieldDescriptor
from hazelcast.serialization.compact import Schema as StockSchema

from grid_inference.errors import DecodeError, GridError
from grid_inference.grid.link.stock import invoke
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import nested_schema_ids
from grid_inference.wire.schema import FieldKind, Schema

__all__ = ["Schemas"]

REPLICATED_TRIES: Final = 100
REPLICATED_PAUSE_S: Final = 0.1
"""Pause before a schema is sent again that has not reached all members."""


class Schemas:
    """The schemas that one link knows."""

    def __init__(self, client: Any, members: Callable[[], Mapping[str, str]], call_timeout_s: float) -> None:
        self._client = client
        self._call_timeout_s = call_timeout_s
        self._members = members
        self._known: dict[int, Schema] = {}
        self._sent: set[int] = set()

    async def fetch(self, schema_id: int) -> Schema:
        """The schema of an id, from the cluster at its first use; DecodeError if the cluster has none."""
        known = self._known.get(schema_id)
        if known is None:
            request = client_fetch_schema_codec.encode_request(schema_id)
            stock = await self._invoke(request, client_fetch_schema_codec.decode_response)
            if stock is None:
                raise DecodeError(f"the cluster knows no Compact schema with the id {schema_id}")
            fields = {one.name: FieldKind(int(one.kind)) for one in stock.fields}
            known = self._known[schema_id] = Schema.of(stock.type_name, fields)
        return known

    async def fetch_nested(self, values: Blobs, schema: Schema) -> dict[int, Schema]:
        """The schemas of all records that are nested in these ones, which are of one schema."""
        known: dict[int, Schema] = {}
        while missing := nested_schema_ids(values, schema, None, known) - known.keys():
            for schema_id in missing:
                known[schema_id] = await self.fetch(schema_id)
        return known

    async def send(self, schema: Schema) -> None:
        """Make a schema known to the whole cluster; free after the first time."""
        if schema.schema_id in self._sent:
            return
        fields = [FieldDescriptor(one.name, StockFieldKind(int(one.kind))) for one in schema.fields]
        stock = StockSchema(schema.type_name, fields)
        for _ in range(REPLICATED_TRIES):
            request = client_send_schema_codec.encode_request(stock)
            replicated = await self._invoke(request, client_send_schema_codec.decode_response)
            if {str(member) for member in replicated} >= self._members().keys():
                break
            await asyncio.sleep(REPLICATED_PAUSE_S)
        else:
            raise GridError(f"the schema of {schema.type_name} does not reach all members", remedy="try again")
        # The stock service sends the schemas it knows again to a cluster that was restarted.
        self._client._compact_schema_service._has_replicated_schemas = True
        self._client._compact_schema_service._compact_serializer.register_schema_to_id(stock)
        self._known[schema.schema_id] = schema
        self._sent.add(schema.schema_id)

    async def _invoke(self, request: Any, decode: Callable[[Any], Any]) -> Any:
        return await invoke(self._client, request, decode, self._call_timeout_s)
