"""Settings: defaults < TOML < environment < flags, and refusals that name the key, the value and the file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid_inference.config import DeploymentConfig, GridConfig, InputConfig, TopicConfig, WorkerConfig, parse_address
from grid_inference.errors import ConfigError

MINIMAL = {"name": "fraud", "features": "payments"}


def test_a_deployment_needs_a_name_and_a_feature_map_only():
    config = DeploymentConfig.from_mapping(MINIMAL)
    assert config.predictions == "fraud.predictions"
    assert config.dead_letters == "fraud.dead-letters"
    assert config.topic == TopicConfig(name="fraud.predictions", kind="topic", where=None)
    assert (config.trigger, config.start, config.on_remove, config.nan) == (
        "journal",
        "existing",
        "remove",
        "dead-letter",
    )


def test_inputs_of_a_deployment_file(tmp_path):
    path = tmp_path / "fraud.toml"
    path.write_text(
        """
        name = "fraud"
        features = "payments"

        [inputs]
        amount = "betrag"
        city = { field = ["address.city", "city"], one_of = ["Ghent", "Porto"], default = "Porto" }
        web = { constant = true }
        """
    )
    config = DeploymentConfig.from_toml(path)
    assert config.inputs == {
        "amount": InputConfig("betrag"),
        "city": InputConfig(("address.city", "city"), one_of=("Ghent", "Porto"), default="Porto"),
        "web": InputConfig(constant=True),
    }
    assert DeploymentConfig.from_mapping(json.loads(json.dumps(config.to_mapping()))) == config
    assert config.replace(inputs={"amount": {"field": "x[3]"}}).inputs == {"amount": InputConfig("x[3]")}


def test_the_class_of_the_score():
    config = DeploymentConfig.from_mapping(MINIMAL | {"score_of": "fraud"})
    assert config.score_of == DeploymentConfig.from_mapping(config.to_mapping()).score_of == "fraud"
    assert DeploymentConfig.from_mapping(MINIMAL | {"score_of": 1}).score_of == "1"
    assert DeploymentConfig.from_mapping(MINIMAL | {"score_of": True}).score_of == "True"
    assert "score_of" not in DeploymentConfig.from_mapping(MINIMAL).to_mapping()


def test_a_deployment_file(tmp_path):
    path = tmp_path / "fraud.toml"
    path.write_text(
        """
        name = "fraud"
        features = "payments"
        model = "models/fraud.joblib"
        columns = ["amount", "hour"]
        topic = { kind = "reliable", where = "score >= 0.9" }
        start = "new"
        on_remove = "keep"
        nan = "score"
        """
    )
    config = DeploymentConfig.from_toml(path)
    assert config.model == str(tmp_path / "models/fraud.joblib")
    assert config.columns == ("amount", "hour")
    assert config.topic == TopicConfig("fraud.predictions", "reliable", "score >= 0.9")
    assert (config.start, config.on_remove, config.nan) == ("new", "keep", "score")
    path.write_text('name = "fraud"\nfeatures = "payments"\nmodel = "/models/fraud.joblib"')
    assert DeploymentConfig.from_toml(path).model == "/models/fraud.joblib"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"feature": "x"}, "feature is not a known key"),
        ({"topic": {"colour": 1}}, "topic.colour is not a known key"),
        ({"topic": "fraud"}, "topic = 'fraud' is not a table"),
        ({"topic": {"kind": "queue"}}, """topic.kind = 'queue' is not one of "topic", "reliable", "none\""""),
        ({"topic": {"where": 3}}, "topic.where = 3 is not a text"),
        ({"drift": {"psi": -0.1}}, "drift.psi = -0.1 must be 0 or more"),
        ({"drift": {"psi": "high"}}, "drift.psi = 'high' is not a number"),
        ({"drift": {"window_s": 5}}, "drift.window_s = 5 must be 10 or more"),
        ({"drift": {"window": 5}}, "drift.window is not a known key"),
        ({"drift": 3}, "drift = 3 is not a table"),
        ({"start": "old"}, """start = 'old' is not one of "existing", "new\""""),
        ({"on_remove": True}, "on_remove = True is not one of"),
        ({"nan": "drop"}, """nan = 'drop' is not one of "score", "dead-letter\""""),
        ({"trigger": "queue"}, """trigger = 'queue' is not one of "journal", "listener\""""),
        ({"trigger": "listener", "start": "new"}, "needs trigger"),
        ({"trigger": "listener", "reconcile_s": 0}, "reconcile_s = 0 must be more than 0"),
        ({"inputs": "amount"}, "inputs = 'amount' is not a table of inputs"),
        ({"inputs": {"a": 3}}, "inputs.a: field = 3 is not a text or a list of texts"),
        ({"inputs": {"a": {"feld": "b"}}}, "inputs.a.feld is not a known key"),
        ({"inputs": {"a": {"cast": "double"}}}, 'inputs.a: cast = \'double\' is not one of "float", "int"'),
        ({"inputs": {"a": {"one_of": "x"}}}, "one_of = 'x' is not a list of texts, numbers or booleans"),
        ({"inputs": {"a": {"default": []}}}, "default = [] is not a text or a whole number or a number or true or"),
        ({"inputs": {"a": {"constant": 1, "default": 2}}}, "inputs.a: a constant is all that its input has"),
        ({"columns": "amount"}, "columns = 'amount' is not a list of texts"),
        ({"columns": ["a", 3]}, "is not a list of texts"),
        ({"columns": []}, "is empty or names a field twice"),
        ({"columns": ["a", "a"]}, "is empty or names a field twice"),
        ({"name": "no blanks"}, "name = 'no blanks' is not a deployment's name"),
        ({"name": "grid_inference.x"}, "is not a deployment's name"),
        ({"name": 7}, "name = 7 is not a text"),
        ({"features": " "}, "is not the name of a feature map"),
        ({"features": "grid_inference.leases"}, "is not the name of a feature map"),
        ({"predictions": "payments"}, "must be three maps"),
        ({"score_of": ["fraud"]}, "score_of = ['fraud'] is not a text"),
        ({"model": ["a"]}, "model = ['a'] is not a text"),
    ],
)
def test_refuses_what_cannot_be_right_and_names_the_file(tmp_path, change, said):
    with pytest.raises(ConfigError) as caught:
        DeploymentConfig.from_mapping(MINIMAL | change)
    assert said in str(caught.value)
    path = tmp_path / "bad.toml"
    path.write_text("\n".join(f"{key} = {_toml(value)}" for key, value in (MINIMAL | change).items()))
    with pytest.raises(ConfigError) as caught:
        DeploymentConfig.from_toml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def _toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)


def test_says_what_is_missing():
    with pytest.raises(ConfigError, match="features is missing"):
        DeploymentConfig.from_mapping({"name": "fraud"})
    with pytest.raises(ConfigError) as caught:
        DeploymentConfig.from_mapping(MINIMAL | {"on_removal": "keep"})
    assert "on_remove" in caught.value.remedy


def test_unreadable_files(tmp_path):
    with pytest.raises(ConfigError, match="can't be read"):
        DeploymentConfig.from_toml(tmp_path / "none.toml")
    for content in (b"name = ", b"\xff\xfe\x00"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(ConfigError, match=r"bad\.toml: is not TOML"):
            DeploymentConfig.from_toml(tmp_path / "bad.toml")


TEXTS = st.none() | st.text(min_size=1, max_size=5)


@given(
    st.builds(
        DeploymentConfig,
        name=st.from_regex(r"\A[a-z0-9]{1,8}\Z"),
        features=st.just("payments"),
        topic=st.builds(TopicConfig, name=TEXTS, kind=st.sampled_from(["topic", "reliable", "none"]), where=TEXTS),
        model=TEXTS,
        columns=st.none() | st.lists(st.text(max_size=3), min_size=1, unique=True).map(tuple),
        start=st.sampled_from(["existing", "new"]),
        nan=st.sampled_from(["score", "dead-letter"]),
    )
)
def test_a_deployment_travels_as_json(config):
    assert DeploymentConfig.from_mapping(json.loads(json.dumps(config.to_mapping()))) == config


def test_replace_checks_again():
    config = DeploymentConfig.from_mapping(MINIMAL)
    assert config.replace(start="new").start == "new"
    with pytest.raises(ConfigError):
        config.replace(start="old")


def test_layers_of_settings(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('[grid]\naddress = "one:5701"\ncluster_name = "file"\n[worker]\nlanes = 3\nbatch_rows_max = 2\n')
    environ = {
        "GRID_INFERENCE_CLUSTER": "env",
        "GRID_INFERENCE_BATCH_ROWS_MAX": "4",
        "GRID_INFERENCE_ALLOW_PICKLE": "yes",
    }
    assert GridConfig.load(environ={}) == GridConfig()
    grid = GridConfig.load(path, environ=environ, flags={"address": None, "connect_timeout_s": 1})
    assert (grid.address, grid.cluster_name, grid.connect_timeout_s) == ("one:5701", "env", 1)
    assert GridConfig.load(path, environ=environ, flags={"cluster_name": "flag"}).cluster_name == "flag"
    worker = WorkerConfig.load(environ=environ | {"GRID_INFERENCE_CONFIG": str(path)})
    assert (worker.lanes, worker.batch_rows_max, worker.allow_pickle) == (3, 4, True)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"GRID_INFERENCE_LANES": "two"}, "GRID_INFERENCE_LANES = 'two' is not a whole number"),
        ({"GRID_INFERENCE_LANES": "0"}, "lanes = 0 must be more than 0"),
        ({"GRID_INFERENCE_LEASE_TTL_S": "inf"}, "must be more than 0"),
        ({"GRID_INFERENCE_LEASE_TTL_S": "nan"}, "must be more than 0"),
        ({"GRID_INFERENCE_ALLOW_PICKLE": "perhaps"}, "is not true or false"),
    ],
)
def test_refuses_bad_environment(environ, said):
    with pytest.raises(ConfigError) as caught:
        WorkerConfig.load(environ=environ)
    assert said in str(caught.value)


def test_refuses_bad_settings_files(tmp_path):
    path = tmp_path / "settings.toml"
    for content, said in (("[worker]\nlane = 3", "lane is not a known key"), ("worker = 3", "is not a table")):
        path.write_text(content)
        with pytest.raises(ConfigError, match=said) as caught:
            WorkerConfig.load(path, environ={})
        assert str(path) in str(caught.value)


def test_addresses():
    assert parse_address("grid-1:5702") == ("grid-1", 5702)
    assert parse_address("127.0.0.1") == ("127.0.0.1", 5701)
    assert parse_address(" [::1]:5703 ") == ("::1", 5703)
    for bad in ("", ":5701", "host:", "host:0", "host:70000", "a b:1", "::1", "http://x:1", "host:x"):
        with pytest.raises(ConfigError, match="is not host:port"):
            parse_address(bad)
    with pytest.raises(ConfigError):
        GridConfig(address="host:x")
