"""The simulated payments are what the handbook's rules say, and the same for the same seed."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grid_inference.demo import simulator
from grid_inference.demo.simulator import DAY_S, Transactions, simulate

CUSTOMERS, TERMINALS, DAYS = 5_000, 10_000, 60
DTYPES = {
    "transaction_id": np.int64,
    "time_s": np.int64,
    "day": np.int32,
    "customer_id": np.int64,
    "terminal_id": np.int64,
    "amount": np.float64,
    "fraud": np.bool_,
    "scenario": np.int8,
}


@pytest.fixture(scope="module")
def payments() -> Transactions:
    return simulate(CUSTOMERS, TERMINALS, DAYS, seed=11)


def column_bytes(transactions: Transactions) -> dict[str, bytes]:
    return {field.name: getattr(transactions, field.name).tobytes() for field in fields(transactions)}


def test_same_seed_same_bytes() -> None:
    first = column_bytes(simulate(300, 500, 20, seed=5))
    assert first == column_bytes(simulate(300, 500, 20, seed=5))
    assert first != column_bytes(simulate(300, 500, 20, seed=6))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.integers(0, 20), st.integers(0, 2**32))
def test_more_days_change_nothing_before_them(days: int, more: int, seed: int) -> None:
    short, long = simulate(20, 300, days, seed), simulate(20, 300, days + more, seed)
    assert column_bytes(long.rows(0, len(short))) == column_bytes(short)
    assert np.all(long.day[len(short) :] >= days)


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 60), st.integers(2, 400), st.integers(1, 40), st.integers(0, 2**32))
def test_columns_hold_together_at_any_size(customers: int, terminals: int, days: int, seed: int) -> None:
    made = simulate(customers, terminals, days, seed)
    assert {name: getattr(made, name).dtype.type for name in DTYPES} == DTYPES
    assert {len(getattr(made, name)) for name in DTYPES} == {len(made)}
    assert np.array_equal(made.transaction_id, np.arange(len(made)))
    assert np.all(np.diff(made.time_s) >= 0)
    assert np.array_equal(made.day, made.time_s // DAY_S)
    for ids, population in ((made.customer_id, customers), (made.terminal_id, terminals), (made.day, days)):
        assert np.all((ids >= 0) & (ids < population))
    assert np.all(made.amount >= 0)
    assert np.array_equal(made.amount, np.round(made.amount, 2))
    assert np.array_equal(made.fraud, made.scenario > 0)


@pytest.mark.parametrize("size", [(2, 10, 10), (10, 1, 10), (10, 10, 0)])
def test_too_small_a_world_is_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least 3 customers, 2 terminals and a day"):
        simulate(*size, seed=0)


def test_nobody_in_reach_of_a_terminal_makes_no_payments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulator, "RADIUS", 0.0)
    assert len(simulate(10, 10, 10, seed=0)) == 0


def test_neighbours_are_found_alike_in_one_step_or_many(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = column_bytes(simulate(100, 300, 5, seed=1))
    monkeypatch.setattr(simulator, "PAIRS_AT_ONCE_MAX", 1_000)
    assert column_bytes(simulate(100, 300, 5, seed=1)) == whole


def test_payments_are_as_frequent_as_the_rules_say(payments: Transactions) -> None:
    """Two a day on average, of which 3.1 % would fall on another day."""
    assert len(payments) / (CUSTOMERS * DAYS) == pytest.approx(2 * 0.969, rel=0.03)


def test_times_are_spread_around_noon(payments: Transactions) -> None:
    time_in_day = payments.time_s % DAY_S
    assert time_in_day.mean() == pytest.approx(DAY_S / 2, rel=0.01)
    # A normal of deviation 20,000 s, cut off at both midnights: at 2.16 deviations.
    assert time_in_day.std() == pytest.approx(18_190, rel=0.01)
    assert time_in_day.min() > 0


def test_authentic_amounts_are_around_each_customers_mean(payments: Transactions) -> None:
    """Means lie evenly between 5 and 100, so the overall one is at 52.5; redrawn negatives add a little."""
    authentic = payments.amount[~payments.fraud]
    assert authentic.mean() == pytest.approx(53, rel=0.03)
    assert authentic.max() <= 220


def test_a_customer_uses_terminals_close_to_each_other(payments: Transactions) -> None:
    """A circle of radius 5 holds 79 of 10,000 terminals on average, and hardly ever more than 120."""
    pairs = np.unique(payments.customer_id * TERMINALS + payments.terminal_id)
    per_customer = np.bincount(pairs // TERMINALS)
    assert 40 < np.median(per_customer) < 79
    assert per_customer.max() < 125


def test_frauds_are_as_rare_as_in_the_handbook(payments: Transactions) -> None:
    """The handbook counts 0.83 % over half a year."""
    settled = payments.day >= 28
    assert payments.fraud[settled].mean() == pytest.approx(0.0085, abs=0.0015)
    assert np.all(np.bincount(payments.scenario[settled], minlength=4) > 0)


def test_scenario_1_is_every_other_large_amount(payments: Transactions) -> None:
    assert np.all(payments.fraud[payments.amount > 220])
    assert payments.amount[payments.scenario == 1].min() > 220
    assert payments.amount[payments.scenario == 0].max() <= 220


def test_scenario_2_takes_every_payment_at_two_more_terminals_a_day(payments: Transactions) -> None:
    terminal_day = payments.day * TERMINALS + payments.terminal_id
    taken = np.unique(terminal_day[payments.scenario == 2])
    assert np.all(payments.fraud[np.isin(terminal_day, taken)])
    # A terminal with no payment on a day is not seen; with 2 a day for 28 days, there are never more than 56.
    per_day = np.bincount(taken // TERMINALS, minlength=DAYS)
    assert np.all(per_day <= 2 * np.minimum(np.arange(DAYS) + 1, 28))
    assert per_day[28:].mean() == pytest.approx(56 * (1 - np.exp(-1.03)), rel=0.2)


def test_scenario_2_lasts_28_days_from_its_start(payments: Transactions) -> None:
    """A terminal's frauds lie within 28 days, unless it was taken over again, which few are."""
    rows = payments.scenario == 2
    terminals = np.unique(payments.terminal_id[rows])
    days = [payments.day[rows & (payments.terminal_id == terminal)] for terminal in terminals]
    lengths = np.array([np.ptp(each) + 1 for each in days])
    assert (lengths > 28).sum() <= 4
    assert (lengths > 24).any()


def test_scenario_3_is_a_third_of_three_more_customers_a_day(payments: Transactions) -> None:
    rows = payments.scenario == 3
    victims_per_day = [len(np.unique(payments.customer_id[rows & (payments.day == day)])) for day in range(DAYS)]
    assert np.all(np.array(victims_per_day) <= 3 * np.minimum(np.arange(DAYS) + 1, 14))
    # 42 victims with 1.94 payments a day, a little fewer as some are drawn twice.
    assert rows[payments.day >= 14].sum() / (DAYS - 14) == pytest.approx(42 * 1.94 / 3, rel=0.2)


def test_scenario_3_multiplies_the_amount_by_five_once(payments: Transactions) -> None:
    rows = payments.scenario == 3
    cents = np.rint(payments.amount[rows] * 100).astype(np.int64)
    assert np.all(cents % 5 == 0)
    customers = np.unique(payments.customer_id[rows])
    usual = np.array([np.median(payments.amount[(payments.customer_id == c) & ~payments.fraud]) for c in customers])
    thiefs = np.array([np.median(payments.amount[(payments.customer_id == c) & rows]) for c in customers])
    assert np.median(thiefs / usual) == pytest.approx(5, rel=0.15)
    assert payments.amount.max() < 5 * 300


def test_rows_are_copies_of_a_run(payments: Transactions) -> None:
    part = payments.rows(100, 110)
    assert len(part) == 10
    assert part.transaction_id.tolist() == list(range(100, 110))
    assert not np.shares_memory(part.amount, payments.amount)
