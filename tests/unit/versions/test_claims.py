"""Which names a deployment may write to, beside those of the others that there are."""

from __future__ import annotations

from typing import Any

import pytest

from grid_inference.config import DeploymentConfig
from grid_inference.errors import ConfigError, DeploymentError
from grid_inference.model.signature import Signature
from grid_inference.model.store.artifact import Artifact
from grid_inference.model.store.registry import Deployed
from grid_inference.versions.claims import check_names
from tests.integration.conftest import FEATURES, fitted

MODEL = fitted(1.0)
MANIFEST, SIGNATURE = Artifact.from_model(MODEL).manifest, Signature.of(MODEL, FEATURES, None)


def deployed(name: str, features: str, state: Any = "running", **settings: Any) -> Deployed:
    config = DeploymentConfig.from_mapping({"name": name, "features": features, **settings})
    return Deployed(config, name, 1, SIGNATURE, MANIFEST, state, 1)


def check(one: Deployed, *others: Deployed) -> None:
    check_names(one.config, {each.config.name: each for each in others})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"predictions": "payments"}, "is the feature map of 'other'"),
        ({"dead_letters": "payments"}, "is the feature map of 'other'"),
        ({"predictions": "other.predictions"}, "is the map of 'other' for its predictions"),
        ({"predictions": "other.dead-letters"}, "is the map of 'other' for its dead_letters"),
        ({"dead_letters": "other.predictions"}, "is the map of 'other' for its predictions"),
        ({"dead_letters": "other.predictions.shadow"}, "is the map of 'other' for its shadow"),
        ({"topic": {"name": "other.predictions"}}, "is the topic of 'other'"),
        ({"topic": {"name": "payments"}}, "is the feature map of 'other'"),
        ({"topic": {"name": "mine"}}, "is the feature map of 'd'"),
        ({"topic": {"name": "d.dead-letters"}}, "is the map of 'd' for its dead_letters"),
    ],
    ids=str,
)
def test_what_is_anothers_is_refused_by_name(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(DeploymentError, match=said) as refused:
        check(deployed("d", "mine", **settings), deployed("other", "payments"))
    assert refused.value.remedy


def test_one_that_has_ended_has_no_claims() -> None:
    """What lies in its maps still is looked at in the grid."""
    check(deployed("d", "mine", predictions="payments"), deployed("other", "payments", "undeployed"))


@pytest.mark.parametrize(
    "settings",
    [{}, {"predictions": "scores"}, {"topic": {"kind": "none", "name": "payments"}}, {"features": "payments"}],
    ids=str,
)
def test_what_is_its_own_is_not(settings: dict[str, Any]) -> None:
    check(deployed("d", **({"features": "mine"} | settings)), deployed("other", "payments"))


def test_a_topic_that_both_name_is_shared() -> None:
    check(deployed("d", "mine", topic={"name": "alerts"}), deployed("other", "payments", topic={"name": "alerts"}))


def test_a_chain_is_no_loop() -> None:
    first, second = deployed("first", "payments"), deployed("second", "first.predictions")
    check(second, first)
    check(first, second)
    check(first, first, second)
    check(deployed("third", "second.predictions"), first, second)
    check(deployed("letters", "first.dead-letters"), first, second)


def test_a_chain_by_another_name_is_made_from_its_beginning() -> None:
    first, second = deployed("first", "payments", predictions="scores"), deployed("second", "scores")
    check(second, first)
    check(first, first, second)
    with pytest.raises(DeploymentError, match="is the feature map of 'second'") as refused:
        check(first, second)
    assert "deploy 'first' first" in refused.value.remedy


@pytest.mark.parametrize(
    ("one", "others", "way"),
    [
        (("d", "d.predictions.shadow"), [], "d.predictions.shadow → d.predictions.shadow"),
        (("d", "e.predictions"), [("e", "d.predictions")], "e.predictions → d.predictions → e.predictions"),
        (("d", "f.predictions"), [("e", "d.predictions"), ("f", "e.predictions")], "f.predictions → d.pred"),
        (("d", "e.predictions"), [("e", "d.dead-letters")], "e.predictions → d.dead-letters → e.predictions"),
    ],
    ids=str,
)
def test_a_loop_is_refused(one: tuple[str, str], others: list[tuple[str, str]], way: str) -> None:
    with pytest.raises(DeploymentError, match=f"would score its own results for ever: {way}"):
        check(deployed(*one), *(deployed(*other) for other in others))


@pytest.mark.parametrize(
    "settings",
    [
        {"predictions": "grid_inference.deployments"},
        {"dead_letters": "grid_inference.x"},
        {"topic": {"name": "grid_inference.workers"}},
        {"predictions": " "},
        {"predictions": "payments"},
    ],
    ids=str,
)
def test_internal_maps_are_refused_by_the_configuration(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        deployed("d", "payments", **settings)
    assert refused.value.remedy
