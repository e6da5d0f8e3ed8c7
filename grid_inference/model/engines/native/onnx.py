"""ONNX models, asked by ONNX Runtime.

Inputs are one matrix of shape (n, k), or a column each of shape (n, 1) or (n,). Of the outputs the first of floats
holds values or probabilities, the first of integers or strings a classifier's labels. A `ZipMap` at the end, which
makes a Python dict of each row's probabilities, is taken off. Source: the ONNX specification of `ai.onnx.ml`, and ONNX
Runtime's Python API.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import SignatureError
from grid_inference.model.described import Described, Input
from grid_inference.model.engines import outputs
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import BadOutputError, Scores
from grid_inference.model.engines.native.library import ArrayEngine, Library, cast, class_index
from grid_inference.model.inputs.frame import Frame, Inputs
from grid_inference.model.sample import Sample
from grid_inference.model.signature import Signature

__all__ = ["Onnx", "OnnxModel"]

DTYPES = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(string)": np.dtype(object),
}
FLOATS = ("tensor(float)", "tensor(double)")
CLASS_ATTRIBUTES = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")
NAMES_KEY = "feature_names"
"""Among a model's metadata: the names of a matrix's columns, joined by commas."""
ERRORS_ONLY = 3
DETECTED = ("inlier", "outlier")
OUTLIER = -1
ROUNDING = 1e-5
TRIED_ROWS, FAR = 64, 1e3
"""What a graph is asked to find out what it gives: so many rows near zero, and as many so much farther away."""
SHAPES = "its inputs must be one matrix of any number of rows, or a column each"


class OnnxModel:
    """A model's bytes, and the session that asks them, which is made when it is first needed and does not travel."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxModel, (self.content,)

    @cached_property
    def session(self) -> Any:
        """An `InferenceSession`."""
        import onnxruntime  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        # The cores are shared with the member and other workers: threads that wait must not spin.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A worker's share of the cores, as its node says; a number also keeps threads from being pinned to cores.
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
        return onnxruntime.InferenceSession(self.content, options, providers=["CPUExecutionProvider"])


class Onnx(Library):
    """ONNX models."""

    format: ClassVar[str] = "onnx"
    modules: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    suffix: ClassVar[str] = "onnx"

    def takes(self, model: Any) -> bool:
        """A `ModelProto`, or one that was read."""
        return isinstance(model, OnnxModel) or type(model).__name__ == "ModelProto"

    def is_in(self, path: Path) -> bool:
        """By the name of the file: protocol buffers have no mark of their own."""
        return path.suffix == ".onnx" and path.is_file()

    def write(self, model: Any) -> bytes:
        """The model as protocol buffers, without its `ZipMap`."""
        return without_zipmap(model.content if isinstance(model, OnnxModel) else model.SerializeToString())

    def read(self, content: bytes) -> OnnxModel:
        """A model whose session can be made."""
        model = OnnxModel(content)
        _ = model.session
        return model

    def describe(self, model: Any, classes: Sequence[str] | None, sample: Sample | None) -> Described:
        """By the graph: its inputs, and the classes that its nodes name."""
        model = OnnxModel(self.write(model))
        session = model.session
        found = session.get_inputs()
        for each in found:
            if each.type not in DTYPES:
                raise SignatureError(f"the input {each.name!r} is {each.type}", remedy=SHAPES)
            if not 1 <= len(each.shape) <= 2 or isinstance(each.shape[0], int):
                raise SignatureError(f"the input {each.name!r} has the shape {each.shape}", remedy=SHAPES)
        width = found[0].shape[-1] if len(found) == 1 and len(found[0].shape) == 2 else 1
        matrix = len(found) == 1 and width != 1 and found[0].type != "tensor(string)"
        if not matrix and any(len(each.shape) == 2 and each.shape[1] != 1 for each in found):
            raise SignatureError("the model has several inputs, and one of them is a matrix", remedy=SHAPES)
        takes = {"inputs": _inputs(model, found, matrix=matrix), "frame": not matrix, "count": _count(found)}
        return self._gives(model, classes, sample, **takes)

    @staticmethod
    def _gives(model: OnnxModel, classes: Sequence[str] | None, sample: Sample | None, **takes: Any) -> Described:
        _check_one_label(model)
        known = _classes(model.content)
        if known and classes and tuple(classes) != known:
            raise SignatureError(f"the graph names its classes itself: {', '.join(known)}", remedy="leave classes out")
        if known:
            return Described("classifier", known, **takes)
        values, labels = _outputs(model)
        tried = _tried(model, sample)
        takes_texts = any(each.type == "tensor(string)" for each in model.session.get_inputs())
        if labels is not None and values is not None and tried is None and takes_texts:
            raise SignatureError(
                f"nothing tells whether the graph's output {values!r} holds probabilities, distances or how far inside "
                f"a record is: it names no classes of {labels!r}, and can't be asked for rows that nobody has put",
                remedy="give rows of its inputs as the sample"
                + ("" if classes else ", and the classes if it has such"),
            )
        if classes and _detects(tried):
            raise SignatureError(
                "the graph detects outliers: its labels are 1 and -1, and its scores are no probabilities",
                remedy="leave classes out: its labels are inlier and outlier",
            )
        if classes:
            return Described("classifier", tuple(map(str, classes)), **takes)
        if _detects(tried):
            return Described("outlier_detector", DETECTED, **takes)
        if labels is not None:
            raise SignatureError(
                f"the output {labels!r} holds labels, and the graph does not name its classes",
                remedy="name them in the order of the probabilities: classes=[…]",
            )
        shape = next(each.shape for each in model.session.get_outputs() if each.name == values)
        several = len(shape) == 2 and isinstance(shape[1], int) and shape[1] > 1
        return Described("regressor", outputs=shape[1] if several else 0, **takes)

    def engine(self, model: OnnxModel, signature: Signature) -> Engine:
        """It runs the session."""
        return (
            OnnxEngine(model, signature)
            if signature.task in {"classifier", "outlier_detector"}
            else ArrayEngine(_values(model, signature.names), signature)
        )


class OnnxEngine(Engine):
    """A classifier's labels are the graph's own where it has them."""

    def __init__(self, model: OnnxModel, signature: Signature) -> None:
        super().__init__(signature)
        self._values, self._labels = _outputs(model)
        self._feed, self._session = _feeds(model, signature.names), model.session
        self._plain = ArrayEngine(_values(model, signature.names), signature)
        tried = _tried(model) if self._labels is not None and self._values is not None else None
        self._probable = tried is None or _are_probabilities(tried[1])

    def _predict(self, inputs: Inputs, *, finite: bool | None) -> Scores:
        if self._labels is None:
            return self._plain.predict(inputs, finite=finite)
        wanted = [self._labels] if self._values is None else [self._labels, self._values]
        labels, *rest = self._session.run(wanted, self._feed(inputs))
        if self.signature.task == "outlier_detector":
            return outputs.detected(rest[0], np.asarray(labels).reshape(-1) == OUTLIER)
        classes = self.signature.classes
        index = class_index(np.asarray(labels).reshape(-1), classes)
        if not rest or not self._probable:
            return outputs.certain(index, len(classes))
        [proba] = rest
        if proba.ndim == 2 and proba.shape[1] == 1 and len(classes) == 2:
            proba = np.concatenate([1 - proba, proba], axis=1)
        proba = outputs.matrix(proba, len(classes), "the model")
        if not _are_probabilities(proba):
            raise BadOutputError("the model gave values below 0 or above 1, which are no probabilities")
        return outputs.of_classes(np.clip(proba, 0, 1), index)


def _check_one_label(model: OnnxModel) -> None:
    """Refuse a graph whose labels are several a record."""
    _, labels = _outputs(model)
    for each in model.session.get_outputs():
        if each.name == labels and len(each.shape) == 2 and isinstance(each.shape[1], int) and each.shape[1] > 1:
            raise SignatureError(
                f"the graph gives a record several labels: its output {labels!r} has the shape (n, {each.shape[1]})",
                remedy="publish the model that it was made of, or a graph for each label",
            )


def _are_probabilities(values: NDArray[Any]) -> bool:
    """Whether values are probabilities but for float32's rounding; NaN is looked for elsewhere."""
    return not bool(((values < -ROUNDING) | (values > 1 + ROUNDING)).any())


def _tried(model: OnnxModel, sample: Sample | None = None) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """The labels and values of rows near and far; None if the model can't be asked for rows that nobody has put."""
    values, labels = _outputs(model)
    if values is None or labels is None:
        return None
    random, fed = np.random.default_rng(0), dict[str, NDArray[Any]]()
    for each in model.session.get_inputs():
        rows = _near(each, random, sample)
        if rows is None:
            return None
        fed[each.name] = np.concatenate([rows, rows * FAR if rows.dtype.kind == "f" else rows]).astype(
            DTYPES[each.type]
        )
    try:
        found: list[Any] = model.session.run([labels, values], fed)
    except Exception:  # noqa: BLE001  # a graph may refuse any rows, and nothing is known then
        return None
    return np.asarray(found[0]).reshape(-1), np.asarray(found[1])


def _near(wanted: Any, random: np.random.Generator, sample: Sample | None) -> NDArray[Any] | None:
    """Rows of an input: those of a sample, else numbers near zero; None for texts that nobody has given."""
    width = wanted.shape[1] if len(wanted.shape) == 2 and isinstance(wanted.shape[1], int) else 0
    shape = (TRIED_ROWS, width) if len(wanted.shape) == 2 else (TRIED_ROWS,)
    if sample is not None and wanted.name in sample and width < 2:
        column = sample.column(wanted.name)
        there = column.values[column.present()]
        return np.resize(there, shape) if there.size else None
    return None if wanted.type == "tensor(string)" else random.normal(size=shape)


def _detects(tried: tuple[NDArray[Any], NDArray[Any]] | None) -> bool:
    """Whether a graph's labels are 1 and -1 by the sign of its one score, as those of scikit-learn's detectors are."""
    if tried is None or tried[0].size != tried[1].size or tried[0].dtype.kind != "i":
        return False
    labels, values = tried[0], tried[1].reshape(-1)
    return {*labels.tolist()} <= {-OUTLIER, OUTLIER} and bool(((values < 0) == (labels == OUTLIER)).all())


def without_zipmap(content: bytes) -> bytes:
    """The model with the probabilities themselves as an output, where they were turned into dicts."""
    onnx = _onnx()
    model = onnx.load_from_string(content)
    graph = model.graph
    for node in [node for node in graph.node if node.op_type == "ZipMap"]:
        for index, each in enumerate(graph.output):
            if each.name == node.output[0]:
                width = max(len(attribute.strings) + len(attribute.ints) for attribute in node.attribute)
                info = onnx.helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, [None, width])
                graph.output[index].CopyFrom(info)
        graph.node.remove(node)
    return model.SerializeToString()


def _classes(content: bytes) -> tuple[str, ...]:
    """The classes that the graph names; none if it names none.

    A node of `ai.onnx.ml` has them as an attribute, or a node takes one of several constants. Of several such nodes the
    one nearest to the labels counts, or where none is before these the one nearest to any output: models within a model
    have classes of their own, which its probabilities may come from.
    """
    onnx = _onnx()
    graph = onnx.load_from_string(content).graph
    kinds = {onnx.TensorProto.INT64, onnx.TensorProto.STRING}
    labels = [each.name for each in graph.output if each.type.tensor_type.elem_type in kinds]
    return _named_before(onnx, graph, labels) or _named_before(onnx, graph, [each.name for each in graph.output])


def _named_before(onnx: Any, graph: Any, outputs: Sequence[str]) -> tuple[str, ...]:
    """The classes that the nearest node before these outputs names."""
    maker = {name: node for node in graph.node for name in node.output}
    constants = {each.name: each for each in graph.initializer}
    waiting, seen = deque(outputs), set[str]()
    while waiting:
        node = maker.get(waiting.popleft())
        if node is None or node.output[0] in seen:
            continue
        seen.add(node.output[0])
        if found := _named_by(onnx, node, constants):
            return found
        waiting += node.input
    return ()


def _named_by(onnx: Any, node: Any, constants: Mapping[str, Any]) -> tuple[str, ...]:
    for attribute in node.attribute:
        if attribute.name in CLASS_ATTRIBUTES and (attribute.strings or attribute.ints):
            return (*(text.decode() for text in attribute.strings), *map(str, attribute.ints))
    if node.op_type != "ArrayFeatureExtractor" or node.input[0] not in constants:
        return ()
    values = onnx.numpy_helper.to_array(constants[node.input[0]]).reshape(-1)
    if values.dtype.kind not in "iOSU":
        return ()
    return tuple(each.decode() if isinstance(each, bytes) else str(each) for each in values.tolist())


def _onnx() -> Any:
    try:
        import onnx  # noqa: PLC0415
    except ImportError:
        raise SignatureError(
            "describing an ONNX model needs onnx, which is not installed here",
            remedy="pip install 'grid-inference[onnx]'",
        ) from None
    return onnx


def _inputs(model: OnnxModel, found: Sequence[Any], *, matrix: bool) -> tuple[Input, ...] | None:
    if matrix:
        names = model.session.get_modelmeta().custom_metadata_map.get(NAMES_KEY, "")
        return tuple(Input(name.strip()) for name in names.split(",")) if names else None
    kinds = {"O": "string", "b": "bool", "i": "int64", "f": "float64"}
    return tuple(Input(each.name, kinds[DTYPES[each.type].kind]) for each in found)


def _count(found: Sequence[Any]) -> int | None:
    if len(found) > 1 or len(found[0].shape) == 1:
        return len(found)
    return found[0].shape[1] if isinstance(found[0].shape[1], int) else None


def _outputs(model: OnnxModel) -> tuple[str | None, str | None]:
    """Names of the outputs that hold values or probabilities, and labels."""
    every = model.session.get_outputs()
    values = next((each.name for each in every if each.type in FLOATS), None)
    labels = next((each.name for each in every if each.type in {"tensor(int64)", "tensor(string)"}), None)
    if values is None and labels is None:
        raise SignatureError(f"the model gives {', '.join(each.type for each in every)}, no values and no labels")
    return values, labels


def _values(model: OnnxModel, names: Sequence[str]) -> Callable[[Inputs], NDArray[Any]]:
    feed, session = _feeds(model, names), model.session
    values, labels = _outputs(model)
    wanted = [values or labels]
    return lambda inputs: session.run(wanted, feed(inputs))[0]


def _feeds(model: OnnxModel, names: Sequence[str]) -> Callable[[Inputs], dict[str, NDArray[Any]]]:
    """What turns inputs into what a session takes: columns by their names, or in order where they have others."""
    wanted = [(each.name, DTYPES[each.type], len(each.shape)) for each in model.session.get_inputs()]
    by_name = {name for name, _, _ in wanted} <= set(names)

    def feed(inputs: Inputs) -> dict[str, NDArray[Any]]:
        if not isinstance(inputs, Frame):
            [(name, dtype, _)] = wanted
            return {name: np.ascontiguousarray(cast(inputs, dtype, name))}
        columns = [inputs.columns[name] for name, _, _ in wanted] if by_name else list(inputs.columns.values())
        fed: dict[str, NDArray[Any]] = {}
        for (name, dtype, dims), values in zip(wanted, columns, strict=True):
            column = cast(values, dtype, name)
            fed[name] = column if dims == 1 else column.reshape(-1, 1)
        return fed

    return feed
