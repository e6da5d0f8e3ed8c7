"""Settings as frozen dataclasses: what a deployment is, where the grid is, how a worker behaves.

Each field is described under its line: the documentation is made from these texts. Values come from the defaults, a
TOML file, the environment and flags; the later one wins. What can't be right is refused with key, value and remedy.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Self, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from grid_inference.errors import ConfigError

__all__ = [
    "CHAMPION",
    "FUNCTION_NAME",
    "INTERNAL_PREFIX",
    "PROMOTE_TIMEOUT_S",
    "DeploymentConfig",
    "DriftConfig",
    "GridConfig",
    "InputConfig",
    "ProbeConfig",
    "Scalar",
    "TopicConfig",
    "WorkerConfig",
    "check_alias",
    "check_model_name",
    "default_results",
    "parse_address",
]

MEGABYTE = 1 << 20
ALIAS_PATTERN = re.compile(r"(?!\d+$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
NAME_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
FUNCTION_NAME = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*)")
"""How a Python function is named that is a model."""
ADDRESS_PATTERN = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:\[\]/]+))(?::(?P<port>\d{1,5}))?")
INTERNAL_PREFIX = "grid_inference."
CHAMPION = "champion"
"""The alias of a model that deployments follow where none is named."""
PROMOTE_TIMEOUT_S = 120.0
"""How long workers may take to load a version that is promoted."""
WINDOW_S_MIN = 10.0
"""Workers tell what they have counted each 5 s."""
T = TypeVar("T")
Scalar = str | int | float | bool
Cast = Literal["float", "int", "bool", "string", "datetime", "epoch_s", "epoch_ms"]


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """The table `topic` of a deployment: where each new prediction is published besides the predictions map."""

    name: str | None = None
    """The topic's name. Without it `<deployment>.predictions`, as the map."""
    kind: Literal["topic", "reliable", "none"] = "topic"
    """`topic`: a plain Hazelcast topic, best effort. `reliable`: kept in a ring until overwritten. `none`: no topic."""
    where: str | None = None
    """Publish only what matches, in Hazelcast's SQL-predicate syntax over the message, e.g. `"score >= 0.9"`."""

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class InputConfig:
    """The table `inputs.<input>` of a deployment: where an input of the model comes from, if not the field of its name.

    What is said is done in the order of these lines. A text in place of the table is its `field`.
    """

    field: str | tuple[str, ...] = ()
    """The record's field; of several the first that is there and not null. `a.b` is a field of a record within the
    record, `a[3]` element 3 of an array. Without it the input's own name."""
    constant: Scalar | None = None
    """The same value for every record, which then needs no such field."""
    cast: Cast | None = None
    """Turn each value into a `float`, `int`, `bool`, `string`, or a `datetime` from ISO 8601 text; `epoch_s` and
    `epoch_ms` make a date of the seconds or milliseconds since 1970. A value that can't be is a dead letter."""
    default: Scalar | None = None
    """What stands for a value that is null, NaN or missing, or none of `one_of`. Of a `datetime` its ISO 8601 text."""
    one_of: tuple[Scalar, ...] = ()
    """The values that the model knows; a record with another one is a dead letter if there is no `default`."""
    equals: Scalar | None = None
    """Make the input 1 where the value is just this one, else 0: a column as `pandas.get_dummies` makes it."""

    def __post_init__(self) -> None:
        _check(self)
        rest = (self.field, self.cast, self.default, self.one_of, self.equals)
        if self.constant is not None and rest != ((), None, None, (), None):
            raise ConfigError("a constant is all that its input has", remedy="leave out the constant or the rest")

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields as a tuple, none if it is the input's own name."""
        return (self.field,) if isinstance(self.field, str) else self.field


@dataclass(frozen=True, slots=True)
class ProbeConfig:
    """The table `probe` of a deployment: a record that nodes put again and again, to measure how long scoring takes."""

    key: int | str
    """Its key, which no application uses. The record and its prediction stand in the maps as any others do."""
    record: Mapping[str, Scalar]
    """Its fields; whole numbers become int64, others float64, as `put` writes them."""
    every_s: float = 10.0
    """How often, in seconds."""

    def __post_init__(self) -> None:
        _check(self)
        if not 0 < self.every_s < float("inf"):
            raise ConfigError(f"probe.every_s = {self.every_s!r} must be more than 0")
        if not self.record:
            raise ConfigError("probe.record has no field", remedy="give it the fields that the model needs")


@dataclass(frozen=True, slots=True)
class DriftConfig:
    """The table `drift` of a deployment: how inputs and scores are held against the model's training statistics."""

    psi: float = 0.25
    """The population stability index of a column above which an event tells; 0: nothing is counted."""
    window_s: float = 3600.0
    """The records of how many seconds are held against the training."""

    def __post_init__(self) -> None:
        _check(self)
        if not 0 <= self.psi < float("inf"):
            raise ConfigError(f"drift.psi = {self.psi!r} must be 0 or more")
        if not WINDOW_S_MIN <= self.window_s < float("inf"):
            raise ConfigError(f"drift.window_s = {self.window_s!r} must be {WINDOW_S_MIN:g} or more")


@dataclass(frozen=True, slots=True)
class DeploymentConfig:
    """A deployment file: one feature map, one model, one predictions map. Only `name` and `features` must be given."""

    name: str
    """The deployment's name: letters, digits, `_`, `-` and `.`, not beginning with `grid_inference.`."""
    features: str
    """The map that holds the records."""
    predictions: str = ""
    """The map that receives the predictions, under their records' keys. Empty: `<name>.predictions`."""
    dead_letters: str = ""
    """The map that receives the records that can't be scored, with the reason. Empty: `<name>.dead-letters`."""
    topic: TopicConfig = field(default_factory=TopicConfig)
    """Where predictions are published: a table with `name`, `kind` and `where`."""
    model: str | None = None
    """The file of a fitted model (skops, joblib, XGBoost, LightGBM, ONNX) or its MLflow folder, in a deployment file
    relative to that file's folder; a Python function, `module:function`; or a published model, `MODEL@ALIAS` or
    `MODEL@VERSION`."""
    columns: tuple[str, ...] | None = None
    """The record's fields in the order the model was fitted with. Needed only if the model knows no feature names; the
    name of one array field stands for all of its values."""
    classes: tuple[str, ...] | None = None
    """A classifier's classes in the order of its probabilities. Needed only if it does not know them: an XGBoost model
    with classes other than numbers, an ONNX network, an MLflow model, a Python function."""
    score_of: str | None = None
    """The class whose probability is a prediction's `score`, or of several labels a record the label. Without it the
    second of two classes, of more the likeliest. A number or boolean stands for its text."""
    inputs: Mapping[str, InputConfig] = field(default_factory=dict[str, InputConfig])
    """For inputs that do not stand in the field of their name, each by its name: tables with `field`, `constant`,
    `cast`, `default`, `one_of`, `equals`."""
    trigger: Literal["journal", "listener"] = "journal"
    """How a worker learns of a new record: `journal` reads the map's event journal, which loses nothing; `listener`,
    for maps without one, listens to entries and scans the map each `reconcile_s` and after every reconnect."""
    reconcile_s: float = 60.0
    """How long at most a record may stand unscored of which nothing was told, in seconds: with `trigger = "listener"`
    one whose event was lost, with `"journal"` one in a partition whose member keeps none."""
    start: Literal["existing", "new"] = "existing"
    """`existing`: score what is in the map already, then what comes. `new`: only what is put from now on."""
    on_remove: Literal["remove", "keep"] = "remove"
    """What happens to a prediction when its record is removed: `remove` it too, or `keep` it."""
    nan: Literal["score", "dead-letter"] = "dead-letter"
    """What happens to a record with a NaN, null or infinite feature: `dead-letter` refuses it, naming the field, since
    most models can't take it; `score` hands it to the model, for those that were trained on missing values."""

    probe: ProbeConfig | None = None
    """A record by which the time from a put to its prediction is measured: a table with `key`, `record`, `every_s`."""
    drift: DriftConfig = field(default_factory=DriftConfig)
    """How inputs and scores are held against the model's training statistics: a table with `psi`, `window_s`."""
    accept_expiry: bool = False
    """Work on a map whose records go by themselves, by a time to live, a max-idle or eviction. What is lost: a record
    may go before it is scored and never have a prediction; a prediction may outlive its record; copies of the journal
    differ, so after the loss of a member changes may be noticed by a scan only. Without it such a map is refused."""

    def __post_init__(self) -> None:
        if isinstance(cast("Any", self.inputs), Mapping):
            object.__setattr__(self, "inputs", {name: _input(name, said) for name, said in self.inputs.items()})
        if isinstance(cast("Any", self.score_of), bool | int | float):
            object.__setattr__(self, "score_of", str(self.score_of))  # as the names of classes are made
        _check(self)
        _check_name("name", self.name)
        if not self.features.strip() or self.features.startswith(INTERNAL_PREFIX):
            raise ConfigError(
                f"features = {self.features!r} is not the name of a feature map",
                remedy='name the map that holds the records, e.g. features = "payments"',
            )
        self._check_own()
        # Resolved here once, so that every reader of the configuration sees the names that are really used.
        default = default_results(self.name)
        object.__setattr__(self, "predictions", self.predictions or default["predictions"])
        object.__setattr__(self, "dead_letters", self.dead_letters or default["dead_letters"])
        if self.topic.name is None:
            object.__setattr__(self, "topic", dataclasses.replace(self.topic, name=default["predictions"]))
        self._check_maps_and_columns()
        _check_positive(self)
        if self.trigger == "listener" and self.start == "new":
            raise ConfigError(
                'start = "new" needs trigger = "journal": a scan can\'t tell new records from old ones',
                remedy="leave start out, or give the map a journal",
            )

    @property
    def shadow_predictions(self) -> str:
        """The map that receives what a shadow predicts: `<name>.predictions.shadow`."""
        return default_results(self.name)["shadow"]

    @property
    def results(self) -> dict[str, str]:
        """The maps that it writes to, by the setting that names them; `shadow` is that of a shadow."""
        return {"predictions": self.predictions, "dead_letters": self.dead_letters, "shadow": self.shadow_predictions}

    def _check_own(self) -> None:
        """Refuse what can't be written to by name alone; what is somebody else's is seen in the grid only."""
        maps = {"predictions": self.predictions, "dead_letters": self.dead_letters}
        topic = "" if self.topic.kind == "none" else self.topic.name or ""
        for key, name in {**maps, "topic.name": topic}.items():
            if name.startswith(INTERNAL_PREFIX) or (key in maps and name and not name.strip()):
                raise ConfigError(
                    f"{key} = {name!r} is not a name to write to: {INTERNAL_PREFIX}* is the system's own",
                    remedy=f"leave {key} out to get one named after the deployment, or give it another name",
                )

    def _check_maps_and_columns(self) -> None:
        maps = [self.features, self.predictions, self.dead_letters]
        if len(set(maps)) < len(maps):
            raise ConfigError(
                f"features, predictions and dead_letters must be three maps, not {', '.join(map(repr, maps))}",
                remedy="leave predictions and dead_letters out to get maps named after the deployment",
            )
        if self.columns is not None and (not self.columns or len(set(self.columns)) < len(self.columns)):
            raise ConfigError(
                f"columns = {list(self.columns)!r} is empty or names a field twice",
                remedy="list each field once, in the order the model was fitted with",
            )
        if self.classes is not None and (len(self.classes) < 2 or len(set(self.classes)) < len(self.classes)):
            raise ConfigError(
                f"classes = {list(self.classes)!r} are no two different ones",
                remedy="list each class once, in the order of the model's probabilities",
            )

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read a deployment file; a relative `model` is taken from the file's own folder."""
        path = Path(path)
        mapping = _read_toml(path)
        try:
            config = cls.from_mapping(mapping)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}", remedy=error.remedy) from None
        if config.model is None or (_names_no_file(config.model) and not (path.parent / config.model).exists()):
            return config
        return config.replace(model=str(path.parent / config.model))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Build from plain values, as TOML and JSON give them; the reverse of `to_mapping`."""
        values = _known(cls, mapping)
        for key in ("name", "features"):
            if key not in values:
                raise ConfigError(f"{key} is missing", remedy="a deployment needs at least name and features")
        topic = values.get("topic")
        if isinstance(topic, Mapping):
            values["topic"] = TopicConfig(**_known(TopicConfig, cast("Mapping[str, Any]", topic), "topic."))
        probe = values.get("probe")
        if isinstance(probe, Mapping):
            given = _known(ProbeConfig, cast("Mapping[str, Any]", probe), "probe.")
            for key in ("key", "record"):
                if key not in given:
                    raise ConfigError(f"probe.{key} is missing", remedy="a probe needs at least key and record")
            values["probe"] = ProbeConfig(**given)
        drift = values.get("drift")
        if isinstance(drift, Mapping):
            values["drift"] = DriftConfig(**_known(DriftConfig, cast("Mapping[str, Any]", drift), "drift."))
        for name in ("columns", "classes"):
            if isinstance(listed := values.get(name), list):
                values[name] = tuple(cast("list[Any]", listed))
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values that JSON can hold."""
        mapping = dataclasses.asdict(self)
        for name in ("columns", "classes"):
            mapping[name] = mapping[name] and list(mapping[name])
        if self.drift == DriftConfig():
            del mapping["drift"]  # older workers refuse what they don't know
        if self.score_of is None:
            del mapping["score_of"]
        return mapping

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)


def default_results(name: str) -> dict[str, str]:
    """The maps that a deployment of this name writes to where none are named, as `DeploymentConfig.results`."""
    return {
        "predictions": f"{name}.predictions",
        "dead_letters": f"{name}.dead-letters",
        "shadow": f"{name}.predictions.shadow",
    }


def _names_no_file(model: str) -> bool:
    """Whether a model's name is that of a published one or of a function."""
    return "@" in model or FUNCTION_NAME.fullmatch(model) is not None


@dataclass(frozen=True, slots=True)
class GridConfig:
    """The table `grid` of a settings file: where the grid is and how long to wait for it."""

    address: str = "127.0.0.1:5701"
    """A member's `host:port`. Environment: `GRID_INFERENCE_ADDRESS`."""
    cluster_name: str = "grid-inference"
    """The cluster's name; a member refuses who says another. Environment: `GRID_INFERENCE_CLUSTER`."""
    connect_timeout_s: float = 10.0
    """How long to try to reach the grid before giving up. Environment: `GRID_INFERENCE_CONNECT_TIMEOUT_S`."""
    call_timeout_s: float = 30.0
    """How long one request may take, its retries included. Environment: `GRID_INFERENCE_CALL_TIMEOUT_S`."""
    heartbeat_s: float = 2.0
    """How often an idle connection is probed. Environment: `GRID_INFERENCE_HEARTBEAT_S`."""
    heartbeat_timeout_s: float = 10.0
    """A member silent for so long is given up. Environment: `GRID_INFERENCE_HEARTBEAT_TIMEOUT_S`."""
    keys: str = ""
    """The folder of the key that signs models which are deployed from here. Empty: the user's own. Environment:
    `GRID_INFERENCE_KEYS`."""

    def __post_init__(self) -> None:
        _check(self)
        parse_address(self.address)
        _check_positive(self)

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, Any] | None = None,
    ) -> Self:
        """Lay the file's table `[grid]`, the environment and flags over the defaults; a flag of None is not given."""
        return _layered(cls, "grid", path, environ, flags)


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """The table `worker` of a settings file. Environment: `GRID_INFERENCE_` and the field's name in capitals."""

    batch_rows_max: int = 16_384
    """At most so many records are scored in one call of the model."""
    batch_bytes_max: int = 16 * MEGABYTE
    """At most so many bytes of records go into one batch."""
    batch_wait_ms: float = 0.0
    """How long to wait for more records before scoring; 0 takes what came while the last batch was scored."""
    read_budget_bytes: int = 64 * MEGABYTE
    """About so many bytes a deployment may be asked for and not yet scored: a slow model does not fill the memory."""
    inline_rows_max: int = 64
    """Batches up to this size are scored on the event loop itself: handing over to a thread would take longer."""
    position_interval_ms: float = 250.0
    """How often reading positions are stored in the grid; after a crash at most so much is scored again."""
    lanes: int = 2
    """How many batches are under way at once: while one is scored, the other is read or written."""
    score_timeout_s: float = 10.0
    """A model whose call takes longer hangs: its worker ends, the culprit is found in a process of its own."""
    lease_ttl_s: float = 3.0
    """A worker that has not renewed its partitions' leases for so long loses them."""
    proof_interval_s: float = 60.0
    """How often each partition is compared with its results without a reason, at most 25,000 records a second."""
    metrics: bool = True
    """Measure what docs/metrics.md lists."""
    share_arrays: bool = True
    """Let the workers of a node have large models' arrays in memory once, where that can be."""
    arrays: str = ""
    """The folder in which they do: the node makes it and tells its workers. Empty: each has its own."""
    keys: str = ""
    """The folder of the keys whose models are trusted here. Empty: the user's own."""
    allow_pickle: bool = False
    """Load models that nobody vouches for, on a grid that is on loopback only: whoever writes to it runs code here."""

    def __post_init__(self) -> None:
        _check(self)
        _check_positive(self, but={"batch_wait_ms", "inline_rows_max", "proof_interval_s"})

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, Any] | None = None,
    ) -> Self:
        """Lay the file's table `[worker]`, the environment and flags over the defaults; a flag of None is not given."""
        return _layered(cls, "worker", path, environ, flags)


def parse_address(address: str) -> tuple[str, int]:
    """Split `host:port`, `host` or `[ipv6]:port`; the port is 5701 unless given."""
    match = ADDRESS_PATTERN.fullmatch(address.strip())
    port = int(match["port"] or 5701) if match else 0
    if match is None or not 0 < port < 65536:
        raise ConfigError(f"address = {address!r} is not host:port", remedy='write "127.0.0.1:5701" or "[::1]:5701"')
    return match["v6"] or match["host"], port


def _layered(
    cls: type[T],
    table: str,
    path: str | Path | None,
    environ: Mapping[str, str] | None,
    flags: Mapping[str, Any] | None,
) -> T:
    environ = os.environ if environ is None else environ
    path = path or environ.get("GRID_INFERENCE_CONFIG")
    values: dict[str, Any] = {}
    if path:
        found: Any = _read_toml(Path(path)).get(table, {})
        if not isinstance(found, Mapping):
            raise ConfigError(f"{path}: [{table}] is not a table")
        values = _known(cls, cast("Mapping[str, Any]", found), f"{path}: [{table}] ")
    values |= _from_environment(cls, environ)
    values |= {key: value for key, value in (flags or {}).items() if value is not None}
    return cls(**_known(cls, values))


def _from_environment(cls: type[Any], environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, hint in get_type_hints(cls).items():
        variable = "GRID_INFERENCE_CLUSTER" if key == "cluster_name" else f"GRID_INFERENCE_{key.upper()}"
        if variable in environ:
            values[key] = _from_text(variable, environ[variable], hint)
    return values


def _from_text(variable: str, text: str, hint: Any) -> Any:
    """Read an environment variable as its field's type."""
    kinds = get_args(hint) or (hint,)
    try:
        if bool in kinds:
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.strip().lower()]
        if int in kinds:
            return int(text)
        return float(text) if float in kinds else text
    except (KeyError, ValueError):
        raise ConfigError(f"{variable} = {text!r} is not {_said(hint)}") from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None


def _known(cls: type[Any], mapping: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """A copy of the mapping, if it has no key that the dataclass does not know."""
    names = [each.name for each in dataclasses.fields(cls)]
    for key in mapping:
        if key not in names:
            raise ConfigError(f"{where}{key} is not a known key", remedy=f"the keys are {', '.join(names)}")
    return dict(mapping)


def _input(name: str, said: Any) -> InputConfig:
    """One entry of `inputs`: a field's name, or a table."""
    if isinstance(said, InputConfig):
        return said
    table = cast("Mapping[str, Any]", said) if isinstance(said, Mapping) else {"field": said}
    values = _known(InputConfig, table, f"inputs.{name}.")
    values |= {key: tuple(values[key]) for key in ("field", "one_of") if isinstance(values.get(key), list)}
    try:
        return InputConfig(**values)
    except ConfigError as error:
        raise ConfigError(f"inputs.{name}: {error}", remedy=error.remedy) from None


def _check(config: Any) -> None:
    """Refuse a field whose value is not of its declared type or not among its choices."""
    prefix = {TopicConfig: "topic.", ProbeConfig: "probe.", DriftConfig: "drift."}.get(type(config), "")
    for key, hint in get_type_hints(type(config)).items():
        value = getattr(config, key)
        if not _fits(value, hint):
            raise ConfigError(f"{prefix}{key} = {value!r} is not {_said(hint)}")


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (UnionType, Union):
        return any(_fits(value, each) for each in get_args(hint))
    if origin is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if origin is tuple:
        item = get_args(hint)[0]
        return isinstance(value, tuple) and all(_fits(each, item) for each in cast("tuple[Any, ...]", value))
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _said(hint: Any) -> str:
    """A type in words, for an error."""
    if get_origin(hint) in (UnionType, Union):
        return " or ".join(_said(each) for each in get_args(hint) if each is not NoneType)
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(f'"{each}"' for each in get_args(hint))
    if get_origin(hint) is tuple:
        items = get_args(hint)[0]
        return "a list of texts" if items is str else "a list of texts, numbers or booleans"
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", TopicConfig: "a table"}
    words |= {ProbeConfig: "a table", DriftConfig: "a table"}
    return words.get(hint, "a table of inputs")


def _check_positive(config: Any, but: set[str] | frozenset[str] = frozenset()) -> None:
    for each in dataclasses.fields(config):
        value = getattr(config, each.name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            least = "0 or more" if each.name in but else "more than 0"
            if not 0 <= value < float("inf") or (value == 0 and each.name not in but):
                raise ConfigError(f"{each.name} = {value!r} must be {least}")


def check_model_name(name: str) -> None:
    """Raise ConfigError for a text that can't name a model."""
    if not NAME_PATTERN.fullmatch(name) or name.startswith(INTERNAL_PREFIX):
        raise ConfigError(
            f"name = {name!r} is not a model's name",
            remedy="use letters, digits, _, - and . (at most 200, not beginning with grid_inference.)",
        )


def check_alias(alias: str) -> None:
    """Raise ConfigError for a text that can't name an alias: MODEL@ALIAS must not read as anything else."""
    if not ALIAS_PATTERN.fullmatch(alias):
        raise ConfigError(
            f"alias = {alias!r} is not an alias's name",
            remedy="use letters, digits, _, - and . (at most 100, not digits alone, which name a version)",
        )


def _check_name(key: str, value: str) -> None:
    if not NAME_PATTERN.fullmatch(value) or value.startswith(INTERNAL_PREFIX):
        raise ConfigError(
            f"{key} = {value!r} is not a deployment's name",
            remedy="use letters, digits, _, - and . (at most 200, not beginning with grid_inference.)",
        )
