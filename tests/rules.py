"""Python functions that are models, as `module:function`."""

from __future__ import annotations

import numpy as np


def chance(matrix):
    """How likely the second class is, by a matrix of shape (n, 3); shape (n,)."""
    return 1 / (1 + np.exp(-(matrix[:, 0] + matrix[:, 1] - matrix[:, 2])))


def chances(matrix):
    """How likely each of three classes is; shape (n, 3)."""
    weights = np.exp(matrix - matrix.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def verdict(frame):
    """The class itself; shape (n,)."""
    return np.where(frame["a"] > frame["b"], "yes", "no")


def value(frame):
    """A value; a Series."""
    return frame["a"] * 2 - frame["c"]


def values(matrix):
    """Two values a record; shape (n, 2)."""
    return matrix[:, :2] * [1.0, -1.0]
