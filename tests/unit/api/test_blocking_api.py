"""api/blocking/: written by tools/blocking_api.py from the asynchronous modules as they are, by its rules."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOOL = runpy.run_path(str(ROOT / "tools" / "blocking_api.py"))
ASYNCHRONOUS = '''
class RecordMap:
    """A map. It belongs to its grid's event loop: elsewhere it raises GridError."""

    def __init__(self, link: Link, name: str) -> None:
        self.name = name
        """Its name."""
        self.link = link
        self.dead_letters = DeadLetters(link, name)
        """What was refused."""

    async def get(self, key: Any) -> Row | None:
        """One row."""
        return await self.link.get(key)

    async def _get(self) -> Row:
        """Private."""

    async def clear(self) -> None:
        """Remove all."""
        await self.link.clear()

    async def scan(self, *, rows: int = 1, **more: int) -> AsyncGenerator[Row]:
        """Row by row: `async for` over it."""
        yield Row()

    def features(self, name: str) -> Features:
        """Another map, in the event loop. Cancelled it ends."""
        return Features(self.link, name)

    @overload
    async def subscribe(self, where: str) -> Subscription[Row]: ...
    async def subscribe(self, where: str, *, gaps: str = "") -> Subscription[Any]:
        """What comes."""
        return await subscribe(self.link, where)
'''
BLOCKING = '''
class RecordMap:
    """A map. Several threads may use it at once."""

    def __init__(self, loop: LoopThread, record_map: aio.RecordMap) -> None:
        self._loop = loop
        self._record_map = record_map
        self.name = record_map.name
        """Its name."""
        self.dead_letters = DeadLetters(loop, record_map.dead_letters)
        """What was refused."""

    def get(self, key: Any) -> Row | None:
        """One row."""
        return self._loop.run(self._record_map.get(key))

    def clear(self) -> None:
        """Remove all."""
        self._loop.run(self._record_map.clear())

    def scan(self, *, rows: int = 1, **more: int) -> Generator[Row]:
        """Row by row: `for` over it."""
        return self._loop.iterate(self._record_map.scan(rows=rows, **more))

    def features(self, name: str) -> Features:
        """Another map, from another thread. Interrupted it ends."""
        return Features(self._loop, self._record_map.features(name))

    @overload
    def subscribe(self, where: str, timeout: float | None = None) -> Subscription[Row]: ...
    def subscribe(self, where: str, timeout: float | None = None, *, gaps: str = "") -> Subscription[Any]:
        """What comes.

        Iteration ends after `timeout` seconds without a prediction, or with `close()` of it or of the grid.
        """
        return Subscription(self._loop, self._loop.run(self._record_map.subscribe(where, gaps=gaps)), timeout)
'''


def test_it_is_up_to_date() -> None:
    for path, text in TOOL["written"]().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is not what its source says: run make api"


def test_what_becomes_of_a_class() -> None:
    (node,) = ast.parse(ASYNCHRONOUS).body
    assert TOOL["tidied"](TOOL["blocking_class"](node)) == BLOCKING.lstrip()


@pytest.mark.parametrize("text", ["One line.", "Two lines\nof the same words.", "Summary.\n\nAs it\nstands."])
def test_a_docstring_that_speaks_of_no_loop_stays_as_it_is(text: str) -> None:
    assert TOOL["docstring"](text, 8).strip('"\n') == text


def test_a_paragraph_of_other_words_is_filled_anew() -> None:
    text = TOOL["docstring"](f"Summary.\n\nIt belongs to a\nloop. {'word ' * 40}", 8)
    assert max(map(len, text.splitlines())) in range(100, 113)
