"""`models keygen` and `trust` as an operator uses them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from grid_inference.cli.app import run
from grid_inference.model.store.keys import Keyring, SigningKey


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRID_INFERENCE_KEYS", str(tmp_path / "keys"))
    return tmp_path / "keys"


def test_a_key_goes_from_one_machine_to_another(folder, tmp_path, capsys):
    assert run(["models", "keygen"]) == 0
    made = capsys.readouterr()
    assert made.out.startswith("-----BEGIN PUBLIC KEY-----")
    fingerprint = Keyring(folder).signing_key().public.fingerprint
    assert f"made key {fingerprint}" in made.err
    assert run(["models", "keygen"]) == 0
    again = capsys.readouterr()
    assert again.out == made.out
    assert "there is key" in again.err

    other, file = tmp_path / "other", tmp_path / "ann.pem"
    file.write_text(made.out)
    assert run(["trust", "add", str(file), "--keys", str(other)]) == 0
    assert f"ann is trusted here: key {fingerprint}" in capsys.readouterr().out
    assert run(["trust", "list", "--keys", str(other)]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:]] == [["ann", fingerprint]]
    assert run(["trust", "list"]) == 0
    assert "signs here" in capsys.readouterr().out
    assert run(["trust", "remove", "ann", "--keys", str(other)]) == 0
    assert "no more" in capsys.readouterr().out
    assert run(["trust", "list", "--keys", str(other)]) == 0
    assert "no key is trusted here" in capsys.readouterr().out


def test_json_and_standard_input(folder):
    def say(*arguments, given=b""):
        command = [sys.executable, "-m", "grid_inference.cli", *arguments, "--json"]
        ran = subprocess.run(command, input=given, capture_output=True, check=True)
        return json.loads(ran.stdout)

    made = say("models", "keygen")
    assert made["made"] is True
    assert say("models", "keygen") == made | {"made": False}
    stranger = SigningKey.generate().public
    added = say("trust", "add", "-", "--name", "stranger", given=stranger.pem)
    assert added == {"name": "stranger", "fingerprint": stranger.fingerprint}
    listed = {one["name"]: one for one in say("trust", "list")}
    assert listed["stranger"] == added | {"own": False}
    assert sum(one["own"] for one in listed.values()) == 1
    assert say("trust", "remove", "stranger") == {"name": "stranger"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trust", "add", "{tmp}/none.pem"], "none.pem: can't be read"),
        (["trust", "add", "{tmp}/bad.pem"], "bad.pem: holds no Ed25519 public key"),
        (["trust", "add", "{tmp}/good.pem", "--name", "../up"], "'../up' is no name for a key"),
        (["trust", "add", "-"], "--name is needed"),
        (["trust", "remove", "nobody"], "there is no trusted key 'nobody'"),
        (["node", "--public", "--allow-pickle"], "--allow-pickle is for a grid on loopback only"),
    ],
)
def test_what_can_not_be_is_one_line_and_a_remedy(folder, tmp_path, capsys, arguments, said):
    (tmp_path / "bad.pem").write_text("nothing")
    (tmp_path / "good.pem").write_bytes(SigningKey.generate().public.pem)
    assert run([argument.format(tmp=tmp_path) for argument in arguments]) in {2, 4}
    lines = capsys.readouterr().err.splitlines()
    assert said in lines[0]
    assert not folder.exists()
