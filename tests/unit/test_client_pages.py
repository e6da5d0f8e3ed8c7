"""The code of each page in docs/clients/ is, joined, the program that tests/interop runs, word for word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BETWEEN = {"python": "\n\n"}
"""The empty lines between two blocks, where it is not one: each block is laid out by itself."""
PAGES = {
    "go": ("go", "go/transfers/main.go"),
    "java": ("java", "java/Transfers.java"),
    "node": ("js", "node/transfers.js"),
    "python": ("python", "python/transfers.py"),
}


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_code_is_the_tested_program(page: str):
    language, program = PAGES[page]
    text = (ROOT / "docs" / "clients" / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert len(blocks) > 1, f"{page}.md has no code"
    assert BETWEEN.get(language, "\n").join(blocks) == (ROOT / "tests" / "interop" / program).read_text(
        encoding="utf-8"
    )
