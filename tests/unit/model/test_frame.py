"""Models that pick their columns by name get strings, dates and nulls as pandas would have read them."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from grid_inference.errors import SignatureError
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.inputs.binding import Binding, bind
from grid_inference.model.inputs.frame import Frame
from grid_inference.model.inputs.json_binding import JsonBinding
from grid_inference.model.inputs.sources import Mismatch, Sources
from grid_inference.model.signature import Signature
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema, encode_record
from grid_inference.wire.json.values import encode_json

ROWS = 300
random = np.random.default_rng(11)
CITIES = np.array(["Ghent", "Łódź", "Porto", "Αθήνα"], object)
TABLE = pd.DataFrame(
    {
        "city": CITIES[random.integers(0, 4, ROWS)],
        "amount": random.exponential(40, ROWS),
        "items": random.integers(1, 9, ROWS),
        "express": random.random(ROWS) < 0.3,
    }
)
TARGET = np.where(TABLE["amount"] + 20 * (TABLE["city"] == "Porto") > 40, "late", "early")
GAPS = TABLE.copy()
GAPS.loc[::7, "city"] = np.nan
GAPS.loc[::5, "amount"] = np.nan
SCHEMA = Schema.of(
    "orders",
    {
        "city": FieldKind.STRING,
        "amount": FieldKind.NULLABLE_FLOAT64,
        "items": FieldKind.INT32,
        "express": FieldKind.BOOLEAN,
        "note": FieldKind.STRING,
    },
)


def _model(*, gaps: bool = False):
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [("texts", texts, ["city"]), ("numbers", numbers, ["amount", "items"])], remainder="passthrough"
    )
    return make_pipeline(columns, LogisticRegression()).fit(GAPS if gaps else TABLE, TARGET)


def _records(table: pd.DataFrame) -> Blobs:
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return Blobs.of([encode_record(SCHEMA, row) for row in rows])


def _bound(model, sample=None, schema: Schema = SCHEMA) -> Binding:
    binding = bind(Signature.of(model, sample=sample), schema)
    assert isinstance(binding, Binding)
    return binding


@pytest.mark.parametrize("table", [TABLE, GAPS], ids=["whole", "gaps"])
def test_strings_and_numbers_are_scored_as_by_the_bare_model(table):
    model = _model(gaps=True)
    binding = _bound(model)
    inputs, misfits = binding.inputs(_records(table))
    assert isinstance(inputs, Frame)
    assert not misfits
    engine = SklearnEngine(model, binding.signature)
    scores, good, failures = engine.score(inputs, "score")
    assert not failures
    np.testing.assert_array_equal(good, np.arange(ROWS))
    np.testing.assert_allclose(scores.scores, model.predict_proba(table), rtol=0, atol=1e-12)
    assert np.asarray(model.classes_)[scores.label_index].tolist() == model.predict(table).tolist()


def test_each_row_of_a_batch_is_scored_as_alone():
    model = _model()
    binding = _bound(model)
    engine = SklearnEngine(model, binding.signature)
    inputs, _ = binding.inputs(_records(TABLE))
    together = engine.predict(inputs).score
    alone = [engine.predict(inputs[row : row + 1]).score[0] for row in range(20)]
    np.testing.assert_allclose(alone, together[:20], rtol=0, atol=1e-12)


def test_types_follow_from_the_field_and_not_from_the_batch():
    binding = _bound(_model())
    for table in (TABLE.iloc[:1], GAPS.iloc[:1], GAPS):
        inputs, _ = binding.inputs(_records(table))
        assert {name: values.dtype.name for name, values in inputs.columns.items()} == {
            "city": "object",
            "amount": "float64",
            "items": "int64",
            "express": "bool",
        }


def test_missing_values_are_refused_unless_the_sample_had_them():
    model = _model(gaps=True)
    records = _records(GAPS.iloc[:8])
    for sample, bad, said in ((None, [0, 5, 7], "city is NaN or null, amount is NaN or null"), (GAPS, [], "")):
        binding = _bound(model, sample)
        inputs, _ = binding.inputs(records)
        _, good, failures = SklearnEngine(model, binding.signature).score(inputs, "dead-letter")
        assert [failure.row for failure in failures] == bad
        assert good.tolist() == [row for row in range(8) if row not in bad]
        if failures:
            assert (failures[0].cause, failures[0].message) == ("NAN_FEATURE", said)


def test_a_missing_value_that_the_sample_had_passes_in_a_matrix_too():
    table = TABLE[["amount", "items"]].astype(float)
    table.loc[::5, "amount"] = np.nan
    model = make_pipeline(SimpleImputer(), LogisticRegression()).fit(table, TARGET)
    engine = SklearnEngine(model, Signature.of(model, sample=table))
    rows = np.array([[np.nan, 1.0], [1.0, np.nan], [np.inf, 1.0], [1.0, 1.0]])
    _, good, failures = engine.score(rows, "dead-letter")
    assert good.tolist() == [0, 3]
    assert [failure.message for failure in failures] == ["items is NaN or null", "amount is infinite"]


def test_a_row_that_the_model_refuses_costs_the_others_nothing():
    def hours(table):
        if (table["city"] == "nowhere").any():
            raise ValueError("no such city")
        return table[["amount"]]

    model = make_pipeline(FunctionTransformer(hours), LogisticRegression()).fit(TABLE, TARGET)
    table = TABLE.copy()
    table.loc[[3, 50], "city"] = "nowhere"
    binding = _bound(model)
    inputs, _ = binding.inputs(_records(table))
    scores, good, failures = SklearnEngine(model, binding.signature).score(inputs)
    assert [(failure.row, failure.cause) for failure in failures] == [(3, "MODEL_ERROR"), (50, "MODEL_ERROR")]
    np.testing.assert_allclose(scores.scores, model.predict_proba(TABLE.iloc[good]), rtol=0, atol=1e-12)


def test_a_column_of_text_for_a_vectorizer():
    words = pd.DataFrame({"city": ["late again", "on time", "late", "time"] * 5, "items": [1, 2, 3, 4] * 5})
    model = make_pipeline(
        ColumnTransformer([("words", CountVectorizer(), "city")], remainder="passthrough"), RandomForestClassifier(3)
    ).fit(words, ["a", "b"] * 10)
    binding = _bound(model)
    rows = [{"items": 1, "express": False, **row} for row in words.to_dict("records")]
    inputs, _ = binding.inputs(Blobs.of([encode_record(SCHEMA, row) for row in rows]))
    scores = SklearnEngine(model, binding.signature).predict(inputs)
    np.testing.assert_array_equal(scores.scores, model.predict_proba(words))


def test_what_can_not_be_a_column():
    model = _model()
    kinds = {each.name: each.kind for each in SCHEMA.fields}
    found = bind(Signature.of(model), Schema.of("orders", {**kinds, "city": FieldKind.ARRAY_OF_STRING}))
    message = "city is ARRAY_OF_STRING in orders, the model needs a number, a string, a date or a time"
    assert found == Mismatch("WRONG_TYPE", message)


def test_a_sample_tells_types_and_gaps():
    days = pd.Series(pd.date_range(dt.datetime(2026, 1, 1), periods=ROWS))  # noqa: DTZ001  # a file's dates
    inputs = Signature.of(_model(), sample=GAPS.assign(day=days)).inputs
    assert [(each.name, each.dtype, each.nullable) for each in inputs] == [
        ("city", "string", True),
        ("amount", "float64", True),
        ("items", "int64", False),
        ("express", "bool", False),
    ]


def _weekday(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"weekday": pd.to_datetime(table["day"]).dt.day_of_week, "amount": table["amount"]})


def test_dates_and_decimals():
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=row) for row in range(ROWS)]
    table = pd.DataFrame({"day": np.array(days, "datetime64[D]"), "amount": TABLE["amount"].round(2)})
    model = make_pipeline(FunctionTransformer(_weekday), SimpleImputer(), LogisticRegression()).fit(table, TARGET)
    schema = Schema.of("orders", {"day": FieldKind.DATE, "amount": FieldKind.DECIMAL})
    amounts = [Decimal(str(amount)) for amount in table["amount"]]
    rows = [{"day": day, "amount": amount} for day, amount in zip(days, amounts, strict=True)]
    binding = _bound(model, schema=schema)
    inputs, misfits = binding.inputs(Blobs.of([encode_record(schema, row) for row in [*rows, {}]]))
    assert not misfits
    scores, good, failures = SklearnEngine(model, binding.signature).score(inputs)
    np.testing.assert_allclose(scores.scores, model.predict_proba(table), rtol=0, atol=1e-12)
    assert good.size == ROWS
    assert [failure.message for failure in failures] == ["day is NaN or null, amount is NaN or null"]


def test_a_model_fitted_on_polars_frames_gets_polars_frames():
    """Its own steps use what only polars has; a null is a null there, of any type."""

    def features(table):
        return table.select(
            pl.col("city").fill_null("nowhere").str.len_chars().cast(pl.Float64),
            pl.col("amount").fill_null(-1.0),
            pl.col("items").cast(pl.Float64),
        )

    table = pl.from_pandas(GAPS)
    model = make_pipeline(FunctionTransformer(features), LogisticRegression()).fit(table, TARGET)
    assert table["city"].null_count()
    assert table["amount"].null_count()
    binding = _bound(model, sample=table)
    assert binding.signature.frame_type == "polars"
    assert Signature.from_mapping(binding.signature.to_mapping()) == binding.signature
    inputs, misfits = binding.inputs(_records(GAPS))
    assert not misfits
    engine = SklearnEngine(model, binding.signature)
    scores, good, failures = engine.score(inputs)
    assert (good.size, failures) == (ROWS, [])
    np.testing.assert_allclose(scores.scores, model.predict_proba(table), rtol=0, atol=1e-12)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_library_that_is_not_installed_is_named(library, monkeypatch):
    signature = replace(Signature.of(_model()), frame_type=library)
    monkeypatch.setattr("grid_inference.model.engines.sklearn.find_spec", lambda _name: None)
    with pytest.raises(SignatureError, match=f"a DataFrame of {library}, which is not installed here") as refused:
        SklearnEngine(_model(), signature)
    assert refused.value.remedy == f"pip install 'grid-inference[{library}]'"


@pytest.mark.parametrize("mates", [[], [{"city": "Ghent", "amount": 1.0}], [{"city": None, "amount": None}]])
def test_a_value_beyond_float32_is_refused_whatever_its_mates_hold(mates):
    texts = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("texts", texts, ["city"])], remainder="passthrough")
    table = TABLE[["city", "amount"]]
    model = make_pipeline(columns, DecisionTreeClassifier(max_depth=3)).fit(table, TARGET)
    binding = _bound(model)
    rows = [{"city": "Porto", "amount": -1e100}, *mates]
    inputs, _ = binding.inputs(Blobs.of([encode_record(SCHEMA, {"items": 1, "express": True, **row}) for row in rows]))
    failures = SklearnEngine(model, binding.signature).score(inputs, "score")[2]
    assert [(failure.row, failure.cause) for failure in failures] == [(0, "MODEL_ERROR")]


LARGE = 2**53
COUNTED = pd.DataFrame({"id": np.array([LARGE, LARGE + 1, 5, 6] * 10), "n": np.arange(40) % 7, "x": np.arange(40) / 8})
COUNTS = Schema.of(
    "counts", {"id": FieldKind.NULLABLE_INT64, "n": FieldKind.NULLABLE_INT32, "x": FieldKind.NULLABLE_FLOAT64}
)


def _counting():
    columns = ColumnTransformer(
        [("id", OneHotEncoder(handle_unknown="ignore"), ["id"]), ("numbers", SimpleImputer(), ["n", "x"])]
    )
    return make_pipeline(columns, LogisticRegression()).fit(COUNTED, COUNTED["id"] % 2)


def _as_compact(signature, rows):
    binding = bind(signature, COUNTS)
    assert isinstance(binding, Binding)
    return binding.inputs(Blobs.of([encode_record(COUNTS, row) for row in rows]))


def _as_json(signature, rows):
    return JsonBinding(Sources(signature, {})).inputs(Blobs.of([encode_json(row) for row in rows]))


@pytest.mark.parametrize("read", [_as_compact, _as_json], ids=["compact", "json"])
def test_whole_numbers_are_what_the_sample_says_whatever_their_mates_hold(read):
    """2^53 and 2^53 + 1 are two numbers as int64, and one as float64."""
    model = _counting()
    signature = Signature.of(model, sample=COUNTED)
    engine = SklearnEngine(model, signature)
    rows = COUNTED.iloc[:8].to_dict("records")
    inputs, misfits = read(signature, rows)
    assert {name: values.dtype.name for name, values in inputs.columns.items()} == {
        "id": "int64",
        "n": "int64",
        "x": "float64",
    }
    alone = [engine.predict(inputs[row : row + 1]).score[0] for row in range(8)]
    np.testing.assert_allclose(alone, model.predict_proba(COUNTED.iloc[:8])[:, 1], rtol=0, atol=1e-12)
    assert alone[0] != alone[1]
    mates = [{"id": LARGE + 1, "n": None, "x": 1.0}, {"id": None, "n": 3, "x": None}, {"id": None, "n": None, "x": 0.5}]
    if read is _as_json:
        mates += [{"id": 0.5, "n": 3, "x": 2}, {"id": LARGE + 1, "n": 2.5, "x": 1}, {"id": 5.0, "n": True, "x": 7}]
    together, misfits = read(signature, [*mates, *rows, *mates])
    assert not misfits
    scores, good, _ = engine.score(together, "score")
    assert good.size == len(together.columns["id"])
    np.testing.assert_allclose(scores.score[len(mates) : -len(mates)], alone, rtol=0, atol=1e-12)
    for row, mate in enumerate(mates):
        bare = pd.DataFrame([mate], columns=["id", "n", "x"])
        bare = bare.astype({name: float for name in bare if bare[name].isna().any() or bare[name].dtype == object})
        assert abs(scores.score[row] - model.predict_proba(bare)[0, 1]) < 1e-12, mate
    assert len({tuple(part.columns[name].dtype.kind for name in ("id", "n")) for _, part in together.calls()}) > 1


def test_what_can_be_null_is_what_the_sample_says_where_nothing_is():
    table = TABLE.assign(express=TABLE["express"])
    signature = Signature.of(_model(), sample=table)
    kinds = {each.name: each.kind for each in SCHEMA.fields}
    schema = Schema.of("orders", {**kinds, "items": FieldKind.NULLABLE_INT16, "express": FieldKind.NULLABLE_BOOLEAN})
    binding = bind(signature, schema)
    rows = table.to_dict("records")
    inputs, _ = binding.inputs(Blobs.of([encode_record(schema, row) for row in [*rows, {"city": "Porto"}]]))
    (_, fitting), (_, others) = inputs.calls()
    assert [fitting.columns[name].dtype.name for name in ("items", "express")] == ["int64", "bool"]
    assert [others.columns[name].dtype.name for name in ("items", "express")] == ["float64", "float64"]
    assert (fitting.shape[0], others.shape[0]) == (ROWS, 1)
