"""Keys that vouch for models: the one that signs here, and those that are trusted here. A folder of PEM files.

`signing.pem` is the private Ed25519 key (PKCS #8), readable by its owner only; `trusted/NAME.pem` are public keys
(SubjectPublicKeyInfo). Both are what `openssl pkey` reads. Ed25519: RFC 8032, by the library `cryptography`.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import hashlib
import os
import re
import secrets
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import platformdirs
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from grid_inference.errors import TrustError
from grid_inference.logs import logger

__all__ = ["Keyring", "PublicKey", "SigningKey"]

_log = logger(__name__)

NAME_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,99}")
FINGERPRINT_DIGITS = 32
FILE_BYTES_MAX = 10_000
"""A PEM file of one key has some hundred bytes."""
OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What tells whether a signature is its owner's."""

    raw: bytes
    """32 bytes."""

    @classmethod
    def from_pem(cls, content: bytes, name: str) -> Self:
        """Read a PEM file's bytes; raise TrustError with the file's name if they hold no Ed25519 public key."""
        try:
            key = serialization.load_pem_public_key(content)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise TrustError(
                f"{name}: holds no Ed25519 public key",
                remedy="`grid-inference models keygen` prints one; a private key is never handed out",
            )
        return cls(key.public_bytes_raw())

    @property
    def fingerprint(self) -> str:
        """The beginning of its SHA-256, in hexadecimal: by this it is known to people and manifests."""
        return hashlib.sha256(self.raw).hexdigest()[:FINGERPRINT_DIGITS]

    @property
    def pem(self) -> bytes:
        """As a PEM file."""
        form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return Ed25519PublicKey.from_public_bytes(self.raw).public_bytes(*form)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether its owner signed just this message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private key."""

    raw: bytes
    """32 bytes."""

    @classmethod
    def generate(cls) -> Self:
        """A new one."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_pem(cls, content: bytes, name: str) -> Self:
        """Read a PEM file's bytes; raise TrustError with the file's name if they hold no Ed25519 private key."""
        try:
            key = serialization.load_pem_private_key(content, password=None)
        except (TypeError, ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise TrustError(
                f"{name}: holds no Ed25519 private key without a password",
                remedy="`grid-inference models keygen` makes one",
            )
        return cls(key.private_bytes_raw())

    @property
    def public(self) -> PublicKey:
        """What others need to know it by."""
        return PublicKey(self._key.public_key().public_bytes_raw())

    @property
    def pem(self) -> bytes:
        """As a PEM file."""
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self._key.private_bytes(*form)

    def sign(self, message: bytes) -> bytes:
        """64 bytes that only this key can make of the message."""
        return self._key.sign(message)

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.raw)


class Keyring:
    """A folder of keys; it need not be there. Its files are read anew whenever they are asked for."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder else platformdirs.user_config_path("grid-inference") / "keys"

    # ---- the key that signs here

    @property
    def signing_file(self) -> Path:
        """Where the private key is."""
        return self.folder / "signing.pem"

    def signing_key(self) -> SigningKey | None:
        """The private key, if there is one; raise TrustError if it can't be used, or if others can read it."""
        try:
            with self.signing_file.open("rb") as file:
                mode, content = os.fstat(file.fileno()).st_mode, file.read(FILE_BYTES_MAX)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TrustError(f"{self.signing_file}: can't be read: {error.strerror or error}") from None
        if sys.platform != "win32" and mode & 0o077:
            raise TrustError(
                f"{self.signing_file}: other users can read this private key (mode {mode & 0o777:o})",
                remedy=f"chmod 600 {self.signing_file}; if somebody may have read it, make another one",
            )
        return SigningKey.from_pem(content, str(self.signing_file))

    def generate(self) -> SigningKey:
        """Make the private key, and trust it here; one that is there stays, and is returned."""
        key = SigningKey.generate()
        if not self._write(self.signing_file, key.pem, replace=False):
            there = self.signing_key()
            if there is not None:
                return there
        self.trust(_own_name(), key.public)
        return key

    # ---- keys that are trusted here

    def trusted(self) -> dict[str, PublicKey]:
        """The trusted keys by name; a file that holds none is passed over with a warning."""
        found: dict[str, PublicKey] = {}
        for file in sorted(self._trusted_folder.glob("*.pem")):
            try:
                found[file.stem] = PublicKey.from_pem(file.read_bytes(), str(file))
            except OSError as error:
                _log.warning("key not read", file=str(file), error=error)
            except TrustError as error:
                _log.warning("key not read", file=str(file), error=error)
        return found

    def trust(self, name: str, key: PublicKey) -> None:
        """Trust a key from now on; of the same name there can be one only."""
        there = self.trusted().get(_checked(name))
        if there is not None and there != key:
            raise TrustError(
                f"{name!r} is the name of another trusted key, {there.fingerprint}",
                remedy=f"choose another name, or `grid-inference trust remove {name}` first",
            )
        self._write(self._file(name), key.pem, replace=True)

    def distrust(self, name: str) -> None:
        """Trust it no more; models that are loaded already are kept until their workers start again."""
        try:
            self._file(_checked(name)).unlink()
        except FileNotFoundError:
            names = ", ".join(self.trusted()) or "none"
            raise TrustError(f"there is no trusted key {name!r}; there are: {names}") from None
        except OSError as error:
            raise TrustError(f"{self._file(name)}: can't be removed: {error.strerror or error}") from None

    @property
    def _trusted_folder(self) -> Path:
        return self.folder / "trusted"

    def _file(self, name: str) -> Path:
        return self._trusted_folder / f"{name}.pem"

    def _write(self, file: Path, content: bytes, *, replace: bool) -> bool:
        """Write a whole file or none; returns whether it was written, which without `replace` the first one is."""
        part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        try:
            _make(file.parent)
            try:
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as out:
                    out.write(content)
                if replace:
                    part.replace(file)
                    return True
                file.hardlink_to(part)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    part.unlink()
        except FileExistsError:
            return False
        except OSError as error:
            raise TrustError(
                f"{file}: can't be written: {error.strerror or error}",
                remedy="name a folder that can be written: GRID_INFERENCE_KEYS, or --keys",
            ) from None
        return True


def _make(folder: Path) -> None:
    """Make a folder for its owner only; NotADirectoryError if a file is in its place."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None


def _checked(name: str) -> str:
    if not NAME_PATTERN.fullmatch(name):
        raise TrustError(
            f"{name!r} is no name for a key", remedy="use letters, digits, _, -, @ and ., at most 100 of them"
        )
    return name


def _own_name() -> str:
    """`user@host`, as far as they can be part of a file's name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "user"
    name = re.sub(r"[^A-Za-z0-9_.@-]", "-", f"{user}@{socket.gethostname()}")[:100]
    return name if NAME_PATTERN.fullmatch(name) else "own"
