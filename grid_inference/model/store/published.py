"""Models by name in the grid: numbered versions that never change, and aliases that move from one to another.

A version's entry is written behind its artifact, and the model's own entry, which says how many there are, behind that:
a partial upload is never seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from grid_inference.config import check_model_name
from grid_inference.errors import ArtifactError, DecodeError, ModelError
from grid_inference.model.engines.expected import Expected
from grid_inference.model.engines.report import Report
from grid_inference.model.signature import Signature
from grid_inference.model.store.artifact import Artifact
from grid_inference.model.store.manifest import Manifest
from grid_inference.model.store.statistics import Statistics
from grid_inference.wire.json.values import decode_json

__all__ = ["MODELS_MAP", "Made", "Model", "ModelVersion", "Reference"]

MODELS_MAP: Final = "grid_inference.models"
REFERENCE: Final = re.compile(r"(?P<model>[\w.-]{1,200})@(?P<which>[\w.-]{1,100})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """`MODEL@VERSION` or `MODEL@ALIAS`."""

    model: str
    which: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The reference in a text; None if it is none."""
        found = REFERENCE.fullmatch(text)
        return cls(found["model"], found["which"]) if found else None

    @property
    def version(self) -> int | None:
        """The version that is named; None for an alias."""
        return int(self.which) if self.which.isdecimal() else None

    def __str__(self) -> str:
        return f"{self.model}@{self.which}"


@dataclass(frozen=True, slots=True)
class Made:
    """A model as it is published."""

    artifact: Artifact
    signature: Signature
    expected: Expected | None
    compiled: Report | None = None
    """What became of its translation to ONNX, if one was asked for."""
    statistics: Statistics | None = None
    """How the sample was spread; None if it has too few rows for that."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a model; it never changes."""

    model: str
    version: int
    signature: Signature
    manifest: Manifest
    expected: Expected | None
    """A sample of its inputs with its results, which every worker checks after loading."""
    published_us: int
    """Microseconds since 1970."""
    published_by: str
    """User and host, as they call themselves."""
    compiled: Report | None = None
    """What became of its translation to ONNX, if one was asked for."""
    statistics: Statistics | None = None
    """How its training was spread, against which drift is told; None without a sample of enough rows."""

    def __str__(self) -> str:
        return f"{self.model}@{self.version}"

    def same_as(self, other: ModelVersion | None) -> bool:
        """Whether it is that version, whatever its inputs were settled to."""
        return other is not None and (self.model, self.version) == (other.model, other.version)

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values that JSON can hold."""
        return {
            "model": self.model,
            "version": self.version,
            "signature": self.signature.to_mapping(),
            "manifest": self.manifest.to_mapping(),
            "expected": self.expected and self.expected.to_mapping(),
            "published_us": self.published_us,
            "published_by": self.published_by,
            "compiled": self.compiled and self.compiled.to_mapping(),
            "statistics": self.statistics and self.statistics.to_mapping(),
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Read what `to_mapping` gave; raise ModelError for anything else: whoever writes to the grid may."""
        try:
            return cls(
                model=_named(mapping["model"]),
                version=_numbered(mapping["version"]),
                signature=Signature.from_mapping(mapping["signature"]),
                manifest=Manifest.from_mapping(mapping["manifest"]),
                expected=Expected.from_mapping(mapping["expected"]) if mapping["expected"] else None,
                published_us=int(mapping["published_us"]),
                published_by=str(mapping["published_by"]),
                compiled=Report.from_mapping(mapping["compiled"]) if mapping.get("compiled") else None,
                statistics=Statistics.from_mapping(mapping["statistics"]) if mapping.get("statistics") else None,
            )
        except Exception as error:
            raise ModelError(
                f"an entry of {MODELS_MAP} is no version of a model: {type(error).__name__}: {error}",
                remedy="publish the model again",
            ) from error

    @classmethod
    def read(cls, value: bytes) -> Self:
        """The version in an entry's bytes; raise ModelError if they are none."""
        return cls.from_mapping(_mapping(value))


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of a model as a whole."""

    name: str
    latest: int = 0
    """The highest number that was given."""
    aliases: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """Alias → the versions that it has named, the one it names now last."""

    def current(self, alias: str) -> int:
        """The version that an alias names; raise ModelError if there is no such alias."""
        if alias not in self.aliases:
            names = ", ".join(sorted(self.aliases)) or "none"
            raise ModelError(
                f"the model {self.name!r} has no alias {alias!r}; there are: {names}",
                remedy=f"`grid-inference models promote {self.name} VERSION --alias {alias}` makes it",
            )
        return self.aliases[alias][-1]

    def moved(self, alias: str, version: int) -> Model:
        """The same with an alias that names another version."""
        before = self.aliases.get(alias, ())
        history = before if before[-1:] == (version,) else (*before, version)
        return replace(self, aliases=self.aliases | {alias: history})

    def rolled_back(self, alias: str) -> Model:
        """The same with an alias that names what it named before; raise ModelError if there is nothing before."""
        self.current(alias)
        history = self.aliases[alias][:-1]
        if not history:
            raise ModelError(
                f"{self.name}@{alias} has named no version but {self.aliases[alias][0]}",
                remedy="promote another version",
            )
        return replace(self, aliases=self.aliases | {alias: history})

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values that JSON can hold."""
        return {"name": self.name, "latest": self.latest, "aliases": {k: list(v) for k, v in self.aliases.items()}}

    @classmethod
    def read(cls, value: bytes) -> Self:
        """The model in an entry's bytes; raise ModelError if they are none."""
        return cls.from_mapping(_mapping(value))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Read what `to_mapping` gave; raise ModelError for anything else: whoever writes to the grid may."""
        try:
            aliases = {str(alias): tuple(map(int, versions)) for alias, versions in mapping["aliases"].items()}
            return cls(_named(mapping["name"]), _numbered(mapping["latest"]), aliases)
        except Exception as error:
            raise ModelError(f"an entry of {MODELS_MAP} is no model: {type(error).__name__}: {error}") from error


def _named(name: Any) -> str:
    """A model's name, which may become that of a folder."""
    check_model_name(str(name))
    return str(name)


def _numbered(version: Any) -> int:
    if type(version) is not int or version < 1:
        raise ValueError(f"{version!r} is no version")
    return version


def _mapping(value: bytes) -> dict[str, Any]:
    try:
        return decode_json(value)
    except (DecodeError, ArtifactError) as error:
        raise ModelError(f"an entry of {MODELS_MAP} can't be read: {error}") from error
