"""A canary: a share of the keys is scored by another version, always the same ones, changed while records come."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import grid_inference as gi
from tests.integration.conftest import FEATURES, Names, batch, state, under_load, until

KEYS = 2000


def scored(grid: gi.Grid, names: Names, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Put all keys anew and wait until each new value is scored; versions and scores by key."""
    columns = batch(KEYS, seed)
    grid.features(names.features).put_batch(columns, key="key")
    verdict = grid.verify(names.deployment, wait_s=30)
    assert verdict.complete, str(verdict)
    found = grid.predictions(names.deployment).to_arrow()
    order = np.argsort(found["key"].to_numpy())
    assert len(order) == KEYS
    return found["version"].to_numpy()[order], found["score"].to_numpy()[order]


def at_work(grid: gi.Grid, names: Names, share: float) -> bool:
    """Whether the worker scores a share of the keys by a canary; what is set is seen with its next turn."""
    said = [one["canary"] for one in grid.worker_counts(names.deployment).values()]
    return all((one["share"] if one else 0.0) == share for one in said)


def test_a_share_of_the_keys_is_scored_by_it_and_always_the_same_ones(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    assert set(scored(local_grid, names, 0)[0]) == {1}
    done = local_grid.promote(name, 2, share=0.2)
    assert (done.version, done.share, done.deployments) == (2, 0.2, (names.deployment,))
    assert local_grid.models()[name].current("champion") == 1
    assert (state(local_grid, names).candidate, state(local_grid, names).share) == (2, 0.2)
    until(lambda: at_work(local_grid, names, 0.2), "the canary")
    versions, scores = scored(local_grid, names, 1)
    fifth = versions == 2
    assert 0.15 < fifth.mean() < 0.25
    columns = batch(KEYS, 1)
    inputs = np.stack([columns[field] for field in FEATURES], axis=1)
    for version, one in enumerate(published[:2], 1):
        by = versions == version
        np.testing.assert_allclose(scores[by], one.predict_proba(inputs[by])[:, 1], rtol=0, atol=1e-12)
    assert (scored(local_grid, names, 2)[0] == versions).all()
    local_grid.promote(name, 2, share=0.6)
    until(lambda: at_work(local_grid, names, 0.6), "the greater share")
    more = scored(local_grid, names, 3)[0] == 2
    assert 0.55 < more.mean() < 0.65
    assert more[fifth].all(), "a greater share has the keys of the smaller one"
    until(lambda: Counter(state(local_grid, names).versions)["2"] >= 2 * fifth.sum() + more.sum(), "the counts")


def test_it_is_promoted_or_ended_without_a_pause(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    local_grid.promote(name, 2, share=0.5)
    until(lambda: at_work(local_grid, names, 0.5), "the canary")
    assert local_grid.promote(name, 2, share=0).deployments == (names.deployment,)
    until(lambda: at_work(local_grid, names, 0.0), "its end")
    assert set(scored(local_grid, names, 1)[0]) == {1}
    local_grid.promote(name, 3, share=0.5)
    until(lambda: at_work(local_grid, names, 0.5), "another one")
    local_grid.promote(name, 3)
    assert local_grid.models()[name].current("champion") == 3
    assert set(scored(local_grid, names, 2)[0]) == {3}
    assert (state(local_grid, names).candidate, state(local_grid, names).share) == (None, 0.0)
    assert local_grid.rollback(name).version == 1


def test_another_promotion_takes_its_place(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    local_grid.promote(name, 2, share=0.5)
    local_grid.promote(name, 3)
    assert set(scored(local_grid, names, 1)[0]) == {3}
    assert state(local_grid, names).candidate is None


def test_shares_that_change_while_records_come_lose_none(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    features = local_grid.features(names.features)
    with under_load(lambda number: features.put_batch(batch(KEYS, number), key="key")) as rounds:
        for change in range(20):
            local_grid.promote(name, 2 + change % 2, share=(0.1, 0.9, 0.0, 0.5)[change % 4])
    verdict = local_grid.verify(names.deployment, wait_s=30)
    assert verdict.complete, str(verdict)
    columns = batch(KEYS, len(rounds) - 1)
    inputs = np.stack([columns[field] for field in FEATURES], axis=1)
    found = local_grid.predictions(names.deployment).to_arrow()
    keys, versions, scores = (found[field].to_numpy() for field in ("key", "version", "score"))
    for version, one in enumerate(published, 1):
        by = versions == version
        expected = one.predict_proba(inputs[keys[by]])[:, 1] if by.any() else np.empty(0)
        np.testing.assert_allclose(scores[by], expected, rtol=0, atol=1e-12)
    now = state(local_grid, names)
    assert (now.unexplained, now.failures) == (0, [])


def test_the_smallest_share_is_as_good_as_none(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    local_grid.promote(name, 2, share=5e-324)
    assert set(scored(local_grid, names, 1)[0]) == {1}
    assert state(local_grid, names).failures == []


def test_what_can_be_no_canary(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    with pytest.raises(gi.ConfigError, match="is no share"):
        local_grid.promote(name, 2, share=1.5)
    with pytest.raises(gi.ModelError, match="it scores all keys"):
        local_grid.promote(name, 1, share=0.5)
    assert local_grid.promote(name, 2, share=0.5).share == 0.5
    with pytest.raises(gi.ModelError, match=f"is in use by deployment {names.deployment}"):
        local_grid.delete_version(name, 2)
    assert state(local_grid, names).share == 0.5
