"""The battery's cases: a subject by a form of rows, held against what the bare model says of other rows."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from threadpoolctl import threadpool_limits

from grid_inference.errors import GridInferenceError
from tests.battery.bare import Said
from tests.battery.boosters import boosters
from tests.battery.folders import folders
from tests.battery.graphs import graphs
from tests.battery.records import Answer, Published
from tests.battery.subjects import NEIGHBOURS, Fitted, Subject, scikit_learn
from tests.battery.tables import FORMS, MANY, Form, target

__all__ = ["CLOSE", "Case", "Held", "cases", "held"]

ALONE = 5
"""So many records are also asked for one by one."""
MANY_AT_ONCE = (40, 129, 1000, 0)
"""More records are asked for in batches of so many; 0: all of them."""
CLOSE = {"double": 1e-9, "single": 1e-4}
"""How far a score may be off, by the precision of whoever computes: in another batch sums are added up in another
order. Labels are equal."""


@dataclass(frozen=True)
class Case:
    """A subject by a form."""

    subject: Subject
    form: Form

    @property
    def name(self) -> str:
        subject = self.subject
        variant = f" ({subject.variant})" if subject.variant else ""
        return f"{subject.library}: {subject.name}{variant}, {subject.task}, of {self.form.name}"

    def close(self, said: Said) -> float:
        """How far a score may be off."""
        single = self.subject.single or self.form.name in {"float32", "matrix32"} or said.score.dtype == np.float32
        return CLOSE["single" if single else "double"]


@dataclass(frozen=True)
class Held:
    """What came of a case."""

    case: Case
    word: Literal["equal", "close", "refused", "unfit", "differs"]
    """`equal` to the last bit; `close`, no further off than `Case.close`; refused by us with a reason; unfit for such
    rows by the library itself."""
    said: str = ""
    off: float = 0.0
    """The most that a score was off."""


def cases() -> Iterator[Case]:
    """Every subject by each of its forms."""
    for subject in (*scikit_learn(), *boosters(), *graphs(), *folders()):
        yield from (Case(subject, FORMS[name]) for name in subject.forms)


def held(case: Case) -> Held:
    """A case against the bare model."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        form, records = case.form, case.form.asked
        try:
            fitted = case.subject.fit(form, target(case.subject.task), Path(folder))
            whole = fitted.said(form.handed(records))
            alone = [fitted.said(form.handed(records.iloc[row : row + 1])) for row in range(ALONE)]
        except Exception as error:  # noqa: BLE001  # it takes other rows than these
            return Held(case, "unfit", f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
        try:
            published = Published(fitted.source, **form.publish | fitted.publish)
        except GridInferenceError as error:
            return Held(case, "refused", str(error))
        found = _compared(case, published, whole, alone)
        if found.word in {"equal", "close"} and (published.signature.call_rows or case.subject.name in NEIGHBOURS):
            return _compared_many(case, published, fitted, found)
        return found


def _compared(case: Case, published: Published, whole: Said, alone: list[Said]) -> Held:
    off, close, records = 0.0, case.close(whole), case.form.asked
    for way in ("compact", "json"):
        together = [(answer, whole, row) for row, answer in enumerate(published.answers(records, way))]
        by_one = published.answers(records.iloc[:ALONE], way, batch=1)
        each = [(answer, said, 0) for answer, said in zip(by_one, alone, strict=True)]
        mates = [(answer, whole, row) for row, answer in enumerate(by_one)]
        for how, answers in (("together", together), ("one by one", each), ("one by one, bare together", mates)):
            for number, (answer, said, row) in enumerate(answers):
                wrong, far = _wrong(answer, said, row)
                if answers is not mates:
                    off = max(off, far)
                if wrong or not far <= close:
                    told = wrong or f"is off by {far:.3g}: {answer}, bare {_bare(said, row)}"
                    return Held(case, "differs", f"{way}, {how}: row {number} {told}", far)
    return Held(case, "close" if off else "equal", off=off)


def _compared_many(case: Case, published: Published, fitted: Fitted, found: Held) -> Held:
    """More records in batches of any size, and what the bare model says of all of them in one call.

    It is asked on one thread: which of equally near rows count hangs on how many threads look for them.
    """
    records = case.form.asked_many
    try:
        with threadpool_limits(1, "openmp"):
            said = fitted.said(case.form.handed(records))
    except Exception:  # noqa: BLE001  # one of them may be near no row of the fit
        return found
    off, close = found.off, case.close(said)
    for batch in MANY_AT_ONCE:
        for row, answer in enumerate(published.answers(records, batch=batch)):
            wrong, far = _wrong(answer, said, row)
            off = max(off, far)
            if wrong or not far <= close:
                told = wrong or f"is off by {far:.3g}: {answer}, bare {_bare(said, row)}"
                return Held(case, "differs", f"{batch or MANY} of many at once: row {row} {told}", far)
    return Held(case, "close" if off else "equal", off=off)


def _wrong(answer: Answer, said: Said, row: int) -> tuple[str, float]:
    """What is wrong with a row, if it is more than numbers; and how far its numbers are off."""
    if answer.refused and not np.isfinite(said.score[row]):
        return "", 0.0  # which is no prediction
    if answer.refused:
        return f"is refused: {answer.refused}; bare {_bare(said, row)}", 0.0
    if answer.label != (None if said.labels is None else said.labels[row]):
        return f"is {answer}, bare {_bare(said, row)}", 0.0
    if (answer.scores is None) != (said.scores is None):
        return f"has scores {answer.scores}, bare {_bare(said, row)}", 0.0
    mine = np.array([answer.score, *(answer.scores or ())], float)
    bare = np.array([said.score[row], *(() if said.scores is None else said.scores[row])], float)
    if mine.shape != bare.shape:
        return f"has scores {answer.scores}, bare {_bare(said, row)}", 0.0
    return "", float(np.max(np.abs(mine - bare) / np.maximum(1, np.abs(bare))))


def _bare(said: Said, row: int) -> str:
    label = None if said.labels is None else said.labels[row]
    return f"{label} {said.score[row]} {None if said.scores is None else said.scores[row].tolist()}"
