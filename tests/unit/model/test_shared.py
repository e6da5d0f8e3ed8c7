"""Arrays shared through a file: equal predictions; whatever is wrong with file or disk, the model stays as it is."""

from __future__ import annotations

import fcntl
import logging
import os
import resource
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, LocalOutlierFactor, RadiusNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR, OneClassSVM

from grid_inference.model.store import shared as module
from grid_inference.model.store.artifact import Artifact, load
from grid_inference.model.store.shared import forget, shared
from grid_inference.model.store.trust import Trust
from tests.cases import BINARY, CASES, FRAME, MATRIX, TEXTS, THREE, VALUES, Case

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is shared on Windows")

TRUST = Trust(allow_pickle=True, loopback=True)
QUESTIONS = np.random.default_rng(11).normal(size=(200, 3))
MIXED = pd.DataFrame(QUESTIONS[:, :2], columns=["a", "b"]).assign(kind=np.array(["x", "y", "z"])[np.arange(200) % 3])
ASKED = ("predict", "predict_proba", "decision_function", "score_samples", "transform", "kneighbors")


@pytest.fixture
def anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have arrays shared however small they are."""
    monkeypatch.setattr(module, "ARRAY_BYTES_MIN", 1)
    monkeypatch.setattr(module, "SHARED_BYTES_MIN", 1)


def loaded(model: Any) -> tuple[Any, Any]:
    """A model as a worker loads it, and its manifest."""
    artifact = Artifact.from_model(model)
    return load(artifact, TRUST), artifact.manifest


def answers(model: Any, rows: Any) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: np.asarray(getattr(model, name)(rows)) for name in ASKED if hasattr(model, name)}


def mapped_bytes(model: Any, folder: Path) -> int:
    """How much of a model's arrays stands in pages of files in the folder."""
    pages = [
        range(*(int(each, 16) for each in line.split()[0].split("-")))
        for line in Path("/proc/self/maps").read_text().splitlines()
        if str(folder) in line
    ]
    arrays = module._Parts.of(model).arrays
    return sum(array.size for array in arrays if any(module._address(array) in one for one in pages))


def large() -> KNeighborsClassifier:
    """Arrays of more than 16 MiB."""
    inputs = np.random.default_rng(2).normal(size=(400_000, 3))
    return KNeighborsClassifier(algorithm="kd_tree").fit(inputs, inputs.sum(axis=1) > 0)


@pytest.fixture(scope="module")
def neighbours() -> tuple[Any, Any]:
    return loaded(large())


MODELS: dict[str, Callable[[], Any]] = {
    "neighbours, kd_tree": lambda: KNeighborsClassifier(algorithm="kd_tree").fit(MATRIX, BINARY),
    "neighbours, ball_tree": lambda: KNeighborsClassifier(algorithm="ball_tree").fit(MATRIX, BINARY),
    "neighbours, brute": lambda: KNeighborsClassifier(algorithm="brute").fit(MATRIX, BINARY),
    "radius": lambda: RadiusNeighborsClassifier(radius=3.0, outlier_label="no").fit(MATRIX, BINARY),
    "local outliers": lambda: LocalOutlierFactor(novelty=True).fit(MATRIX),
    "density": lambda: KernelDensity().fit(MATRIX),
    "support vectors": lambda: SVC(C=0.1).fit(MATRIX, THREE),
    "support vectors, regressor": lambda: SVR().fit(MATRIX, VALUES[:, 0]),
    "support vectors, one class": lambda: OneClassSVM().fit(MATRIX),
    "network": lambda: MLPClassifier((50, 20), max_iter=300).fit(MATRIX, BINARY),
    "histogram boosting": lambda: HistGradientBoostingClassifier(max_iter=10).fit(MATRIX, THREE),
    "Gaussian process": lambda: GaussianProcessClassifier().fit(MATRIX[:80], BINARY[:80]),
    "Gaussian process, regressor": lambda: GaussianProcessRegressor().fit(MATRIX[:80], VALUES[:80, 0]),
    "clusters": lambda: KMeans(5, n_init=1).fit(MATRIX),
    "mixture": lambda: GaussianMixture(3).fit(MATRIX),
    "logistic regression": lambda: LogisticRegression().fit(MATRIX, BINARY),
    "bagged neighbours": lambda: BaggingClassifier(KNeighborsClassifier(), n_estimators=3).fit(MATRIX, BINARY),
    "pipeline": lambda: make_pipeline(StandardScaler(), Nystroem(n_components=40), SVC()).fit(MATRIX, BINARY),
    "columns": lambda: make_pipeline(
        ColumnTransformer([("numbers", StandardScaler(), ["a", "b"]), ("texts", OneHotEncoder(), ["kind"])]),
        KNeighborsClassifier(),
    ).fit(TEXTS, BINARY),
}


@pytest.mark.usefixtures("anything")
@pytest.mark.parametrize("name", MODELS)
def test_predictions_are_the_same(name: str, tmp_path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own, manifest = loaded(MODELS[name]())
    rows = MIXED if name == "columns" else QUESTIONS
    expected = answers(own, rows)
    first, second = shared(own, manifest, tmp_path), shared(own, manifest, tmp_path)
    assert first is not own
    assert second is not first
    if sys.platform == "linux":
        assert mapped_bytes(first, tmp_path) == mapped_bytes(second, tmp_path) > 0
    for one in (first, second, own):
        found = answers(one, rows)
        assert expected.keys() == found.keys() != set()
        for asked, values in expected.items():
            np.testing.assert_array_equal(found[asked], values, err_msg=asked)


@pytest.mark.usefixtures("anything")
@pytest.mark.parametrize(
    "case", [one for one in CASES if one.format in {"skops", "joblib"}], ids=lambda case: str(case.id)
)
def test_every_kind_of_scikit_learns_says_the_same(case: Case, tmp_path: Path):
    own, manifest = loaded(case.source(tmp_path))
    folder = tmp_path / "arrays"
    folder.mkdir()
    found, expected = case.said(shared(own, manifest, folder), case.rows(50)), case.said(own, case.rows(50))
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]


def test_a_large_model_is_shared(neighbours: tuple[Any, Any], tmp_path: Path):
    own, manifest = neighbours
    found = shared(own, manifest, tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.name == f"{manifest.sha256}.arrays"
    assert file.stat().st_size > module.SHARED_BYTES_MIN
    np.testing.assert_array_equal(found.predict(QUESTIONS), own.predict(QUESTIONS))
    forget(tmp_path, {manifest.sha256})
    assert [path.stem for path in tmp_path.glob("*.arrays")] == [manifest.sha256]
    forget(tmp_path)
    forget(tmp_path)
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(found.predict(QUESTIONS), own.predict(QUESTIONS))


def test_what_one_process_writes_is_not_seen_by_others(neighbours: tuple[Any, Any], tmp_path: Path):
    own, manifest = neighbours
    first, second = (shared(own, manifest, tmp_path) for _ in range(2))
    first._fit_X[:] = 7.0
    np.testing.assert_array_equal(second._fit_X, own._fit_X)
    np.testing.assert_array_equal(shared(own, manifest, tmp_path)._fit_X, own._fit_X)


@pytest.mark.parametrize(
    "model",
    [
        KNeighborsClassifier().fit(MATRIX, BINARY),
        RandomForestClassifier(20, random_state=0).fit(MATRIX, BINARY),
        HistGradientBoostingClassifier(max_iter=5).fit(MATRIX, BINARY),
    ],
    ids=lambda model: type(model).__name__,
)
def test_small_models_are_not_touched(model: Any, tmp_path: Path):
    own, manifest = loaded(model)
    assert shared(own, manifest, tmp_path) is own
    assert not list(tmp_path.iterdir())


def test_forests_copy_their_trees_so_nothing_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(module, "SHARED_BYTES_MIN", 200_000)
    own, manifest = loaded(RandomForestClassifier(100, random_state=0).fit(MATRIX, BINARY))
    monkeypatch.setattr(module, "ARRAY_BYTES_MIN", 1)
    assert sum(array.size for array in module._Parts.of(own).arrays) > 200_000
    assert shared(own, manifest, tmp_path) is own
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("anything")
def test_beside_a_forest_others_are_shared(tmp_path: Path):
    models = [("near", KNeighborsClassifier()), ("forest", RandomForestClassifier(5))]
    own, manifest = loaded(StackingClassifier(models).fit(MATRIX, BINARY))
    found = shared(own, manifest, tmp_path)
    if sys.platform == "linux":
        assert mapped_bytes(found.estimators_[0], tmp_path) > MATRIX.nbytes
        assert mapped_bytes(found.estimators_[1].estimators_[0], tmp_path) < 1_000
    np.testing.assert_array_equal(found.predict_proba(QUESTIONS), own.predict_proba(QUESTIONS))


def test_models_of_other_libraries_are_left_alone(tmp_path: Path):
    (case,) = [one for one in CASES if one.id == "lightgbm"]
    own, manifest = loaded(case.source(tmp_path))
    folder = tmp_path / "arrays"
    assert shared(own, replace(manifest, size=1 << 30), folder) is own


def test_a_half_written_file_is_never_seen(neighbours: tuple[Any, Any], tmp_path: Path):
    own, manifest = neighbours
    part = tmp_path / f"{manifest.sha256}.part"
    part.write_bytes(b"half")
    assert shared(own, manifest, tmp_path) is not own
    assert [file.suffix for file in tmp_path.iterdir()] == [".arrays"]


def other_bytes(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(-1000, os.SEEK_END)
        opened.write(b"other")


def shorter(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


def immense(file: Path) -> None:
    os.truncate(file, 1 << 42)


def nothing_in_it(file: Path) -> None:
    os.truncate(file, 0)


def a_link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to(file.with_name("elsewhere"))


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("spoil", [other_bytes, shorter, immense, nothing_in_it, a_link, a_pipe, a_folder])
def test_another_file_is_not_taken(
    spoil: Callable[[Path], None], neighbours: tuple[Any, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    own, manifest = neighbours
    shared(own, manifest, tmp_path)
    spoil(tmp_path / f"{manifest.sha256}.arrays")
    with caplog.at_level(logging.WARNING):
        assert shared(own, manifest, tmp_path) is own
    (said,) = caplog.records
    assert said.getMessage().startswith("arrays not shared model=KNeighborsClassifier")


@contextmanager
def files_of_at_most(size: int) -> Generator[None]:
    """What writing to a full disk is like: some bytes are written, then none."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_model_as_it_is(
    neighbours: tuple[Any, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    own, manifest = neighbours
    with caplog.at_level(logging.WARNING), files_of_at_most(1 << 20):
        assert shared(own, manifest, tmp_path) is own
    (said,) = caplog.records
    assert "File too large" in said.getMessage()
    assert not list(tmp_path.iterdir())
    assert shared(own, manifest, tmp_path) is not own


@pytest.mark.parametrize("kind", ["missing", "a file", "read-only"])
def test_a_folder_that_is_none(
    kind: str, neighbours: tuple[Any, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder = tmp_path / "arrays"
    if kind == "a file":
        folder.touch()
    elif kind == "read-only":
        if os.geteuid() == 0:
            pytest.skip("root may write anywhere")
        folder.mkdir(mode=0o500)
    with caplog.at_level(logging.WARNING):
        assert shared(neighbours[0], neighbours[1], folder) is neighbours[0]
    assert len(caplog.records) == 1


def test_another_worker_that_writes_is_waited_for_but_not_for_ever(
    neighbours: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    own, manifest = neighbours
    held = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(module, "WAIT_S_MAX", 0.2)
        assert shared(own, manifest, tmp_path) is own
    assert "another worker has held the folder" in caplog.text
    threading.Thread(target=lambda: (time.sleep(0.3), os.close(held))).start()
    assert shared(own, manifest, tmp_path) is not own


@pytest.mark.usefixtures("anything")
@pytest.mark.parametrize("name", ["__reduce_ex__", "__reduce__", "__getstate__", "__module__"])
def test_an_object_is_not_asked_how_it_is_pickled(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    own, manifest = loaded(make_pipeline(StandardScaler(), KNeighborsClassifier()).fit(MATRIX, BINARY))
    called: list[Any] = []
    own[-1].__dict__[name] = "antigravity" if name == "__module__" else lambda *said: called.append(said) or "4"
    with caplog.at_level(logging.WARNING):
        assert shared(own, manifest, tmp_path) is own
    assert not called
    assert len(caplog.records) == 1
    assert not list(tmp_path.iterdir())


class Unpicklable(KNeighborsClassifier):
    """Its class allows no copies."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"not by protocol {protocol}")


def test_a_model_that_can_not_be_pickled_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    manifest = replace(Artifact.from_model(KNeighborsClassifier().fit(FRAME, BINARY)).manifest, size=1 << 30)
    model = Unpicklable().fit(FRAME, BINARY)
    with caplog.at_level(logging.WARNING):
        assert shared(model, manifest, tmp_path) is model
    assert len(caplog.records) == 1
