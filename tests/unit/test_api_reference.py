"""docs/api.md: written from the docstrings as they are, about everything that the package offers."""

from __future__ import annotations

import inspect
import runpy
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import grid_inference as gi
from grid_inference import aio

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
ONLY_BLOCKING = defaultdict[str, set[str]](set, {"Grid": {"address", "cluster_name"}})
ONLY_ASYNCHRONOUS = defaultdict[str, set[str]](set, {"Subscription": {"ended"}})


def test_the_page_is_up_to_date() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "api_reference.py"))
    assert tool["reference"]() == PAGE, "docstrings have changed: run python tools/api_reference.py"


@pytest.mark.parametrize("name", gi.__all__)
def test_every_name_is_there(name: str) -> None:
    assert f"### {name}\n" in PAGE or f"| `{name}` |" in PAGE


@pytest.mark.parametrize("name", ["Grid", "Features", "Predictions", "DeadLetters", "Subscription"])
def test_the_asynchronous_api_has_the_same_calls(name: str) -> None:
    """The page says so."""
    blocking, other = getattr(gi, name), getattr(aio, name)
    assert public(blocking) - ONLY_BLOCKING[name] == public(other) - ONLY_ASYNCHRONOUS[name]
    for attribute in public(blocking) & public(other):
        member = getattr(blocking, attribute)
        if inspect.isfunction(member):
            assert parameters(getattr(other, attribute)) == parameters(member)


def public(owner: type) -> set[str]:
    return {name for name in dir(owner) if not name.startswith("_")}


def parameters(function: Any) -> list[str]:
    """Without `timeout` of `subscribe`, which is `asyncio.timeout` in an event loop."""
    found = list(inspect.signature(function).parameters)
    return [each for each in found if (function.__name__, each) != ("subscribe", "timeout")]
