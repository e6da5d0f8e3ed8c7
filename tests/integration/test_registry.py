"""A model of which a piece is lost: workers say so, and score as soon as it is whole again."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import grid_inference as gi
from grid_inference.config import DeploymentConfig
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.model.signature import Signature
from grid_inference.model.store.artifact import Artifact
from grid_inference.model.store.published import ModelVersion
from grid_inference.model.store.registry import ARTIFACTS_MAP, Registry
from grid_inference.wire.json.values import encode_bytes
from grid_inference.wire.keys import encode_keys
from tests.integration.conftest import FEATURES, Names, batch, on_a_link, until

INPUTS = np.arange(18.0).reshape(6, 3)


@pytest.mark.parametrize("healed_by", ["the piece", "another deploy"])
def test_a_model_that_lacks_a_piece(local_grid: gi.Grid, names: Names, healed_by: str) -> None:
    model = LogisticRegression(C=len(healed_by)).fit(INPUTS, [0, 0, 0, 1, 1, 1])  # of its own: none is loaded yet
    artifact = Artifact.from_model(model)
    [piece] = encode_keys([f"{artifact.manifest.sha256}/0"]).tolist()

    async def deploy_without(link: Link) -> None:
        config = DeploymentConfig(name=names.deployment, features=names.features, columns=FEATURES)
        registry = Registry(link)
        await registry.put_artifact(artifact)
        await GridMap(link, ARTIFACTS_MAP).delete(piece)
        signature = Signature.of(model, FEATURES, None)
        version = ModelVersion(names.deployment, 1, signature, artifact.manifest, None, 0, "nobody")
        await registry.deploy(config, version)

    def failures() -> list[str]:
        return next(one.failures for one in local_grid.status().deployments if one.name == names.deployment)

    local_grid.features(names.features).put_batch(batch(10), key="key")
    on_a_link(local_grid, deploy_without)
    try:
        until(lambda: any("is damaged: 0 bytes" in one for one in failures()), "the refusal")
        if healed_by == "the piece":
            on_a_link(local_grid, lambda link: GridMap(link, ARTIFACTS_MAP).set(piece, encode_bytes(artifact.content)))
        else:
            local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
        until(lambda: local_grid.predictions(names.deployment).size() == 10, "the predictions")
        until(lambda: not failures(), "the failures' end")
    finally:
        local_grid.undeploy(names.deployment)
