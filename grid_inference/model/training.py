"""What a fitted model's steps remember of the columns that they were fitted on: texts or numbers, and what a gap was.

In: an estimator, and the names of its columns. Out: an `Input` for each that a step of scikit-learn's takes. A function
or a class of another library remembers nothing: to it a column's type counts, which only a sample tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

from grid_inference.model.described import Input, null_of

__all__ = [
    "does_nothing",
    "inputs_of_steps",
    "is_opaque",
    "parts",
    "steps_of",
    "takes_numbers_alone",
    "takes_texts_alone",
]

STEPS_DEEP_MAX = 20
"""Steps within steps are followed so far."""


def inputs_of_steps(model: Any, names: Sequence[str]) -> tuple[Input, ...]:
    """The model's inputs as its steps remember them."""
    found = {name: Input(name) for name in names}
    for each in _taken(model, list(names), 0):
        found[each.name] = _both(found[each.name], each)
    return tuple(found.values())


def steps_of(model: Any) -> list[Any]:
    """A Pipeline's steps that are not left out; anything else is a step by itself."""
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    return [step for step in steps if step is not None and step != "passthrough"]


def does_nothing(step: Any) -> bool:
    """Whether a step gives what it gets."""
    return step is None or step == "passthrough" or (isinstance(step, FunctionTransformer) and step.func is None)


def is_opaque(step: Any) -> bool:
    """Whether a step may look at whatever a column is: a function, or what is not scikit-learn's."""
    if isinstance(step, FunctionTransformer):
        function = getattr(step.func, "func", step.func)
        return function is not None and not str(getattr(function, "__module__", "")).startswith("sklearn.")
    return not type(step).__module__.startswith("sklearn.")


def takes_texts_alone(model: Any) -> bool:
    """Whether a model takes a list of texts rather than a table, as behind a vectorizer."""
    step = next(iter(steps_of(model)), None)
    if step is not model and step is not None:
        return takes_texts_alone(step)
    best = getattr(model, "best_estimator_", None)
    if best is not None:
        return takes_texts_alone(best)
    if not isinstance(model, BaseEstimator) or not type(model).__module__.startswith("sklearn."):
        return False
    tags = get_tags(model).input_tags
    return bool(tags.string and not tags.two_d_array)


def takes_numbers_alone(model: Any) -> bool:
    """Whether a model takes a list of numbers rather than a table, as isotonic regression does."""
    if not isinstance(model, BaseEstimator) or not type(model).__module__.startswith("sklearn."):
        return False
    tags = get_tags(model).input_tags
    return bool(tags.one_d_array and not tags.two_d_array and not tags.string)


def parts(value: Any, seen: set[int] | None = None) -> Iterator[BaseEstimator]:
    """Every estimator reachable from a value's attributes, lists and dicts, each once."""
    seen = set[int]() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, BaseEstimator):
        yield value
    for child in _children(value):
        yield from parts(child, seen)


def _children(value: Any) -> list[Any]:
    if isinstance(value, BaseEstimator) or (
        type(value).__module__.startswith("sklearn.") and hasattr(value, "__dict__") and not isinstance(value, dict)
    ):
        return list(vars(value).values())
    if isinstance(value, dict):
        return list(cast("dict[Any, Any]", value).values())
    if isinstance(value, list | tuple):
        return list(cast("list[Any]", value))
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        return [each for each in value.tolist() if not isinstance(each, str)]  # names of columns, mostly
    return []


def _within(step: Any) -> Iterator[Any]:
    """The estimators that a step holds, but not those within them."""
    waiting, seen = _children(step), {id(step)}
    while waiting:
        child = waiting.pop()
        if id(child) in seen:
            continue
        seen.add(id(child))
        if isinstance(child, BaseEstimator):
            yield child
        else:
            waiting += _children(child)


def _both(one: Input, other: Input) -> Input:
    """What two steps that take the same column remember of it."""
    exact = one.exact or other.exact
    dtype = other.dtype if other.dtype not in {"", "float64"} else one.dtype
    if exact and dtype == "float64":
        dtype = ""
    return replace(one, dtype=dtype, null=other.null if other.null != "NaN" else one.null, exact=exact)


def _taken(step: Any, names: list[str], deep: int) -> Iterator[Input]:
    """What a step that takes these columns remembers of them; nothing of those that it gives on as they are."""
    if deep > STEPS_DEEP_MAX or does_nothing(step) or isinstance(step, str):
        return
    if is_opaque(step):
        yield from (Input(name, "", exact=True) for name in names)
    elif isinstance(step, Pipeline):
        yield from _in_turn(steps_of(step), names, deep)
    else:
        yield from _remembered(step, names)
        for inner, own in _steps_within(step, names):
            yield from _taken(inner, own, deep + 1)


def _steps_within(step: Any, names: list[str]) -> Iterator[tuple[Any, list[str]]]:
    """The steps that a step hands its columns to, each with those that it gets."""
    if isinstance(step, ColumnTransformer):
        yield from _columns_of(step, names)
    elif isinstance(step, FeatureUnion):
        yield from ((inner, names) for _, inner in step.transformer_list)
    elif hasattr(step, "best_estimator_"):
        yield step.best_estimator_, names
    else:
        yield from ((inner, names) for inner in _within(step) if _takes(inner, names))


def _takes(inner: Any, names: list[str]) -> bool:
    """Whether an estimator within another was fitted on the same columns."""
    own: Any = getattr(inner, "feature_names_in_", None)
    return getattr(inner, "n_features_in_", None) == len(names) if own is None else list(own) == names


def _in_turn(steps: list[Any], names: list[str], deep: int) -> Iterator[Input]:
    """What the first steps remember, up to the one behind which the columns are others."""
    for index, step in enumerate(steps):
        yield from _taken(step, names, deep + 1)
        if isinstance(step, ColumnTransformer):
            on = [name for inner, own in _columns_of(step, names) if does_nothing(inner) for name in own]
            if any(map(is_opaque, steps[index + 1 :])):
                yield from (Input(name, "", exact=True) for name in on)
            return
        plain = isinstance(step, SimpleImputer) and not step.add_indicator
        if not (does_nothing(step) or (plain and len(getattr(step, "statistics_", ())) == len(names))):
            return


def _columns_of(step: Any, names: list[str]) -> Iterator[tuple[Any, list[str]]]:
    """A ColumnTransformer's fitted steps, each with its columns."""
    indices = getattr(step, "_transformer_to_input_indices", {})
    for name, inner, _ in getattr(step, "transformers_", ()):
        own = [names[index] for index in indices.get(name, ()) if index < len(names)]
        if own:
            yield inner, own


def _remembered(step: Any, names: list[str]) -> Iterator[Input]:
    categories: Any = getattr(step, "categories_", None)
    if isinstance(categories, list) and len(categories) == len(names):  # type: ignore[arg-type]
        for name, known in zip(names, categories, strict=True):
            yield _of_values(name, np.asarray(known))
    elif isinstance(step, SimpleImputer):
        missing = null_of([step.missing_values]) or "NaN"
        statistics: Any = getattr(step, "statistics_", ())
        for name, value in zip(names, statistics, strict=False):
            yield Input(name, "string" if isinstance(value, str) else "float64", null=missing)
    elif takes_texts_alone(step):
        yield from (Input(name, "string") for name in names)


def _of_values(name: str, known: Any) -> Input:
    """An encoder's categories: of texts and of booleans the type counts, of numbers none does."""
    if known.dtype.kind == "b":
        return Input(name, "bool", exact=True)
    if known.dtype.kind in "US":
        return Input(name, "string")
    if known.dtype.kind != "O":
        return Input(name)
    values = known.tolist()
    null = null_of(values) or "NaN"
    kinds = {type(value) for value in values if null_of([value]) is None}
    if kinds == {bool}:
        return Input(name, "bool", nullable=True, null=null, exact=True)
    return Input(name, "string" if kinds == {str} else "float64", null=null)
