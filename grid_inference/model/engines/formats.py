"""How a fitted model becomes bytes and is read again: by skops what scikit-learn made, by joblib all else.

A skops archive is a zip of JSON and arrays; reading it makes objects of the types that it names, and of most types of
scikit-learn, numpy and scipy it is known that this runs no code of the archive's. A joblib file is a pickle: reading it
runs whatever it says. Models with types of other libraries, or one's own, go by joblib: they may have their own ways of
being pickled, which skops does not follow. Whatever goes wrong in foreign code comes out as ArtifactError.
"""

from __future__ import annotations

import io
import json
import pickle
import threading
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from types import FunctionType
from typing import Any, cast

from grid_inference.errors import ArtifactError

__all__ = [
    "FORMATS",
    "JOBLIB",
    "OWN_MODULE",
    "OWN_REMEDY",
    "SKOPS",
    "dump",
    "format_of",
    "read",
    "said",
    "types_to_trust",
]

SKOPS, JOBLIB = "skops", "joblib"
FORMATS = (SKOPS, JOBLIB)
ZIP_MAGIC = b"PK"
PICKLE_MAGICS = (
    b"\x80",
    *(b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b", b"BZh"),
    *(b"\xfd7zXZ", b"\x5d\x00", b"\x04\x22\x4d\x18"),
)
"""How a pickle begins, and how what joblib compresses does: by zlib at its levels, gzip, bz2, xz, lzma, lz4."""
SKOPS_LIBRARIES = ("sklearn.", "numpy.", "scipy.")
REMEDIES = {
    SKOPS: "write the model with skops.io.dump(model, path)",
    JOBLIB: "write the model with joblib.dump(model, path)",
}
OWN_MODULE = "__main__"
"""The notebook or script itself: what it defines is pickled by its name, under which no worker finds it."""
OWN_REMEDY = (
    "lambdas, functions and classes of a notebook or script can't travel: put them into a module that the workers can "
    "import, and fit the model with those"
)
UNPACKED_SHARE_MAX = 1.1
"""An archive's members are stored as they are: nothing in it grows when it is read,"""
UNPACKED_BYTES_MAX = 64 << 20
"""but for sparse matrices, which skops compresses: by so many bytes in all."""
SCHEMA = "schema.json"
SPARSE = ".npz"
READ_FILES = frozenset(
    f"sklearn.feature_extraction.text.{name}" for name in ("CountVectorizer", "HashingVectorizer", "TfidfVectorizer")
)
"""Types that skops trusts, and whose `input="filename"` opens files that a record names."""
ENTRIES_MAX = 1_000_000
_one_at_a_time = threading.Lock()
"""What warns is caught for the process as a whole, so models are read one behind the other."""


def dump(model: Any) -> tuple[str, bytes]:
    """A model's format and bytes; raise ArtifactError if it can't be written down."""
    content = _skops_dump(model)
    if content is not None:
        return SKOPS, content
    if own := _own(model):
        what = f"{type(model).__name__} holds {own} of {OWN_MODULE}, which no worker has"
        raise ArtifactError(what, remedy=OWN_REMEDY)
    buffer = io.BytesIO()
    try:
        _joblib().dump(model, buffer)
    except Exception as error:
        by_name = isinstance(error, pickle.PicklingError | AttributeError)
        raise ArtifactError(
            f"{type(model).__name__} can't be pickled: {said(error)}",
            remedy=OWN_REMEDY if by_name else "drop what can't be written down, such as a file, a lock or a connection",
        ) from error
    return JOBLIB, buffer.getvalue()


def _own(model: Any) -> str:
    """A function or class of the notebook or script in a model, by its name; empty if there is none."""
    looking = _Looking()
    with suppress(Exception):  # what can't be pickled at all joblib says
        looking.dump(model)
    return looking.own


class _Looking(pickle.Pickler):
    """Writes a model nowhere, and notes what is of the notebook or script."""

    def __init__(self) -> None:
        super().__init__(_Nowhere(), pickle.HIGHEST_PROTOCOL, buffer_callback=lambda _: None)
        self.own = ""

    def reducer_override(self, obj: Any) -> Any:
        """Each function and class comes by."""
        if isinstance(obj, type | FunctionType) and obj.__module__ == OWN_MODULE:
            self.own = obj.__qualname__
        return NotImplemented


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, data: Any) -> int:
        """Take some bytes."""
        return len(data)


def _skops_dump(model: Any) -> bytes | None:
    """The model as a skops archive, if skops can write it and reads it again."""
    skops = _skops_io()
    try:
        with _one_at_a_time, warnings.catch_warnings():
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
    """The types in a skops archive of which it is not known that reading them, and scoring by them, runs no code."""
    nodes = _check_archive(content, name)
    named = {f"{node.get('__module__')}.{node.get('__class__')}" for node in nodes}
    types = _guarded(lambda: _skops_io().get_untrusted_types(data=content), SKOPS, name)
    return sorted({*types, *(named & READ_FILES)})


def read(form: str, content: bytes, name: str) -> Any:
    """The model in bytes that were vouched for, or that hold no type to be trusted first."""
    if form == JOBLIB:
        _check_pickle(content, name)
        return _guarded(lambda: _joblib().load(io.BytesIO(content)), form, name)
    trusted = types_to_trust(content, name)
    return _guarded(lambda: _skops_io().loads(content, trusted=trusted), form, name)


def _check_pickle(content: bytes, name: str) -> None:
    """Refuse what is no pickle before it is read as one: what texts mean as pickles is anything at all."""
    if not content.startswith(PICKLE_MAGICS):
        raise ArtifactError(f"{name}: is no model: neither skops nor joblib has written it", remedy=REMEDIES[JOBLIB])


def _skops_io() -> Any:
    """Loaded with the first model: it looks through all of scikit-learn, which takes a second on a small machine."""
    import skops.io  # noqa: PLC0415

    return skops.io


def _joblib() -> Any:
    """Loaded with the first model: whoever only puts and reads needs none."""
    import joblib  # noqa: PLC0415

    return joblib


def _check_archive(content: bytes, name: str) -> list[dict[str, Any]]:
    """Refuse a zip that would unpack to much more than it is, or names files outside of itself; give its nodes."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            _check_stored(entries, len(content), name)
            nodes = list(_nodes(json.loads(archive.read(SCHEMA))))
            _check_growth(archive, nodes, len(content), name)
    except ArtifactError:
        raise
    except Exception as error:
        what = f"{name}: is no model that skops can load: {said(error)}"
        raise ArtifactError(what, remedy=REMEDIES[SKOPS]) from error
    for entry in entries:
        parts = entry.filename.replace("\\", "/").split("/")
        if entry.filename.startswith(("/", "\\")) or ".." in parts or ":" in entry.filename:
            raise ArtifactError(
                f"{name}: its entry {entry.filename!r} leads out of the archive", remedy=REMEDIES[SKOPS]
            )
    return nodes


def _check_stored(entries: list[zipfile.ZipInfo], packed: int, name: str) -> None:
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    size = sum(entry.file_size for entry in entries)
    if not stored or size > packed * UNPACKED_SHARE_MAX or len(entries) > ENTRIES_MAX:
        raise ArtifactError(
            f"{name}: is a compressed archive of {len(entries)} entries and {size} bytes unpacked, in {packed}",
            remedy="write it without compression: skops.io.dump(model, path)",
        )


def _check_growth(archive: zipfile.ZipFile, nodes: list[dict[str, Any]], packed: int, name: str) -> None:
    """Refuse an archive whose nodes would read an entry again and again, or that holds a bomb in a bomb."""
    read = {(node["file"], node.get("__id__")) for node in nodes if isinstance(node.get("file"), str)}
    unpacked = sum(_unpacked(archive, file) for file, _ in read)
    if unpacked > packed * UNPACKED_SHARE_MAX + UNPACKED_BYTES_MAX:
        raise ArtifactError(
            f"{name}: would read {unpacked} bytes out of an archive of {packed}",
            remedy="write it by joblib, and sign it: `grid-inference models keygen`",
        )


def _unpacked(archive: zipfile.ZipFile, file: str) -> int:
    if not file.endswith(SPARSE):
        return archive.getinfo(file).file_size
    with archive.open(file) as inner, zipfile.ZipFile(inner) as arrays:
        return sum(entry.file_size for entry in arrays.infolist())


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """All JSON objects in a schema, however deep."""
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            node = cast("dict[str, Any]", one)
            yield node
            waiting += node.values()
        elif isinstance(one, list):
            waiting += cast("list[Any]", one)


def _guarded(load: Any, form: str, name: str) -> Any:
    try:
        with _one_at_a_time, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loaded = load()
    except ModuleNotFoundError as error:
        raise ArtifactError(
            f"{name}: the model needs the module {error.name!r}, which is not installed here",
            remedy=f"install {error.name} here and in the workers",
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        remedy = OWN_REMEDY if OWN_MODULE in str(error) else REMEDIES[form]
        raise ArtifactError(f"{name}: is no model that {form} can load: {said(error)}", remedy=remedy) from error
    for each in caught:
        _check_origin(name, each.message)
    return loaded


def _check_origin(name: str, warning: Any) -> None:
    """Refuse a file that another minor version of scikit-learn wrote; a patch release's difference is allowed."""
    from sklearn.exceptions import InconsistentVersionWarning  # noqa: PLC0415 - loaded with the first model

    if not isinstance(warning, InconsistentVersionWarning):
        return
    theirs, mine = str(warning.original_sklearn_version), str(warning.current_sklearn_version)
    if theirs.split(".")[:2] != mine.split(".")[:2]:
        raise ArtifactError(
            f"{name}: was written with scikit-learn {theirs}, here is {mine}",
            remedy=f"install scikit-learn {theirs} to deploy it, or fit the model again with {mine}",
        )


def said(error: BaseException) -> str:
    """An error of foreign code on one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:300] if str(error) else type(error).__name__
