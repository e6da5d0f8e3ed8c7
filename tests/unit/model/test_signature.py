"""Signatures: read from any fitted estimator, held against record schemas, and records turned into matrices."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from grid_inference.errors import SignatureError
from grid_inference.model.described import Input
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.inputs.binding import Binding, Mismatch, bind, resolve
from grid_inference.model.signature import Signature
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema, encode_record

NAMES = ["amount", "hour", "age"]
FRAME = pd.DataFrame(np.random.default_rng(3).normal(size=(40, 3)), columns=NAMES)
MATRIX = FRAME.to_numpy()
BINARY = (MATRIX[:, 0] > 0).astype(int)
ANY = {"amount": FieldKind.FLOAT64, "hour": FieldKind.INT32, "age": FieldKind.NULLABLE_INT8}
ARRAY = Schema.of("payments", {"x": FieldKind.ARRAY_OF_FLOAT64, "id": FieldKind.INT64})


def _schema(**changes):
    kinds = ANY | changes
    return Schema.of("payments", {name: kind for name, kind in kinds.items() if kind is not None})


def _blobs(schema, *records):
    return Blobs.of([encode_record(schema, record) for record in records])


# ---- reading


def test_names_come_from_the_model():
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, BINARY)
    for each in (model, GridSearchCV(model, {}, cv=2).fit(FRAME, BINARY)):
        signature = Signature.of(each)
        assert signature.names == tuple(NAMES)
        assert (signature.task, signature.classes, signature.inputs_count) == ("classifier", ("0", "1"), 3)
        assert not signature.frame
        assert not signature.needs_order


def test_a_class_is_found_by_its_name():
    signature = Signature.of(LogisticRegression().fit(FRAME, np.where(BINARY, "fraud", "authentic")))
    assert [signature.class_index(name) for name in signature.classes] == [0, 1]
    with pytest.raises(SignatureError, match="score_of = 'froud' is none") as caught:
        signature.class_index("froud")
    assert caught.value.remedy == "they are authentic, fraud"
    with pytest.raises(SignatureError, match="score_of = '1': a regressor has no classes"):
        Signature.of(LinearRegression().fit(FRAME, BINARY)).class_index("1")
    many = Signature(inputs=(), task="classifier", classes=tuple(map(str, range(30))))
    with pytest.raises(SignatureError) as caught:
        many.class_index("x")
    assert caught.value.remedy.endswith("18, 19 and 10 more")


def test_names_come_from_columns_or_the_sample():
    model = LinearRegression().fit(MATRIX, MATRIX[:, 0])
    assert Signature.of(model, columns=["c", "a", "b"]).names == ("c", "a", "b")
    sample = FRAME.assign(hour=[1] * 40, age=[None] + [1.5] * 39)
    assert Signature.of(model, sample=sample).inputs == (
        Input("amount", "float64"),
        Input("hour", "int64"),
        Input("age", "float64", nullable=True),
    )
    assert Signature.of(model, sample={"a": [True], "b": [1], "c": [None]}).names == ("a", "b", "c")
    provisional = Signature.of(model, sample=MATRIX)
    assert provisional.needs_order
    assert provisional.inputs_count == 3
    assert (provisional.task, provisional.classes) == ("regressor", ())


def test_one_column_for_several_inputs_is_an_array_field():
    signature = Signature.of(LinearRegression().fit(MATRIX, BINARY), columns=["x"])
    assert signature.array_field == "x"
    assert signature.names == ("x[0]", "x[1]", "x[2]")
    alone = Signature.of(LinearRegression().fit(MATRIX[:, :1], BINARY), columns=["x"])
    assert (alone.array_field, alone.names) == (None, ("x",))


def test_columns_of_a_model_with_names():
    model = LogisticRegression().fit(FRAME, BINARY)
    assert Signature.of(model, columns=["age", "hour", "amount"]).names == tuple(NAMES)  # the model's own order
    assert Signature.of(model, columns=["a", "b", "c"]).names == ("a", "b", "c")  # the records' own names
    with pytest.raises(SignatureError, match="'hour'") as caught:
        Signature.of(model, columns=["hour", "b", "c"])
    assert "amount, hour, age" in caught.value.remedy


@pytest.mark.parametrize(
    ("columns", "said"),
    [(["a", "b"], "names 2 fields"), (["a", "b", "b"], "twice"), ("abc", "is a text"), ([], "names 0 fields")],
)
def test_columns_that_do_not_fit(columns, said):
    with pytest.raises(SignatureError, match=said):
        Signature.of(LinearRegression().fit(MATRIX, BINARY), columns=columns)


def test_samples_that_do_not_fit():
    model = LinearRegression().fit(MATRIX, BINARY)
    with pytest.raises(SignatureError, match="the sample names 2 fields"):
        Signature.of(model, sample=FRAME[["amount", "hour"]])
    for column in (["travel"] * 40, pd.date_range("2024-01-01", periods=40)):
        with pytest.raises(SignatureError, match="'hour'"):
            Signature.of(model, sample=FRAME.assign(hour=column))


class _Oracle(BaseEstimator):
    """It predicts, and does not say what."""

    def fit(self, *_):
        self.fitted_ = True

    predict = fit


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (LogisticRegression(), "is not fitted"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "is not fitted"),
        (LogisticRegression, "LogisticRegression is not a model"),
        (StandardScaler().fit(MATRIX), "StandardScaler is not a model"),
        (make_pipeline(StandardScaler()).fit(MATRIX), "Pipeline is not a model"),
        (_Oracle(), "_Oracle is no classifier, regressor, outlier detector or clusterer"),
        ({"a": 1}, "dict is not a model"),
        (None, "NoneType is not a model"),
        (MultiOutputClassifier(LogisticRegression()).fit(MATRIX, np.stack([BINARY, BINARY], 1) + 1), "several outputs"),
    ],
)
def test_what_is_no_usable_model(model, said):
    with pytest.raises(SignatureError, match=said) as caught:
        Signature.of(model)
    assert caught.value.remedy


def test_models_that_pick_columns_by_name_get_a_frame():
    model = make_pipeline(make_column_transformer((StandardScaler(), ["hour", "age"])), LogisticRegression())
    model.fit(FRAME, BINARY)
    assert Signature.of(model).frame
    assert Signature.of(make_pipeline(FunctionTransformer(), LogisticRegression()).fit(FRAME, BINARY)).frame
    assert not Signature.of(RandomForestClassifier(2).fit(FRAME, BINARY)).frame
    signature = Signature.of(model, columns=["a", "b", "c"])
    scores = SklearnEngine(model, signature).score(MATRIX)[0]
    np.testing.assert_allclose(scores.scores, model.predict_proba(FRAME), rtol=0, atol=1e-12)


def test_float32_goes_only_where_batches_cannot_differ():
    def float_dtype(model):
        return Signature.of(model.fit(FRAME, BINARY)).float_dtype

    assert float_dtype(RandomForestClassifier(2)) == "float32"
    assert float_dtype(make_pipeline(StandardScaler(), HistGradientBoostingRegressor(max_iter=2))) == "float32"
    assert float_dtype(LogisticRegression()) == "float64"
    assert float_dtype(make_pipeline(StandardScaler(), LinearRegression())) == "float64"
    assert float_dtype(make_pipeline(FunctionTransformer(), RandomForestClassifier(2))) == "float64"


def test_a_signature_travels_as_json():
    model = LogisticRegression().fit(FRAME, np.where(BINARY, "yes", "no"))
    for signature in (Signature.of(model, sample=FRAME), Signature.of(model, columns=["x"])):
        assert Signature.from_mapping(json.loads(json.dumps(signature.to_mapping()))) == signature
    with pytest.raises(SignatureError, match="can't be read"):
        Signature.from_mapping({"task": "classifier"})


# ---- binding

SIGNATURE = Signature.of(LogisticRegression().fit(FRAME, BINARY))


def test_numbers_of_every_kind_become_columns_in_the_models_order():
    schema = _schema(flag=FieldKind.BOOLEAN, note=FieldKind.STRING)
    binding = bind(SIGNATURE, schema)
    assert isinstance(binding, Binding)
    more = {"flag": True, "note": "x"}
    matrix, bad = binding.inputs(
        _blobs(
            schema,
            {"amount": 1.5, "hour": 3, "age": None} | more,
            {"amount": float("inf"), "hour": -1, "age": 7} | more,
        )
    )
    assert not bad
    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix, [[1.5, 3, np.nan], [np.inf, -1, 7]])


@pytest.mark.parametrize("kind", [FieldKind.STRING, FieldKind.ARRAY_OF_FLOAT64, FieldKind.DECIMAL, FieldKind.COMPACT])
def test_wrong_type(kind):
    found = bind(SIGNATURE, _schema(hour=kind))
    assert found == Mismatch("WRONG_TYPE", f"hour is {kind.name} in payments, the model needs a number")


def test_missing_feature():
    found = bind(SIGNATURE, _schema(hour=None, age=None))
    assert found == Mismatch("MISSING_FEATURE", "hour, age: no such field in payments (amount)")


@pytest.mark.parametrize("kind", [FieldKind.BOOLEAN, FieldKind.NULLABLE_BOOLEAN])
def test_booleans_are_numbers(kind):
    schema = _schema(hour=kind)
    matrix, _ = bind(SIGNATURE, schema).inputs(_blobs(schema, {"amount": 1.0, "hour": True, "age": 1}))
    assert matrix.tolist() == [[1, 1, 1]]


def test_float32_records():
    schema = Schema.of("payments", dict.fromkeys(NAMES, FieldKind.FLOAT32))
    trees = Signature.of(RandomForestClassifier(2).fit(FRAME, BINARY))
    assert bind(trees, schema).dtype == np.float32
    assert bind(SIGNATURE, schema).dtype == np.float64
    assert bind(trees, _schema()).dtype == np.float64


def test_an_array_field_of_the_right_length():
    signature = Signature.of(LinearRegression().fit(MATRIX, BINARY), columns=["x"])
    binding = bind(signature, ARRAY)
    records = [{"x": value, "id": 1} for value in ([1.0, 2, 3], [1.0], None, [4.0, 5, 6], [1.0, 2, 3, 4])]
    matrix, bad = binding.inputs(_blobs(ARRAY, *records))
    assert bad == dict.fromkeys([1, 2, 4], Mismatch("WRONG_TYPE", "x is null or has not 3 values"))
    np.testing.assert_array_equal(matrix[[0, 3]], [[1, 2, 3], [4, 5, 6]])
    assert bind(signature, _schema()).cause == "MISSING_FEATURE"
    assert bind(signature, _schema(x=FieldKind.FLOAT64)).cause == "WRONG_TYPE"
    assert bind(signature, _schema(x=FieldKind.ARRAY_OF_STRING)).cause == "WRONG_TYPE"


def test_unknown_order_is_settled_by_the_only_array_or_refused():
    signature = Signature.of(LinearRegression().fit(MATRIX, BINARY))
    assert bind(signature, ARRAY).signature.array_field == "x"
    assert resolve(signature, ARRAY).names == ("x[0]", "x[1]", "x[2]")
    two = Schema.of("payments", {"x": FieldKind.ARRAY_OF_FLOAT32, "y": FieldKind.ARRAY_OF_INT8})
    for schema in (None, two, _schema()):
        with pytest.raises(SignatureError, match="without feature names") as caught:
            resolve(signature, schema)
        assert "columns = [" in caught.value.remedy
    assert 'columns = ["age", "amount", "hour"]' in caught.value.remedy
    assert resolve(SIGNATURE, None) is SIGNATURE
