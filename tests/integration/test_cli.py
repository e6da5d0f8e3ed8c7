"""The command line against a real member: in this process where nothing but results matters, else as a process."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.linear_model import LogisticRegression

import grid_inference as gi
from grid_inference.cli.app import COMMANDS, SECTIONS, run
from grid_inference.node.workers import Workers
from tests.integration.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grid_inference.grid.member import Member

STOP_WITHIN_S = 20.0
NOBODY = "127.0.0.1:9"


@pytest.fixture(scope="module")
def _workers(member: Member) -> Iterator[None]:
    with Workers(member.address, member.cluster_name, 1, node_address=member.address, threads=1):
        with gi.connect(member.address, cluster_name=member.cluster_name) as grid:
            grid.wait_for_workers(1)
        yield


@pytest.fixture(autouse=True)
def _grid(_workers: None, member: Member, monkeypatch):
    monkeypatch.setenv("GRID_INFERENCE_ADDRESS", member.address)
    monkeypatch.setenv("GRID_INFERENCE_CLUSTER", member.cluster_name)
    monkeypatch.setenv("GRID_INFERENCE_CONNECT_TIMEOUT_S", "1")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    random = np.random.default_rng(0)
    inputs = random.random((200, 2))
    fitted = LogisticRegression().fit(inputs, np.where(inputs.sum(1) > 1, "bad", "good"))
    path = tmp_path_factory.mktemp("model") / "model.joblib"
    joblib.dump(fitted, path)
    return path


@pytest.fixture
def cli(capsys):
    """Runs a command here; gives its exit code, its output and its errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return call


@pytest.fixture
def ok(cli):
    """Runs a command that must succeed; gives its JSON."""

    def call(*arguments: object):
        code, out, err = cli(*arguments, "--json")
        assert code == 0, err or out
        return json.loads(out)

    return call


def csv(path: Path, rows: int, first: int = 0) -> Path:
    lines = [f"{key},{key / rows:.3f},{0.5}" for key in range(first, first + rows)]
    path.write_text("\n".join(["id,a,b", *lines, ""]), encoding="utf-8")
    return path


@pytest.fixture
def deployed(ok, model, request) -> str:
    """A deployment of a map of its own: `<name>-records`."""
    name = f"cli-{request.node.name.split('[')[0].removeprefix('test_')}"[:60]
    ok("deploy", name, "--features", f"{name}-records", "--model", model, "--columns", "a,b")
    yield name
    ok("undeploy", name)


def started(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "grid_inference.cli", *map(str, arguments)]
    environment = {**os.environ, **(environment or {})}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environment
    )


def ended(process: subprocess.Popen[str], number: int = signal.SIGINT) -> tuple[int, str, str, float]:
    """Signal a process and wait for its end: exit code, output, errors, seconds."""
    begun = time.monotonic()
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert "Traceback" not in err, err
    return process.returncode, out, err, time.monotonic() - begun


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# ---- help


def test_every_command_has_help_with_an_example(cli):
    assert sorted(COMMANDS) == sorted(name for names in SECTIONS.values() for name in names)
    for name, (_, summary) in COMMANDS.items():
        code, out, _ = cli(name, "--help")
        assert code == 0
        assert f"  grid-inference {name}" in out
        assert out.split("\n\n")[1].split()[0] == summary.split()[0], name  # the list and the command say the same


def test_the_main_help_names_commands_and_exit_codes(cli):
    code, out, _ = cli("--help")
    assert code == 0
    assert all(name in out for name in COMMANDS)
    assert "130" in out


# ---- the way of a record


def test_put_deploy_get_verify(ok, cli, deployed, tmp_path):
    records = f"{deployed}-records"
    assert ok("put", records, csv(tmp_path / "r.csv", 100), "--key", "id")["rows"] == 100
    assert ok("verify", deployed)["complete"]
    assert ok("get", records, 7) == {"a": 0.07, "b": 0.5}
    prediction = ok("get", deployed, 99)
    assert (prediction["label"], prediction["model"], prediction["version"]) == ("bad", deployed, 1)
    code, out, _ = cli("get", deployed, 99)
    assert code == 0
    assert "label" in out
    code, out, _ = cli("verify", deployed)
    assert code == 0
    assert "complete, 100 records" in out
    status = {one["name"]: one for one in ok("status")["deployments"]}
    assert status[deployed]["state"] == "running"
    code, out, _ = cli("status")
    assert deployed in out

    def proven() -> bool:
        """Each partition's position is stored, which workers do on a timer."""
        return all(one["worker"] and one["proven_at_us"] for one in ok("status", deployed)["partitions"])

    until(proven, "the proof of all partitions")
    of_one = ok("status", deployed)
    assert of_one["name"] == deployed
    assert {one["partition"] for one in of_one["partitions"]} == set(range(31))
    assert sum(one["lag"] for one in of_one["partitions"]) == of_one["lag"]
    code, out, _ = cli("status", deployed)
    assert "scored through" in out
    assert cli("status", "nobody")[0] != 0


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "csv.gz"])
def test_put_other_formats(ok, tmp_path, suffix):
    path, name = tmp_path / f"r.{suffix}", f"cli-format-{suffix}"
    columns = {"id": ["x1", "x2"], "a": [1.5, 2.5], "n": [3, 4], "t": ["p", "q"], "y": [True, False]}
    if suffix == "parquet":
        parquet.write_table(pa.table(columns), path)
    elif suffix == "jsonl":
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with pa.output_stream(path, compression="gzip") as file:
            file.write(b"id,a,n,t,y\nx1,1.5,3,p,true\nx2,2.5,4,q,false\n")
    assert ok("put", name, path, "--key", "id")["rows"] == 2
    assert ok("get", name, "x2") == {"a": 2.5, "n": 4, "t": "q", "y": False}


def test_the_type_of_keys(ok, cli, tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("id,a\n007,1\n008,2\n")
    ok("put", "cli-text-keys", path, "--key", "id", "--key-type", "string")
    assert ok("get", "cli-text-keys", "007", "--key-type", "string") == {"a": 1}
    assert cli("get", "cli-text-keys", "007")[0] == 1
    ok("put", "cli-int-keys", path, "--key", "id", "--key-type", "int")
    assert ok("get", "cli-int-keys", "7", "--key-type", "int") == {"a": 1}
    assert cli("get", "cli-int-keys", "x", "--key-type", "int")[0] == 2


def test_deploy_tells_where_records_are_not_what_the_model_takes(cli, ok, model, tmp_path):
    name, path = "cli-differences", tmp_path / "records.csv"
    path.write_text("id,a,b,note\n1,0.5,true,x\n2,0.5,false,y\n", encoding="utf-8")
    ok("put", f"{name}-records", path, "--key", "id")
    try:
        code, out, _ = cli("deploy", name, "--features", f"{name}-records", "--model", model, "--columns", "a,b")
        assert code == 0
        _, heading, *rows = out.splitlines()
        assert heading.split("  ")[0] == "input"
        assert [row.split()[0] for row in rows] == ["b", "note"]
        assert "BOOLEAN" in rows[0]
        assert (
            rows[0].rstrip().endswith('1 or 0; null is refused, unless nan = "score"')
        )  # a file's column has room for it
        assert rows[1].rstrip().endswith("not used")
        again = ok("deploy", name, "--features", f"{name}-records", "--model", model, "--columns", "a,b")
        first, second = (one["said"] for one in again["differences"])
        assert first.startswith("1 or 0")
        assert second == "not used"
    finally:
        ok("undeploy", name)


def test_deploy_keeps_how_a_sample_was_spread(cli, ok, model, tmp_path):
    name, sample = "cli-sample", csv(tmp_path / "sample.csv", 600)
    where = ("--features", f"{name}-records", "--model")
    deployed = ok("deploy", name, *where, model, "--columns", "a,b", "--sample", sample)
    try:
        assert (deployed["statistics"]["rows"], len(deployed["expected"]["score"])) == (600, 20)
        assert [column["name"] for column in deployed["statistics"]["inputs"]] == ["a", "b"]
        code, _, said = cli("deploy", name, *where, f"{name}@champion", "--sample", sample)
        assert (code, "with its columns, classes and sample" in said) == (4, True)
        code, _, said = cli("deploy", name, *where, model, "--sample", tmp_path / "nothing.csv")
        assert (code, "nothing.csv can't be read" in said) == (4, True)
    finally:
        ok("undeploy", name)


def test_the_life_of_a_model(cli, ok, model, tmp_path):
    name = "cli-life-of-a-model"
    assert [ok("models", "publish", name, model, "--columns", "a,b")["version"] for _ in range(2)] == [1, 2]
    promoted = ok("models", "promote", name, 1)
    assert promoted == {
        "model": name,
        "alias": "champion",
        "version": 1,
        "share": 1.0,
        "deployments": [],
        "differences": {},
    }
    deployed = ok("deploy", name, "--features", f"{name}-records", "--model", f"{name}@champion")
    assert (deployed["model"], deployed["version"], deployed["alias"]) == (name, 1, "champion")
    try:
        assert ok("models", "promote", name, 2)["deployments"] == [name]
        assert next(one for one in ok("models", "list") if one["name"] == name) == {
            "name": name,
            "latest": 2,
            "aliases": {"champion": [1, 2]},
        }
        code, out, _ = cli("models", "show", name)
        assert code == 0
        assert [line.split()[:2] for line in out.splitlines()[1:]] == [["2", "champion"], ["1", "LogisticRegression"]]
        ok("put", f"{name}-records", csv(tmp_path / "records.csv", 10), "--key", "id")
        assert ok("verify", name, "--wait", "20")["complete"]
        assert ok("get", name, 3)["version"] == 2
        assert ok("rescore", name, "--rate", 1000)["records"] == 0
        code, out, _ = cli("rescore", name)
        assert code == 0
        assert out.startswith(f"{name}: 0 records scored by version 2 in ")
        code, out, _ = cli("models", "rollback", name)
        assert (code, out) == (0, f"{name}@champion is version 1: {name}\n")
        code, _, err = cli("models", "delete", name, 1)
        assert code == 4
        assert "is in use by alias champion" in err
        assert cli("models", "delete", name, 2) == (0, f"{name}@2 is deleted\n", "")
        code, _, err = cli("models", "promote", name, 2)
        assert code == 4
        assert f"`grid-inference models show {name}` lists them" in err
    finally:
        ok("undeploy", name)


def test_a_deployment_file_and_the_life_of_a_deployment(ok, cli, model, tmp_path):
    (tmp_path / "model.joblib").write_bytes(model.read_bytes())
    file = tmp_path / "deployment.toml"
    file.write_text('name = "cli-file"\nfeatures = "cli-file-records"\nmodel = "model.joblib"\ncolumns = ["a", "b"]\n')
    assert ok("deploy", file)["version"] == 1
    again = ok("deploy", file, "--where", "score >= 0.9", "--nan", "score")
    assert (again["version"], again["config"]["topic"]["where"], again["config"]["nan"]) == (2, "score >= 0.9", "score")
    assert ok("pause", "cli-file")["state"] == "paused"
    assert {one["config"]["name"]: one["state"] for one in ok("deployments")}["cli-file"] == "paused"
    assert "cli-file" in cli("deployments")[1]
    assert ok("resume", "cli-file")["state"] == "running"
    assert cli("undeploy", "cli-file")[0] == 0
    code, _, err = cli("pause", "cli-file")
    assert code == 1
    assert "there is no deployment 'cli-file'" in err


@pytest.fixture
def refused(ok, cli, deployed, tmp_path):
    """A deployment that has scored record 1 and refused 2, 3 and 4."""
    path = tmp_path / "r.csv"
    path.write_text("id,a,b\n1,0.5,0.5\n2,,0.5\n3,,0.25\n4,,0.75\n")
    assert cli("dead-letters", "list", deployed)[1] == f"{deployed} has refused no record\n"
    ok("put", f"{deployed}-records", path, "--key", "id")
    assert ok("verify", deployed, "--wait", 60)["dead_letters"] == 3
    return deployed


def test_dead_letters_are_listed(ok, cli, refused):
    found = ok("dead-letters", "list", refused, "--limit", 2)
    assert (found["total"], found["causes"]) == (3, {"NAN_FEATURE": 3})
    assert [one["cause"] for one in found["dead_letters"]] == ["NAN_FEATURE"] * 2
    code, out, _ = cli("dead-letters", "list", refused, 2, "--since", "1h", "--cause", "NAN_FEATURE")
    assert (code, out.count("NAN_FEATURE")) == (0, 2)  # once in the counts, once in the list
    assert "no such dead letter" in cli("dead-letters", "list", refused, "--cause", "MODEL_ERROR")[1]
    assert ok("dead-letters", "list", refused, "--since", "2999-01-01")["total"] == 0
    assert "the newest 1 of 3" in cli("dead-letters", "list", refused, "--limit", 1)[1]


def test_a_dead_letter_is_shown(ok, cli, refused):
    found = ok("dead-letters", "show", refused, 2)
    assert (found["letter"]["key"], found["now"]) == (2, "unchanged")
    assert found["record"] == {"a": None, "b": 0.5}
    code, out, _ = cli("dead-letters", "show", refused, 2)
    assert code == 0
    assert "default" in out
    assert "NAN_FEATURE" in out
    code, _, err = cli("dead-letters", "show", refused, 1)
    assert (code, "no dead letter of the key 1" in err) == (1, True)


def test_dead_letters_are_replayed(ok, cli, refused):
    code, out, err = cli("dead-letters", "replay", refused, 2, 99, "--wait", 30)
    assert (code, "without a dead letter: 99" in err) == (1, True)
    assert out.startswith("1 replayed, 0 changed meanwhile, 0 gone\n")
    assert ok("dead-letters", "replay", refused, "--all", "--wait", 30)["replayed"] == 3
    ok("pause", refused)
    code, _, err = cli("dead-letters", "replay", refused, "--cause", "NAN_FEATURE", "--wait", 0)
    assert (code, "3 are not scored yet" in err) == (1, True)
    assert "replayed" in cli("dead-letters", "list", refused)[1]
    ok("resume", refused)


def test_dead_letters_are_dropped_once_that_is_confirmed(ok, cli, refused, monkeypatch):
    for answer, code in (("n\n", 1), ("", 130)):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        assert cli("dead-letters", "drop", refused, 2)[0] == code
    assert ok("dead-letters", "list", refused)["total"] == 3
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    code, out, err = cli("dead-letters", "drop", refused, 2)
    assert (code, out) == (0, "1 dropped, 0 changed meanwhile and were left\n")
    assert "give 1 dead letters" in err
    assert ok("dead-letters", "drop", refused, "--all", "--yes")["dropped"] == 2
    assert ok("dead-letters", "list", refused)["total"] == 0
    assert ok("dead-letters", "list", refused, "--cause", "DROPPED")["total"] == 3
    assert ok("verify", refused)["dead_letters"] == 3


def test_a_map_that_does_not_exist_is_said(cli, ok, model):
    deploy = ("deploy", "cli-new", "--model", model, "--columns", "a,b")
    code, out, err = cli(*deploy, "--features", "cli-new-records")
    assert code == 0, err
    assert "there is no map 'cli-new-records' yet: its first record is waited for\n" in out
    assert cli("verify", "cli-new")[1].splitlines()[0] == (
        "cli-new: nothing was compared, as its feature map has no record"
    )
    with gi.connect() as grid:
        grid.features("cli-new-records").put(1, {"a": 0.5, "b": 0.5})
    assert "there is no map" not in cli(*deploy, "--features", "cli-new-records")[1]
    assert ok("deploy", *deploy[1:], "--features", "cli-new-records")["features_are_new"] is False
    _, out, _ = cli("deploy", "cli-newer", "--model", "cli-new@champion", "--features", "cli-new-record")
    assert "there is no map 'cli-new-record' yet: its first record is waited for; is 'cli-new-records' meant?" in out
    assert cli("get", "cli-new-rekords", 1)[2].startswith(
        "grid-inference: there is no map and no deployment 'cli-new-rekords'; is 'cli-new-records' meant?"
    )
    for name in ("cli-new", "cli-newer"):
        ok("undeploy", name)


def test_get_says_why_there_is_nothing(cli, ok, refused):
    def said(key):
        code, out, err = cli("get", refused, key)
        assert (code, out) == (1, "")
        return err

    assert f"{refused} has refused the record 2: NAN_FEATURE" in said(2)
    assert f"`grid-inference dead-letters show {refused} 2`" in said(2)
    assert "has no record under the key 99" in said(99)
    ok("pause", refused)
    with gi.connect() as grid:
        grid.features(f"{refused}-records").put(7, {"a": 0.5, "b": 0.5})
    assert f"is not scored yet: {refused} is paused" in said(7)
    assert f"`grid-inference resume {refused}`" in said(7)
    ok("resume", refused)


def test_deployments_name_the_model_and_status_the_state(cli, ok, deployed):
    rows = [line.split() for line in cli("deployments")[1].splitlines()]
    assert rows[0][:4] == ["deployment", "state", "model", "class"]
    assert [deployed, "running", f"{deployed}@1", "champion", "LogisticRegression"] in [row[:5] for row in rows]
    assert cli("status", deployed)[1].splitlines()[1].split()[:3] == [deployed, "running", f"{deployed}@1"]
    ok("pause", deployed)
    assert cli("status", deployed)[1].splitlines()[1].split()[:2] == [deployed, "paused"]


def test_verify_is_not_complete_while_paused(ok, cli, deployed, tmp_path):
    ok("pause", deployed)
    ok("put", f"{deployed}-records", csv(tmp_path / "r.csv", 3), "--key", "id")
    code, out, _ = cli("verify", deployed, "--wait", 0)
    assert code == 1
    assert "not complete" in out


def test_doctor(cli, ok):
    findings = {one["what"]: one for one in ok("doctor")["findings"]}
    assert {"Python", "Java", "Hazelcast", "client", "grid", "workers", "journal"} <= set(findings)
    code, out, _ = cli("doctor", "--address", NOBODY)
    assert code == 1
    assert "start a node" in out


# ---- bad input


def test_rows_that_do_not_fit_are_named_and_the_rest_goes_in(cli, ok, tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("id,a,b\n1,0.1,0.5\n2,none of it,0.5\n3,0.3\n\n,0.4,0.5\n6,0.6,0.5\n")
    code, out, err = cli("put", "cli-bad-rows", path, "--key", "id", "--json")
    assert code == 1
    assert json.loads(out)["rows"] == 2
    assert [row["number"] for row in json.loads(out)["bad_rows"]] == [3, 4, 6]
    assert "r.csv, row 3: a = 'none of it' is no number; left out" in err
    assert "row 4: 2 values for 3 columns" in err
    assert ok("get", "cli-bad-rows", 6) == {"a": 0.6, "b": 0.5}
    assert cli("get", "cli-bad-rows", 2)[0] == 1


def test_bad_lines_of_json(cli, tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text('{"id": 1, "a": 1}\nnot json\n[1]\n{"id": 4, "a": "x"}\n{"a": 5}\n{"id": 6, "a": 2.5}\n')
    code, out, _ = cli("put", "cli-bad-json", path, "--key", "id", "--json")
    assert code == 1
    assert [row["number"] for row in json.loads(out)["bad_rows"]] == [2, 3, 4, 5]


def test_many_bad_rows_are_counted(cli, tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("id,a\n" + "".join(f"{n},{n if n % 2 else 'x' if n < 100 else n}\n" for n in range(300)))
    code, out, err = cli("put", "cli-many-bad", path, "--key", "id")
    assert code == 1
    assert out == "250 rows, 250 keys put into cli-many-bad, 50 left out\n"
    assert err.endswith("and 30 more rows\n")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("r.csv", "", "is empty"),
        ("r.csv", "id,a\n", "has no rows"),
        ("r.csv", "a,b\n1,2\n", "has no column 'id'"),
        ("r.csv", "id,id\n1,2\n", "several columns"),
        ("r.jsonl", "\n", "has no rows"),
        ("r.parquet", "no parquet", "can't be read"),
        ("r.parquet", None, "has no rows"),
        ("r.xyz", "id\n1\n", "does not tell the format"),
    ],
)
def test_files_that_are_refused(cli, tmp_path, name, text, said):
    path = tmp_path / name
    if text is None:
        parquet.write_table(pa.table({"id": pa.array([], pa.int64())}), path)
    else:
        path.write_text(text)
    code, _, err = cli("put", "cli-refused", path, "--key", "id")
    assert code == 4
    assert said in err
    assert len(err.splitlines()) <= 2


def test_models_that_are_refused(cli, model, tmp_path):
    no_model = tmp_path / "no.joblib"
    no_model.write_bytes(b"no model")
    code, _, err = cli("deploy", "cli-no-model", "--features", "x", "--model", no_model)
    assert code == 4
    assert f"{no_model}: is no model: neither skops nor joblib has written it" in err
    assert cli("deploy", "cli-no-model", "--features", "x", "--model", tmp_path / "missing.joblib")[0] == 4
    assert cli("deploy", "cli-no-model", "--features", "x")[0] == 2
    assert cli("deploy", "cli-no-model", "--model", model)[0] == 2
    assert cli("deploy", "no good name", "--features", "x", "--model", model)[0] == 2


@pytest.mark.parametrize(
    "command", ["get x 1", "status", "verify x", "watch x", "dead-letters list x", "deployments", "pause x"]
)
def test_a_wrong_address(cli, command):
    code, out, err = cli(*command.split(), "--address", NOBODY)
    assert (code, out) == (3, "")
    assert NOBODY in err
    assert len(err.splitlines()) == 2


def test_a_wrong_cluster_name(cli, monkeypatch):
    monkeypatch.setenv("GRID_INFERENCE_CONNECT_TIMEOUT_S", "5")
    code, _, err = cli("status", "--cluster-name", "someone-elses")
    assert code == 3
    assert "does not let us into a cluster 'someone-elses'" in err
    assert "--cluster-name" in err
    assert "start a node" not in err


@pytest.mark.parametrize("command", ["verify", "watch", "dead-letters list", "pause", "resume", "undeploy"])
def test_an_unknown_deployment(cli, command):
    code, _, err = cli(*command.split(), "cli-unknown")
    assert code == 1
    assert "there is no deployment 'cli-unknown'" in err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("stauts", "did you mean `status`?"),
        ("dead-letters fraud", "dead-letters list fraud"),
        ("dead-letters replay fraud", "it is not said which"),
        ("dead-letters drop fraud 1 --all", "leave one of them out"),
        ("dead-letters list fraud --since yesterday", "is no time"),
        ("put x", "Missing argument"),
        ("status --nonsense", "No such option"),
        ("status --address not-an-address:x", "is not host:port"),
        ("put x /does/not/exist --key id", "does not exist"),
        ("node --host 192.0.2.1", "can be reached by other machines"),
    ],
)
def test_wrong_usage(cli, command, said):
    code, _, err = cli(*command.split())
    assert code == 2
    assert said in err


def test_keys_are_never_rounded(ok, cli, tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("id,a\n9007199254740993,1\n,2\n9223372036854775807,3.5\n99999999999999999999,4\n")
    code, out, _ = cli("put", "cli-large-keys", path, "--key", "id", "--json")
    assert (code, json.loads(out)["rows"]) == (1, 2)
    assert ok("get", "cli-large-keys", 9007199254740993) == {"a": 1.0}
    assert ok("get", "cli-large-keys", 2**63 - 1) == {"a": 3.5}


def test_put_counts_rows_and_keys(cli, ok, tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("id,a\n1,1\n1,2\n2,3\n")
    assert cli("put", "cli-counted", path, "--key", "id")[1] == "3 rows, 2 keys put into cli-counted\n"
    path.write_text("account,a\n007,1\n7,2\n0007,3\n12,4\n")
    found = ok("put", "cli-zeros", path, "--key", "account")
    assert (found["rows"], found["keys"]) == (4, 4)
    assert ok("get", "cli-zeros", "007", "--key-type", "string") == {"a": 1}


def test_a_column_may_turn_to_fractions_after_many_rows(ok, tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text("".join(f'{{"id": {n}, "a": {n if n < 25_000 else n + 0.5}}}\n' for n in range(30_000)))
    assert ok("put", "cli-widened", path, "--key", "id")["left_out"] == 0
    assert ok("get", "cli-widened", 1) == {"a": 1}
    assert ok("get", "cli-widened", 29_999) == {"a": 29_999.5}


# ---- processes and signals


def test_watch_prints_what_comes_and_ends_by_ctrl_c(ok, cli, deployed, tmp_path):
    process = started("watch", deployed, "--json", "--where", "score >= 0.5", environment={"PYTHONUNBUFFERED": "1"})
    try:
        path, first = csv(tmp_path / "r.csv", 50), []
        deadline = time.monotonic() + STOP_WITHIN_S
        while not first and time.monotonic() < deadline:  # until it listens
            ok("put", f"{deployed}-records", path, "--key", "id")
            os.set_blocking(process.stdout.fileno(), False)
            first = process.stdout.readlines()
        os.set_blocking(process.stdout.fileno(), True)
        assert json.loads(first[0])["score"] >= 0.5
    finally:
        code, _, _, seconds = ended(process)
    assert code == 130
    assert seconds < 5


@pytest.mark.parametrize("where", ["score > 'high'", "version LIKE '1%'", "score >\n0.5"])
def test_a_filter_that_can_bring_nothing_is_refused_by_watch_and_deploy(cli, deployed, model, where):
    again = ["deploy", f"{deployed}-b", "--features", f"{deployed}-b", "--model", model, "--columns", "a,b"]
    for command in (["watch", deployed], again):
        code, _, err = cli(*command, "--where", where)
        assert code in {1, 2}
        assert repr(where) in err
    assert "there is no deployment" in cli("verify", f"{deployed}-b")[2]


@pytest.mark.parametrize(
    ("broken", "code", "said"),
    [
        (
            KeyboardInterrupt(),
            130,
            "{} rows of r.csv are in cli-partly, and perhaps some of those that were on their way",
        ),
        (gi.ConnectionLostError("the member is gone"), 3, "{} rows of r.csv are in cli-partly, and perhaps some"),
        (gi.EncodeError("a does not fit"), 4, "{} rows of r.csv are in cli-partly\n"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_put_that_ends_before_its_time_says_what_is_in(cli, tmp_path, monkeypatch, broken, code, said):
    path = tmp_path / "r.csv"
    path.write_text("id,a\n" + "".join(f"{n},{n}.5\n" for n in range(10_000)))
    monkeypatch.setattr("grid_inference.cli.files.CSV_BLOCK_BYTES", 50_000)
    put_batch, done = gi.Features.put_batch, []

    def breaks(features, columns, **how):
        if done:
            raise broken
        done.append(len(how["key"]))
        return put_batch(features, columns, **how)

    monkeypatch.setattr(gi.Features, "put_batch", breaks)
    found, _, err = cli("put", "cli-partly", path, "--key", "id")
    assert found == code
    assert 0 < done[0] < 10_000
    assert said.format(f"{done[0]:,}") in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_runs_until_told_to_stop_and_drains(number):
    process = started("node", "--port", 0, "--workers", 1, "--json", "--cluster-name", "cli-node", "--heap-mb", 256)
    try:
        said = json.loads(process.stdout.readline())
        pids = [said["pid"], *said["workers"]]
        assert all(map(alive, pids))
        code = run(["status", "--address", said["address"], "--cluster-name", "cli-node"])
    finally:
        ending = ended(process, number)
    assert code == 0
    assert ending[0] == 0, ending[2]
    assert not any(map(alive, pids))


def test_workers_for_a_cluster_that_is_there(member):
    process = started("worker", "--workers", 1, "--json")
    try:
        [pid] = json.loads(process.stdout.readline())["workers"]
        assert alive(pid)
    finally:
        code, _, err, _ = ended(process, signal.SIGTERM)
    assert code == 0, err
    assert not alive(pid)
    assert run(["worker", "--address", NOBODY]) == 3


def test_a_port_that_is_taken(cli, member):
    code, _, err = cli("node", "--port", member.address.rpartition(":")[2], "--workers", 0)
    assert code == 3
    assert "in use" in err


def test_the_demo_and_the_grid_that_it_keeps():
    process = started("demo", "--records", 2000, "--rate", 4000, "--json", "--keep")
    try:
        found = json.loads(process.stdout.readline())
        said = ""
        while "Ctrl-C" not in said and process.poll() is None:
            said = process.stderr.readline()
        status = process.stderr.readline().split()
        code = run(status[1:])
    finally:
        ending = ended(process)
    assert (status[1], code, ending[0]) == ("status", 0, 0), ending[2]
    assert (found["records"], found["predictions"]) == (2000, 2000)
    assert (found["missing"], found["stale"], found["orphans"], found["dead_letters"]) == (0, 0, 0, 0)
    assert found["repairs"]["unexplained"] == 0
    assert found["latency_ms"]["p99"] >= found["latency_ms"]["p50"] > 0
    assert found["throughput_per_s"] > 0
    assert 0.7 < found["auc"] <= 1
    assert sum(found["versions"].values()) == 2000


def test_the_demo_loses_nothing_with_a_node(cli):
    code, out, err = cli("demo", "--nodes", 2, "--kill", "--records", 4000, "--rate", 2000, "--json")
    assert code == 0, err
    found = json.loads(out.splitlines()[-1])
    assert found["killed"]
    assert (found["records"], found["predictions"], found["missing"], found["stale"]) == (4000, 4000, 0, 0)
    assert found["repairs"]["unexplained"] == 0
    assert cli("demo", "--kill")[0] == 2


@pytest.mark.parametrize("after_s", [0.3, 1.0, 1.7, 4.0])
def test_the_demo_ends_by_ctrl_c_at_any_moment(after_s):
    process = started("demo")
    time.sleep(after_s)
    code, _, err, seconds = ended(process)
    # While modules are loaded the system ends the process by the signal; a shell calls that 130 too.
    assert code in {130, -signal.SIGINT}, err
    assert seconds < 15
