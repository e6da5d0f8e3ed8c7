"""How a fitted model becomes bytes and is read again: by skops what scikit-learn made, by joblib all else.

A skops archive is a zip of JSON and arrays; reading it makes objects of the types that it names, and of most types of
scikit-learn, numpy and scipy it is known that this runs no code of the archive's. A joblib file is a pickle: reading it
runs whatever it says. Models with types of other libraries, or one's own, go by joblib: they may have their own ways of
being pickled, which skops does not follow. Whatever goes wrong in foreign code comes out as ArtifactError.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from typing import Any

import joblib
from sklearn.exceptions import InconsistentVersionWarning

from grid_inference.errors import ArtifactError

__all__ = ["FORMATS", "JOBLIB", "SKOPS", "dump", "format_of", "read", "said", "types_to_trust"]

SKOPS, JOBLIB = "skops", "joblib"
FORMATS = (SKOPS, JOBLIB)
ZIP_MAGIC = b"PK"
SKOPS_LIBRARIES = ("sklearn.", "numpy.", "scipy.")
REMEDIES = {
    SKOPS: "write the model with skops.io.dump(model, path)",
    JOBLIB: "write the model with joblib.dump(model, path)",
}
UNPACKED_SHARE_MAX = 1.1
"""An archive's members are stored as they are: nothing in it grows when it is read."""
ENTRIES_MAX = 1_000_000


def dump(model: Any) -> tuple[str, bytes]:
    """A model's format and bytes; raise ArtifactError if it can't be written down."""
    content = _skops_dump(model)
    if content is not None:
        return SKOPS, content
    buffer = io.BytesIO()
    try:
        joblib.dump(model, buffer)
    except Exception as error:
        raise ArtifactError(
            f"{type(model).__name__} can't be pickled: {said(error)}",
            remedy="lambdas and functions of the notebook can't travel: put them into an importable module",
        ) from error
    return JOBLIB, buffer.getvalue()


def _skops_dump(model: Any) -> bytes | None:
    """The model as a skops archive, if skops can write it and reads it again."""
    skops = _skops_io()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content: bytes = skops.dumps(model)
            types = skops.get_untrusted_types(data=content)
            if not all(name.startswith(SKOPS_LIBRARIES) for name in types):
                return None
            skops.loads(content, trusted=types)
    except Exception:  # noqa: BLE001 - whatever it can't write or read, joblib may
        return None
    return content


def format_of(content: bytes) -> str:
    """The format of a file's bytes, by how they begin."""
    return SKOPS if content.startswith(ZIP_MAGIC) else JOBLIB


def types_to_trust(content: bytes, name: str) -> list[str]:
    """The types in a skops archive of which it is not known that reading them runs no code."""
    _check_archive(content, name)
    return sorted(_guarded(lambda: _skops_io().get_untrusted_types(data=content), SKOPS, name))


def read(form: str, content: bytes, name: str) -> Any:
    """The model in bytes that were vouched for, or that hold no type to be trusted first."""
    if form == JOBLIB:
        return _guarded(lambda: joblib.load(io.BytesIO(content)), form, name)
    trusted = types_to_trust(content, name)
    return _guarded(lambda: _skops_io().loads(content, trusted=trusted), form, name)


def _skops_io() -> Any:
    """Loaded with the first model: it looks through all of scikit-learn, which takes a second on a small machine."""
    import skops.io  # noqa: PLC0415

    return skops.io


def _check_archive(content: bytes, name: str) -> None:
    """Refuse a zip that would unpack to much more than it is, or names files outside of itself."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError) as error:
        raise ArtifactError(f"{name}: is no model that skops can load: {said(error)}", remedy=REMEDIES[SKOPS]) from None
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    size = sum(entry.file_size for entry in entries)
    if not stored or size > len(content) * UNPACKED_SHARE_MAX or len(entries) > ENTRIES_MAX:
        raise ArtifactError(
            f"{name}: is a compressed archive of {len(entries)} entries and {size} bytes unpacked, in {len(content)}",
            remedy="write it without compression: skops.io.dump(model, path)",
        )
    for entry in entries:
        parts = entry.filename.replace("\\", "/").split("/")
        if entry.filename.startswith(("/", "\\")) or ".." in parts or ":" in entry.filename:
            raise ArtifactError(
                f"{name}: its entry {entry.filename!r} leads out of the archive", remedy=REMEDIES[SKOPS]
            )


def _guarded(load: Any, form: str, name: str) -> Any:
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loaded = load()
    except ModuleNotFoundError as error:
        raise ArtifactError(
            f"{name}: the model needs the module {error.name!r}, which is not installed here",
            remedy=f"install {error.name} here and in the workers",
        ) from error
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        raise ArtifactError(
            f"{name}: is no model that {form} can load: {said(error)}", remedy=REMEDIES[form]
        ) from error
    for each in caught:
        if isinstance(each.message, InconsistentVersionWarning):
            _check_origin(name, each.message)
    return loaded


def _check_origin(name: str, warning: InconsistentVersionWarning) -> None:
    """Refuse a file that another minor version of scikit-learn wrote; a patch release's difference is allowed."""
    theirs, mine = str(warning.original_sklearn_version), str(warning.current_sklearn_version)
    if theirs.split(".")[:2] != mine.split(".")[:2]:
        raise ArtifactError(
            f"{name}: was written with scikit-learn {theirs}, here is {mine}",
            remedy=f"install scikit-learn {theirs} to deploy it, or fit the model again with {mine}",
        )


def said(error: BaseException) -> str:
    """An error of foreign code on one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:300] if str(error) else type(error).__name__
