"""One form of each estimator of the battery; `make battery` runs them all."""

from __future__ import annotations

import pytest

from tests.battery.run import Case, cases, held

EVERY = 4


CASES = [case for at, case in enumerate(cases()) if at % EVERY == (at // EVERY) % EVERY]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equal_or_refused_with_a_reason(case: Case) -> None:
    found = held(case)
    assert not found.differs, found.said
