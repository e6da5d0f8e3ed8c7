"""Of which kind a field is that is missing in what is put: as other records of its map have it, or as a model needs it.

A null says nothing of its kind, and a record whose null is of another kind than its field's feeds no model. A field
that is known is asked for once; how records are put is not here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

import numpy as np

from grid_inference.errors import DecodeError
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.model.dtypes import zone_of
from grid_inference.model.store.registry import Deployed, Registry
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema, decode_columns, schema_ids
from grid_inference.wire.json.lookup import parse_path
from grid_inference.wire.schema import NULLABLE_OF

__all__ = ["FieldKinds"]

NOTHING_NESTED: Mapping[str, Schema] = MappingProxyType({})
RECORDS_LOOKED_AT = 20
"""So many records of a partition are looked at."""
LOOK_S_MIN = 1.0
"""The map is looked at no more often for fields that nobody knows; deployments are, each time."""
_WIDENING = (
    FieldKind.INT8, FieldKind.INT16, FieldKind.INT32, FieldKind.INT64, FieldKind.FLOAT32, FieldKind.FLOAT64
)  # fmt: skip
_OF_DTYPE: Mapping[str, FieldKind] = MappingProxyType(
    {
        "string": FieldKind.STRING,
        "bool": FieldKind.BOOLEAN,
        "datetime": FieldKind.TIMESTAMP,
        "date": FieldKind.DATE,
        "time": FieldKind.TIME,
        "timedelta": FieldKind.TIME,
    }
)


class FieldKinds:
    """The kinds of one map's fields, `a.b` for the field b of records nested in a."""

    def __init__(self, link: Link, name: str) -> None:
        self._link = link
        self._map = GridMap(link, name)
        self._registry = Registry(link)
        self._known: dict[str, FieldKind] = {}
        self._put = set[tuple[int, ...]]()
        self._looked_at = -LOOK_S_MIN

    async def of(self, names: Iterable[str]) -> dict[str, FieldKind]:
        """The kinds of those fields that somebody knows."""
        asked = set(names)
        if not asked <= self._known.keys() and time.monotonic() - self._looked_at >= LOOK_S_MIN:
            await self._look_at_records()
            self._looked_at = time.monotonic()
        if not asked <= self._known.keys():
            await self._look_at_models()
        return {name: self._known[name] for name in asked if name in self._known}

    def numbers(self, names: Iterable[str]) -> bool:
        """Whether no one knows any of these fields as something else than a number: NaN is one in each of them."""
        return all(self._known.get(name, FieldKind.FLOAT64) in _WIDENING for name in names)

    def put(self, schema: Schema, unsaid: Collection[str], nested: Mapping[str, Schema] = NOTHING_NESTED) -> None:
        """Remember of what kinds the fields of a record are that is put, but for those `unsaid`, which hold nothing.

        `nested` has the schemas of the records within it, by the fields that hold them.
        """
        ids = (schema.schema_id, *(inner.schema_id for inner in nested.values()))
        if ids in self._put:
            return
        for name, inner in {"": schema, **nested}.items():
            for field, slot in inner.slots.items():
                path = f"{name}.{field}" if name else field
                if path not in unsaid:
                    self._known.setdefault(path, NULLABLE_OF.get(slot.kind, slot.kind))
        if not unsaid:
            self._put.add(ids)

    async def _look_at_records(self) -> None:
        found: dict[str, set[FieldKind]] = {}
        for partition in range(self._link.partition_count):
            page = await anext(self._map.scan(partition, RECORDS_LOOKED_AT))
            compact, ids = schema_ids(page.values)
            for schema_id in np.unique(ids[compact]).tolist():
                with contextlib.suppress(DecodeError):  # nobody can read these
                    values = page.values.take(np.flatnonzero(compact & (ids == schema_id)))
                    schema = await self._link.schema(schema_id)
                    for name, kind in await self._kinds(values, schema):
                        found.setdefault(name, set()).add(NULLABLE_OF.get(kind, kind))
        self._known |= {name: _one_of(kinds) for name, kinds in found.items()}

    async def _kinds(self, values: Blobs, schema: Schema) -> list[tuple[str, FieldKind]]:
        """The fields of some records of a schema; a STRING that is null in all of them may have been anything."""
        texts = [name for name, slot in schema.slots.items() if slot.kind is FieldKind.STRING]
        empty = {name for name, column in decode_columns(values, schema, texts).items() if column.empty}
        found = [(name, slot.kind) for name, slot in schema.slots.items() if name not in empty]
        start = f"{schema.type_name}."
        for inner in (await self._link.nested_schemas(values, schema)).values():
            if inner.type_name.startswith(start):  # the name that `put` gives
                path = inner.type_name.removeprefix(start)
                found += [(f"{path}.{name}", slot.kind) for name, slot in inner.slots.items()]
        return found

    async def _look_at_models(self) -> None:
        for deployed in (await self._registry.deployments()).values():
            if deployed.config.features == self._map.name:
                for name, kind in _kinds_of(deployed):
                    self._known.setdefault(name, kind)


def _one_of(kinds: set[FieldKind]) -> FieldKind:
    """The widest of several kinds of numbers, else the first that is more than text."""
    if kinds <= set(_WIDENING):
        return max(kinds, key=_WIDENING.index)
    return min(kinds - {FieldKind.STRING} or kinds)


def _kinds_of(deployed: Deployed) -> Iterator[tuple[str, FieldKind]]:
    """The fields that feed a model, each of the kind that the model was fitted on."""
    signature, declared = deployed.signature, deployed.config.inputs
    if signature.array_field is not None:
        yield signature.array_field, FieldKind.ARRAY_OF_FLOAT64
        return
    for each in signature.inputs:
        said = declared.get(each.name)
        for field in (said.fields if said else ()) or (each.name,):
            yield from _leading_to(field, _kind_of(each.dtype))


def _leading_to(field: str, kind: FieldKind) -> Iterator[tuple[str, FieldKind]]:
    """The kinds of a field and of what it lies in: `a.b` is in a record in a, `a[3]` in an array."""
    yield field, kind
    head, *steps = parse_path(field)
    for depth, step in enumerate(steps):
        if not isinstance(head, str):
            return
        if isinstance(step, int):
            several = FieldKind.ARRAY_OF_COMPACT if depth + 1 < len(steps) else FieldKind[f"ARRAY_OF_{kind.name}"]
            yield head, several
            return
        yield head, FieldKind.COMPACT
        head = f"{head}.{step}"


def _kind_of(dtype: str) -> FieldKind:
    if zone_of(dtype):
        return FieldKind.TIMESTAMP_WITH_TIMEZONE
    start = dtype.rstrip("0123456789").partition("64")[0]
    return FieldKind.INT64 if start in {"int", "uint"} else _OF_DTYPE.get(start, FieldKind.FLOAT64)
