"""The battery that every format goes through: written down, read again, and asked as the bare library is."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
import pytest

from grid_inference.errors import ArtifactError, TrustError
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.native import LIBRARIES, engine_of, library
from grid_inference.model.engines.trial import TrialEngine
from grid_inference.model.inputs.frame import Frame
from grid_inference.model.signature import Signature
from grid_inference.model.store.artifact import load
from grid_inference.model.store.keys import SigningKey
from grid_inference.model.store.making import make
from grid_inference.model.store.published import Made
from grid_inference.model.store.trust import Trust
from tests.cases import CASES, Case

HERE = Trust(allow_pickle=True, loopback=True)
MANY = 50_000
GROWTH_BYTES_MAX = 150 << 20
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


class Subject:
    """A case, written down and read again."""

    def __init__(self, case: Case, folder: Any) -> None:
        self.case, self.source = case, case.source(folder)
        self.made: Made = make(self.source, **case.publish)
        self.signature: Signature = Signature.from_mapping(self.made.signature.to_mapping())
        self.model = load(self.made.artifact, HERE)
        self.engine: Engine = engine_of(self.model, self.signature)

    def inputs(self, rows):
        """Rows as the flow hands them over."""
        if not self.signature.frame:
            return rows[list(self.signature.names)].to_numpy()
        return Frame({name: _plain(rows[name].to_numpy()) for name in self.signature.names})

    def asked(self, rows, **how):
        """Scores as the library gives them, and labels."""
        scores, good, failures = self.engine.score(self.inputs(rows), **how)
        assert not failures
        assert good.size == len(rows)
        return scores


def _plain(values):
    return values if values.dtype.kind in "fiub" else np.array(values, object)


@pytest.fixture(scope="module")
def subjects(tmp_path_factory) -> dict[str, Subject]:
    return {}


@pytest.fixture
def subject(case: Case, subjects, tmp_path_factory) -> Subject:
    """Each case is made once for all its tests."""
    if case.id not in subjects:
        subjects[case.id] = Subject(case, tmp_path_factory.mktemp("model"))
    return subjects[case.id]


def same(subject: Subject, scores, rows) -> None:
    """As the bare library says."""
    values, labels = subject.case.said(subject.source, rows)
    tolerance = subject.case.tolerance
    if scores.scores is not None:
        np.testing.assert_allclose(scores.scores, values, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_allclose(scores.score, np.asarray(values).reshape(-1), rtol=tolerance, atol=tolerance)
    if labels is None:
        assert scores.label_index is None
    else:
        assert [subject.signature.label(index) for index in scores.label_index.tolist()] == labels


@every_case
def test_the_signature_says_what_it_is(case: Case, subject: Subject) -> None:
    assert (subject.signature.task, subject.made.artifact.manifest.format) == (case.task, case.format)
    assert subject.signature.names == tuple(case.rows(1).columns)
    assert subject.made.artifact.manifest.libraries or case.format == "function"
    assert bool(subject.made.expected) == ("sample" in case.publish)
    if subject.made.expected:
        subject.made.expected.check(subject.engine, "it")


@every_case
@pytest.mark.parametrize("count", [1, 17, 1000])
def test_rows_are_scored_in_order_as_by_the_bare_library(case: Case, subject: Subject, count: int) -> None:
    rows = case.rows(count)
    same(subject, subject.asked(rows), rows)


@every_case
def test_no_rows(case: Case, subject: Subject) -> None:
    empty, some = subject.asked(case.rows(0)), subject.asked(case.rows(3))
    assert empty.score.shape == (0,)
    for mine, theirs in ((empty.label_index, some.label_index), (empty.scores, some.scores)):
        assert (mine is None) == (theirs is None)
        assert mine is None or mine.shape == (0, *theirs.shape[1:])


@every_case
def test_a_batch_is_as_its_rows_and_as_itself(case: Case, subject: Subject) -> None:
    rows = case.rows(40)
    batch, again = subject.asked(rows), subject.asked(rows)
    assert batch.score.tolist() == again.score.tolist()
    alone = [subject.asked(rows[at : at + 1]) for at in range(len(rows))]
    np.testing.assert_allclose([each.score[0] for each in alone], batch.score, rtol=case.tolerance, atol=case.tolerance)
    if batch.label_index is not None:
        assert [each.label_index[0] for each in alone] == batch.label_index.tolist()


@every_case
def test_many_rows_and_no_memory_kept(case: Case, subject: Subject) -> None:
    rows = case.rows(MANY)
    subject.asked(rows)
    before = psutil.Process().memory_info().rss
    for _ in range(3):
        scores = subject.asked(rows)
    assert scores.score.shape == (MANY,)
    assert psutil.Process().memory_info().rss - before < GROWTH_BYTES_MAX
    same(subject, scores, rows)


@every_case
def test_a_missing_number_is_a_failure_of_its_row_alone(case: Case, subject: Subject) -> None:
    rows = case.rows(9)
    rows.loc[4, "b"] = np.nan
    scores, good, [failure] = subject.engine.score(subject.inputs(rows))
    assert (failure.row, failure.cause, failure.message) == (4, "NAN_FEATURE", "b is NaN or null")
    assert good.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    same(subject, scores, rows.drop(index=4))


@pytest.mark.parametrize("case", [case for case in CASES if case.takes_nan], ids=lambda case: case.id)
def test_a_missing_number_where_the_model_takes_one(case: Case, subject: Subject) -> None:
    rows = case.rows(9)
    rows.loc[4, "b"] = np.nan
    same(subject, subject.asked(rows, nan="score"), rows)


@every_case
def test_threads(case: Case, subject: Subject) -> None:
    parts = [case.rows(count) for count in range(20, 28)]
    alone = [subject.asked(part).score.tolist() for part in parts]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda part: subject.asked(part).score.tolist(), parts * 4))
    assert together == alone * 4


FORMATS = {case.format: case for case in CASES}


@pytest.mark.parametrize("case", FORMATS.values(), ids=FORMATS)
def test_processes(case: Case, subject: Subject) -> None:
    rows = case.rows(20)
    trial = TrialEngine(pickle.loads(pickle.dumps(subject.model)), subject.signature, 30.0)
    try:
        scores, good, failures = subject.engine.score(subject.inputs(rows), by=trial)
    finally:
        trial.close()
    assert not failures
    assert good.size == len(rows)
    same(subject, scores, rows)


@pytest.mark.parametrize(
    "case", [case for name, case in FORMATS.items() if name in LIBRARIES], ids=lambda case: case.id
)
def test_a_library_that_is_missing_is_named_with_what_installs_it(case: Case, subject: Subject, monkeypatch) -> None:
    monkeypatch.setattr(library, "find_spec", lambda _: None)
    if not LIBRARIES[case.format].modules:
        load(subject.made.artifact, HERE)
        return
    with pytest.raises(ArtifactError, match=LIBRARIES[case.format].modules[0]) as caught:
        load(subject.made.artifact, HERE)
    assert caught.value.remedy == f"pip install 'grid-inference[{LIBRARIES[case.format].extra or case.format}]'"


@pytest.mark.parametrize(
    "case", [case for name, case in FORMATS.items() if name in LIBRARIES], ids=lambda case: case.id
)
def test_nobody_loads_it_without_a_signature(case: Case, subject: Subject) -> None:
    with pytest.raises(TrustError, match="nobody has signed it"):
        load(subject.made.artifact, Trust())
    key = SigningKey.generate()
    assert load(subject.made.artifact.signed(key), Trust.of(keys=[key.public]))
