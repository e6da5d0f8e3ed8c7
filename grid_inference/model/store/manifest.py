"""`Manifest`: what is known of a model's bytes without reading them, and what a signature of them is over."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self, cast

from grid_inference.errors import ArtifactError
from grid_inference.model.engines import formats

__all__ = ["ARTIFACT_BYTES_MAX", "Manifest"]

ARTIFACT_BYTES_MAX = 4 << 30
STATEMENT = b"grid-inference artifact 1\n"
"""What is signed begins so, that it can't be taken for anything else that the key may sign."""
FORMAT_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
SHA256_PATTERN = re.compile(r"[0-9a-f]{64}")
TEXT_MAX = 1000


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
    format: str = formats.SKOPS
    """How the bytes are read: `skops`, `joblib`, or one of `native.LIBRARIES`."""
    signed_by: str = ""
    """Fingerprint of the Ed25519 key that vouches for all of this, if one does."""
    signature: str = ""
    """Its signature of `statement()`, in Base64."""

    def statement(self) -> bytes:
        """What a signature is over: all other fields as canonical JSON, the bytes' SHA-256 among them."""
        said = {name: value for name, value in asdict(self).items() if name not in {"signed_by", "signature"}}
        return STATEMENT + json.dumps(said, sort_keys=True, separators=(",", ":")).encode()

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Read what `to_mapping` gave; raise ArtifactError for anything else: whoever writes to the grid may."""
        try:
            manifest = cls(**mapping)
        except TypeError as error:
            raise ArtifactError(f"an artifact's manifest can't be read: {error}") from None
        if wrong := _wrong(manifest):
            raise ArtifactError(f"an artifact's manifest can't be read: {wrong}")
        return manifest


def _wrong(manifest: Manifest) -> str:
    """What in a manifest can't be; its field annotations say what may."""
    texts = (manifest.sha256, manifest.python, manifest.class_name, manifest.format, manifest.signed_by)
    for value in cast("tuple[Any, ...]", (*texts, manifest.signature)):
        if not isinstance(value, str) or len(value) > TEXT_MAX:
            return f"{str(value)[:50]!r} is no text of at most {TEXT_MAX} characters"
    for pattern, value in ((FORMAT_PATTERN, manifest.format), (SHA256_PATTERN, manifest.sha256)):
        if not pattern.fullmatch(value):
            return (
                f"{value[:70]!r} is no {'format' if pattern is FORMAT_PATTERN else 'SHA-256 of 64 hexadecimal digits'}"
            )
    numbers: tuple[Any, ...] = (manifest.size, manifest.created_us)
    if not all(type(value) is int for value in numbers) or not 0 < manifest.size <= ARTIFACT_BYTES_MAX:
        return f"size {manifest.size!r} is not between 1 and {ARTIFACT_BYTES_MAX} bytes"
    libraries: Any = manifest.libraries
    if not isinstance(libraries, dict):
        return "libraries are no table of versions"
    pairs = cast("dict[Any, Any]", libraries)
    if not all(isinstance(text, str) and text for pair in pairs.items() for text in pair):
        return "libraries are no table of versions"
    return ""
