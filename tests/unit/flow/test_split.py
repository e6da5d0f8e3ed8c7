"""Which keys a share of them are."""

from __future__ import annotations

import numpy as np
import pytest

from grid_inference.flow.split import places
from grid_inference.grid.maps import key_identities
from grid_inference.wire.keys import encode_keys

COUNT = 100_000
KEYS = {
    "whole numbers": np.arange(COUNT),
    "far apart": np.arange(COUNT) * 4096,
    "texts": np.array([f"card-{number:08d}" for number in range(COUNT)], object),
}


@pytest.mark.parametrize("sort", KEYS)
def test_shares_are_as_great_as_they_should_be(sort: str) -> None:
    found = places(key_identities(encode_keys(KEYS[sort])))
    assert found.min() >= 0
    assert found.max() < 1
    for share in (0.001, 0.01, 0.2, 0.5, 0.99):
        assert (found < share).mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / COUNT))


def test_a_key_has_its_place_whoever_asks() -> None:
    keys = key_identities(encode_keys(KEYS["texts"]))
    assert (places(keys)[::-1] == places(keys[::-1].copy())).all()
    # By heart: other workers, and those of the next release, must say the same.
    found = places(np.array([1, -1, 2**62], np.int64)) * 2.0**53
    assert found.tolist() == [0x9E3779B97F4A7C15 >> 11, (2**64 - 0x9E3779B97F4A7C15) >> 11, 2**51]
