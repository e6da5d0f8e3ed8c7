"""Drift: training statistics, what is counted of batches, and what the two say of each other."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from grid_inference.drift import counting
from grid_inference.drift.counting import SLOTS, Counting, Window
from grid_inference.drift.counts import Counts, place_of, together
from grid_inference.drift.crossing import crossings, over_in, state_of
from grid_inference.drift.distance import SHARE_FLOOR, psi, wasserstein
from grid_inference.drift.report import ColumnDrift, Drift, drift_of
from grid_inference.errors import ArtifactError
from grid_inference.flow import watch as watch_module
from grid_inference.flow.calls import Score, Scored
from grid_inference.flow.watch import Tap, Watch, _Watched
from grid_inference.model.engines.isolate import Scores
from grid_inference.model.inputs.frame import Frame, Inputs
from grid_inference.model.signature import Input, Signature
from grid_inference.model.store.bins import Counted
from grid_inference.model.store.making import make
from grid_inference.model.store.statistics import Column, Statistics

T = TypeVar("T")
RNG = np.random.default_rng(31)
ROWS = 4000
REGRESSOR = Signature((Input("a"), Input("b")), "regressor", inputs_count=2)


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Whatever the order of the tests: chance decides in some of them how far values are apart."""
    RNG.bit_generator.state = np.random.default_rng(31).bit_generator.state


def column(values: Any, name: str = "a") -> Column:
    """The statistics of values."""
    found = Column.of(name, np.asarray(values))
    assert found is not None
    return found


def held(training: Any, live: Any) -> ColumnDrift:
    """Values at work against those of a training."""
    described = column(training)
    (found,) = drift_of(Statistics(len(training), (described,), 0, ()), [described.bins().count(np.asarray(live))])
    return found


def objects(*values: Any) -> NDArray[np.object_]:
    """Values as the object column of a frame."""
    found = np.empty(len(values), np.object_)
    found[:] = values
    return found


# ---- distances


def test_psi_is_the_sum_that_books_give() -> None:
    one, other = [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]
    expected = sum((q - p) * math.log(q / p) for p, q in zip(one, other, strict=True))
    assert psi(one, other) == pytest.approx(expected)
    assert psi(one, one) == 0
    assert psi([1, 0], [0.5, 0.5]) == pytest.approx(
        0.5 * math.log(2) + (0.5 - SHARE_FLOOR) * math.log(0.5 / SHARE_FLOOR)
    )


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0, 10.0])
def test_values_that_have_moved_are_found_and_how_far(shift: float) -> None:
    training, live = RNG.normal(5, 2, ROWS), RNG.normal(5 + 2 * shift, 2, ROWS)
    found = held(training, live)
    assert found.wasserstein == pytest.approx(wasserstein_distance(training, live) / training.std(), abs=0.05)
    assert found.wasserstein == pytest.approx(shift, rel=0.05, abs=0.08)
    assert found.mean_now == pytest.approx(live.mean())
    assert found.psi is not None
    assert found.word == {0.0: "stable", 0.3: "stable", 1.0: "large", 10.0: "large"}[shift]


def test_nothing_is_said_of_few_rows() -> None:
    training = RNG.normal(size=ROWS)
    few = held(training, RNG.normal(9, 1, 499))
    assert (few.psi, few.wasserstein, few.word, few.rows) == (None, None, "unknown", 499)
    texts = objects(*(f"city {index % 50}" for index in range(ROWS)))
    assert held(texts, texts[:1000]).psi is None, "52 bins need 2,600 rows"
    assert held(texts, texts[:2600]).word == "stable"
    none = held(training, training[:0])
    assert (none.rows, none.missing_now, none.mean_now, sum(none.shares_now)) == (0, None, None, 0)


def test_no_distance_where_there_are_no_values() -> None:
    assert wasserstein([1.0], [0.0], [2.0], [1.0]) is None
    assert wasserstein([1.0], [1.0], [2.0], [0.0]) is None


# ---- odd columns


def test_a_constant_has_a_bin_of_its_own_and_a_change_on_either_side_shows() -> None:
    for constant in (0.0, 0.1, -3.0, 1e12):
        training = np.full(ROWS, constant)
        assert held(training, training).psi == 0
        assert held(training, training.astype(np.float32).astype(np.float64)).psi == 0, "a float32 is the same value"
        for change in (-1e9, 1e9):
            assert held(training, np.full(ROWS, constant + 1e4 * change)).word == "large"
    assert held(training, training).wasserstein is None


def test_ties_fall_into_the_same_bins_as_float32() -> None:
    training = RNG.choice([0.1, 0.2, 0.3, 0.7, 0.9], ROWS, p=[0.05, 0.35, 0.3, 0.2, 0.1])
    found = held(training, training.astype(np.float32).astype(np.float64))
    assert found.psi == 0
    assert held(training, RNG.choice([0.1, 0.2, 0.3, 0.7, 0.9], ROWS)).word == "large"


def test_a_small_spread_around_a_large_value_has_bins_too() -> None:
    training = 1.7e9 + RNG.uniform(0, 600, ROWS)
    assert held(training, 1.7e9 + RNG.uniform(0, 600, ROWS)).word == "stable"
    assert held(training, 1.7e9 + RNG.uniform(300, 900, ROWS)).word == "large"


def test_flags_are_numbers_with_a_bin_for_each_value() -> None:
    flags = RNG.random(ROWS) < 0.3
    described = column(flags)
    assert described.edges is not None
    assert sum(share > 0 for share in described.shares) == 2
    assert held(flags, np.where(flags, 1.0, 0.0)).psi == 0, "a column that may be null comes as float64"
    assert held(flags, RNG.random(ROWS) < 0.9).word == "large"
    assert column(objects(True, False, None, True)).shares[-1] == 0.25


def test_what_is_missing_is_drift_too() -> None:
    training = RNG.normal(size=ROWS)
    gone = np.where(RNG.random(ROWS) < 0.5, np.nan, training)
    found = held(training, gone)
    assert (found.missing, found.word) == (0, "large")
    assert found.missing_now == pytest.approx(np.isnan(gone).mean())
    assert held(gone, gone).psi == 0
    nothing = held(training, np.full(ROWS, np.nan))
    assert (nothing.missing_now, nothing.word, nothing.wasserstein, nothing.mean_now) == (1, "large", None, None)
    empty = held(np.full(ROWS, np.nan), training)
    assert (empty.missing, empty.word, empty.mean) == (1, "large", None)
    assert held(np.full(ROWS, np.nan), np.full(ROWS, np.nan)).psi == 0


def test_infinite_values_count_as_missing_and_no_sum_overflows() -> None:
    training = np.where(np.arange(ROWS) % 4 == 0, np.inf, RNG.normal(size=ROWS))
    found = held(training, np.where(np.isinf(training), -np.inf, training))
    assert (found.missing, found.missing_now, found.psi) == (0.25, 0.25, 0)
    huge = held(np.linspace(-1.7, 1.7, ROWS) * 1e308, np.full(ROWS, 1.7e308))
    assert huge.mean_now is not None
    assert math.isfinite(huge.mean_now)
    assert huge.word == "large"
    json.dumps(Statistics(ROWS, (column(training),), 0, ()).to_mapping(), allow_nan=False)


def test_texts_that_training_has_not_named_are_the_others() -> None:
    training = objects(*RNG.choice(["Ghent", "Porto"], ROWS, p=[0.7, 0.3]).tolist())
    described = column(training)
    assert described.categories == ("Ghent", "Porto")
    assert held(training, objects(*RNG.choice(["Ghent", "Porto"], ROWS, p=[0.69, 0.31]).tolist())).word == "stable"
    strange = held(training, np.where(RNG.random(ROWS) < 0.2, "secret", training).astype(object))
    assert strange.word == "large"
    assert strange.shares_now[-2] == pytest.approx(0.2, abs=0.03)
    assert "secret" not in repr(strange)
    nulls = held(training, objects(*[np.nan, None, "Ghent", 5] * (ROWS // 4)))
    assert nulls.shares_now == (0.25, 0, 0.25, 0.5)
    assert held(training, RNG.normal(size=ROWS)).shares_now[-2] == 1, "numbers are none of the texts"
    names = column(objects(*(f"name {index}" for index in range(ROWS))))
    assert (names.categories, names.shares) == ((), (1, 0)), "what is hardly ever the same is not kept"
    many = column(objects(*(f"city {index % 80}" for index in range(ROWS))))
    assert len(many.categories or ()) == 50
    assert column(objects(*["x" * 201] * ROWS)).categories == ()


def test_texts_where_numbers_were_are_missing() -> None:
    assert held(RNG.normal(size=ROWS), objects(*["1"] * ROWS)).missing_now == 1


def test_dates_are_left_out() -> None:
    assert Column.of("since", np.arange(600).astype("datetime64[D]")) is None
    assert Column.of("parts", objects(*[b"1"] * 600)) is None


# ---- statistics of a model


def test_a_classifier_is_described_with_its_scores_and_labels() -> None:
    inputs = RNG.normal(size=(ROWS, 2))
    model = LogisticRegression().fit(inputs, np.where(inputs.sum(axis=1) > 0, "fraud", "authentic"))
    found = make(model, columns=["a", "b"], sample=inputs).statistics
    assert found is not None
    assert ([one.name for one in found.inputs], found.rows, found.scored) == (["a", "b"], ROWS, ROWS)
    score, label = found.outputs
    probabilities = model.predict_proba(inputs)[:, 1]
    assert score.mean == pytest.approx(probabilities.mean())
    assert score.std == pytest.approx(probabilities.std())
    shares = dict(zip(label.categories or (), label.shares, strict=False))
    assert shares["fraud"] == pytest.approx((model.predict(inputs) == "fraud").mean())
    assert Statistics.from_mapping(json.loads(json.dumps(found.to_mapping()))) == found
    assert make(model, sample=inputs[:499]).statistics is None
    assert make(model).statistics is None
    unnamed = make(model, sample=inputs).statistics
    assert unnamed is not None
    assert [one.name for one in unnamed.inputs] == ["input 0", "input 1"]
    array = make(model, columns=["x"], sample=inputs).statistics
    assert array is not None
    assert [one.name for one in array.inputs] == ["x[0]", "x[1]"]


def test_a_model_of_named_columns_is_described_by_them() -> None:
    frame = pd.DataFrame(
        {
            "city": np.array(["Ghent", "Porto", None], object)[np.arange(900) % 3],
            "amount": RNG.random(900),
            "new": np.arange(900) % 2 == 0,
            "since": pd.date_range("2026-01-01", periods=900),
        }
    )
    encoder = ColumnTransformer([("city", OneHotEncoder(), ["city"]), ("rest", "passthrough", ["amount", "new"])])
    found = make(make_pipeline(encoder, LinearRegression()).fit(frame, frame["amount"]), sample=frame).statistics
    assert found is not None
    assert [one.name for one in found.inputs] == ["city", "amount", "new"]
    assert found.inputs[0].shares[-1] == pytest.approx(1 / 3)
    assert [one.name for one in found.outputs] == ["score"]


class NoNaN(RegressorMixin, BaseEstimator):
    """Takes no missing values, or nothing at all."""

    n_features_in_ = 2

    def __init__(self, *, willing: bool = True) -> None:
        self.willing = willing

    def fit(self, _: Any) -> NoNaN:
        self.fitted_ = True
        return self

    def predict(self, inputs: Any) -> Any:
        if not self.willing and len(inputs) > 20:
            raise RuntimeError("no")
        if np.isnan(inputs).any():
            raise ValueError("NaN")
        return inputs[:, 0]


def test_a_model_that_takes_no_missing_values_is_asked_for_the_whole_rows() -> None:
    inputs = RNG.random((1200, 2))
    inputs[::4, 1] = np.nan
    frame = pd.DataFrame(inputs, columns=["a", "b"])
    found = make(NoNaN().fit(None), sample=frame).statistics
    assert found is not None
    assert (found.scored, found.inputs[1].shares[-1]) == (900, 0.25)
    unwilling = make(NoNaN(willing=False).fit(None), sample=frame).statistics
    assert unwilling is not None
    assert (unwilling.scored, unwilling.outputs, len(unwilling.inputs)) == (0, (), 2)


GOOD: dict[str, Any] = Statistics(
    ROWS, (column(RNG.normal(size=ROWS)), column(objects(*["x", "y"] * 500), "b")), 0, ()
).to_mapping()
HOSTILE: list[Callable[[dict[str, Any]], Any]] = [
    lambda one: one.update(rows=-1),
    lambda one: one.update(rows=True),
    lambda one: one.update(rows=2**80),
    lambda one: one.pop("inputs"),
    lambda one: one.update(inputs="abc"),
    lambda one: one.update(inputs=[None]),
    lambda one: one.update(inputs=one["inputs"] * 200),
    lambda one: one.update(outputs=one["inputs"] * 2),
    lambda one: one["inputs"][0].update(name=5),
    lambda one: one["inputs"][0].update(edges=[2.0, 1.0]),
    lambda one: one["inputs"][0].update(edges=[float("nan")]),
    lambda one: one["inputs"][0].update(edges=list(range(1000))),
    lambda one: one["inputs"][0].update(edges=None),
    lambda one: one["inputs"][0].update(categories=["x"]),
    lambda one: one["inputs"][0].update(shares=[0.5, 0.5]),
    lambda one: one["inputs"][0]["shares"].__setitem__(0, 7.0),
    lambda one: one["inputs"][0]["shares"].__setitem__(0, "7"),
    lambda one: one["inputs"][0].update(means=[]),
    lambda one: one["inputs"][0].update(std=-1.0),
    lambda one: one["inputs"][0].update(mean=float("inf")),
    lambda one: one["inputs"][1].update(categories=["x", "x"]),
    lambda one: one["inputs"][1].update(categories=[1, 2]),
]


@pytest.mark.parametrize("harm", HOSTILE)
def test_statistics_that_can_not_be_are_refused(harm: Callable[[dict[str, Any]], Any]) -> None:
    mapping = json.loads(json.dumps(GOOD))
    assert Statistics.from_mapping(mapping).rows == ROWS
    harm(mapping)
    with pytest.raises(ArtifactError, match="training statistics can't be read"):
        Statistics.from_mapping(mapping)


# ---- counting


def counted(*rows: int) -> Counted:
    return np.array(rows, np.int64), np.array(rows, np.float64) * 2


def test_a_window_forgets_what_is_older_slot_by_slot() -> None:
    window = Window([2, 3], SLOTS * 10.0)
    window.add(0, counted(1, 2), 1_000_000.0)
    window.add(1, counted(0, 0, 5), 1_000_004.0)
    window.add(0, counted(3, 0), 1_000_050.0)
    assert [some[0].tolist() for some in window.total(1_000_060.0)] == [[4, 2], [0, 0, 5]]
    assert [some[1].tolist() for some in window.total(1_000_060.0)] == [[8, 4], [0, 0, 10]]
    assert [some[0].tolist() for some in window.total(1_000_205.0)] == [[3, 0], [0, 0, 0]]
    window.add(1, counted(1, 0, 0), 1_000_206.0)
    assert [some[0].tolist() for some in window.total(1_000_249.0)] == [[3, 0], [1, 0, 0]]
    assert [some[0].tolist() for some in window.total(9_999_999.0)] == [[0, 0], [0, 0, 0]]


def statistics_of(inputs: NDArray[np.float64]) -> Statistics:
    """Of a regressor that gives the first column."""
    a, b, score = column(inputs[:, 0]), column(inputs[:, 1], "b"), column(inputs[:, 0], "score")
    return Statistics(len(inputs), (a, b), len(inputs), (score,))


class Clock:
    """Time that goes by where a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.each_s = 0.0
        """What passes with each look."""

    def perf_counter(self) -> float:
        self.now_s += self.each_s
        return self.now_s

    monotonic = perf_counter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(counting, "time", made)
    return made


def test_some_rows_of_a_batch_are_counted_as_the_model_got_them(clock: Clock) -> None:
    inputs = RNG.normal(size=(3000, 2))
    inputs[::2, 1] = np.nan
    good = inputs[np.isfinite(inputs[:, 1])]
    watched = Counting(statistics_of(RNG.normal(size=(ROWS, 2))), REGRESSOR, 100.0)
    watched.take(inputs[:400], Scores(good[:200, 0], None, None))
    (a, _), (b, _), (score, _) = watched.total()
    assert (a.sum(), b.sum(), score.sum()) == (400, 400, 200)
    assert (a[-1], b[-1], score[-1]) == (0, 200, 0)
    clock.now_s += 1000.0
    watched.take(inputs, Scores(good[:, 0], None, None))
    (a, _), (b, _), (score, _) = watched.total()
    assert (a.sum(), b.sum(), score.sum()) == (500, 500, 500)


def test_it_rests_until_what_it_took_is_within_its_budget(clock: Clock) -> None:
    watched = Counting(statistics_of(RNG.normal(size=(ROWS, 2))), REGRESSOR, 1e6)
    inputs = RNG.normal(size=(100, 2))
    rounds, begun_s = 0, clock.now_s
    for _ in range(10_000):
        clock.now_s += 0.01
        if watched.due():
            clock.each_s = 0.0004
            watched.take(inputs, Scores(inputs[:, 0], None, None))
            clock.each_s = 0.0
            rounds += 1
    assert watched.spent_s / (clock.now_s - begun_s) == pytest.approx(counting.BUDGET_SHARE, rel=0.1)
    assert rounds > 100
    rows = [int(counts.sum()) for counts, _ in watched.total()]
    assert max(rows) - min(rows) <= 100, "pieces go on where the one before has ended"
    assert sum(rows) < 3 * 100 * rounds, "a piece ends where it has taken long enough"


def test_a_mark_stands_as_long_as_what_was_counted(clock: Clock) -> None:
    inputs = RNG.normal(size=(ROWS, 2))
    watched = Counting(statistics_of(inputs), REGRESSOR, 100.0)
    marks = [watched.mark(), watched.mark()]
    watched.take(inputs, Scores(inputs[:, 0], None, None))
    marks += [watched.mark(), watched.mark()]
    clock.now_s += 100.0 / SLOTS
    marks += [watched.mark(), watched.mark()]
    assert len(set(marks)) == 3
    assert marks[::2] == marks[1::2]


def test_counts_are_told_and_evaluated_when_there_is_something_new(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, done = RNG.normal(size=(ROWS, 2)), list[str]()
    settings = SimpleNamespace(name="cards", drift=SimpleNamespace(window_s=36_000.0))
    deployed = SimpleNamespace(config=settings, model="cards", version=1)
    seen = Counting(statistics_of(inputs), REGRESSOR, 36_000.0)
    watch = Watch(cast("Any", SimpleNamespace(partition_count=31)), "w1", "d", lambda _: True, lambda: {1})
    watch._watched[1] = _Watched(cast("Any", deployed), seen)

    async def told(*_: Any, **__: Any) -> None:
        done.append("told")

    async def evaluated(_: Any) -> float:
        done.append("evaluated")
        return 0.5

    monkeypatch.setattr(watch_module, "time", clock, raising=False)
    monkeypatch.setattr(watch._map, "set", told)
    monkeypatch.setattr(watch, "_evaluate", evaluated)

    def looked(after_s: float) -> list[str]:
        done.clear()
        clock.now_s += after_s
        asyncio.run(watch._look())
        assert watch.psi == 0.5
        return [*done]

    assert looked(0.0) == ["evaluated"]
    assert looked(5.0) == looked(5.0) == []
    seen.take(inputs, Scores(inputs[:, 0], None, None))
    assert looked(5.0) == ["told", "evaluated"]
    assert looked(5.0) == []
    assert looked(61.0) == ["evaluated"], "others may have counted"


class Direct:
    """Asks a function on the spot."""

    def __init__(self) -> None:
        self.suspects: list[bool] = []

    async def run(
        self, work: Callable[[Score], T], rows: int, partitions: NDArray[np.int32], *, suspect: bool = False
    ) -> T:
        del rows, partitions
        self.suspects.append(suspect)
        return work(self._score)

    @staticmethod
    def _score(inputs: Inputs, nan: Any) -> Scored:
        del nan
        assert isinstance(inputs, np.ndarray)
        return Scores(inputs[:, 0], None, None), np.arange(len(inputs)), []


def ask(tap: Tap, inputs: Any, *, suspect: bool = False) -> Scored:
    def work(score: Score) -> Scored:
        return score(inputs, "score")

    return asyncio.run(tap.run(work, len(inputs), np.zeros(len(inputs), np.int32), suspect=suspect))


def test_a_tap_hands_on_what_the_model_says_and_has_it_counted(clock: Clock) -> None:
    watched, direct, inputs = (
        Counting(statistics_of(RNG.normal(size=(ROWS, 2))), REGRESSOR, 1e6),
        Direct(),
        RNG.normal(size=(50, 2)),
    )
    tap = Tap(direct, watched)
    clock.each_s = 0.0001
    scores, good, failures = ask(tap, inputs)
    assert (scores.score.tolist(), good.size, failures) == (inputs[:, 0].tolist(), 50, [])
    ask(tap, inputs)
    assert watched.total()[0][0].sum() == 50, "it rests"
    clock.now_s += 100
    ask(tap, inputs, suspect=True)
    assert watched.total()[0][0].sum() == 50, "what is on trial is not counted"
    assert direct.suspects == [False, False, True]


def test_an_error_in_counting_costs_no_batch_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = RNG.normal(size=(50, 2))
    watched = Counting(statistics_of(inputs), REGRESSOR, 100.0, deployment="cards", version=3)

    def failing(*_: object) -> None:
        raise ValueError(f"it was {inputs[0, 0]}")

    monkeypatch.setattr(watched, "_piece", failing)
    tap = Tap(Direct(), watched)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert ask(tap, inputs)[1].size == 50
    assert [record.getMessage().splitlines()[0].split(" deployment")[0] for record in caplog.records] == [
        "drift is not counted any more"
    ]
    assert str(inputs[0, 0]) not in caplog.text
    assert not watched.due()


def test_columns_of_a_frame_are_counted_by_name_and_labels_as_texts() -> None:
    signature = Signature(
        (Input("city", "string"), Input("x")), "classifier", ("no", "yes"), inputs_count=2, frame=True
    )
    texts = objects(*["Ghent", "Porto"] * 300)
    score, label = column(RNG.random(600), "score"), column(objects(*["yes"] * 600), "label")
    statistics = Statistics(
        600, (column(RNG.random(600), "x"), column(texts, "city"), column(RNG.random(600), "gone")), 600, (score, label)
    )
    watched = Counting(statistics, signature, 100.0)
    frame = Frame(
        {"city": objects("Ghent", "Oslo", np.nan), "x": np.array([0.5, np.nan, 0.1])},
        {"city": np.array([False, False, True])},
    )
    watched.take(frame, Scores(np.array([0.1, 0.9]), np.array([0, 1], np.int32), None))
    x, city, gone, said, labels = (counts for counts, _ in watched.total())
    assert (x.sum(), x[-1], gone.sum(), said.sum()) == (3, 1, 0, 2)
    assert city.tolist() == [1, 0, 1, 1]
    assert labels.tolist() == [1, 1, 0], "yes, another one, none missing"


def test_a_piece_of_a_wide_model_ends_when_a_millisecond_is_over(clock: Clock) -> None:
    wide = RNG.normal(size=(20_000, 300))
    statistics = Statistics(600, tuple(column(wide[:600, index], f"c{index}") for index in range(300)), 0, ())
    watched, scores = Counting(statistics, REGRESSOR, 100.0), Scores(np.empty(0), None, None)
    clock.each_s = counting.PIECE_S / 10
    seen = np.zeros(300, int)
    for _ in range(90):
        watched._again_s = 0.0
        watched.take(wide, scores)
        now = np.array([counts.sum() for counts, _ in watched.total()])
        taken = now - seen
        assert 8 <= np.count_nonzero(taken) <= 11
        assert set(taken[taken > 0]) == {500}
        seen = now
    assert seen.max() - seen.min() <= 500, "pieces go on where the one before has ended"


# ---- what stands in the grid


def test_counts_are_read_back_and_added_up() -> None:
    inputs = RNG.normal(size=(600, 2))
    statistics, place = statistics_of(inputs), place_of("cards", "fraud", 3)
    columns = [one.bins().count(inputs[:, index % 2]) for index, one in enumerate(statistics.columns)]
    said = json.loads(json.dumps(Counts(place, "w1", columns).to_mapping(), allow_nan=False))
    found = Counts.read(said, place, statistics)
    assert found is not None
    assert (found.rows, found.worker, place) == (600, "w1", "cards/fraud@3")
    both = together([found, found], statistics)
    for (rows, sums), (mine, my_sums) in zip(both, columns, strict=True):
        np.testing.assert_array_equal(rows, 2 * mine)
        np.testing.assert_allclose(sums, 2 * my_sums, rtol=1e-7, atol=1e-12)
    assert Counts.read(said, place_of("cards", "fraud", 4), statistics) is None
    for key, value in (
        ("kind", "state"),
        ("counts", None),
        ("counts", said["counts"][:-1]),
        ("counts", [[-1, *some[1:]] for some in said["counts"]]),
        ("counts", [[0.5, *some[1:]] for some in said["counts"]]),
        ("counts", [[2**60, *some[1:]] for some in said["counts"]]),
        ("counts", [some[1:] for some in said["counts"]]),
        ("sums", [["x", *some[1:]] for some in said["sums"]]),
        ("sums", [[float("inf"), *some[1:]] for some in said["sums"]]),
        ("sums", 5),
    ):
        assert Counts.read({**said, key: value}, place, statistics) is None
    assert Counts.read([said], place, statistics) is None


def drifted(name: str, figure: float | None) -> ColumnDrift:
    return ColumnDrift(name, "input", 1000, figure, None, 0, 0, None, None, ("any", "missing"), (1, 0), (1, 0))


def test_a_column_is_told_of_when_it_comes_over_and_when_it_is_well_below() -> None:
    place, over = "cards/fraud@3", frozenset[tuple[str, str]]()
    told: list[tuple[str, bool]] = []
    for a, b in ((0.1, 0.1), (0.26, 0.1), (0.24, None), (0.21, 0.3), (0.26, 0.5), (0.19, None), (0.1, 0.1)):
        changes = crossings(over, [drifted("a", a), drifted("b", b)], 0.25)
        told += [(one.column.name, one.over) for one in changes]
        over = over_in(json.loads(json.dumps(state_of(place, over, changes))), place)
    assert told == [("a", True), ("b", True), ("a", False), ("b", False)]
    assert over == frozenset()
    drift = Drift("cards", "fraud", 3, 0.25, 3600.0, 2, 500, 1000, (drifted("a", 0.3),))
    (change,) = crossings(over, drift.columns, 0.25)
    said = change.to_mapping(drift)
    assert (said["event"], said["state"], said["deployment"]) == ("drift", "over", "cards")
    assert (said["model"], said["version"], said["column"], said["psi"]) == ("fraud", 3, "a", 0.3)
    assert drift.to_mapping()["columns"][0]["word"] == "large"
    assert "<td>large</td>" in drift._repr_html_()


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        {},
        {"kind": "state", "place": "p", "over": 5},
        {"kind": "state", "place": "p", "over": [1, ["x"], [1, 2]]},
    ],
)
def test_a_state_that_is_none_holds_nothing(state: Any) -> None:
    assert over_in(state, "p") == frozenset()


def test_names_that_training_did_not_know_are_those_of_the_deployment() -> None:
    statistics = Statistics(ROWS, (column(RNG.random(ROWS), "input 0"), column(RNG.random(ROWS), "input 1")), 0, ())
    nothing = [(np.zeros(one.bins().size, np.int64), np.zeros(one.bins().size)) for one in statistics.columns]
    assert [one.name for one in drift_of(statistics, nothing, ("amount", "hour"))] == ["amount", "hour"]
    assert [one.name for one in drift_of(statistics, nothing)] == ["input 0", "input 1"]
    bins = held(RNG.random(ROWS) < 0.5, [True])
    assert bins.bins == ("below 0", "0", "0 to 1", "1", "from 1", "missing")
