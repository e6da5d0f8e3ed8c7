"""Records as the model sees them: the bare model's answer on the frame that was put, or a refusal with its reason."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder
from sklearn.tree import DecisionTreeRegressor

from grid_inference.errors import SignatureError
from tests.battery.records import Published

ROWS = 120
RNG = np.random.default_rng(5)
FORMS = ("compact", "json")
every_form = pytest.mark.parametrize("form", FORMS)


def texts(null: object) -> pd.DataFrame:
    """A column of texts some of which are missing, as objects."""
    values = np.array(["red", "blue", null], object)[np.arange(ROWS) % 3]
    return pd.DataFrame({"city": pd.Series(values, dtype=object), "amount": RNG.random(ROWS)})


def said_by(model: object, table: pd.DataFrame) -> np.ndarray:
    return np.asarray(model.predict(table), float).reshape(-1)


def same(answers: list, expected: np.ndarray, tolerance: float = 1e-9) -> None:
    assert [each.refused for each in answers if each.refused] == []
    np.testing.assert_allclose([each.score for each in answers], expected, rtol=tolerance, atol=tolerance)


def flag_alone(table):
    return table[["flag"]]


def gaps(table):
    return table.isna()


def gaps_of_c(table):
    return table.assign(c=table["c"].isna())


def amount_alone(table):
    return table[["amount"]]


def scaled_alone(table):
    return table[["a__a"]]


def centered(table):
    return table - table.mean()


def codes(table):
    return table["city"].cat.codes.to_frame()


def days(table):
    return np.array([[value.day if isinstance(value, dt.date) else value.hour] for value in table["at"]])


# ---- what stands for a null

WAYS = {
    "onehot": lambda: OneHotEncoder(handle_unknown="ignore"),
    "onehot strict": OneHotEncoder,
    "ordinal": OrdinalEncoder,
    "ordinal unknown": lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    "target": lambda: TargetEncoder(target_type="continuous"),
    "imputer": lambda: make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
    "imputer of None": lambda: make_pipeline(
        SimpleImputer(missing_values=None, strategy="constant", fill_value="none"), OneHotEncoder()
    ),
}


@every_form
@pytest.mark.parametrize("sampled", [False, True], ids=["no sample", "sample"])
@pytest.mark.parametrize("null", [None, np.nan], ids=["None", "NaN"])
@pytest.mark.parametrize("way", WAYS)
def test_a_null_is_what_the_encoder_was_fitted_with(way: str, null: object, sampled: object, form: str) -> None:
    if way == "imputer of None" and null is not None:
        pytest.skip("the imputer was told of None")
    table = texts(null)
    target = np.where(table["city"] == "red", 1.0, np.where(table["city"] == "blue", 2.0, 5.0)) + table["amount"]
    steps = ColumnTransformer([("city", WAYS[way](), ["city"])], remainder="passthrough")
    model = make_pipeline(steps, DecisionTreeRegressor(random_state=0)).fit(table, target)
    published = Published(model, sample=table if sampled else None)
    same(published.answers(table, form), said_by(model, table))
    same(published.answers(table.iloc[2:3], form), said_by(model, table.iloc[2:3]))
    same(published.answers(pd.concat([table] * 3), form), said_by(model, pd.concat([table] * 3)))


@every_form
@pytest.mark.parametrize("null", [None, np.nan], ids=["None", "NaN"])
def test_an_encoder_that_stands_first_takes_texts(null: object, form: str) -> None:
    table = texts(null)[["city"]].assign(kind=pd.Series(["a", "b"] * (ROWS // 2), dtype=object))
    target = np.arange(ROWS) % 3 + 1.0
    model = make_pipeline(OneHotEncoder(), DecisionTreeRegressor(random_state=0)).fit(table, target)
    for sample in (None, table):
        same(Published(model, sample=sample).answers(table, form), said_by(model, table))


def tells_nulls(table: pd.DataFrame) -> np.ndarray:
    """Whatever tells None from NaN from pd.NA."""
    values = {type(None): 1.0, float: 2.0, type(pd.NA): 3.0, str: 0.0}
    return np.array([[values[type(value)]] for value in table["city"].tolist()])


@every_form
@pytest.mark.parametrize("null", [None, np.nan, pd.NA], ids=["None", "NaN", "NA"])
def test_a_null_is_what_the_sample_has(null: object, form: str) -> None:
    table = texts(None)
    table["city"] = table["city"].astype("string") if null is pd.NA else texts(null)["city"]
    model = make_pipeline(FunctionTransformer(tells_nulls), LinearRegression()).fit(table, range(ROWS))
    published = Published(model, sample=table)
    assert len(set(said_by(model, table))) == 2
    same(published.answers(table, form), said_by(model, table))
    same(published.answers(table.iloc[2:3], form), said_by(model, table.iloc[2:3]))


def test_a_sample_with_two_sorts_of_null() -> None:
    table = texts(None)
    table.loc[2, "city"] = np.nan
    model = make_pipeline(FunctionTransformer(tells_nulls), LinearRegression()).fit(table, range(ROWS))
    with pytest.raises(SignatureError, match="'city' has None and NaN for what is missing"):
        Published(model, sample=table)


def test_the_self_check_looks_at_rows_with_gaps() -> None:
    table = texts(None)
    steps = ColumnTransformer([("city", OneHotEncoder(), ["city"])], remainder="passthrough")
    model = make_pipeline(steps, DecisionTreeRegressor()).fit(table, range(ROWS))
    expected = Published(model, sample=table).made.expected
    assert expected is not None
    assert None in expected.columns["city"]


# ---- one type whatever the batch


def sees(table: pd.DataFrame) -> np.ndarray:
    kinds = {"b": 5.0, "f": 3.0, "i": 2.0, "O": 4.0, "M": 1.0}
    kind = kinds.get(getattr(table["flag"].dtype, "kind", "O"), 4.0)
    return np.column_stack([np.full(len(table), kind), table["flag"].isna()])


@every_form
@pytest.mark.parametrize(
    "values",
    [
        pd.Series([True, False] * 60),
        pd.Series(np.array([True, None] * 60, object)),
        pd.Series([True, None] * 60, dtype="boolean"),
        pd.Series([1, 2] * 60),
        pd.Series([1, None] * 60, dtype="Int64"),
        pd.Series([1.5, np.nan] * 60),
        pd.Series(["a", None] * 60),
        pd.Series([True, False] * 60).astype(float),
    ],
    ids=["bool", "bool None", "boolean", "int", "Int64", "float", "str", "whole floats"],
)
def test_a_columns_type_is_the_samples(values: pd.Series, form: str) -> None:
    table = pd.DataFrame({"flag": values})
    model = make_pipeline(FunctionTransformer(sees), LinearRegression()).fit(
        pd.concat([table, table.astype(float) if values.dtype == bool else table]), np.arange(2 * ROWS)
    )
    published, expected = Published(model, sample=table), said_by(model, table)
    for batch in (0, 1, 7):
        same(published.answers(table, form, batch=batch), expected)


def test_json_types_follow_from_the_encoder() -> None:
    table = texts(np.nan).assign(flag=np.arange(ROWS) % 2 == 0)
    steps = ColumnTransformer(
        [("city", OneHotEncoder(), ["city"]), ("flag", OneHotEncoder(handle_unknown="ignore"), ["flag"])],
        remainder="passthrough",
    )
    model = make_pipeline(steps, DecisionTreeRegressor(random_state=0)).fit(table, range(ROWS))
    published = Published(model)
    expected = said_by(model, table)
    for batch in (0, 1, 70):
        same(published.answers(table, "json", batch=batch), expected)


def test_a_value_of_another_type_costs_its_record_alone() -> None:
    table = pd.DataFrame({"city": ["red", "blue"] * 60, "flag": [True, False] * 60})
    model = make_pipeline(FunctionTransformer(flag_alone), LinearRegression()).fit(table, range(ROWS))
    published = Published(model, sample=table)
    odd = pd.DataFrame(
        {"city": np.array(["red", 3, "red", "red"], object), "flag": np.array([True, True, None, 1.5], object)}
    )
    refused = [
        "",
        "WRONG_TYPE: city is a number, the model needs a string",
        "WRONG_TYPE: flag is null, the model needs a boolean",
        "WRONG_TYPE: flag is a number, the model needs a boolean",
    ]
    for batch in (0, 1, 2):
        assert [each.refused for each in published.answers(odd, "json", batch=batch)] == refused


def test_json_for_a_function_needs_a_sample() -> None:
    table = pd.DataFrame({"flag": [True, False] * 60})
    model = make_pipeline(FunctionTransformer(sees), LinearRegression()).fit(table, range(ROWS))
    [one] = Published(model).answers(table[:1], "json")
    assert one.refused.startswith("WRONG_TYPE: flag: nothing tells which type the model takes it in")
    same(Published(model).answers(table), said_by(model, table))


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_a_text_in_json_is_one_without_a_sample(batch: int) -> None:
    table = pd.DataFrame({"flag": ["red", "blue"] * 60})
    model = make_pipeline(FunctionTransformer(sees), LinearRegression()).fit(table, range(ROWS))
    mixed = pd.DataFrame({"flag": np.array(["red", 3, None, "blue"], object)})
    told = Published(model).answers(mixed, "json", batch=batch)
    assert [bool(each.refused) for each in told] == [False, True, True, False]
    same([told[0], told[3]], said_by(model, table[:2]))


# ---- dates, times and zones

START = pd.Timestamp("2026-03-28 20:00")


def hours(table: pd.DataFrame) -> np.ndarray:
    return np.column_stack([table["at"].dt.hour, table["at"].dt.day])


def as_whole(table: pd.DataFrame) -> np.ndarray:
    return table[["at"]].astype("int64").to_numpy() % 1009


MOMENTS = {
    "naive us": pd.Series(pd.date_range(START, periods=ROWS, freq="h", unit="us")),
    "naive ns": pd.Series(pd.date_range(START, periods=ROWS, freq="h", unit="ns")),
    "naive s": pd.Series(pd.date_range(START, periods=ROWS, freq="h", unit="s")),
    "Berlin": pd.Series(pd.date_range(START, periods=ROWS, freq="h", unit="us", tz="Europe/Berlin")),
    "Kolkata ns": pd.Series(pd.date_range(START, periods=ROWS, freq="h", unit="ns", tz="Asia/Kolkata")),
    "UTC": pd.Series(pd.date_range(START, periods=ROWS, freq="h", unit="us", tz="UTC")),
}


@every_form
@pytest.mark.parametrize("function", [hours, as_whole])
@pytest.mark.parametrize("moments", MOMENTS)
def test_moments_are_those_of_the_sample(moments: str, function, form: str) -> None:
    table = pd.DataFrame({"at": MOMENTS[moments], "amount": RNG.random(ROWS)})
    model = make_pipeline(FunctionTransformer(function), LinearRegression()).fit(table, RNG.random(ROWS))
    published = Published(model, sample=table)
    assert published.made.expected is not None
    for batch in (0, 1):
        same(published.answers(table, form, batch=batch), said_by(model, table))


def test_a_zone_that_nobody_has_told_is_refused() -> None:
    table = pd.DataFrame({"at": MOMENTS["Berlin"]})
    model = make_pipeline(FunctionTransformer(hours), LinearRegression()).fit(table, range(ROWS))
    [first, *_] = Published(model).answers(table)
    assert "at is TIMESTAMP_WITH_TIMEZONE" in first.refused
    assert "zone" in first.refused


@every_form
@pytest.mark.parametrize(("sampled", "put"), [("naive us", "Berlin"), ("Berlin", "naive us")])
def test_a_zone_beside_none_is_refused(sampled: str, put: str, form: str) -> None:
    table = pd.DataFrame({"at": MOMENTS[sampled]})
    model = make_pipeline(FunctionTransformer(hours), LinearRegression()).fit(table, range(ROWS))
    answers = Published(model, sample=table).answers(pd.DataFrame({"at": MOMENTS[put]}), form)
    assert all("zone" in each.refused for each in answers)


@pytest.mark.parametrize(
    "values",
    [
        [dt.date(2026, 1, 1) + dt.timedelta(days) for days in range(ROWS)],
        [dt.time(hour % 24, 30) for hour in range(ROWS)],
    ],
    ids=["dates", "times"],
)
@every_form
def test_dates_and_times_of_python(values: list, form: str) -> None:
    table = pd.DataFrame({"at": pd.Series(values, dtype=object)})
    model = make_pipeline(FunctionTransformer(days), LinearRegression()).fit(table, range(ROWS))
    same(Published(model, sample=table).answers(table, form), said_by(model, table))


def test_moments_that_nanoseconds_can_not_hold() -> None:
    table = pd.DataFrame({"at": MOMENTS["naive ns"]})
    model = make_pipeline(FunctionTransformer(hours), LinearRegression()).fit(table, range(ROWS))
    far = pd.DataFrame({"at": pd.Series(np.array(["2026-01-01", "2900-01-01"], "M8[us]"))})
    near, beyond = Published(model, sample=table).answers(far)
    assert not near.refused
    assert beyond.refused.startswith("WRONG_VALUE: at is")


def test_columns_that_are_no_inputs_are_not_looked_at() -> None:
    table = pd.DataFrame({"a": RNG.random(ROWS), "b": RNG.random(ROWS)})
    model = LinearRegression().fit(table, range(ROWS))
    sample = table.assign(when=pd.period_range("2026-01", periods=ROWS, freq="D"), obj=[object()] * ROWS)
    same(Published(model, sample=sample).answers(table), said_by(model, table))


@pytest.mark.parametrize(
    "column",
    [pd.Series(pd.period_range("2026-01", periods=ROWS, freq="D")), pd.Series(pd.timedelta_range("1h", periods=ROWS))],
    ids=["periods", "durations"],
)
def test_what_no_record_holds_is_refused_at_deploy(column: pd.Series) -> None:
    table = pd.DataFrame({"at": column})
    model = make_pipeline(FunctionTransformer(gaps), LinearRegression()).fit(table, range(ROWS))
    with pytest.raises(SignatureError, match=r"'at' .*no record holds"):
        Published(model, sample=table)


# ---- whatever libraries people hand over as sample


def plain() -> pd.DataFrame:
    return pd.DataFrame({"a": RNG.random(ROWS), "b": RNG.integers(0, 9, ROWS)})


@pytest.mark.parametrize(
    "made",
    [
        pl.from_pandas,
        lambda table: pl.from_pandas(table).lazy(),
        pa.Table.from_pandas,
        pa.RecordBatch.from_pandas,
        lambda table: table.to_dict("list"),
        lambda table: table.to_dict("records"),
        lambda table: table.astype({"b": "Int64"}),
        lambda table: table.to_numpy(),
        lambda table: table.to_numpy().tolist(),
    ],
    ids=["polars", "lazy", "arrow", "batch", "lists", "records", "Int64", "matrix", "rows"],
)
@pytest.mark.parametrize("named", [True, False])
def test_samples_of_all_libraries(made, named: object) -> None:
    table = plain()
    model = LinearRegression().fit(table if named else table.to_numpy(), range(ROWS))
    published = Published(model, None if named else ["a", "b"], made(table))
    assert published.made.expected is not None
    same(published.answers(table), said_by(model, table if named else table.to_numpy()))


def test_whole_numbers_as_column_names() -> None:
    table = plain().set_axis([0, 1], axis=1)
    model = LinearRegression().fit(table, range(ROWS))
    published = Published(model, sample=table)
    assert published.signature.names == ("0", "1")
    same(published.answers(table), said_by(model, table))


@pytest.mark.parametrize("dtype", ["boolean", "string"])
def test_a_sample_of_extension_types_with_gaps(dtype: str) -> None:
    values = {"boolean": [True, None, False], "string": ["a", None, "b"]}[dtype]
    table = plain().assign(c=pd.array(values * (ROWS // 3), dtype=dtype))
    model = make_pipeline(FunctionTransformer(gaps_of_c), LinearRegression()).fit(table, range(ROWS))
    for form in FORMS:
        same(Published(model, sample=table).answers(table, form), said_by(model, table))


def test_an_arrow_sample_with_a_dictionary() -> None:
    table = texts(None)
    arrow = pa.table({"city": pa.array(table["city"]).dictionary_encode(), "amount": table["amount"]})
    steps = ColumnTransformer([("city", OneHotEncoder(), ["city"])], remainder="passthrough")
    model = make_pipeline(steps, DecisionTreeRegressor(random_state=0)).fit(table, range(ROWS))
    same(Published(model, sample=arrow).answers(table), said_by(model, table))


# ---- the type of the fit


@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scaled", [True, False])
def test_clusters_of_float32(kind, dtype, scaled: object) -> None:
    table = pd.DataFrame(RNG.random((ROWS, 3)), columns=["a", "b", "c"]).astype(np.float32)
    last = kind(4, n_init=1, random_state=0)
    model = (make_pipeline(StandardScaler(), last) if scaled else last).fit(table)
    answers = Published(model, sample=table).answers(table.astype(dtype))
    assert [each.refused for each in answers if each.refused] == []
    assert [each.label for each in answers] == list(map(str, model.predict(table)))
    np.testing.assert_allclose([each.scores for each in answers], model.transform(table), atol=1e-5)


# ---- several outputs


def _two(table: pd.DataFrame) -> np.ndarray:
    return np.column_stack([table["amount"], 3 - table["amount"]])


@every_form
@pytest.mark.parametrize(
    "last",
    [LinearRegression(), Ridge(), RandomForestRegressor(3), DecisionTreeRegressor(), MultiOutputRegressor(Ridge())],
    ids=lambda each: type(each).__name__,
)
def test_two_outputs_behind_a_column_transformer(last, form: str) -> None:
    table = texts(np.nan)
    steps = ColumnTransformer([("city", OneHotEncoder(), ["city"])], remainder="passthrough")
    model = make_pipeline(steps, last).fit(table, _two(table))
    published = Published(model)
    assert published.signature.outputs == 2
    np.testing.assert_allclose([each.scores for each in published.answers(table, form)], model.predict(table))


def test_two_outputs_behind_a_function() -> None:
    table = texts(np.nan)
    model = make_pipeline(FunctionTransformer(amount_alone), LinearRegression())
    model.fit(table, _two(table))
    assert Published(model).signature.outputs == 2


# ---- texts alone


@every_form
@pytest.mark.parametrize("vectorizer", [TfidfVectorizer(), CountVectorizer(), HashingVectorizer(n_features=64)])
def test_a_vectorizer_of_texts(vectorizer, form: str) -> None:
    words = ["late again", "on time", "late", "time flies"] * 30
    model = make_pipeline(vectorizer, LogisticRegression()).fit(words, ["a", "b", "a", "b"] * 30)
    table = pd.DataFrame({"note": words})
    for how in ({"columns": ["note"]}, {"sample": table}):
        answers = Published(model, **how).answers(table, form)
        np.testing.assert_allclose([each.scores for each in answers], model.predict_proba(words))
        assert [each.label for each in answers] == model.predict(words).tolist()
    with pytest.raises(SignatureError, match="takes one column of texts") as refused:
        Published(model)
    assert 'columns = ["text"]' in str(refused.value.remedy)


# ---- settings of a thread


@every_form
def test_a_model_fitted_to_give_frames(form: str) -> None:
    table = plain()
    with sklearn.config_context(transform_output="pandas"):
        plainly = make_pipeline(StandardScaler(), LinearRegression()).fit(table, range(ROWS))
        mixed = make_pipeline(
            ColumnTransformer([("a", StandardScaler(), ["a"])], remainder="passthrough"),
            FunctionTransformer(scaled_alone),
            LinearRegression(),
        ).fit(table, range(ROWS))
        expected = [said_by(each, table) for each in (plainly, mixed)]
    for model, said in zip((plainly, mixed), expected, strict=True):
        same(Published(model, sample=table).answers(table, form), said)
    same(Published(plainly).answers(table, form), expected[0])


# ---- what a batch changes


def test_neighbours_by_brute_force_do_not_hang_on_the_batch() -> None:
    table = pd.DataFrame(RNG.integers(0, 4, (3000, 6)).astype(float), columns=list("abcdef"))
    model = KNeighborsClassifier(5, algorithm="brute").fit(table, RNG.integers(0, 3, 3000))
    published = Published(model)
    alone = published.answers(table[:300], batch=1)
    for batch in (0, 129, 1000):
        found = published.answers(table, batch=batch)[:300]
        assert [(each.label, each.scores) for each in found] == [(each.label, each.scores) for each in alone]


def test_a_model_that_looks_at_the_batch_is_refused() -> None:
    table = plain()
    model = make_pipeline(FunctionTransformer(centered), LinearRegression())
    model.fit(table, range(ROWS))
    with pytest.raises(SignatureError, match="hangs on the records beside it"):
        Published(model, sample=table)


# ---- what differs from the bare model


def test_what_a_record_can_not_tell_the_model_is_refused_at_deploy() -> None:
    table = pd.DataFrame({"city": pd.Categorical(["red", "blue"] * 60, categories=["red", "green", "blue"])})
    model = make_pipeline(FunctionTransformer(codes), LinearRegression()).fit(table, range(ROWS))
    with pytest.raises(SignatureError, match="category"):
        Published(model, sample=table)


class WholeNumbers(RegressorMixin, BaseEstimator):
    """Adds up the columns of whole numbers, and says nothing of the columns that it was fitted on."""

    def fit(self, rows, target):
        del rows, target
        self.fitted_ = True
        return self

    def predict(self, rows):
        return pd.DataFrame(rows).select_dtypes("int64").sum(axis=1).to_numpy(float)


class NamedWholeNumbers(WholeNumbers):
    """The same, which does."""

    def fit(self, rows, target):
        self.feature_names_in_ = np.array(rows.columns, object)
        return super().fit(rows, target)


class WholeOrNot(ClassifierMixin, BaseEstimator):
    """Tells whole numbers from others by the column's type."""

    def fit(self, rows, target):
        del rows
        self.classes_ = np.unique(target)
        return self

    def predict(self, rows):
        kinds = pd.DataFrame(rows).dtypes
        return np.full(len(rows), "whole" if (kinds == "int64").any() else "none")


class GapsOrNot(WholeNumbers):
    """Takes what stands for a gap in a frame, and raises for what stands for one in a matrix."""

    def predict(self, rows):
        if isinstance(rows, np.ndarray) and np.isnan(rows).any():
            raise ValueError("there is a gap")
        return np.asarray(rows)[:, 0].astype(float) if isinstance(rows, np.ndarray) else rows["count"].to_numpy(float)


def counted() -> pd.DataFrame:
    return pd.DataFrame({"count": np.arange(1, ROWS + 1), "share": np.linspace(0.25, 1, ROWS)})


def test_a_model_whose_records_say_something_else_is_refused() -> None:
    table = counted()
    with pytest.raises(SignatureError) as refused:
        Published(WholeNumbers().fit(table, range(ROWS)), sample=table)
    assert str(refused.value) == "row 0 of the sample has the score 1.0 by the model itself, and 0.0 as a record"
    assert "feature_names_in_" in refused.value.remedy
    with pytest.raises(SignatureError, match="the label 'whole' by the model itself, and 'none' as a record"):
        Published(WholeOrNot().fit(table, ["whole", "none"] * (ROWS // 2)), sample=table)


def test_a_row_that_only_the_bare_model_scores_is_refused() -> None:
    table = counted().assign(share=[np.nan, 0.5] * (ROWS // 2))
    said = r"row 0 of the sample has the score 1\.0 by the model itself, and none \(ValueError: there is a gap\)"
    with pytest.raises(SignatureError, match=said):
        Published(GapsOrNot().fit(table, range(ROWS)), sample=table)


@every_form
def test_a_model_that_names_its_columns_gets_them_as_they_were(form: str) -> None:
    table = counted()
    model = NamedWholeNumbers().fit(table, range(ROWS))
    same(Published(model, sample=table).answers(table, form), said_by(model, table))
    same(Published(model, sample=table[["share", "count"]]).answers(table, form), said_by(model, table))
