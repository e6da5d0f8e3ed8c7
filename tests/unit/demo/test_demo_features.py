"""The window features equal a slow reference that looks at every pair of rows, ties and edges included."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grid_inference.demo.features import FEATURES, feature_matrix, window_features
from grid_inference.demo.simulator import DAY_S, Transactions, simulate

Payment = tuple[int, int, int, int, bool]
"""Time in seconds, customer, terminal, cents, fraud."""

EDGES_S = [days * DAY_S + off for days in (0, 1, 6, 7, 8, 14, 30, 37, 38) for off in (-1, 0, 1) if days or off >= 0]
PAYMENTS = st.lists(
    st.tuples(
        st.sampled_from(EDGES_S) | st.integers(0, 40 * DAY_S),
        st.integers(0, 2),
        st.integers(0, 2) | st.just(2**62),
        st.integers(0, 100_000),
        st.booleans(),
    ),
    max_size=40,
)


def transactions_of(payments: list[Payment]) -> Transactions:
    payments = sorted(payments, key=lambda payment: payment[0])
    time_s, customer, terminal, cents, fraud = (
        np.array([payment[column] for payment in payments]) for column in range(5)
    )
    return Transactions(
        transaction_id=np.arange(len(payments), dtype=np.int64),
        time_s=time_s.astype(np.int64),
        day=(time_s // DAY_S).astype(np.int32),
        customer_id=customer.astype(np.int64),
        terminal_id=terminal.astype(np.int64),
        amount=cents.astype(np.float64) / 100,
        fraud=fraud.astype(np.bool_),
        scenario=fraud.astype(np.int8),
    )


def reference_row(t: Transactions, row: int) -> dict[str, float]:
    """One row's features, from every row so far, in the words of the definition."""
    now = int(t.time_s[row])
    moment = dt.datetime(2018, 4, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=now)
    features: dict[str, float] = {
        "amount": t.amount[row],
        "during_weekend": int(moment.weekday() >= 5),
        "during_night": int(moment.hour <= 6),
    }
    past = np.arange(len(t)) <= row
    own = past & (t.customer_id == t.customer_id[row])
    there = past & (t.terminal_id == t.terminal_id[row])
    for days in (1, 7, 30):
        window = own & (t.time_s > now - days * DAY_S)
        features[f"customer_count_{days}d"] = window.sum()
        features[f"customer_amount_{days}d"] = t.amount[window].mean()
        known = there & (t.time_s > now - (days + 7) * DAY_S) & (t.time_s <= now - 7 * DAY_S)
        features[f"terminal_count_{days}d"] = known.sum()
        features[f"terminal_risk_{days}d"] = t.fraud[known].mean() if known.any() else 0.0
    return features


def assert_equal_to_reference(transactions: Transactions, rows: list[int]) -> None:
    features = window_features(transactions)
    for row in rows:
        expected = reference_row(transactions, row)
        actual = {name: column[row] for name, column in features.items()}
        assert actual == pytest.approx(expected, rel=1e-12, abs=0), f"row {row}"


@settings(max_examples=150, deadline=None)
@given(PAYMENTS)
def test_features_equal_the_reference(payments: list[Payment]) -> None:
    transactions = transactions_of(payments)
    assert_equal_to_reference(transactions, list(range(len(transactions))))


def test_features_of_a_simulation_equal_the_reference() -> None:
    transactions = simulate(120, 40, 60, seed=3)
    assert_equal_to_reference(transactions, np.random.default_rng(0).integers(0, len(transactions), 400).tolist())


def test_columns_have_the_stated_order_and_types() -> None:
    features = window_features(simulate(50, 300, 10, seed=3))
    assert tuple(features) == FEATURES
    assert len(FEATURES) == 15
    assert FEATURES[:5] == ("amount", "during_weekend", "during_night", "customer_count_1d", "customer_amount_1d")
    whole = {name for name in FEATURES if "count" in name or name.startswith("during")}
    assert {name for name, column in features.items() if column.dtype == np.int64} == whole
    assert {name for name, column in features.items() if column.dtype == np.float64} == set(FEATURES) - whole
    assert all(column.flags.c_contiguous for column in features.values())


def test_payments_of_one_second_count_those_before_them() -> None:
    features = window_features(transactions_of([(50, 1, 1, 100, False), (50, 1, 1, 300, False), (50, 2, 1, 500, True)]))
    assert features["customer_count_1d"].tolist() == [1, 2, 1]
    assert features["customer_amount_1d"].tolist() == [1.0, 2.0, 5.0]


def test_a_fraud_is_known_after_a_week_and_not_a_second_earlier() -> None:
    week = 7 * DAY_S
    payments = [(0, 1, 9, 100, True), (week - 1, 2, 9, 100, False), (week, 3, 9, 100, False)]
    features = window_features(transactions_of(payments))
    assert features["terminal_risk_1d"].tolist() == [0.0, 0.0, 1.0]


def test_features_do_not_look_ahead() -> None:
    """A row's features are the same when nothing after it is known: what an application can compute in time."""
    transactions = simulate(60, 200, 50, seed=4)
    half = len(transactions) // 2
    whole, part = window_features(transactions), window_features(transactions.rows(0, half))
    assert all(np.array_equal(whole[name][:half], part[name]) for name in FEATURES)


def test_no_transactions_no_rows() -> None:
    features = window_features(transactions_of([]))
    assert {len(column) for column in features.values()} == {0}
    assert feature_matrix(features).shape == (0, 15)


def test_transactions_out_of_order_are_refused() -> None:
    transactions = simulate(50, 300, 5, seed=1)
    transactions.time_s[0] = transactions.time_s[-1] + 1
    with pytest.raises(ValueError, match="in the order of time"):
        window_features(transactions)


def test_the_matrix_has_the_columns_in_order() -> None:
    features = window_features(simulate(50, 300, 5, seed=1))
    matrix = feature_matrix(dict(reversed(features.items())))
    assert matrix.dtype == np.float64
    assert all(np.array_equal(matrix[:, place], features[name]) for place, name in enumerate(FEATURES))
