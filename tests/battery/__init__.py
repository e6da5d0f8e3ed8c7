"""Estimators times input forms against the bare model: `python -m tests.battery`."""
