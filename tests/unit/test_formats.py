"""How models become bytes: skops where it can, joblib where not; and archives that are none of ours."""

import io
import json
import os
import threading
import warnings
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, StandardScaler
from sklearn.svm import SVC

from grid_inference.errors import ArtifactError
from grid_inference.model import formats

MATRIX = np.random.default_rng(3).random((80, 3))
LABELS = (MATRIX[:, 0] > 0.5).astype(int)
PLAIN = LogisticRegression().fit(MATRIX, LABELS)
ARCHIVE = skops.io.dumps(PLAIN)


@pytest.mark.parametrize(
    ("model", "types"),
    [
        (LogisticRegression(), []),
        (GaussianNB(), []),
        (SVC(), []),
        (make_pipeline(StandardScaler(), FunctionTransformer(np.tanh), LogisticRegression()), []),
        (make_pipeline(MaxAbsScaler(), SVC()), []),
        (RandomForestClassifier(3), ["sklearn.tree._tree.Tree"]),
        (
            HistGradientBoostingClassifier(max_iter=3),
            ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"],
        ),
    ],
    ids=lambda given: type(given).__name__,
)
def test_scikit_learn_goes_by_skops_and_comes_back_equal(model, types):
    model.fit(MATRIX, LABELS)
    form, content = formats.dump(model)
    assert form == formats.SKOPS == formats.format_of(content)
    assert formats.types_to_trust(content, "it") == types
    again = formats.read(form, content, "it")
    assert type(again) is type(model)
    assert (again.predict(MATRIX) == model.predict(MATRIX)).all()


class OwnWay:
    """Pickled in a way of its own, which skops does not follow."""

    def __reduce__(self):
        return (OwnWay, ())


def test_other_types_go_by_joblib():
    for model in (OwnWay(), make_pipeline(FunctionTransformer(first_column), LogisticRegression())):
        form, content = formats.dump(model)
        assert form == formats.JOBLIB == formats.format_of(content)
        assert type(formats.read(form, content, "it")) is type(model)
    with pytest.raises(ArtifactError, match="can't be pickled"):
        formats.dump(lambda row: row)


def first_column(inputs):
    return inputs[:, :1]


def archive(entries, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as out:
        for name, content in entries.items():
            out.writestr(name, content)
    return buffer.getvalue()


def test_archives_that_grow_or_lead_elsewhere_are_refused():
    bomb = archive({"schema.json": bytes(10_000_000)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ArtifactError, match="compressed archive of 1 entries and 10000000 bytes"):
        formats.types_to_trust(bomb, "it")
    for name in ("../evil", "a/../../evil", "/etc/evil", "C:/evil", "..\\evil"):
        with pytest.raises(ArtifactError, match="leads out of the archive"):
            formats.types_to_trust(archive({"schema.json": "{}", name: "x"}), "it")


@pytest.mark.parametrize(
    "schema",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        json.dumps({"__class__": "int", "__module__": "builtins", "__loader__": "NoSuchNode", "protocol": 2}),
        "[" * 100_000 + "]" * 100_000,
    ],
    ids=range(7),
)
def test_archives_that_are_no_models(schema):
    with pytest.raises(ArtifactError) as caught:
        formats.read(formats.SKOPS, archive({"schema.json": schema}), "it")
    assert "it: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"PK", b"PK\x03\x04" + bytes(50), ARCHIVE[:-30], ARCHIVE[: len(ARCHIVE) // 2]])
def test_archives_that_are_broken_off(content):
    with pytest.raises(ArtifactError, match="no model that skops can load"):
        formats.read(formats.SKOPS, content, "it")


def test_an_archive_runs_nothing_that_it_names(tmp_path):
    """A step that calls `os.system` is told by name, and never called."""
    canary = tmp_path / "canary"
    content = skops.io.dumps(make_pipeline(FunctionTransformer(os.system, kw_args={"x": f"touch {canary}"}), PLAIN))
    assert formats.types_to_trust(content, "it") == ["posix.system"]
    assert not canary.exists()


def test_foreign_libraries_are_named():
    content = b"cno_such_library\nThing\n."
    with pytest.raises(ArtifactError, match="'no_such_library'") as caught:
        formats.read(formats.JOBLIB, content, "it")
    assert "install no_such_library" in caught.value.remedy


def test_a_model_that_holds_sparse_matrices_goes_through():
    """skops compresses them, and them alone."""
    texts = ["a cheap thing", "an expensive thing", "a cheap one", "an expensive one"] * 20
    model = make_pipeline(TfidfVectorizer(), KNeighborsClassifier(3)).fit(texts, LABELS)
    form, content = formats.dump(model)
    assert form == formats.SKOPS
    assert "sklearn.feature_extraction.text.TfidfVectorizer" in formats.types_to_trust(content, "texts")
    assert formats.read(form, content, "texts").predict(texts).tolist() == model.predict(texts).tolist()


def test_models_are_read_by_several_threads_at_once():
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(formats.read(formats.SKOPS, ARCHIVE, "m"))) for _ in range(8)
    ]
    before = list(warnings.filters)
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 8
    assert warnings.filters == before
