"""Kernels give the same compiled and as plain Python, and the same as the numpy ways that clients go."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from grid_inference.flow import encode
from grid_inference.flow.encode import PredictionEncoder
from grid_inference.flow.events import Events
from grid_inference.grid.maps import last_rows
from grid_inference.model.signature import Signature
from grid_inference.records import PREDICTION, PREDICTION_MESSAGE, PredictionBatch
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import decode_record, encode_record
from grid_inference.wire.kernels import kernel as module
from grid_inference.wire.keys import DataKey, encode_keys, key_text
from grid_inference.wire.protocol import messages
from tests.requests import entries_of, messages_of

RNG = np.random.default_rng(5)
LOGGED = "import logging; logging.basicConfig(level=logging.INFO)"
LOAD = """
import sys
from grid_inference.wire import kernels
print(kernels.is_cold(), "numba" in sys.modules, kernels.load(), kernels.is_cold())
"""


def scattered(items: list[bytes]) -> Blobs:
    """Blobs in another order than they lie in the buffer, whose last one ends with it."""
    order = RNG.permutation(len(items))
    found = Blobs.of([items[i] for i in order])
    return found.take(np.argsort(order))


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_of_a_key_the_last_event_is_the_newest(count: int) -> None:
    keys = encode_keys(RNG.integers(0, max(1, count // 3), count))
    events, partitions = Events.of(keys, keys), np.zeros(count, np.int32)
    expected = last_rows(events.identities).tolist() if count else []
    assert events.newest_rows(partitions).tolist() == expected
    # A key that a client has given another partition than its bytes say is another entry there.
    assert events.newest_rows(np.arange(count, dtype=np.int32)).tolist() == list(range(count))


KEYS = [
    0,
    7,
    -7,
    2**63 - 1,
    -(2**63),
    "",
    "plain",
    "é",
    1.5,
    b"bytes",
    UUID(int=5),
    DataKey(bytes(8)),
    DataKey(bytes(11)),
]
ODD_STRINGS = [DataKey(struct.pack(">iii", 0, -11, size) + b"ab") for size in (-1, 1, 3)]


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("keys", [[key] for key in [*KEYS, *ODD_STRINGS]] + [KEYS[:7], KEYS, list(range(-40, 40))])
@pytest.mark.parametrize("task", ["classifier", "regressor"])
def test_predictions_and_messages_are_read_as_they_were_written(keys: list[Any], task: Any) -> None:
    data, count = scattered(encode_keys(keys).tolist()), len(keys)
    signature = Signature((), task, ("no", "yes, as a longer text", "x" * 300) if task == "classifier" else ())
    batch = PredictionBatch(
        keys=data,
        partitions=RNG.integers(0, 5, count).astype(np.int32),
        digests=RNG.integers(-(2**62), 2**62, count),
        score=RNG.normal(size=count),
        label_index=RNG.integers(0, 3, count).astype(np.int32) if task == "classifier" else None,
        scores=np.asfortranarray(RNG.random((count, 3))) if task == "classifier" else None,
        epochs=RNG.integers(0, 2**40, count),
        scored_at_us=1_700_000_000_000_000,
    )
    encoder = PredictionEncoder("d", "m", 3, signature)
    requests = encoder.predictions(batch, "p")
    assert [partition for partition, _ in requests] == np.unique(batch.partitions).tolist()
    entries = entries_of(requests)
    records, published = encoder.messages(batch, "t")
    assert messages_of(published) == records.tolist()
    assert list(entries) == [data[row] for row in np.argsort(batch.partitions, kind="stable").tolist()]
    for row, key in enumerate(data.tolist()):
        fields = decode_record(PREDICTION, entries[key])
        assert fields["score"] == batch.score[row]
        assert (fields["input_digest"], fields["owner_epoch"]) == (batch.digests[row], batch.epochs[row])
        assert fields["label"] == (None if batch.label_index is None else signature.classes[batch.label_index[row]])
        assert fields["scores"] == (None if batch.scores is None else batch.scores[row].tolist())
        assert entries[key] == encode_record(PREDICTION, fields)
        said = {**fields, "key": key_text(Blobs.of([key]))[0], "key_data": np.frombuffer(key, np.int8)}
        assert records[row] == encode_record(PREDICTION_MESSAGE, said)


@pytest.mark.usefixtures("either_kernels")
def test_requests_are_cut_where_they_would_grow_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MESSAGE_BYTES_MAX", 500)
    monkeypatch.setattr(encode, "PUBLISH_ROWS", 7)
    keys, none = encode_keys(np.arange(20)), np.zeros(20, np.int64)
    batch = PredictionBatch(keys, none.astype(np.int32), none, none / 1, none.astype(np.int32), None, none, 1)
    encoder = PredictionEncoder("d", "m", 3, Signature((), "regressor", ()))
    encoder.predictions(batch.take(none == 1), "p")
    requests, published = encoder.predictions(batch, "p"), encoder.messages(batch, "t")[1]
    assert [len(messages_of([one])) for one in published] == [7, 7, 6]
    assert [len(entries_of([one])) for one in requests] == [5, 5, 5, 5]
    assert list(entries_of(requests)) == keys.tolist()


def loaded(environment: dict[str, str], code: str = LOAD) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "NUMBA_DISABLE_JIT": "0", **environment},
    )


def test_without_numba_kernels_run_as_plain_python_and_say_so() -> None:
    done = loaded({"NUMBA_DISABLE_JIT": "1"})
    assert done.stdout.split() == ["False", "False", "False", "False"]
    assert done.stderr.count("plain Python") == 1


READ_ONLY = """
import os, tempfile
writable = tempfile.TemporaryFile
def TemporaryFile(*, dir):
    if str(dir).startswith(os.environ["GRID_INFERENCE_CACHE"]):
        raise OSError(30, "Read-only file system")
    return writable(dir=dir)
tempfile.TemporaryFile = TemporaryFile
"""


def test_what_one_process_has_compiled_the_next_one_finds(tmp_path: Path) -> None:
    cache, temporary = tmp_path / "cache", tmp_path / "tmp"
    temporary.mkdir()
    environment = {"GRID_INFERENCE_CACHE": str(cache), "TMPDIR": str(temporary)}
    assert loaded(environment).stdout.split() == ["True", "False", "True", "False"]
    before = files(cache)
    assert loaded(environment).stdout.split() == ["False", "False", "True", "False"]
    assert files(cache) == before
    for path in cache.rglob("*"):
        path.chmod(0o555)
    done = loaded(environment, READ_ONLY + LOGGED + LOAD)
    assert done.stdout.split() == ["False", "False", "True", "False"]
    assert "compiled" not in done.stderr
    assert files(cache) == before
    assert {Path(path).name for path in files(temporary)} == {Path(path).name for path in before}
    for path in cache.rglob("*"):
        path.chmod(0o755)


def test_a_change_of_any_kernel_calls_for_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, before = Path(module.__file__).parent, module._fingerprint()
    copy = tmp_path / "kernels"
    shutil.copytree(here, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "__file__", str(copy / "kernel.py"))
    moved = module._fingerprint()
    (copy / "words.py").write_text((here / "words.py").read_text() + "#")
    assert len({before, moved, module._fingerprint()}) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="folders are guarded otherwise there")
def test_where_there_can_be_no_cache_a_temporary_folder_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRID_INFERENCE_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = module._writable_folder()
    assert folder.parent.parent == tmp_path
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert module._writable_folder() == folder
    folder.parent.chmod(0o777)  # somebody else's code may lie there
    with pytest.raises(PermissionError, match="not ours alone"):
        module._writable_folder()


def files(folder: Path) -> dict[str, int]:
    """Where all files are and when they were written, but for the lock."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.nb*")}


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="numba is switched off")
def test_no_kernel_is_compiled_for_what_it_is_called_with() -> None:
    assert module.load()
    each: Callable[..., Any]
    for each in module._kernels:
        if each.alone:
            assert len(each.compiled.signatures) == 1
            assert not each.compiled._can_compile
