"""How models become bytes: skops where it can, joblib where not; and archives that are none of ours."""

import io
import json
import os
import pickle
import sys
import threading
import warnings
import zipfile
from functools import partial

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, StandardScaler
from sklearn.svm import SVC

from grid_inference.errors import ArtifactError
from grid_inference.model.engines import formats
from grid_inference.model.engines.native.function import PythonFunction

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


def of_main(monkeypatch, **what):
    """As if a notebook had defined them."""
    for name, one in what.items():
        one.__module__, one.__qualname__ = "__main__", name
        monkeypatch.setattr(sys.modules["__main__"], name, one, raising=False)


def test_what_a_notebook_has_defined_can_not_travel(monkeypatch):
    def double(values):
        return 2 * values

    class Doubling(TransformerMixin, BaseEstimator):
        def fit(self, inputs, labels=None):
            return self

        def transform(self, inputs):
            return 2 * inputs

    of_main(monkeypatch, double=double, Doubling=Doubling)
    steps = [
        (FunctionTransformer(double), "double"),
        (FunctionTransformer(partial(double)), "double"),
        (Doubling(), "Doubling"),
        (FunctionTransformer(lambda values: values), ""),
    ]
    for step, said in steps:
        with pytest.raises(ArtifactError, match=f"{said} of __main__|can't be pickled") as caught:
            formats.dump(make_pipeline(step, LogisticRegression()).fit(MATRIX, LABELS))
        assert "put them into a module that the workers can import" in caught.value.remedy
    with pytest.raises(ArtifactError, match="no worker has") as caught:
        PythonFunction.named("__main__:double")
    assert caught.value.remedy == formats.OWN_REMEDY


def test_a_file_of_another_script_says_what_its_model_lacks(monkeypatch):
    def double(values):
        return 2 * values

    with monkeypatch.context() as there:
        of_main(there, double=double)
        content = pickle.dumps(FunctionTransformer(double).fit(MATRIX))
    with pytest.raises(ArtifactError, match="double") as caught:
        formats.read(formats.JOBLIB, content, "a.joblib")
    assert caught.value.remedy == formats.OWN_REMEDY


@pytest.mark.parametrize("compress", [0, 1, 9, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)], ids=str)
def test_files_of_joblib_however_compressed(compress):
    file = io.BytesIO()
    joblib.dump(PLAIN, file, compress=compress)
    assert formats.format_of(file.getvalue()) == formats.JOBLIB
    again = formats.read(formats.JOBLIB, file.getvalue(), "a.joblib")
    assert (again.predict(MATRIX) == PLAIN.predict(MATRIX)).all()


@pytest.mark.parametrize(
    "content", [b"id,a,b\n1,0.5,0.5\n", b"cos\nsystem\n(S'true'\ntR.", b'{"a": 1}', b"PAR1", b"x,y\n"]
)
def test_a_file_that_is_no_model_is_not_read_as_one(content):
    with pytest.raises(ArtifactError, match="is no model: neither skops nor joblib") as caught:
        formats.read(formats.JOBLIB, content, "a.csv")
    assert caught.value.remedy == "write the model with joblib.dump(model, path)"


def test_what_can_not_be_written_down_is_not_called_a_lambda():
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(MATRIX, LABELS)
    model.lock_ = threading.Lock()
    with pytest.raises(ArtifactError, match="can't be pickled: TypeError") as caught:
        formats.dump(model)
    assert "lock" in caught.value.remedy
    assert "lambda" not in caught.value.remedy


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
    content = b"\x80\x04cno_such_library\nThing\n."
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
