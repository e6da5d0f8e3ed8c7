"""`Folder`: published models as files, so that they outlive a grid, which keeps all in memory.

`<folder>/<model>/<version>/` holds the artifact and `version.json`, written behind it; `<folder>/<model>/model.json`
says what the aliases name. A file is written under another name first: what is there is whole. Digests are checked in
reading.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grid_inference.config import check_model_name
from grid_inference.errors import ConfigError, ModelError
from grid_inference.model.engines.formats import FORMATS
from grid_inference.model.store.artifact import Artifact
from grid_inference.model.store.manifest import ARTIFACT_BYTES_MAX
from grid_inference.model.store.published import Model, ModelVersion

__all__ = ["Folder"]

MODEL_FILE, VERSION_FILE = "model.json", "version.json"
JSON_BYTES_MAX = 10 << 20


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of models."""

    path: Path

    def models(self) -> list[str]:
        """Names of the models that have a version here."""
        return sorted(folder.name for folder in self._folders(self.path) if self.versions(folder.name))

    def versions(self, name: str) -> list[int]:
        """Numbers of a model's versions that are whole, in order."""
        found = [folder for folder in self._folders(self.path / name) if folder.name.isdecimal()]
        return sorted(int(folder.name) for folder in found if (folder / VERSION_FILE).is_file())

    def read(self, name: str, number: int) -> tuple[ModelVersion, Artifact]:
        """A version; raise ModelError if its files are not those of this version, ArtifactError if they are damaged."""
        place = self.path / name / str(number)
        version = ModelVersion.from_mapping(_read_json(place / VERSION_FILE))
        if (version.model, version.version) != (name, number):
            raise ModelError(f"{place / VERSION_FILE} is that of {version}", remedy="leave folders where they are")
        content = _read(place / _artifact_name(version), ARTIFACT_BYTES_MAX)
        return version, Artifact.join(version.manifest, [content])

    def write(self, version: ModelVersion, artifact: Artifact) -> None:
        """Store a version."""
        place = self.path / version.model / str(version.version)
        _write(place / _artifact_name(version), artifact.content)
        _write(place / VERSION_FILE, _json(version.to_mapping()))

    def model(self, name: str) -> Model:
        """What is known of a model as a whole; of one whose file is missing no alias."""
        file = self.path / name / MODEL_FILE
        return Model.from_mapping(_read_json(file)) if file.is_file() else Model(name)

    def write_model(self, model: Model) -> None:
        """Store what the aliases name."""
        _write(self.path / model.name / MODEL_FILE, _json(model.to_mapping()))

    @staticmethod
    def _folders(path: Path) -> list[Path]:
        try:
            if not path.is_dir():
                return []
            return [folder for folder in path.iterdir() if folder.is_dir() and _can_name(folder.name)]
        except OSError as error:
            raise ModelError(f"{path}: can't be read: {error.strerror or error}") from None


def _can_name(text: str) -> bool:
    try:
        check_model_name(text)
    except ConfigError:
        return False
    return True


def _artifact_name(version: ModelVersion) -> str:
    form = version.manifest.format
    from grid_inference.model.engines.native import LIBRARIES  # noqa: PLC0415 - scikit-learn: only models need it

    library = LIBRARIES.get(form)
    if library is None and form not in FORMATS:  # it becomes a path: whoever writes to the grid must not choose that
        raise ModelError(f"{version} is of the format {form!r}, which this version does not know")
    return f"model.{library.suffix if library else form}"


def _json(mapping: Mapping[str, Any]) -> bytes:
    return json.dumps(mapping, indent=1, sort_keys=True).encode() + b"\n"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found: Any = json.loads(_read(path, JSON_BYTES_MAX))
    except ValueError as error:
        raise ModelError(f"{path}: is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path}: is no JSON object")
    return found  # pyright: ignore[reportUnknownVariableType]


def _read(path: Path, most: int) -> bytes:
    try:
        if path.stat().st_size > most:
            raise ModelError(f"{path}: is larger than {most} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: can't be read: {error.strerror or error}") from None


def _write(path: Path, content: bytes) -> None:
    """Whole, or not at all; raise ModelError with the reason, e.g. a full disk."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # where even its folder can't be
            beside.unlink()
        raise ModelError(f"{path}: can't be written: {error.strerror or error}") from None
