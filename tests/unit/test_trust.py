"""Who may load a pickle."""

import pytest

from grid_inference.errors import TrustError
from grid_inference.model.artifact import Manifest
from grid_inference.model.trust import Trust, is_loopback

MANIFEST = Manifest(sha256="ab" * 32, size=3, python="3.11.7", class_name="LogisticRegression")


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


def test_loads_on_loopback_or_by_permission_only():
    Trust(loopback=True).check(MANIFEST)
    Trust.of("grid-1:5701", allow_pickle=True).check(MANIFEST)
    with pytest.raises(TrustError, match="LogisticRegression") as caught:
        Trust.of("grid-1:5701").check(MANIFEST)
    assert "--allow-pickle" in caught.value.remedy
