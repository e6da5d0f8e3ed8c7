"""`Artifact`: a model's bytes with the facts needed to load them elsewhere, whole, and only where they fit.

In: a fitted model or its file. Out: a manifest (JSON), chunks for the grid, and the model again. Digest, size and
versions are checked before anything is read, and `Trust` has the last word.
"""

from __future__ import annotations

import base64
import hashlib
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from grid_inference.errors import ArtifactError
from grid_inference.model.engines import formats
from grid_inference.model.store.keys import SigningKey
from grid_inference.model.store.manifest import ARTIFACT_BYTES_MAX, Manifest
from grid_inference.model.store.trust import Trust

__all__ = ["Artifact", "check_versions", "load", "read_file"]

CHUNK_BYTES = 1 << 20
LIBRARIES = ("scikit-learn", "numpy", "scipy")
FORMAT_LIBRARY = {formats.SKOPS: "skops", formats.JOBLIB: "joblib"}
OTHER_NAMES = {
    "mlflow": ("mlflow-skinny",),
    "onnxruntime": ("onnxruntime-gpu",),
    "xgboost": ("xgboost-cpu",),
}
"""Packages that hold the same as one of another name."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model as bytes, and its manifest."""

    manifest: Manifest
    content: bytes

    @classmethod
    def from_model(cls, model: Any) -> Self:
        """Write a model down: as its own library does, as a skops archive, or by joblib what skops can't write."""
        library = _native().library_of(model)
        if library is None:
            form, content = formats.dump(model)
            versions = {name: metadata.version(name) for name in (*LIBRARIES, FORMAT_LIBRARY[form])}
        else:
            form, content = library.format, library.write(model)
            versions = {name: _installed_version(name) for name in library.packages_of(model)}
        manifest = Manifest(
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
            python=platform.python_version(),
            libraries=versions,
            class_name=library.name_of(model) if library else type(model).__name__,
            created_us=time.time_ns() // 1000,
            format=form,
        )
        return cls(manifest, content)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Take the model in a file, after loading it here: whoever deploys a file vouches for it."""
        # Written anew, so that what workers read does not hang on the file's compression or an older library.
        return cls.from_model(read_file(path))

    @property
    def harmless(self) -> bool:
        """Whether it can be loaded without anybody's word for it: reading it runs no code."""
        skops = self.manifest.format == formats.SKOPS
        return skops and not formats.types_to_trust(self.content, f"the artifact of {self.manifest.class_name}")

    def signed(self, key: SigningKey) -> Self:
        """The same, vouched for by this key."""
        signature = base64.b64encode(key.sign(self.manifest.statement())).decode()
        manifest = replace(self.manifest, signed_by=key.public.fingerprint, signature=signature)
        return replace(self, manifest=manifest)

    def chunks(self, size: int = CHUNK_BYTES) -> Iterator[bytes]:
        """The bytes in pieces that a map entry can hold."""
        for start in range(0, len(self.content), size):
            yield self.content[start : start + size]

    @classmethod
    def join(cls, manifest: Manifest, chunks: Sequence[bytes]) -> Self:
        """Put the pieces together again; raise ArtifactError unless every byte is the one that was written."""
        content = b"".join(chunks)
        found = hashlib.sha256(content).hexdigest()
        if len(content) != manifest.size or found != manifest.sha256:
            raise ArtifactError(
                f"the artifact of {manifest.class_name} is damaged: {len(content)} bytes with sha256 {found[:12]}, "
                f"not {manifest.size} with {manifest.sha256[:12]}",
                remedy="deploy the model again",
            )
        return cls(manifest, content)


def _native() -> ModuleType:
    """Loaded with the first model, and scikit-learn with it: whoever only puts and reads needs neither."""
    from grid_inference.model.engines import native  # noqa: PLC0415

    return native


def _installed_version(name: str) -> str:
    """The version of a package here, found without importing it; empty if there is none."""
    for each in (name, *OTHER_NAMES.get(name, ())):
        try:
            return metadata.version(each)
        except metadata.PackageNotFoundError:
            continue
    return ""


def check_versions(manifest: Manifest) -> None:
    """Refuse an artifact that another minor version of Python or of a library wrote, naming which."""
    library = _native().LIBRARIES.get(manifest.format)
    if library:
        library.check_installed(f"the model {manifest.class_name}")
    here = {name: _installed_version(name) for name in manifest.libraries}
    wanted = dict(manifest.libraries)
    if library is None or library.runs_code:
        here, wanted = here | {"python": platform.python_version()}, {"python": manifest.python} | wanted
    for name, theirs in wanted.items():
        mine = here.get(name, "")
        if _minor(mine) != _minor(theirs):
            raise ArtifactError(
                f"the model {manifest.class_name} was made with {name} {theirs}, this worker has {mine or 'none'}",
                remedy=f"install {name} {_minor(theirs)} here, or fit and deploy the model with {mine}",
            )


def load(artifact: Artifact, trust: Trust) -> Any:
    """Load the model, if its versions fit, and if `trust` allows it or reading it runs no code."""
    manifest, name = artifact.manifest, f"the artifact of {artifact.manifest.class_name}"
    library = _native().LIBRARIES.get(manifest.format)
    if library is None and manifest.format not in formats.FORMATS:
        raise ArtifactError(f"an artifact of format {manifest.format!r} can't be loaded by this version")
    if not trust.vouched(manifest):
        types = formats.types_to_trust(artifact.content, name) if manifest.format == formats.SKOPS else []
        if types or manifest.format != formats.SKOPS:
            trust.check(manifest, types)
    check_versions(manifest)
    return library.load(artifact.content, name) if library else formats.read(manifest.format, artifact.content, name)


def read_file(path: str | Path) -> Any:
    """The model in a file or folder, whichever library wrote it; raise ArtifactError if there is none."""
    path = Path(path)
    library = _native().library_in(path)
    if library is None:
        content = _read(path)
        return formats.read(formats.format_of(content), content, str(path))
    try:
        _check_size(path, [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path])
        content = library.content(path)
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read: {error.strerror or error}") from None
    return library.load(content, str(path))


def _read(path: Path) -> bytes:
    try:
        _check_size(path, [path])
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{path}: can't be read: {error.strerror or error}",
            remedy="give the path of a model's file, or of an MLflow folder",
        ) from None
    if not content:
        raise ArtifactError(f"{path}: is empty", remedy="write the model with joblib.dump(model, path)")
    return content


def _check_size(path: Path, files: Sequence[Path]) -> None:
    size = sum(file.stat().st_size for file in files)
    if size > ARTIFACT_BYTES_MAX:
        raise ArtifactError(f"{path}: {size} bytes are more than a grid should carry ({ARTIFACT_BYTES_MAX})")


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
