"""What tests of kernels share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grid_inference.wire.kernels import kernel as module


@pytest.fixture(params=["compiled", "plain"])
def either_kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run kernels compiled, then as plain Python."""
    assert module.load()
    compiled = [each.compiled for each in module._kernels]
    if request.param == "plain":
        for each in module._kernels:
            each.compiled = None
            each.settle()
    yield
    for each, one in zip(module._kernels, compiled, strict=True):
        each.compiled = one
        each.settle()
