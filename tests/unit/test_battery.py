"""A form of each estimator of the battery, those that take long left out; `make battery` runs them all."""

from __future__ import annotations

import pytest

from tests.battery.run import Case, cases, held

EVERY = {"scikit-learn": 19, "XGBoost": 8, "LightGBM": 8, "ONNX": 19}
"""One in so many cases of a library; MLflow's folders take a second each."""


def _some() -> list[Case]:
    by_library: dict[str, list[Case]] = {}
    for case in cases():
        by_library.setdefault(case.subject.library, []).append(case)
    return [
        case
        for library, every in EVERY.items()
        for at, case in enumerate(by_library[library])
        if at % every == (at // every) % every
    ]


@pytest.mark.parametrize("case", _some(), ids=lambda case: case.name)
def test_equal_or_refused_with_a_reason(case: Case) -> None:
    found = held(case)
    assert found.word != "differs", found.said
