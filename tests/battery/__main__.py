"""`python -m tests.battery`: every estimator of scikit-learn that predicts, by each input form, against the bare model.

Prints a line for each difference and for each refusal, and how many were equal; exits with 1 if anything differs.
"""

from __future__ import annotations

import sys

from tests.battery.run import cases, held

if __name__ == "__main__":
    found = [held(case) for case in cases()]
    for each in found:
        if each.said:
            print(f"{each.name}: {each.said}")  # noqa: T201
    differing = sum(each.differs for each in found)
    print(  # noqa: T201
        f"{len(found)} cases, {sum(not each.said for each in found)} equal, {differing} differ, the rest refused"
    )
    sys.exit(bool(differing))
