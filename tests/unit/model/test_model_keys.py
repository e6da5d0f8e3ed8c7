"""The folder of keys: whole files, private ones for their owner only, names that lead nowhere else."""

import subprocess
import sys
import threading

import pytest

from grid_inference.errors import TrustError
from grid_inference.model.store.keys import Keyring, PublicKey, SigningKey

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")


@pytest.fixture
def ring(tmp_path):
    return Keyring(tmp_path / "keys")


def test_an_empty_folder_holds_nothing_and_is_not_made(ring):
    assert ring.signing_key() is None
    assert ring.trusted() == {}
    assert not ring.folder.exists()


def test_a_key_that_is_made_is_trusted_here_and_stays(ring):
    key = ring.generate()
    assert ring.generate() == key == ring.signing_key() == Keyring(ring.folder).signing_key()
    assert list(ring.trusted().values()) == [key.public]
    assert key.public.verifies(key.sign(b"message"), b"message")
    assert not key.public.verifies(key.sign(b"message"), b"massage")
    assert sorted(file.name for file in ring.folder.iterdir()) == ["signing.pem", "trusted"]


@posix
def test_the_private_key_is_for_its_owner_only(ring):
    ring.generate()
    assert ring.signing_file.stat().st_mode & 0o777 == 0o600
    assert ring.folder.stat().st_mode & 0o077 == 0
    ring.signing_file.chmod(0o640)
    with pytest.raises(TrustError, match="mode 640") as caught:
        ring.signing_key()
    assert "chmod 600" in caught.value.remedy


@posix
def test_openssl_reads_both_halves(ring, tmp_path):
    key = ring.generate()
    [public] = ring.folder.glob("trusted/*.pem")
    try:
        said = subprocess.run(
            ["openssl", "pkey", "-in", ring.signing_file, "-pubout"], capture_output=True, check=True
        ).stdout
    except FileNotFoundError:
        pytest.skip("openssl is not installed here")
    assert said == key.public.pem == public.read_bytes()


def test_many_who_make_it_at_once_make_one(ring):
    made = []
    threads = [threading.Thread(target=lambda: made.append(ring.generate())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
    assert not list(ring.folder.glob(".*"))


def test_keys_are_trusted_and_distrusted(ring):
    ann, bea = SigningKey.generate().public, SigningKey.generate().public
    ring.trust("ann", ann)
    ring.trust("ann", ann)
    ring.trust("bea@home", bea)
    assert ring.trusted() == {"ann": ann, "bea@home": bea}
    with pytest.raises(TrustError, match="another trusted key"):
        ring.trust("ann", bea)
    ring.distrust("ann")
    assert ring.trusted() == {"bea@home": bea}
    with pytest.raises(TrustError, match="there are: bea@home"):
        ring.distrust("ann")


@pytest.mark.parametrize("name", ["", ".", "..", "../ann", "a/b", "a\\b", ".hidden", "a\n", "a" * 101, "/etc/passwd"])
def test_names_lead_nowhere_else(ring, name):
    with pytest.raises(TrustError, match="no name for a key"):
        ring.trust(name, SigningKey.generate().public)
    with pytest.raises(TrustError, match="no name for a key"):
        ring.distrust(name)
    assert not ring.folder.exists()


@pytest.mark.parametrize("content", [b"", b"x", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_files_that_are_no_keys(ring, content, caplog):
    good = SigningKey.generate().public
    ring.trust("good", good)
    (ring.folder / "trusted" / "bad.pem").write_bytes(content)
    assert ring.trusted() == {"good": good}
    assert "bad.pem" in caplog.text
    with pytest.raises(TrustError, match=r"bad\.pem"):
        PublicKey.from_pem(content, "bad.pem")
    ring.signing_file.write_bytes(content)
    ring.signing_file.chmod(0o600)
    with pytest.raises(TrustError, match=r"signing\.pem"):
        ring.signing_key()


def test_other_kinds_of_keys_and_private_ones_are_refused(ring):
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    with pytest.raises(TrustError, match="no Ed25519 public key"):
        PublicKey.from_pem(ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*form), "ec")
    with pytest.raises(TrustError, match="no Ed25519 public key") as caught:
        PublicKey.from_pem(SigningKey.generate().pem, "private")
    assert "never handed out" in caught.value.remedy


def test_a_folder_that_can_not_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    ring = Keyring(tmp_path / "file" / "keys")
    with pytest.raises(TrustError, match="can't be written") as caught:
        ring.generate()
    assert "GRID_INFERENCE_KEYS" in caught.value.remedy


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrustError, match="can't be written: Not a directory"):
        Keyring(tmp_path / "file" / "keys").generate()
    with pytest.raises(TrustError, match="can't be written"):
        Keyring(tmp_path / "file").trust("ann", SigningKey.generate().public)
