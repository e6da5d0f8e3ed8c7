"""`features.py`, blocking: written by tools/blocking_api.py. Change that one, and run the tool again."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from grid_inference.api import aio
from grid_inference.api.blocking.loop_thread import LoopThread
from grid_inference.records import Put, RecordTable

__all__ = ["Features"]


class Features:
    """One feature map. Several threads may use it at once."""

    def __init__(self, loop: LoopThread, features: aio.Features) -> None:
        self._loop = loop
        self._features = features
        self.name = features.name
        """The map's name."""

    def put(self, key: Any, record: Mapping[str, Any]) -> int:
        """Write one record: values become float64, int64, boolean or nullable string. Returns its digest.

        A dict in a field, or a list of dicts, becomes a nested record of the type `<map>.<field>`. What is missing
        (None, NA, NaT, NaN where the field is no float) is a null of the field's kind, as the map's records or a model
        have it. Raises EncodeError that names the field for a value that no field holds, and beyond NESTING_MAX records
        in one another.
        """
        return self._loop.run(self._features.put(key, record))

    def put_batch(self, columns: Any, *, key: Any, key_type: str | None = None) -> Put:
        """Write n records from columns: a dict of arrays, or a frame of pandas, polars or Arrow. Returns how many.

        `key` names the column that holds the keys, or is a sequence of keys itself. Of equal keys the last one counts.
        A column's kind follows from its type, never from its nulls; one that is null throughout and has no type is of
        the kind that the map's records or a model have. Raises EncodeError that names column and row for what no field
        holds or holds only rounded, and for a row without a key; nothing is put then. Structs of Arrow or polars
        become nested records of the type `<map>.<field>`.
        """
        return self._loop.run(self._features.put_batch(columns, key=key, key_type=key_type))

    def get(self, key: Any) -> dict[str, Any] | None:
        """One record as a dict, or None; a record or an object in a field is a dict too.

        Raises DecodeError for a value that is neither a Compact record nor a JSON object.
        """
        return self._loop.run(self._features.get(key))

    def get_batch(self, keys: Any, key_type: str | None = None) -> RecordTable:
        """Those records of the keys that are there, as columns, in the keys' order; `a.b` is the field b of that in a.

        A field that only some records have is null elsewhere. Raises DecodeError for a record that can't be read.
        """
        return self._loop.run(self._features.get_batch(keys, key_type))

    def scan(self, where: str | None = None, columns: Sequence[str] | None = None) -> Generator[RecordTable]:
        """The records as they are now, in chunks of some thousand rows; in no order, and memory stays flat.

        `where` is Hazelcast's SQL-predicate syntax over the fields and `__key`; `columns` names the fields wanted. Both
        take `a.b` for the field b of the record or object in a, and `a[0]` for an array's first element. A field that
        only some records have is null elsewhere. Raises ConfigError for a field that no record has, DecodeError for a
        value that is no Compact record and no JSON object.
        """
        return self._loop.iterate(self._features.scan(where, columns))

    def to_arrow(self, where: str | None = None, columns: Sequence[str] | None = None) -> Any:
        """The records as one pyarrow.Table: the keys as `key` (`__key` beside a field `key`), then the fields.

        A null is an Arrow null. Parameters and errors are those of `scan`; DecodeError also if no Arrow type holds all
        values of a field.
        """
        return self._loop.run(self._features.to_arrow(where, columns))

    def to_pandas(self, where: str | None = None, columns: Sequence[str] | None = None) -> Any:
        """The same as `to_arrow` as a DataFrame, indexed by key; ImportError without pandas."""
        return self._loop.run(self._features.to_pandas(where, columns))

    def remove(self, key: Any) -> None:
        """Remove one record; its prediction goes too, unless the deployment keeps it."""
        self._loop.run(self._features.remove(key))

    def size(self) -> int:
        """How many records there are."""
        return self._loop.run(self._features.size())

    def clear(self) -> None:
        """Remove all records."""
        self._loop.run(self._features.clear())

    def destroy(self) -> None:
        """Take the whole map away, its journal included; deployments on it go on with what is put next."""
        self._loop.run(self._features.destroy())
