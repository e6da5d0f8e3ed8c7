"""`python -m tests.battery [WORD ...]`: every estimator by each form of rows against the bare model.

With words only those cases whose name has all of them. Prints a line for each difference and for each reason of a
refusal, then how many; exits with 1 if anything differs.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter

from tests.battery.run import Case, Held, cases, held

WORDS = ("equal", "close", "refused", "unfit", "differs")


def _tell(found: list[Held]) -> None:
    """The reasons of refusals, then a line for each library, and one for all."""
    for word in ("unfit", "refused"):
        reasons = Counter((each.case.subject.library, each.said) for each in found if each.word == word)
        names = {key: sorted({each.case.subject.name for each in found if each.word == word
                              and (each.case.subject.library, each.said) == key}) for key in reasons}  # fmt: skip
        for (library, said), count in sorted(reasons.items()):
            print(f"{word}, {count} cases of {library} ({', '.join(names[library, said])}): {said}")  # noqa: T201
    for library in dict.fromkeys(each.case.subject.library for each in found):
        _count(library, [each for each in found if each.case.subject.library == library])
    _count("all", found)


def _count(name: str, found: list[Held]) -> None:
    words = Counter(each.word for each in found)
    kinds = {(each.case.subject.library, each.case.subject.name) for each in found}
    variants = {(each.case.subject.library, each.case.subject.name, each.case.subject.variant) for each in found}
    off = max((each.off for each in found if each.word == "close"), default=0.0)
    counts = ", ".join(f"{words[word]} {word}" for word in WORDS)
    counted = f"{len(kinds)} estimators in {len(variants)} variants, {len(found)} cases: {counts}"
    print(f"{name}: {counted}; close ones by up to {off:.1e}")  # noqa: T201


def _held(case: Case) -> Held:
    """A case, whose difference is told at once: the whole takes minutes."""
    found = held(case)
    if found.word == "differs":
        print(f"differs, {case.name}: {found.said}", flush=True)  # noqa: T201
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    results = [_held(case) for case in cases() if all(word in case.name for word in sys.argv[1:])]
    _tell(results)
    sys.exit(any(each.word == "differs" for each in results))
