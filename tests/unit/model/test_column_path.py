"""A ColumnTransformer's columns made directly are those that it makes itself, whatever texts a batch holds."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

from grid_inference.model.engines import columns as columns_module
from grid_inference.model.engines.columns import ColumnPath
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.inputs.binding import Binding, bind
from grid_inference.model.inputs.frame import Frame
from grid_inference.model.signature import Signature
from grid_inference.wire.columns import Column, objects_of
from grid_inference.wire.compact import encode_columns, infer_schema

ROWS = 400
random = np.random.default_rng(5)


def _table(rows=ROWS, *, cities=6, gaps=False):
    table = pd.DataFrame(
        {
            "city": pd.Series([f"Łódź {number}" for number in random.integers(0, cities, rows)], dtype=object),
            "kind": pd.Series(np.array(["a", "b", "a b", ""], object)[random.integers(0, 4, rows)], dtype=object),
            "amount": random.normal(40, 20, rows),
            "items": random.integers(1, 9, rows),
            "express": random.random(rows) < 0.4,
        }
    )
    if gaps:
        table.loc[::7, "city"] = np.nan
        table.loc[::11, "kind"] = np.nan
        table.loc[::5, "amount"] = np.nan
    return table


TABLE = _table()
GAPS = _table(gaps=True)
TARGET = np.where(TABLE["amount"] + 9 * TABLE["items"] * (TABLE["kind"] == "a b") > 50, "late", "early")
TEXTS, NUMBERS = ["city", "kind"], ["amount", "items"]
UNKNOWN = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
FILL = SimpleImputer(strategy="constant", fill_value="none")
ENCODERS = {
    "ordinal": OrdinalEncoder(**UNKNOWN),
    "ordinal rare": OrdinalEncoder(**UNKNOWN, min_frequency=40, encoded_missing_value=-2),
    "one-hot": OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
    "one-hot rare": OneHotEncoder(sparse_output=False, handle_unknown="infrequent_if_exist", min_frequency=60),
    "one-hot drop": OneHotEncoder(drop="first"),
    "filled": make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
    "filled ordinal": make_pipeline(FILL, OrdinalEncoder(**UNKNOWN)),
}
KNOWN = ["city", "kind", "amount", "items", "express"]


def _transformer(encoder, **more):
    steps = [("texts", encoder, TEXTS), ("numbers", StandardScaler(), NUMBERS)]
    return ColumnTransformer(steps, remainder="passthrough", sparse_threshold=0, **more)


def _frame(table):
    """As decoded records give it: texts that repeat are shared."""
    columns = {name: table[name].to_numpy() for name in table}
    for name in TEXTS:
        columns[name] = objects_of([value if isinstance(value, str) else None for value in table[name].tolist()])
    columns["amount"] = Column(table["amount"].fillna(0).to_numpy(), table["amount"].notna().to_numpy())
    schema = infer_schema("orders", columns)
    binding = bind(Signature.of(_fitted("ordinal", LogisticRegression(), GAPS)), schema)
    assert isinstance(binding, Binding)
    inputs, misfits = binding.inputs(encode_columns(schema, columns))
    assert not misfits
    assert isinstance(inputs, Frame)
    return inputs


def _fitted(encoder, last, table=TABLE):
    numbers = make_pipeline(_transformer(ENCODERS[encoder]), SimpleImputer(), last)
    return numbers.fit(table, TARGET if hasattr(last, "predict_proba") else TABLE["amount"])


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("fitted_on", [TABLE, GAPS], ids=["whole", "gaps"])
def test_the_columns_are_those_of_the_transformer(encoder, fitted_on):
    transformer = _transformer(ENCODERS[encoder]).fit(fitted_on)
    path = ColumnPath.of(transformer)
    assert path is not None
    batches = [TABLE, TABLE[:1], _table(), _table(2000), *([GAPS, GAPS[:70]] if fitted_on is GAPS else [])]
    for table in batches:
        if table.isna().any(axis=None) and not _takes_gaps(encoder):
            continue
        found = path(_frame(table), finite=not table.isna().any(axis=None))
        assert found is not None
        np.testing.assert_array_equal(found, transformer.transform(table).astype(float))


def _takes_gaps(encoder):
    return encoder != "one-hot drop"


@pytest.mark.parametrize("encoder", ENCODERS)
def test_unknown_texts_are_what_the_encoder_says(encoder):
    transformer = _transformer(ENCODERS[encoder]).fit(TABLE)
    path = ColumnPath.of(transformer)
    assert path is not None
    table = _table(300, cities=40)
    if encoder == "one-hot drop":
        with pytest.raises(ValueError, match="unknown categories"):
            path(_frame(table), finite=True)
        return
    for _ in range(2):
        np.testing.assert_array_equal(path(_frame(table), finite=True), transformer.transform(table).astype(float))


@pytest.mark.parametrize("limit", [3, 50_000])
def test_more_texts_than_are_remembered(limit, monkeypatch):
    monkeypatch.setattr(columns_module, "REMEMBERED_TEXTS_MAX", limit)
    table = _table(3000, cities=400)
    transformer = _transformer(ENCODERS["ordinal"]).fit(table)
    path = ColumnPath.of(transformer)
    assert path is not None
    for batch in (table, table[1500:], _table(3000, cities=600), table[:40]):
        found = path(_frame(batch), finite=True)
        np.testing.assert_array_equal(found, transformer.transform(batch).astype(float))


def test_texts_that_hardly_repeat_are_left_to_the_model():
    table = _table(3000, cities=10**6)
    last = RandomForestClassifier(5, random_state=0)
    model = make_pipeline(_transformer(ENCODERS["ordinal"]), last).fit(table, table["express"])
    path = ColumnPath.of(model[0])
    assert path is not None
    assert path(_frame(table), finite=True) is None
    few = path(_frame(table[:500]), finite=True)
    np.testing.assert_array_equal(few, model[0].transform(table[:500]).astype(float))
    scores, good, failures = SklearnEngine(model, Signature.of(model)).score(_frame(table))
    assert (good.size, failures) == (3000, [])
    np.testing.assert_allclose(scores.scores, model.predict_proba(table), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "last",
    [
        LogisticRegression(),
        RandomForestClassifier(5, random_state=0),
        HistGradientBoostingClassifier(max_iter=5),
        Ridge(),
    ],
    ids=lambda last: type(last).__name__,
)
@pytest.mark.parametrize("encoder", ["ordinal", "one-hot", "filled"])
def test_scores_are_those_of_the_bare_model(encoder, last):
    model = _fitted(encoder, last, GAPS)
    engine = SklearnEngine(model, Signature.of(model))
    for table in (TABLE, GAPS, _table(300, cities=40), TABLE[:1]):
        scores, good, failures = engine.score(_frame(table), "score")
        assert not failures
        assert good.size == len(table)
        if scores.label_index is None:
            np.testing.assert_allclose(scores.score, model.predict(table), rtol=1e-12, atol=1e-12)
        else:
            np.testing.assert_allclose(scores.scores, model.predict_proba(table), rtol=0, atol=1e-12)
            assert (model.classes_[scores.label_index] == model.predict(table)).all()


def test_an_unknown_category_costs_only_its_rows():
    transformer = ColumnTransformer([("texts", OrdinalEncoder(), TEXTS), ("numbers", StandardScaler(), NUMBERS)])
    model = make_pipeline(transformer, LogisticRegression()).fit(TABLE, TARGET)
    engine = SklearnEngine(model, Signature.of(model))
    table = TABLE.copy()
    table.loc[[3, 250], "city"] = ["nowhere", "elsewhere"]
    for _ in range(2):
        scores, good, failures = engine.score(_frame(table))
        assert [(failure.row, failure.cause) for failure in failures] == [(3, "MODEL_ERROR"), (250, "MODEL_ERROR")]
        assert "['nowhere'] in column 0 during transform" in failures[0].message
        np.testing.assert_allclose(scores.scores, model.predict_proba(table.iloc[good]), rtol=0, atol=1e-12)


def test_an_infinite_number_is_left_to_the_model():
    model = _fitted("ordinal", LogisticRegression())
    table = TABLE.copy()
    table.loc[9, "amount"] = np.inf
    failures = SklearnEngine(model, Signature.of(model)).score(_frame(table), "score")[2]
    assert [(failure.row, failure.cause) for failure in failures] == [(9, "MODEL_ERROR")]


def test_a_text_where_the_encoder_knows_numbers_is_left_to_the_model():
    transformer = ColumnTransformer([("codes", OrdinalEncoder(), ["items"]), ("numbers", StandardScaler(), ["amount"])])
    path = ColumnPath.of(transformer.fit(TABLE))
    assert path is not None
    assert path(_frame(TABLE), finite=True) is None


@pytest.mark.parametrize(
    "steps",
    [
        [("texts", OrdinalEncoder(dtype=np.float32), TEXTS)],
        [("texts", OneHotEncoder(), TEXTS)],
        [("words", CountVectorizer(), "city")],
        [("numbers", MinMaxScaler(), NUMBERS)],
        [
            (
                "texts",
                make_pipeline(SimpleImputer(strategy="most_frequent", add_indicator=True), OrdinalEncoder()),
                TEXTS,
            )
        ],
        [("same", "passthrough", NUMBERS)],
    ],
    ids=["float32", "sparse", "words", "another scaler", "indicator", "passes through"],
)
def test_what_is_not_known_is_left_to_the_model(steps):
    assert ColumnPath.of(ColumnTransformer(steps, sparse_threshold=1.0).fit(GAPS if len(steps) > 1 else TABLE)) is None


def test_a_transformer_that_gives_data_frames_is_left_to_the_model():
    transformer = clone(_transformer(ENCODERS["ordinal"])).set_output(transform="pandas").fit(TABLE)
    assert ColumnPath.of(transformer) is None


def test_rows_of_a_frame_know_only_their_own_texts():
    frame = _frame(GAPS)
    for rows in (slice(0, 5), np.array([0, 7, 9]), np.arange(ROWS) % 7 > 0):
        part = frame[rows]
        for name in TEXTS:
            texts = part.texts(name)
            assert texts is not None
            expected = GAPS[name].to_numpy()[rows]
            assert [str(value) for value in texts.values()] == [str(value) for value in expected]
            assert len(texts.distinct) == len(set(texts.values().tolist()))
        assert part.absent.tolist() == GAPS.iloc[np.arange(ROWS)[rows]][list(part.columns)].isna().to_numpy().tolist()
