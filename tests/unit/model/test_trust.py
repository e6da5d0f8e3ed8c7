"""Who may load a model: signed by a trusted key, harmless, or by permission on loopback."""

import dataclasses

import pytest

from grid_inference.cli.app import run
from grid_inference.config import WorkerConfig
from grid_inference.errors import TrustError
from grid_inference.model.store.artifact import Artifact
from grid_inference.model.store.keys import SigningKey
from grid_inference.model.store.manifest import Manifest
from grid_inference.model.store.trust import Trust, check_pickle_allowed, is_loopback

KEY, OTHER = SigningKey.generate(), SigningKey.generate()
MANIFEST = Manifest(sha256="ab" * 32, size=3, python="3.11.7", class_name="LogisticRegression")
SIGNED = Artifact(MANIFEST, b"abc").signed(KEY).manifest
TYPES = ("sklearn.tree._tree.Tree",)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:5701", True),
        ("127.8.9.1", True),
        ("localhost:5701", True),
        ("LOCALHOST", True),
        ("[::1]:5701", True),
        ("[::ffff:127.0.0.1]:5701", True),
        ("10.0.0.1:5701", False),
        ("0.0.0.0:5701", False),
        ("[::]:5701", False),
        ("localhost.example.org:5701", False),
        ("127.0.0.1.example.org", False),
        ("grid-1:5701", False),
    ],
)
def test_loopback(address, expected):
    assert is_loopback(address) is expected
    assert Trust.of(address).loopback is expected


def test_a_trusted_key_vouches_wherever_the_grid_is():
    trust = Trust.of("grid-1:5701", keys=[OTHER.public, KEY.public])
    assert trust.vouched(SIGNED)
    assert not trust.vouched(MANIFEST)
    assert not Trust.of("127.0.0.1:5701", keys=[OTHER.public]).vouched(SIGNED)


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "cd" * 32},
        {"size": 4},
        {"format": "joblib"},
        {"class_name": "Other"},
        {"python": "3.12.1"},
        {"libraries": {"numpy": "1.0"}},
        {"created_us": 1},
        {"signature": ""},
        {"signature": "no Base64"},
        {"signature": "AAAA"},
        pytest.param({"signature": Artifact(MANIFEST, b"abc").signed(OTHER).manifest.signature}, id="of another key"),
    ],
    ids=str,
)
def test_a_signature_that_does_not_fit_is_refused(change):
    trust = Trust.of("127.0.0.1:5701", allow_pickle=True, keys=[KEY.public])
    with pytest.raises(TrustError, match=KEY.public.fingerprint) as caught:
        trust.vouched(dataclasses.replace(SIGNED, **change))
    assert caught.value.remedy


@pytest.mark.parametrize("types", [(), TYPES])
def test_what_nobody_vouches_for_loads_by_permission_on_loopback_only(types):
    Trust.of("127.0.0.1:5701", allow_pickle=True).check(MANIFEST, types)
    for trust in (Trust.of("127.0.0.1:5701"), Trust.of("grid-1:5701", allow_pickle=True), Trust()):
        with pytest.raises(TrustError, match="LogisticRegression") as caught:
            trust.check(MANIFEST, types)
        assert ("sklearn.tree._tree.Tree" in str(caught.value)) == bool(types)
        assert "models keygen" in caught.value.remedy
        assert ("--allow-pickle" in caught.value.remedy) == trust.loopback


def test_an_unknown_key_is_named_with_the_command_that_adds_it():
    with pytest.raises(TrustError, match=KEY.public.fingerprint) as caught:
        Trust.of("127.0.0.1:5701").check(SIGNED, TYPES)
    assert "trust add" in caught.value.remedy


def test_many_types_are_not_all_named():
    with pytest.raises(TrustError, match=r"t4 and 3 more\)"):
        Trust().check(MANIFEST, [f"t{n}" for n in range(8)])


def test_allow_pickle_is_for_loopback_only():
    check_pickle_allowed("127.0.0.1:5701")
    with pytest.raises(TrustError, match="loopback only"):
        check_pickle_allowed("10.0.0.1:5701")


def test_what_a_node_says_goes_before_the_environment(monkeypatch):
    """A node with --public says no."""
    monkeypatch.setenv("GRID_INFERENCE_ALLOW_PICKLE", "true")
    for said, expected in ((False, False), (None, True)):
        assert WorkerConfig.load(flags={"allow_pickle": said}).allow_pickle is expected
    options = ["node", "--public", "--allow-pickle", "--port", "0"]
    assert run(options) == 2
