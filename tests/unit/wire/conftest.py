"""What tests of kernels share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from grid_inference.wire.kernels import kernel as module

SWITCHED_OFF = os.environ.get("NUMBA_DISABLE_JIT") == "1"


@pytest.fixture(params=["compiled", "plain"])
def either_kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run kernels compiled, then as plain Python; the whole run may be so: NUMBA_DISABLE_JIT=1."""
    assert module.load() or SWITCHED_OFF
    if SWITCHED_OFF and request.param == "compiled":
        pytest.skip("numba is switched off")
    compiled = [each.compiled for each in module._kernels]
    if request.param == "plain":
        for each in module._kernels:
            each.compiled = None
            each.settle()
    yield
    for each, one in zip(module._kernels, compiled, strict=True):
        each.compiled = one
        each.settle()
