"""Kernels give the same compiled and as plain Python, and the same as the numpy ways that clients go."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grid_inference.errors import DecodeError
from grid_inference.flow.events import Events
from grid_inference.grid.maps import key_identities, last_rows
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.digest import input_digest
from grid_inference.wire.kernels import kernel as module
from grid_inference.wire.keys import encode_keys

RNG = np.random.default_rng(5)
LOAD = """
import sys
from grid_inference.wire import kernels
print(kernels.is_ready(), "numba" in sys.modules, kernels.load(), kernels.is_ready())
"""


@pytest.fixture(params=["compiled", "plain"])
def either(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run kernels compiled, then as plain Python."""
    assert module.load()
    if request.param == "plain":
        compiled = [each.compiled for each in module._kernels]
        for each in module._kernels:
            each.compiled = None
            each.settle()
        yield request.param
        for each, one in zip(module._kernels, compiled, strict=True):
            each.compiled = one
            each.settle()
    else:
        yield request.param


def scattered(items: list[bytes]) -> Blobs:
    """Blobs in another order than they lie in the buffer, whose last one ends with it."""
    order = RNG.permutation(len(items))
    found = Blobs.of([items[i] for i in order])
    return found.take(np.argsort(order))


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_fingerprints_are_those_that_clients_compute(count: int) -> None:
    keys = scattered([bytes(RNG.integers(0, 256, 8 + i % 20, np.uint8)) for i in range(count)])
    values = scattered([bytes(RNG.integers(0, 256, i * 7 % 90, np.uint8)) for i in range(count)])
    found = Events.of(keys, values)
    assert found.identities.tolist() == key_identities(keys).tolist()
    assert found.digests.tolist() == input_digest(values).tolist()
    assert Events.removals(keys).digests.tolist() == [0] * count


@pytest.mark.usefixtures("either")
def test_a_key_without_a_header_is_refused() -> None:
    keys = Blobs.of([bytes(8), bytes(7)])
    with pytest.raises(DecodeError, match="key"):
        Events.of(keys, keys)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_of_a_key_the_last_event_is_the_newest(count: int) -> None:
    keys = encode_keys(RNG.integers(0, max(1, count // 3), count))
    events, partitions = Events.of(keys, keys), np.zeros(count, np.int32)
    expected = last_rows(events.identities).tolist() if count else []
    assert events.newest_rows(partitions).tolist() == expected
    # A key that a client has given another partition than its bytes say is another entry there.
    assert events.newest_rows(np.arange(count, dtype=np.int32)).tolist() == list(range(count))


def loaded(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LOAD], check=True, capture_output=True, text=True, env={**os.environ, **environment}
    )


def test_without_numba_kernels_run_as_plain_python_and_say_so() -> None:
    done = loaded({"NUMBA_DISABLE_JIT": "1"})
    assert done.stdout.split()[1:3] == ["False", "False"]
    assert done.stderr.count("plain Python") == 1


def test_what_one_process_has_compiled_the_next_one_finds(tmp_path: Path) -> None:
    cache = {"GRID_INFERENCE_CACHE": str(tmp_path)}
    assert loaded(cache).stdout.split() == ["False", "False", "True", "True"]
    before = files(tmp_path)
    assert loaded(cache).stdout.split() == ["True", "False", "True", "True"]
    assert files(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="folders are guarded otherwise there")
def test_where_the_cache_is_read_only_another_folder_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    nowhere = {"GRID_INFERENCE_CACHE": str(tmp_path / "file"), "TMPDIR": str(temporary)}
    assert loaded(nowhere).stdout.split()[1:3] == ["False", "True"]
    before = files(temporary)
    assert loaded(nowhere).stdout.split()[1:3] == ["False", "True"]
    assert files(temporary) == before
    (folder,) = temporary.iterdir()
    folder.chmod(0o777)  # somebody else's code may lie there
    done = loaded(nowhere)
    assert done.stdout.split()[2] == "False"
    assert "not ours alone" in done.stderr


def files(folder: Path) -> dict[str, int]:
    """Where all files are and when they were written, but for the lock."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.nb*")}


def test_no_kernel_is_compiled_for_what_it_is_called_with() -> None:
    assert module.load()
    each: Callable[..., Any]
    for each in module._kernels:
        if each.alone:
            assert len(each.compiled.signatures) == 1
            assert not each.compiled._can_compile
