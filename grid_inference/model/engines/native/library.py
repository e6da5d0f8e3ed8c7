"""`Library`: what is known of a library's models: how they are written, read, described and asked.

In: a model object, or a file of the library's own format. Out: bytes that its workers read again, what the model says
of itself, an engine that asks it. A library is imported when the first model of it comes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import ArtifactError, GridInferenceError, SignatureError
from grid_inference.model.described import Described
from grid_inference.model.engines import outputs
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.formats import said
from grid_inference.model.engines.isolate import BadOutputError, Scores
from grid_inference.model.engines.threads import OpenMPThreads
from grid_inference.model.inputs.frame import Inputs
from grid_inference.model.sample import Sample
from grid_inference.model.signature import Signature

__all__ = [
    "ArrayEngine",
    "Library",
    "cast",
    "class_index",
    "fitted",
    "is_regressor",
    "named_classes",
    "no_categories",
]


FEW_ROWS = 256
"""Up to so many labels are looked up one by one."""


class Library(ABC):
    """One library, or one way of writing models."""

    format: ClassVar[str]
    """What a manifest calls it; also the name of the extra that installs it, unless that is another one."""
    extra: ClassVar[str] = ""
    modules: ClassVar[tuple[str, ...]] = ()
    """What must be installed to ask a model, as it is imported."""
    packages: ClassVar[tuple[str, ...]] = ()
    """The packages whose versions count, as they are installed."""
    suffix: ClassVar[str]
    """Of a file of it."""
    runs_code: ClassVar[bool] = False
    """Whether reading a model runs Python that came with it, so that the version of Python counts."""

    @abstractmethod
    def takes(self, model: Any) -> bool:
        """Whether a model object is one of this library's."""

    @abstractmethod
    def is_in(self, path: Path) -> bool:
        """Whether a file or folder holds one."""

    @abstractmethod
    def write(self, model: Any) -> bytes:
        """A model object as bytes; raise SignatureError if it is not fitted."""

    @abstractmethod
    def read(self, content: bytes) -> Any:
        """The model in bytes, as `engine` wants it; raise whatever it raises if they are none."""

    @abstractmethod
    def describe(self, model: Any, classes: Sequence[str] | None, sample: Sample | None) -> Described:
        """What a model object says of itself. `classes` are those that its user names, for a model that doesn't."""

    @abstractmethod
    def engine(self, model: Any, signature: Signature) -> Engine:
        """What asks a model that was read."""

    def content(self, path: Path) -> bytes:
        """The bytes of a file."""
        return path.read_bytes()

    def name_of(self, model: Any) -> str:
        """A model object's name for people."""
        return type(model).__name__

    def check_installed(self, name: str) -> None:
        """Raise ArtifactError that names what is missing here to ask a model."""
        for module in self.modules:
            if find_spec(module) is None:
                raise ArtifactError(
                    f"{name}: a model of format {self.format} needs {module}, which is not installed here",
                    remedy=f"pip install 'grid-inference[{self.extra or self.format}]'",
                )

    def load(self, content: bytes, name: str) -> Any:
        """`read`, with one clear error for whatever is wrong."""
        self.check_installed(name)
        try:
            return self.read(content)
        except GridInferenceError:
            raise
        except Exception as error:
            raise ArtifactError(
                f"{name}: is no model that {self.format} can load: {said(error)}",
                remedy="write it anew by the library that it was fitted with",
            ) from error

    def packages_of(self, model: Any) -> tuple[str, ...]:
        """The packages whose versions count for a model."""
        del model
        return self.packages


class ArrayEngine(Engine):
    """Asks a function that gives an array for a matrix or frame, and reads it by the signature's task.

    A classifier's array is (n, classes) probabilities; or (n,) floats, of two classes the probability of the second, of
    more the number of the class; or (n,) of the classes themselves. That of several labels is (n, labels)
    probabilities, of which those above one half apply.
    """

    def __init__(self, ask: Callable[[Inputs], Any], signature: Signature, *, gives_one: bool = False) -> None:
        """`gives_one`: the model says that it gives one value for a record."""
        super().__init__(signature)
        self._ask = ask
        self.gives_one = gives_one
        self._threads = OpenMPThreads()

    def raw(self, inputs: Inputs) -> Any:
        """What the function gives."""
        return self._ask(inputs)

    def _predict(self, inputs: Inputs, *, finite: bool | None) -> Scores:
        del finite
        with self._threads.fit_for(inputs.shape[0]):
            found = self._ask(inputs)
        signature = self.signature
        if signature.task == "classifier":
            return _classified(np.asarray(found), signature.classes)
        if signature.task == "multilabel":
            proba = np.asarray(found)
            return outputs.labelled(proba, proba > 0.5, len(signature.classes))
        return outputs.values(_numbers(found), signature.outputs)


def cast(values: NDArray[Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """A column as the model takes it; raise ValueError where a whole number or a truth value would become another."""
    if dtype.kind not in "iub" or values.dtype.kind == "b":
        return values.astype(dtype)
    with np.errstate(invalid="ignore"):
        found = values.astype(dtype)
        same = found.astype(values.dtype) == values
    if not bool(same.all()):
        raise ValueError(f"{name} is {values[~same][0]}, which is no {dtype.name}")
    return found


def class_index(labels: NDArray[Any], classes: Sequence[str]) -> NDArray[np.int32]:
    """Labels as indexes into the classes, by their text; -1 where a label is none of them.

    Whole numbers where no class is one are the numbers of the classes.
    """
    if labels.dtype.kind in "iu" and not any(name.lstrip("-").isdecimal() for name in classes):
        return np.where((labels >= 0) & (labels < len(classes)), labels, -1).astype(np.int32)
    places = {name: index for index, name in enumerate(classes)}
    if labels.size <= FEW_ROWS:
        return np.array([places.get(str(label), -1) for label in labels.tolist()], np.int32)
    distinct, where = np.unique(labels.astype(object).astype(str), return_inverse=True)
    return np.array([places.get(str(label), -1) for label in distinct], np.int32)[where]


def _classified(found: NDArray[Any], classes: Sequence[str]) -> Scores:
    if found.ndim == 2 and found.shape[1] == len(classes) > 1:
        proba = _numbers(found)
        return outputs.of_classes(proba, outputs.argmax(proba))
    column = outputs.one_column(found)
    if column.dtype.kind != "f":
        index = class_index(column, classes)
    elif len(classes) == 2:
        proba = np.stack([1 - column, column], axis=1)
        return outputs.of_classes(proba, outputs.argmax(proba))
    else:
        index = np.where(np.isfinite(column), column, -1).astype(np.int32)
        index[(index < 0) | (index >= len(classes))] = -1
    return outputs.certain(index, len(classes))


def _numbers(found: Any) -> NDArray[Any]:
    values = np.asarray(found)
    if values.dtype.kind not in "fiub":
        raise BadOutputError(f"the model gave {values.dtype}, no numbers")
    return values


def fitted(model: Any, part: Callable[[], Any]) -> Any:
    """A part of an estimator that is there when it is fitted; raise SignatureError if it is not."""
    try:
        return part()
    except Exception as error:  # its library's own class, which needs an import
        raise SignatureError(
            f"{type(model).__name__} is not fitted", remedy="call model.fit(X, y) before deploying it"
        ) from error


def is_regressor(model: Any) -> bool:
    """Whether an estimator of boosters gives values, whatever its objective; a booster itself is none."""
    return hasattr(model, "fit") and not hasattr(model, "predict_proba")


def no_categories(library: str) -> SignatureError:
    """What to say of a model whose categories are numbers that pandas gave them."""
    return SignatureError(
        "the model takes categories by the numbers that pandas gave them, which no record knows",
        remedy=f"encode them in a scikit-learn Pipeline before {library}",
    )


def named_classes(found: Sequence[str], named: Sequence[str] | None, what: str) -> tuple[str, ...]:
    """The classes that the user names for those that a model numbers; the numbers where none are named."""
    if named is not None and len(named) != len(found):
        raise SignatureError(
            f"{what} has {len(found)} classes, and {len(named)} are named: {', '.join(named)}",
            remedy="name each class once, in the model's order",
        )
    return tuple(map(str, named or found))
