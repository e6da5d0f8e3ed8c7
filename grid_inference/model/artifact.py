"""`Artifact`: a model's bytes with the facts needed to load them elsewhere, whole, and only where they fit.

In: a fitted model or a joblib file. Out: a manifest (JSON), chunks for the grid, and the model again. Digest and size
are checked before anything is unpickled, versions are compared by name, and `Trust` has the last word.
"""

from __future__ import annotations

import hashlib
import io
import platform
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import joblib
from sklearn.exceptions import InconsistentVersionWarning

from grid_inference.errors import ArtifactError
from grid_inference.model.trust import Trust

__all__ = ["Artifact", "Manifest", "check_versions", "load"]

CHUNK_BYTES = 1 << 20
ARTIFACT_BYTES_MAX = 4 << 30
LIBRARIES = ("scikit-learn", "numpy", "scipy", "joblib")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known about an artifact without loading it."""

    sha256: str
    """Of all its bytes, in hexadecimal."""
    size: int
    """Bytes."""
    python: str
    """The Python that wrote it, e.g. `3.11.7`."""
    libraries: dict[str, str] = field(default_factory=dict[str, str])
    """The libraries of whoever deployed it, name to version."""
    class_name: str = ""
    """The model's class, for people."""
    created_us: int = 0
    """When the artifact was made, microseconds since 1970."""
    format: str = "joblib"
    """How the bytes are read."""

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Read what `to_mapping` gave."""
        try:
            return cls(**mapping)
        except TypeError as error:
            raise ArtifactError(f"an artifact's manifest can't be read: {error}") from None


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model as bytes, and its manifest."""

    manifest: Manifest
    content: bytes

    @classmethod
    def from_model(cls, model: Any) -> Self:
        """Write a fitted model down as joblib does."""
        buffer = io.BytesIO()
        try:
            joblib.dump(model, buffer)
        except Exception as error:
            raise ArtifactError(
                f"{type(model).__name__} can't be pickled: {_said(error)}",
                remedy="lambdas and functions of the notebook can't travel: put them into an importable module",
            ) from error
        return cls._of(buffer.getvalue(), type(model).__name__)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Take a joblib file as it is, after loading it once here: whoever deploys a file vouches for it."""
        path = Path(path)
        content = _read(path)
        model = _unpickle(content, str(path))
        # Written anew, so that what workers read does not hang on the file's compression or an older joblib.
        return cls.from_model(model)

    @classmethod
    def _of(cls, content: bytes, class_name: str) -> Self:
        manifest = Manifest(
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
            python=platform.python_version(),
            libraries={name: metadata.version(name) for name in LIBRARIES},
            class_name=class_name,
            created_us=time.time_ns() // 1000,
        )
        return cls(manifest, content)

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


def check_versions(manifest: Manifest) -> None:
    """Refuse an artifact that another minor version of Python or of a library wrote, naming which."""
    here = {"python": platform.python_version()} | {name: _version(name) for name in manifest.libraries}
    for name, theirs in ({"python": manifest.python} | manifest.libraries).items():
        mine = here[name]
        if _minor(mine) != _minor(theirs):
            raise ArtifactError(
                f"the model {manifest.class_name} was made with {name} {theirs}, this worker has {mine or 'none'}",
                remedy=f"install {name} {_minor(theirs)} here, or fit and deploy the model with {mine}",
            )


def load(artifact: Artifact, trust: Trust) -> Any:
    """Unpickle the model, if its versions fit and `trust` allows it."""
    if artifact.manifest.format != "joblib":
        raise ArtifactError(f"an artifact of format {artifact.manifest.format!r} can't be loaded by this version")
    trust.check(artifact.manifest)
    check_versions(artifact.manifest)
    return _unpickle(artifact.content, f"the artifact of {artifact.manifest.class_name}")


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > ARTIFACT_BYTES_MAX:
            raise ArtifactError(f"{path}: {size} bytes are more than a grid should carry ({ARTIFACT_BYTES_MAX})")
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{path}: can't be read: {error.strerror or error}", remedy="give the path of a file written by joblib.dump"
        ) from None
    if not content:
        raise ArtifactError(f"{path}: is empty", remedy="write the model with joblib.dump(model, path)")
    return content


def _unpickle(content: bytes, name: str) -> Any:
    """Load joblib bytes; whatever goes wrong in foreign code comes out as ArtifactError."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = joblib.load(io.BytesIO(content))
    except ModuleNotFoundError as error:
        raise ArtifactError(
            f"{name}: the model needs the module {error.name!r}, which is not installed here",
            remedy=f"install {error.name} here and in the workers",
        ) from error
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        raise ArtifactError(
            f"{name}: is no model that joblib can load: {_said(error)}",
            remedy="write the model with joblib.dump(model, path)",
        ) from error
    for each in caught:
        if isinstance(each.message, InconsistentVersionWarning):
            _check_origin(name, each.message)
    return model


def _check_origin(name: str, warning: InconsistentVersionWarning) -> None:
    """Refuse a file that another minor version of scikit-learn wrote; a patch release's difference is allowed."""
    theirs, mine = str(warning.original_sklearn_version), str(warning.current_sklearn_version)
    if _minor(theirs) != _minor(mine):
        raise ArtifactError(
            f"{name}: was written with scikit-learn {theirs}, here is {mine}",
            remedy=f"install scikit-learn {theirs} to deploy it, or fit the model again with {mine}",
        )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300] if str(error) else type(error).__name__
