"""Simulated card payments with known frauds, as columns in the order of time.

In: numbers of customers, terminals and days, and a seed; out: `Transactions`. With one version of numpy, the same
seed gives the same bytes. The rules and their constants are those of the simulator in chapter 3 of "Reproducible
Machine Learning for Credit Card Fraud Detection - Practical Handbook" (Le Borgne, Siblini, Lebichot, Bontempi); the
code is our own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["DAY_S", "Transactions", "simulate"]

DAY_S: Final = 86_400
AREA_SIDE: Final = 100.0
"""Customers and terminals lie anywhere in a square of this side."""
RADIUS: Final = 5.0
"""A customer pays at terminals at most this far from home."""
MEAN_AMOUNT_RANGE: Final = (5.0, 100.0)
DAILY_PAYMENTS_MAX: Final = 4.0
"""A customer's mean number of payments a day is anything from 0 to this."""
NOON_S: Final = DAY_S // 2
TIME_SPREAD_S: Final = 20_000
LARGE_AMOUNT: Final = 220.0
"""Scenario 1: a payment above this is a fraud."""
TERMINALS_TAKEN_DAILY, TERMINAL_TAKEN_DAYS = 2, 28
"""Scenario 2: so many terminals are taken over each day, and every payment there is a fraud for so many days."""
CARDS_STOLEN_DAILY, CARD_STOLEN_DAYS, STOLEN_SHARE, STOLEN_FACTOR = 3, 14, 1 / 3, 5.0
"""Scenario 3: so many customers' cards are stolen each day; for so many days each of their payments has this chance to
be the thief's, who pays five times as much. (The handbook takes exactly a third of them.)"""
PAIRS_AT_ONCE_MAX: Final = 2_000_000
"""How many distances from customer to terminal are held in memory at a time."""


@dataclass(frozen=True, slots=True)
class Transactions:
    """Payments as columns of equal length, sorted by time; `transaction_id` counts them in that order from 0."""

    transaction_id: NDArray[np.int64]
    time_s: NDArray[np.int64]
    """Seconds since the simulation's first midnight."""
    day: NDArray[np.int32]
    customer_id: NDArray[np.int64]
    terminal_id: NDArray[np.int64]
    amount: NDArray[np.float64]
    """Whole cents."""
    fraud: NDArray[np.bool_]
    scenario: NDArray[np.int8]
    """0 for an authentic payment, else the number of the fraud's scenario; the higher one where several apply."""

    def __len__(self) -> int:
        return len(self.transaction_id)

    def rows(self, start: int, stop: int) -> Transactions:
        """The transactions from `start` up to, not including, `stop`; copies, so that the rest can be freed."""
        return Transactions(*(getattr(self, column.name)[start:stop].copy() for column in fields(self)))


@dataclass(frozen=True, slots=True)
class _Customers:
    """Who pays: spending habits, and the terminals each can reach, as runs of one flat array."""

    mean_amount: NDArray[np.float64]
    daily_payments: NDArray[np.float64]
    reachable: NDArray[np.int64]
    reach_start: NDArray[np.int64]
    reach_count: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Payments:
    """Payments in the order of time, before any fraud."""

    time_s: NDArray[np.int64]
    customer: NDArray[np.int64]
    terminal: NDArray[np.int64]
    amount: NDArray[np.float64]
    by_thief_if_stolen: NDArray[np.bool_]


def simulate(customers: int, terminals: int, days: int, seed: int) -> Transactions:
    """All payments of so many customers at so many terminals over so many days, frauds marked.

    More days add payments and change none of those before. Frauds come at a fixed number a day, so their share (0.8 %
    with 5,000 customers and 10,000 terminals) grows as the population shrinks; it also grows over the first 28 days,
    until as many terminals recover as are taken over.
    """
    if customers < CARDS_STOLEN_DAILY or terminals < TERMINALS_TAKEN_DAILY or days < 1:
        raise ValueError(
            f"a simulation needs at least {CARDS_STOLEN_DAILY} customers, {TERMINALS_TAKEN_DAILY} terminals and a day, "
            f"not {customers}, {terminals} and {days}"
        )
    # One source of randomness for each thing, or another day's draws would shift all that are made after them.
    places, habits, terminals_random, cards_random, *payments_random = np.random.default_rng(seed).spawn(9)
    payments = _pay(_settle(customers, terminals, places, habits), days, payments_random)
    day = (payments.time_s // DAY_S).astype(np.int32)
    taken = _in_wrong_hands(terminals, days, TERMINALS_TAKEN_DAILY, TERMINAL_TAKEN_DAYS, terminals_random)
    stolen = _in_wrong_hands(customers, days, CARDS_STOLEN_DAILY, CARD_STOLEN_DAYS, cards_random)
    by_thief = stolen[day, payments.customer] & payments.by_thief_if_stolen
    scenario = np.zeros(len(day), np.int8)
    scenario[payments.amount > LARGE_AMOUNT] = 1
    scenario[taken[day, payments.terminal]] = 2
    scenario[by_thief] = 3
    return Transactions(
        transaction_id=np.arange(len(day), dtype=np.int64),
        time_s=payments.time_s,
        day=day,
        customer_id=payments.customer,
        terminal_id=payments.terminal,
        amount=np.round(payments.amount * np.where(by_thief, STOLEN_FACTOR, 1.0), 2),
        fraud=scenario > 0,
        scenario=scenario,
    )


def _settle(customers: int, terminals: int, places: np.random.Generator, habits: np.random.Generator) -> _Customers:
    """Give everybody a place and the customers their habits, and find the terminals in each one's reach."""
    homes = places.uniform(0, AREA_SIDE, (customers, 2))
    shops = places.uniform(0, AREA_SIDE, (terminals, 2))
    counts: list[NDArray[np.int64]] = []
    reachable: list[NDArray[np.int64]] = []
    step = max(1, PAIRS_AT_ONCE_MAX // terminals)
    for start in range(0, customers, step):
        near = homes[start : start + step]
        east = near[:, :1] - shops[:, 0]
        north = near[:, 1:] - shops[:, 1]
        within = east * east + north * north <= RADIUS * RADIUS
        counts.append(np.count_nonzero(within, axis=1).astype(np.int64))
        reachable.append(np.nonzero(within)[1].astype(np.int64))
    count = np.concatenate(counts)
    return _Customers(
        mean_amount=habits.uniform(*MEAN_AMOUNT_RANGE, customers),
        daily_payments=habits.uniform(0, DAILY_PAYMENTS_MAX, customers),
        reachable=np.concatenate(reachable),
        reach_start=np.cumsum(count) - count,
        reach_count=count,
    )


def _pay(habits: _Customers, days: int, randoms: list[np.random.Generator]) -> _Payments:
    """Draw every payment, day by day; one that falls outside its day, or has no terminal in reach, does not happen."""
    counts, times, choices, amounts, thieves = randoms
    customers = len(habits.mean_amount)
    count = counts.poisson(habits.daily_payments, (days, customers)).ravel()
    day, customer = np.divmod(np.repeat(np.arange(days * customers, dtype=np.int64), count), customers)
    time_in_day = np.trunc(times.normal(NOON_S, TIME_SPREAD_S, len(day))).astype(np.int64)
    nth_terminal = (choices.random(len(day)) * habits.reach_count[customer]).astype(np.int64)
    amount = _amounts(habits.mean_amount[customer], amounts)
    by_thief_if_stolen = thieves.random(len(day)) < STOLEN_SHARE
    time_s = day * DAY_S + time_in_day
    happens = (time_in_day > 0) & (time_in_day < DAY_S) & (habits.reach_count[customer] > 0)
    happening = np.flatnonzero(happens)
    order = happening[np.argsort(time_s[happening], kind="stable")]
    return _Payments(
        time_s=time_s[order],
        customer=customer[order],
        terminal=habits.reachable[(habits.reach_start[customer] + nth_terminal)[order]],
        amount=amount[order],
        by_thief_if_stolen=by_thief_if_stolen[order],
    )


def _amounts(mean: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Whole cents around each mean; a draw below zero is drawn anew, evenly from zero to twice the mean."""
    normal, even = random.spawn(2)
    amount = normal.normal(mean, mean / 2)
    below = amount < 0
    amount[below] = even.uniform(0, 2 * mean[below])
    return np.round(amount, 2)


def _in_wrong_hands(
    population: int, days: int, daily: int, lasting_days: int, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Per day and terminal or card: does a fraudster have it? Each day so many new ones, for so many days."""
    taken = np.zeros((days, population), np.bool_)
    for day in range(days):
        taken[day : day + lasting_days, random.choice(population, daily, replace=False)] = True
    return taken
