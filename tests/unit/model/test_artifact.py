"""Models as bytes: whole or refused, of fitting versions or refused, and no foreign exception comes out."""

import dataclasses
import io
import json
import pickle

import joblib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from grid_inference.errors import ArtifactError, SignatureError, TrustError
from grid_inference.model.store.artifact import Artifact, check_versions, load
from grid_inference.model.store.keys import SigningKey
from grid_inference.model.store.making import make
from grid_inference.model.store.manifest import Manifest
from grid_inference.model.store.trust import Trust

HERE = Trust(loopback=True, allow_pickle=True)
MATRIX = np.arange(12.0).reshape(6, 2)
MODEL = LogisticRegression().fit(MATRIX, [0, 0, 0, 1, 1, 1])
ARTIFACT = Artifact.from_model(MODEL)


def test_a_model_goes_through_chunks_and_comes_back():
    manifest = Manifest.from_mapping(json.loads(json.dumps(ARTIFACT.manifest.to_mapping())))
    assert manifest == ARTIFACT.manifest
    chunks = list(ARTIFACT.chunks(100))
    assert {len(chunk) for chunk in chunks[:-1]} == {100}
    model = load(Artifact.join(manifest, chunks), HERE)
    assert (model.predict_proba(MATRIX) == MODEL.predict_proba(MATRIX)).all()
    assert manifest.class_name == "LogisticRegression"
    assert set(manifest.libraries) == {"scikit-learn", "numpy", "scipy", "skops"}
    assert manifest.created_us > 1_700_000_000_000_000


def test_damage_is_found_before_anything_is_unpickled():
    content = ARTIFACT.content
    for damaged in ([], [content[:-1]], [content, b"x"], [content[:50], bytes([content[50] ^ 1]), content[51:]]):
        with pytest.raises(ArtifactError, match="damaged"):
            Artifact.join(ARTIFACT.manifest, damaged)


@pytest.mark.parametrize("compress", [0, 3, ("lzma", 3)])
def test_joblib_files(tmp_path, compress):
    path = tmp_path / "model.joblib"
    joblib.dump(MODEL, path, compress=compress)
    artifact = Artifact.from_file(path)
    assert (load(artifact, HERE).coef_ == MODEL.coef_).all()
    path.write_bytes(pickle.dumps(MODEL))
    assert artifact.manifest.class_name == "LogisticRegression"
    assert (load(Artifact.from_file(path), HERE).coef_ == MODEL.coef_).all()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"hello, I am a CSV",
        b"PK\x03\x04",
        bytes(100),
        pytest.param(ARTIFACT.content[:-3], id="without its end"),
        pytest.param(ARTIFACT.content[:40], id="its begin"),
        b"cposix\nno_such_thing\n(tR.",
        b"cno_such_module\nThing\n.",
        pickle.dumps([1])[:-1],
        b"\x1f\x8b\x08garbage",
    ],
)
def test_files_that_are_no_models(tmp_path, content):
    path = tmp_path / "model.joblib"
    path.write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        Artifact.from_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_paths_that_are_no_files(tmp_path):
    for path in (tmp_path / "none.joblib", tmp_path):
        with pytest.raises(ArtifactError, match="can't be read") as caught:
            Artifact.from_file(path)
        assert str(path) in str(caught.value)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, len(ARTIFACT.content) - 1))
def test_a_truncated_file_anywhere(tmp_path, cut):
    path = tmp_path / "model.joblib"
    path.write_bytes(ARTIFACT.content[:cut])
    with pytest.raises(ArtifactError, match=r"model\.joblib"):
        Artifact.from_file(path)


def test_what_cannot_be_pickled():
    with pytest.raises(ArtifactError, match="can't be pickled") as caught:
        Artifact.from_model(lambda row: row)
    assert "module" in caught.value.remedy


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"python": "3.8.1"}, "python 3.8.1"),
        ({"libraries": {"scikit-learn": "0.24.2"}}, "scikit-learn 0.24.2"),
        ({"libraries": {"numpy": "1.26.0"}}, "numpy 1.26.0"),
        ({"libraries": {"never-heard-of-it": "1.0"}}, "never-heard-of-it 1.0, this worker has none"),
    ],
)
def test_other_versions_are_refused_by_name(change, said):
    artifact = Artifact(dataclasses.replace(ARTIFACT.manifest, **change), ARTIFACT.content)
    with pytest.raises(ArtifactError) as caught:
        load(artifact, HERE)
    assert said in str(caught.value)
    assert "install" in caught.value.remedy


def test_patch_releases_and_unknown_formats():
    patched = {name: f"{'.'.join(version.split('.')[:2])}.999" for name, version in ARTIFACT.manifest.libraries.items()}
    check_versions(dataclasses.replace(ARTIFACT.manifest, libraries=patched))
    with pytest.raises(ArtifactError, match="'pmml'"):
        load(Artifact(dataclasses.replace(ARTIFACT.manifest, format="pmml"), b""), HERE)
    with pytest.raises(ArtifactError, match="manifest"):
        Manifest.from_mapping({"size": 3})


def test_a_file_of_an_older_scikit_learn_is_refused(tmp_path):
    state = MODEL.__getstate__()
    other = LogisticRegression()
    other.__dict__.update(state)
    buffer = io.BytesIO()
    joblib.dump(other, buffer)
    version = state["_sklearn_version"].encode()
    older = b"0" * (len(version) - 2) + b".1"
    path = tmp_path / "model.joblib"
    path.write_bytes(buffer.getvalue().replace(version, older))
    with pytest.raises(ArtifactError, match="was written with scikit-learn 0"):
        Artifact.from_file(path)


class _Explosive:
    def __reduce__(self):
        return (exec, ("raise SystemExit('it ran')",))


def test_nothing_is_unpickled_without_trust():
    artifact = Artifact.from_model(_Explosive())
    assert artifact.manifest.format == "joblib"
    assert not artifact.harmless
    for trust in (Trust(), Trust(loopback=True), Trust(allow_pickle=True)):
        with pytest.raises(TrustError, match="is a pickle"):
            load(artifact, trust)
    with pytest.raises(ArtifactError, match="SystemExit: it ran"):
        load(artifact, HERE)


def test_a_signature_is_as_good_as_permission():
    key, forest = SigningKey.generate(), RandomForestClassifier(3).fit(MATRIX, [0, 0, 0, 1, 1, 1])
    artifact = Artifact.from_model(forest)
    assert not artifact.harmless
    for trust in (Trust(), Trust(loopback=True), Trust.of("127.0.0.1:1", keys=[key.public])):
        with pytest.raises(TrustError, match=r"sklearn\.tree\._tree\.Tree"):
            load(artifact, trust)
    loaded = load(artifact.signed(key), Trust.of("grid-1:5701", keys=[key.public]))
    assert (loaded.predict(MATRIX) == forest.predict(MATRIX)).all()
    assert ARTIFACT.harmless
    assert (load(ARTIFACT, Trust()).coef_ == MODEL.coef_).all()


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "../../etc/passwd"},
        {"sha256": 7},
        {"size": -1},
        {"size": 0},
        {"size": 1 << 50},
        {"size": True},
        {"size": "3"},
        {"format": None},
        {"class_name": "x" * 10_000},
        {"libraries": ["numpy"]},
        {"libraries": {"numpy": 2}},
        {"signature": 5},
        {"created_us": "now"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_manifests_that_nobody_wrote(change):
    with pytest.raises(ArtifactError, match="manifest can't be read"):
        Manifest.from_mapping(ARTIFACT.manifest.to_mapping() | change)


def test_a_sample_without_a_column_is_refused() -> None:
    with pytest.raises(SignatureError, match="the sample lacks a column: 'b'"):
        make(LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1]), ["a", "b"], {"a": [1.0]}, None)
