"""What a deployment that nobody rescores costs: nothing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from grid_inference.flow import rescore
from grid_inference.flow.rescore import Rescoring


def deployed(number: int, version: int = 1) -> Any:
    return SimpleNamespace(rescore=number, version=version, rescore_rate=0.0)


class Looking(Rescoring):
    looks = 0

    def _next(self) -> None:
        self.looks += 1


async def passing() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def test_it_looks_only_while_a_pass_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescore, "PAUSE_S", 0.0)

    async def run() -> None:
        rescoring = Looking(cast("Any", SimpleNamespace(feeds={})), deployed(0), 31, lambda: 0)
        running = asyncio.create_task(rescoring.run())
        await passing()
        assert rescoring.looks == 0
        for change in (lambda: setattr(rescoring, "deployed", deployed(1)), lambda: setattr(rescoring, "version", 1)):
            before = rescoring.looks
            change()
            await passing()
            assert rescoring.looks > before
            rescoring.version = 2  # not that of the pass
            await passing()
            before = rescoring.looks
            await passing()
            assert rescoring.looks == before
        running.cancel()

    asyncio.run(run())
