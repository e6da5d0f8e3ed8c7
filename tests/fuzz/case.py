"""`Case`: what one target is given, and its form in the corpus: JSON with the bytes in hex."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema

from .inputs import Inputs

__all__ = ["CORPUS", "Case", "OnlyStockError", "Target", "load", "save", "scattered"]

CORPUS = Path(__file__).parent / "corpus"
GAP = b"\xff\xff\xff"
"""Between blobs, so that what reads too far meets no zeros."""


@dataclass(frozen=True, slots=True)
class Case:
    """Bytes, and what is said about them."""

    items: tuple[bytes, ...]
    schemas: tuple[Schema, ...] = ()
    """The items' own schema first, then those of records nested in them."""
    names: tuple[str, ...] = ()
    """Fields that are wanted, or other words that a target needs."""

    @property
    def nbytes(self) -> int:
        """Bytes of all items."""
        return sum(map(len, self.items))

    def to_mapping(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "items": [item.hex() for item in self.items],
            "schemas": [[each.type_name, {f.name: int(f.kind) for f in each.fields}] for each in self.schemas],
            "names": list(self.names),
        }

    @classmethod
    def from_mapping(cls, mapping: dict[str, Any]) -> Self:
        """Read what `to_mapping` gave."""
        kinds = [(name, {f: FieldKind(kind) for f, kind in fields.items()}) for name, fields in mapping["schemas"]]
        items = tuple(map(bytes.fromhex, mapping["items"]))
        return cls(items, tuple(Schema.of(*each) for each in kinds), tuple(mapping["names"]))


class OnlyStockError(DecodeError):
    """We refuse, for the reason that is the message, what the stock client reads."""


@dataclass(frozen=True, slots=True)
class Target:
    """A reader of bytes, and how its cases are made and judged."""

    name: str
    make: Callable[[np.random.Generator, Inputs], Case]
    decode: Callable[[Case], Any]
    """What is tested: gives a value or raises DecodeError."""
    check: Callable[[Case, Any], None] | None = None
    """Raises AssertionError if the value (or the DecodeError) is wrong, OnlyStockError if the stock client reads it."""
    refuses: bool = True
    """Whether DecodeError is an answer; else every input has a value."""
    weight: int = 1
    """How often it comes, compared with the others."""


def scattered(items: tuple[bytes, ...]) -> Blobs:
    """The items as blobs, in another order of the buffer than of the rows, and with bytes between them."""
    starts, buffer = np.zeros(len(items), np.int64), bytearray(GAP)
    for row in reversed(range(len(items))):
        starts[row] = len(buffer)
        buffer += items[row] + GAP
    return Blobs(np.frombuffer(bytes(buffer), np.uint8), starts, np.array(list(map(len, items)), np.int64))


def save(folder: Path, target: str, case: Case, notes: dict[str, Any]) -> Path:
    """Write a case into the corpus, under a name that follows from its bytes."""
    content = {"target": target, **notes, **case.to_mapping()}
    name = sha256(json.dumps(case.to_mapping()).encode()).hexdigest()[:12]
    path = folder / f"{target.replace(' ', '-')}-{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> tuple[str, Case]:
    """The name of the target and the case of a file of the corpus."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return content["target"], Case.from_mapping(content)
