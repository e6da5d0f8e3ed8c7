"""Maps and topics that are somebody else's: refused at deploy by name, and nothing of them is touched."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import grid_inference as gi
from grid_inference.grid.maps import GridMap
from grid_inference.model.store.registry import DEPLOYMENTS_MAP
from grid_inference.wire.json.values import encode_json
from grid_inference.wire.keys import encode_keys
from tests.integration.conftest import FEATURES, Names, batch, on_a_link, until

ROWS = 50


def key_of(text: str) -> bytes:
    return encode_keys([text])[0]


@pytest.fixture
def other(local_grid: gi.Grid, model: Any) -> Iterator[Names]:
    """A deployment of somebody else, with predictions and a dead letter."""
    token = uuid.uuid4().hex[:10]
    names = Names(f"o{token}", f"of{token}")
    local_grid.features(names.features).put_batch(batch(ROWS), key="key")
    local_grid.features(names.features).put("refused", dict.fromkeys(FEATURES, float("nan")))
    local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
    until(lambda: local_grid.predictions(names.deployment).size() == ROWS, "the other's predictions")
    until(lambda: len(local_grid.dead_letters(names.deployment)) == 1, "the other's dead letter")
    yield names
    if names.deployment in local_grid.deployments():
        local_grid.undeploy(names.deployment)


@pytest.mark.parametrize("setting", ["predictions", "dead_letters"])
def test_a_map_of_somebodys_records_is_left_alone(local_grid: gi.Grid, names: Names, model: Any, setting: str) -> None:
    gold = f"gold-{names.features}"
    local_grid.features(gold).put_batch(batch(ROWS), key="key")
    with pytest.raises(gi.DeploymentError, match=rf"to the map '{gold}', .*is not its own: key \d+ is a"):
        local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, **{setting: gold})
    assert names.deployment not in local_grid.deployments()
    assert names.deployment not in local_grid.models()
    assert local_grid.features(gold).size() == ROWS


def test_a_map_of_plain_values_is_left_alone(local_grid: gi.Grid, names: Names, model: Any) -> None:
    gold = f"gold-{names.features}"
    on_a_link(local_grid, lambda link: GridMap(link, gold).set(key_of("one"), encode_json({"a": 1.0})))
    with pytest.raises(gi.DeploymentError, match="which holds what is not its own: key one is no Compact record"):
        local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, predictions=gold)


@pytest.mark.parametrize(
    ("setting", "of", "said"),
    [
        ("predictions", "{features}", "is the feature map of"),
        ("predictions", "{deployment}.predictions", "for its predictions"),
        ("predictions", "{deployment}.dead-letters", "for its dead_letters"),
        ("dead_letters", "{deployment}.predictions", "for its predictions"),
        ("predictions", "{deployment}.predictions.shadow", "for its shadow"),
    ],
)
def test_a_map_of_another_deployment_is_refused(  # noqa: PLR0917 - fixtures
    local_grid: gi.Grid, names: Names, model: Any, other: Names, setting: str, of: str, said: str
) -> None:
    taken = of.format(features=other.features, deployment=other.deployment)
    with pytest.raises(gi.DeploymentError, match=said):
        local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, **{setting: taken})
    assert local_grid.predictions(other.deployment).size() == ROWS
    assert local_grid.verify(other.deployment).complete


@pytest.mark.parametrize(
    ("setting", "of", "what"),
    [
        ("predictions", "{}.predictions", "grid_inference.Prediction of '{}'"),
        ("predictions", "{}.dead-letters", "a grid_inference.DeadLetter"),
        ("dead_letters", "{}.dead-letters", "grid_inference.DeadLetter of '{}'"),
    ],
)
def test_what_an_ended_deployment_has_left_is_refused(  # noqa: PLR0917 - fixtures
    local_grid: gi.Grid, names: Names, model: Any, other: Names, setting: str, of: str, what: str
) -> None:
    local_grid.undeploy(other.deployment)
    taken = of.format(other.deployment)
    with pytest.raises(gi.DeploymentError, match=what.format(other.deployment)):
        local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, **{setting: taken})


def test_of_two_deploys_at_once_onto_one_map_one_is_refused(local_grid: gi.Grid, names: Names, model: Any) -> None:
    local_grid.features(names.features).put_batch(batch(ROWS), key="key")
    shared = f"{names.deployment}-both"
    both = [f"{names.deployment}-{one}" for one in "ab"]

    def deploy(name: str) -> gi.DeploymentError | None:
        try:
            local_grid.deploy(name, model, features=names.features, columns=FEATURES, predictions=shared)
        except gi.DeploymentError as refused:
            return refused
        return None

    with ThreadPoolExecutor(2) as threads:
        refused = [one for one in threads.map(deploy, both) if one]
    assert 1 <= len(refused) <= 2  # each may have seen the other
    assert all("is the map of" in str(one) for one in refused)
    there = [name for name in both if name in local_grid.deployments()]
    assert len(there) == 2 - len(refused)
    for name in there:
        local_grid.undeploy(name)


def test_internal_maps_are_refused(local_grid: gi.Grid, names: Names, model: Any, other: Names) -> None:
    with pytest.raises(gi.ConfigError, match="is the system's own"):
        local_grid.deploy(names.deployment, model, features=names.features, predictions=DEPLOYMENTS_MAP)
    assert other.deployment in local_grid.deployments()


def test_what_is_its_own_is_taken_again(local_grid: gi.Grid, names: Names, model: Any) -> None:
    local_grid.features(names.features).put_batch(batch(ROWS), key="key")
    settings: dict[str, Any] = {"columns": FEATURES, "predictions": f"scores-{names.deployment}"}
    predictions = local_grid.predictions(names.deployment)
    for _ in range(2):
        local_grid.deploy(names.deployment, model, features=names.features, **settings)
        until(lambda: predictions.size() == ROWS, "the predictions")
    local_grid.undeploy(names.deployment)
    on_a_link(local_grid, lambda link: GridMap(link, DEPLOYMENTS_MAP).delete(key_of(names.deployment)))
    local_grid.deploy(names.deployment, model, features=names.features, **settings)
    local_grid.undeploy(names.deployment)


def test_a_chain_works_and_a_loop_is_refused(local_grid: gi.Grid, names: Names, model: Any) -> None:
    first, second, third = (f"{names.deployment}-{number}" for number in range(3))
    scores = f"scores-{names.deployment}"  # a map of a name for which members have a journal
    local_grid.features(names.features).put_batch(batch(ROWS), key="key")
    local_grid.deploy(first, model, features=names.features, columns=FEATURES, predictions=scores)
    inputs = {"a": "score", "b": {"constant": 0.5}, "c": {"constant": 0.5}}
    local_grid.deploy(second, model, features=scores, columns=FEATURES, inputs=inputs)
    until(lambda: local_grid.predictions(second).size() == ROWS, "the chain's predictions")
    local_grid.deploy(first, model, features=names.features, columns=FEATURES, predictions=scores)
    back = f"{second}.predictions"
    with pytest.raises(gi.DeploymentError, match=f"for ever: {back} → {scores} → {back}"):
        local_grid.deploy(first, model, features=back, columns=FEATURES, predictions=scores, replace_features=True)
    with pytest.raises(gi.DeploymentError, match="for ever"):
        local_grid.deploy(third, model, features=f"{third}.predictions.shadow", columns=FEATURES)
    assert local_grid.verify(first).complete
    for name in (first, second):
        local_grid.undeploy(name)


def test_a_name_that_moves_to_another_feature_map_is_asked_about(local_grid: gi.Grid, model: Any, other: Names) -> None:
    new = f"{other.features}-new"
    local_grid.features(new).put_batch(batch(3, first_key=1_000), key="key")
    with pytest.raises(
        gi.DeploymentError, match=f"has {ROWS + 1} results of the records in '{other.features}'.*are removed"
    ) as refused:
        local_grid.deploy(other.deployment, model, features=new, columns=FEATURES)
    assert "replace_features" in refused.value.remedy
    assert local_grid.predictions(other.deployment).size() == ROWS
    assert local_grid.deployment(other.deployment).config.features == other.features
    local_grid.deploy(other.deployment, model, features=new, columns=FEATURES, replace_features=True)
    until(lambda: local_grid.predictions(other.deployment).size() == 3, "the new map's predictions alone")


def test_a_shadow_empties_no_map_of_somebody_else(local_grid: gi.Grid, model: Any, other: Names) -> None:
    version = local_grid.publish(model, name=other.deployment, columns=FEATURES)
    theirs = f"{other.deployment}.predictions.shadow"
    local_grid.features(theirs).put_batch(batch(ROWS), key="key")
    with pytest.raises(gi.DeploymentError, match="which holds what is not its own"):
        local_grid.shadow(other.deployment, str(version))
    assert local_grid.features(theirs).size() == ROWS
    assert local_grid.deployment(other.deployment).shadow is None
    local_grid.features(theirs).clear()
    local_grid.shadow(other.deployment, str(version))


@pytest.mark.parametrize("alias", ["../x", "2", "", "a/b", "a@b", "a*", ".", "..", "a b", "x" * 101, "ä"])
def test_what_can_not_be_an_alias(local_grid: gi.Grid, model: Any, name: str, alias: str) -> None:
    local_grid.publish(model, name=name, columns=FEATURES)
    with pytest.raises(gi.ConfigError, match="is not an alias's name"):
        local_grid.promote(name, 1, alias=alias)
    assert local_grid.models()[name].aliases == {}


@pytest.mark.parametrize("bad", ["../x", "", "a/b", "a@b", "a*", ".", "..", "a b", "grid_inference.x", "x" * 201])
def test_what_can_not_be_a_name(local_grid: gi.Grid, model: Any, bad: str) -> None:
    with pytest.raises(gi.ConfigError, match="is not a model's name"):
        local_grid.publish(model, name=bad, columns=FEATURES)
    with pytest.raises(gi.ConfigError, match="is not a deployment's name"):
        local_grid.deploy(bad, model, features="records", columns=FEATURES)
