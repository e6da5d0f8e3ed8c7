"""What somebody plants who can write to the grid: refused with a reason, nothing of it runs, all else goes on."""

from __future__ import annotations

import io
import json
import os
import pickle
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import grid_inference as gi
from grid_inference.config import DeploymentConfig
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.grid.topology import WORKERS_MAP
from grid_inference.model.signature import Signature
from grid_inference.model.store.artifact import Artifact
from grid_inference.model.store.keys import Keyring, SigningKey
from grid_inference.model.store.registry import ARTIFACTS_MAP, DEPLOYMENTS_MAP, Deployed
from grid_inference.wire.json.values import encode_bytes, encode_json
from grid_inference.wire.keys import encode_keys
from tests.integration.conftest import FEATURES, Names, batch, on_a_link, until

INPUTS = np.random.default_rng(5).random((60, 3))
LABELS = (INPUTS.sum(axis=1) > 1.5).astype(int)
LINEAR = LogisticRegression().fit(INPUTS, LABELS)


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


@dataclass
class Loot:
    """What the attacker knows: a model that the owner has signed, and where the canary would be."""

    signed: Artifact
    canary: Path

    @property
    def bomb(self) -> Artifact:
        """A pickle that would make the canary."""
        buffer = io.BytesIO()
        joblib.dump(Bomb(self.canary), buffer)
        return self.forged(buffer.getvalue(), "joblib")

    def forged(self, content: bytes, form: str) -> Artifact:
        """Bytes with a manifest of their own."""
        unsigned = replace(self.signed.manifest, signed_by="", signature="")
        manifest = replace(unsigned, sha256=sha256(content).hexdigest(), size=len(content), format=form)
        return Artifact(manifest, content)

    def with_signature_of(self, artifact: Artifact, other: Artifact) -> Artifact:
        """One model under another one's signature."""
        signature = {"signed_by": other.manifest.signed_by, "signature": other.manifest.signature}
        return Artifact(replace(artifact.manifest, **signature), artifact.content)


def archive(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as out:
        for name, content in entries.items():
            out.writestr(name, content)
    return buffer.getvalue()


def calls_the_shell(loot: Loot) -> Artifact:
    step = FunctionTransformer(os.system, kw_args={"command": f"touch {loot.canary}"})
    return loot.forged(skops.io.dumps(make_pipeline(step, LINEAR)), "skops")


def leads_out(loot: Loot) -> Artifact:
    return loot.forged(archive({"schema.json": b"{}", f"../../../..{loot.canary}": b"x"}), "skops")


def grows(loot: Loot) -> Artifact:
    return loot.forged(archive({"schema.json": bytes(50_000_000)}, zipfile.ZIP_DEFLATED), "skops")


def reads_again_and_again(loot: Loot) -> Artifact:
    nodes = [{"__class__": "ndarray", "__loader__": "NdArrayNode", "file": "a.npy", "__id__": n} for n in range(200)]
    schema = json.dumps({"content": nodes}).encode()
    return loot.forged(archive({"schema.json": schema, "a.npy": bytes(1_000_000)}), "skops")


def bomb_in_a_bomb(loot: Loot) -> Artifact:
    inner = archive({"data.npy": bytes(100_000_000)}, zipfile.ZIP_DEFLATED)
    schema = json.dumps({"content": {"__loader__": "SparseMatrixNode", "file": "a.npz", "__id__": 1}}).encode()
    return loot.forged(archive({"schema.json": schema, "a.npz": inner}), "skops")


def reads_files(loot: Loot) -> Artifact:
    words = CountVectorizer(vocabulary=["root"], input="filename")
    return loot.forged(skops.io.dumps(make_pipeline(words, LINEAR)), "skops")


def forest_of_a_stranger(loot: Loot) -> Artifact:
    del loot
    return Artifact.from_model(RandomForestClassifier(3).fit(INPUTS, LABELS)).signed(SigningKey.generate())


ATTACKS: dict[str, tuple[Callable[[Loot], Artifact], str]] = {
    "a pickle bomb": (lambda loot: loot.bomb, "is a pickle, which is code; nobody has signed it"),
    "signed by a stranger": (lambda loot: loot.bomb.signed(SigningKey.generate()), "which is not trusted here"),
    "a stranger's forest": (forest_of_a_stranger, "sklearn.tree._tree.Tree"),
    "another model's signature": (
        lambda loot: loot.with_signature_of(loot.bomb, loot.signed),
        "the signature is another model's",
    ),
    "the owner's name under it": (
        lambda loot: loot.with_signature_of(loot.bomb.signed(SigningKey.generate()), loot.signed),
        "the signature is another model's",
    ),
    "swapped": (lambda loot: Artifact(loot.signed.manifest, loot.bomb.content), "is damaged"),
    "truncated": (lambda loot: Artifact(loot.signed.manifest, loot.signed.content[:-1]), "is damaged"),
    "lengthened": (lambda loot: Artifact(loot.signed.manifest, loot.signed.content + b"x"), "is damaged"),
    "a pickle by the name of skops": (
        lambda loot: loot.forged(pickle.dumps(Bomb(loot.canary)), "skops"),
        "is no model that skops can load",
    ),
    "a format of its own": (lambda loot: loot.forged(b"x", "pickle"), "format 'pickle' can't be loaded"),
    "an archive that calls the shell": (calls_the_shell, "posix.system"),
    "zip-slip": (leads_out, "leads out of the archive"),
    "a zip bomb": (grows, "is a compressed archive"),
    "an array read again and again": (reads_again_and_again, "would read 200000000 bytes"),
    "a bomb in a bomb": (bomb_in_a_bomb, "would read 100000"),
    "a model that opens files": (reads_files, "CountVectorizer"),
    "a signature of other letters": (
        lambda loot: Artifact(replace(loot.signed.manifest, signature="ä"), loot.signed.content),
        "the signature is another model's",
    ),
}


@pytest.fixture
def loot(keys: Path, tmp_path: Path) -> Loot:
    """A forest that this machine has signed, of this test's own, so that no worker has it loaded already."""
    forest = RandomForestClassifier(3, random_state=len(str(tmp_path))).fit(INPUTS, LABELS)
    return Loot(Artifact.from_model(forest).signed(Keyring(keys).generate()), tmp_path / "canary")


@pytest.fixture(scope="module")
def honest(local_grid: gi.Grid) -> Iterator[gi.Predictions]:
    """A deployment that goes on through all of it."""
    local_grid.deploy("honest", LINEAR, features="honest-records", columns=FEATURES)
    yield local_grid.predictions("honest")
    local_grid.undeploy("honest")


def entry(names: Names, artifact: Artifact) -> dict[str, Any]:
    config = DeploymentConfig(name=names.deployment, features=names.features, columns=FEATURES)
    signature = Signature.of(LINEAR, FEATURES, None)
    return Deployed(config, names.deployment, 1, signature, artifact.manifest, "running", 1).to_mapping()


async def plant(link: Link, name: str, said: dict[str, Any], sha: str, manifest: Any, content: bytes) -> None:
    """Write an artifact and a deployment as they are, past everything that would refuse them here."""
    artifacts, deployments = GridMap(link, ARTIFACTS_MAP), GridMap(link, DEPLOYMENTS_MAP)
    for key, value in ((f"{sha}/0", encode_bytes(content)), (sha, encode_json(manifest))):
        await artifacts.set(encode_keys([key])[0], value)
    await deployments.set(encode_keys([name])[0], encode_json(said))


def pull_up(grid: gi.Grid, name: str) -> None:
    on_a_link(grid, lambda link: GridMap(link, DEPLOYMENTS_MAP).delete(encode_keys([name])[0]))


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_and_nothing_runs(
    local_grid: gi.Grid, honest: gi.Predictions, names: Names, loot: Loot, attack: str
) -> None:
    make, said = ATTACKS[attack]
    artifact = make(loot)
    manifest = artifact.manifest

    def failures() -> list[str]:
        return [
            text for one in local_grid.status().deployments if one.name == names.deployment for text in one.failures
        ]

    mapping = entry(names, artifact)
    on_a_link(
        local_grid,
        lambda link: plant(link, names.deployment, mapping, manifest.sha256, asdict(manifest), artifact.content),
    )
    try:
        until(lambda: bool(failures()), "the refusal")
        assert said in failures()[0]
        local_grid.features(names.features).put_batch(batch(5), key="key")
        key = int(np.random.default_rng().integers(1 << 40))
        local_grid.features("honest-records").put(key, dict.fromkeys(FEATURES, 0.5))
        until(lambda: honest.get(key) is not None, "the honest model's prediction")
        assert local_grid.predictions(names.deployment).size() == 0
        assert not loot.canary.exists()
    finally:
        pull_up(local_grid, names.deployment)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"manifest": {"size": 1 << 50}}, "size"),
        ({"manifest": {"sha256": "../../../../etc/passwd"}}, "64 hexadecimal digits"),
        ({"manifest": {"libraries": {"numpy": ["1"]}}}, "libraries"),
        ({"manifest": {"libraries": {"": "1"}}}, "libraries"),
        ({"manifest": {"format": "x/../../../up"}}, "is no format"),
        ({"signature": {"outputs": 1 << 40}}, "outputs"),
        ({"signature": {"task": "oracle"}}, "task"),
        ({"share": "all"}, "ValueError"),
        ({"rescore": 1e999}, "OverflowError"),
        ({"standing": [1e999]}, "OverflowError"),
        ({"state": "stolen"}, "is no state"),
        ({"candidate": {"version": 1e999}}, "no version of a model"),
        ({"config": {"name": "../up"}}, "not a deployment's name"),
        ({"config": {"features": "grid_inference.leases"}}, "not the name of a feature map"),
        ({"signature": {"inputs": 5}}, "signature"),
        ({"version": None, "config": None}, "no deployment"),
    ],
    ids=str,
)
def test_an_entry_that_is_no_deployment_is_left_out(
    local_grid: gi.Grid, honest: gi.Predictions, names: Names, loot: Loot, change: dict[str, Any], said: str
) -> None:
    mapping = entry(names, loot.signed)
    for part, values in change.items():
        mapping[part] = {**(mapping[part] or {}), **values} if isinstance(values, dict) else values
    sha = loot.signed.manifest.sha256
    on_a_link(local_grid, lambda link: plant(link, names.deployment, mapping, sha, {}, loot.signed.content))
    try:
        with pytest.raises(gi.DeploymentError, match=said):
            local_grid.deployment(names.deployment)
        assert names.deployment not in local_grid.deployments()
        key = int(np.random.default_rng().integers(1 << 40))
        local_grid.features("honest-records").put(key, dict.fromkeys(FEATURES, 0.5))
        until(lambda: honest.get(key) is not None, "the honest model's prediction")
    finally:
        pull_up(local_grid, names.deployment)


@pytest.mark.parametrize(
    "said",
    [
        {"id": 5, "beat": "soon"},
        ["no worker"],
        {"id": "x", "beat": 1e999, "pid": 1, "said_at_us": 1},
        {"id": "x", "beat": 1, "pid": 1, "said_at_us": 1 << 60, "late": {"-7": 1, "99999": 1}, "deployments": {}},
    ],
    ids=str,
)
def test_an_entry_that_is_no_worker_ends_none(local_grid: gi.Grid, honest: gi.Predictions, said: Any) -> None:
    workers = {one["id"] for one in local_grid.status().workers}
    planted = encode_keys(["planted"])[0]
    on_a_link(local_grid, lambda link: GridMap(link, WORKERS_MAP).set(planted, encode_json(said)))
    try:
        time.sleep(2.0)  # several turns
        key = int(np.random.default_rng().integers(1 << 40))
        local_grid.features("honest-records").put(key, dict.fromkeys(FEATURES, 0.5))
        until(lambda: honest.get(key) is not None, "the honest model's prediction")
        assert workers <= {one["id"] for one in local_grid.status().workers}
    finally:
        on_a_link(local_grid, lambda link: GridMap(link, WORKERS_MAP).delete(planted))


def test_a_key_that_is_trusted_later_lets_the_model_in(
    local_grid: gi.Grid, names: Names, keys: Path, tmp_path: Path
) -> None:
    """No worker starts again for it."""
    del tmp_path
    stranger = SigningKey.generate()
    forest = RandomForestClassifier(4, random_state=len(names.features)).fit(INPUTS, LABELS)
    artifact = Artifact.from_model(forest).signed(stranger)
    mapping, manifest = entry(names, artifact), artifact.manifest
    local_grid.features(names.features).put_batch(batch(5), key="key")
    on_a_link(
        local_grid,
        lambda link: plant(link, names.deployment, mapping, manifest.sha256, asdict(manifest), artifact.content),
    )
    try:
        until(
            lambda: any(one.failures for one in local_grid.status().deployments if one.name == names.deployment),
            "the refusal",
        )
        Keyring(keys).trust("stranger", stranger.public)
        until(lambda: local_grid.predictions(names.deployment).size() == 5, "the predictions")
    finally:
        Keyring(keys).distrust("stranger")
        pull_up(local_grid, names.deployment)
