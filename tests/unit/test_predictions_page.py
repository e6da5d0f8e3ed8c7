"""docs/predictions.md has the fields of our records as records.py has them: names, kinds, order, and no others."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from grid_inference.records import DEAD_LETTER, PREDICTION, PREDICTION_MESSAGE, DeadLetter, Prediction
from grid_inference.wire.schema import Schema

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "predictions.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| ([A-Z0-9_]+) \| \S.* \|$", re.MULTILINE)
IN_PYTHON = [each.name for each in fields(Prediction)]
"""The order in which an application reads them; it begins with the key, which stands beside the record."""


@pytest.mark.parametrize(
    ("title", "schema", "order"),
    [
        ("Prediction", PREDICTION, IN_PYTHON[1:]),
        ("PredictionMessage", PREDICTION_MESSAGE, [*IN_PYTHON[1:], "key", "key_data"]),
        ("DeadLetter", DEAD_LETTER, [each.name for each in fields(DeadLetter)][1:]),
    ],
)
def test_the_page_has_the_fields_as_they_are(title: str, schema: Schema, order: list[str]) -> None:
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    kinds = {each.name: each.kind.name for each in schema.fields}
    assert ROW.findall(section) == [(name, kinds.pop(name)) for name in order]
    assert not kinds, "fields that the page and the dataclass lack"
    assert f"`{schema.type_name}`" in section
