"""The asynchronous API under the name that applications import it by; what it does is said in `api/aio.py`."""

from grid_inference.api.aio import DeadLetters, Features, Gap, Grid, Predictions, Subscription, connect

__all__ = ["DeadLetters", "Features", "Gap", "Grid", "Predictions", "Subscription", "connect"]
