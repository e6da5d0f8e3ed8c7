"""What a fraud model looks at: transactions → feature columns, as in chapter 3 of the Fraud Detection Handbook.

In: transactions in the order of time; out: one numeric column per name in `FEATURES`. A window of n days ends with
the transaction itself and excludes what is exactly n days old. Among transactions of one second, the earlier row came
first. What is known of a terminal's frauds is known a week late, so its windows end a week before the transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from grid_inference.demo.simulator import DAY_S, Transactions

__all__ = ["FEATURES", "REPORT_DELAY_DAYS", "WINDOW_DAYS", "FeatureColumns", "feature_matrix", "window_features"]

WINDOW_DAYS: Final = (1, 7, 30)
REPORT_DELAY_DAYS: Final = 7
"""A fraud is found out and reported so many days after it."""
FIRST_WEEKDAY: Final = 6
"""The handbook's data begin on Sunday, 1 April 2018; Monday is 0."""
SATURDAY: Final = 5
NIGHT_HOUR_LAST: Final = 6

FEATURES: Final = (
    "amount",
    "during_weekend",
    "during_night",
    *(f"customer_{kind}_{days}d" for days in WINDOW_DAYS for kind in ("count", "amount")),
    *(f"terminal_{kind}_{days}d" for days in WINDOW_DAYS for kind in ("count", "risk")),
)
"""The columns in their order. `…_count_…` and `during_…` are int64, the others float64: what a CSV of them reads as."""

_Number = TypeVar("_Number", np.int64, np.float64)
FeatureColumns = dict[str, NDArray[np.float64] | NDArray[np.int64]]


def window_features(transactions: Transactions) -> FeatureColumns:
    """The columns of `FEATURES`, in that order, one row per transaction; in time that grows as n log n."""
    if np.any(transactions.time_s[1:] < transactions.time_s[:-1]):
        raise ValueError("window_features needs transactions in the order of time; sort them by time_s first")
    columns: FeatureColumns = {
        "amount": transactions.amount,
        "during_weekend": ((transactions.time_s // DAY_S + FIRST_WEEKDAY) % 7 >= SATURDAY).astype(np.int64),
        "during_night": (transactions.time_s % DAY_S // 3600 <= NIGHT_HOUR_LAST).astype(np.int64),
    }
    columns |= _customer_features(transactions)
    columns |= _terminal_features(transactions)
    return {name: columns[name] for name in FEATURES}


def feature_matrix(features: FeatureColumns) -> NDArray[np.float64]:
    """The columns side by side, in the order of `FEATURES`: what a model is fitted on."""
    return np.column_stack([features[name].astype(np.float64, copy=False) for name in FEATURES])


def _customer_features(transactions: Transactions) -> FeatureColumns:
    """How often and how much the customer paid lately, this payment included."""
    history = _History.of(transactions.customer_id, transactions.time_s)
    # Sums of cents as integers are exact, so a mean does not depend on how many rows came before it.
    cents = history.running_total(np.rint(transactions.amount * 100).astype(np.int64))
    end = np.arange(1, len(transactions) + 1)
    columns: FeatureColumns = {}
    for days in WINDOW_DAYS:
        start = history.rows_until(days * DAY_S)
        count = end - start
        columns[f"customer_count_{days}d"] = history.in_row_order(count)
        columns[f"customer_amount_{days}d"] = history.in_row_order((cents[end] - cents[start]) / count / 100)
    return columns


def _terminal_features(transactions: Transactions) -> FeatureColumns:
    """How much the terminal was used, and the share of frauds there, up to what is known by now."""
    history = _History.of(transactions.terminal_id, transactions.time_s)
    frauds = history.running_total(transactions.fraud.astype(np.int64))
    end = history.rows_until(REPORT_DELAY_DAYS * DAY_S)
    columns: FeatureColumns = {}
    for days in WINDOW_DAYS:
        start = history.rows_until((REPORT_DELAY_DAYS + days) * DAY_S)
        count = end - start
        risk = (frauds[end] - frauds[start]) / np.maximum(count, 1)
        columns[f"terminal_count_{days}d"] = history.in_row_order(count)
        columns[f"terminal_risk_{days}d"] = history.in_row_order(risk)
    return columns


@dataclass(frozen=True, slots=True)
class _History:
    """Rows sorted by owner (a customer or a terminal) and time: any window of one owner is a run of neighbours."""

    order: NDArray[np.int64]
    """Row number of each sorted place."""
    moment: NDArray[np.int64]
    """Ascending: the time, plus more for each owner than any window is long, so that no window reaches the last one."""

    @staticmethod
    def of(owner: NDArray[np.int64], time_s: NDArray[np.int64]) -> _History:
        """Sort rows that are in the order of time already; a stable sort keeps that order for each owner."""
        order = np.argsort(owner, kind="stable")
        if not len(order):
            return _History(order, time_s)
        sorted_owner = owner[order]
        rank = np.cumsum(np.concatenate(([False], sorted_owner[1:] != sorted_owner[:-1])))
        apart_s = int(time_s[-1] - time_s[0]) + (max(WINDOW_DAYS) + REPORT_DELAY_DAYS) * DAY_S + 1
        return _History(order, rank * apart_s + (time_s[order] - time_s[0]))

    def rows_until(self, age_s: int) -> NDArray[np.int64]:
        """Per place: the end of the run of places that lie `age_s` or more before it, or of other owners before it."""
        return np.searchsorted(self.moment, self.moment - age_s, side="right")

    def running_total(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Per place, and once behind the last: the sum of the values of all places before it."""
        return np.concatenate((np.zeros(1, np.int64), np.cumsum(values[self.order])))

    def in_row_order(self, sorted_values: NDArray[_Number]) -> NDArray[_Number]:
        """Values per place, put back to where their rows are."""
        values = np.empty_like(sorted_values)
        values[self.order] = sorted_values
        return values
