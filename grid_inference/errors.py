"""Every error that grid-inference raises on purpose, as one tree.

GridInferenceError
├── ConfigError                 a setting, deployment file or option that can't be right
├── DecodeError                 bytes that are not what the protocol or the schema says
├── EncodeError                 a value that does not fit its schema
├── GridError                   the grid did not do what was asked
│   ├── ConnectError            no member answered, or the cluster refused us
│   ├── MemberStartError        an embedded member did not come up
│   ├── RemoteError             a member answered with an error (`class_name`, `code`)
│   ├── LeaseExpiredError       partitions may be somebody else's by now (retryable)
│   └── ConnectionLostError     the connection went while a request was under way (retryable)
├── ModelError                  a model can't be used
│   ├── ComparisonError         versions can't be held against each other
│   ├── ArtifactError           a file that is no model, a damaged or mismatched artifact
│   ├── TrustError              loading would run code that nobody vouched for
│   ├── SignatureError          what the model takes is unknown, or is not what the records have
│   ├── ModelCrashedError       the model ended the process that it ran in
│   ├── ModelTimeoutError       the model did not answer in time (also a TimeoutError)
│   └── TrialStartError         a process for trials did not come up (retryable)
├── DeploymentError             a deployment can't be made, found or changed
├── DeadLetterError             the record was refused; carries the dead letter
├── NoWorkersError              nobody is there to score
└── PredictionTimeoutError      no prediction came in time (also a TimeoutError)

Foreign errors are translated once, at the edge where they come in. `retryable` is a fact of the class: the same
request may succeed later without anybody changing anything.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

__all__ = [
    "ArtifactError",
    "BackupWarning",
    "ComparisonError",
    "ConfigError",
    "ConnectError",
    "ConnectionLostError",
    "DeadLetterError",
    "DecodeError",
    "DeploymentError",
    "EncodeError",
    "ExpiryWarning",
    "GridError",
    "GridInferenceError",
    "LeaseExpiredError",
    "MemberStartError",
    "ModelCrashedError",
    "ModelError",
    "ModelTimeoutError",
    "NearCacheWarning",
    "NoJournalWarning",
    "NoWorkersError",
    "NoWorkersWarning",
    "PredictionTimeoutError",
    "RemoteError",
    "SignatureError",
    "TrialStartError",
    "TrustError",
    "warn_forgotten",
]


class GridInferenceError(Exception):
    """The root. `str(error)` is one line that names the thing; `remedy` is what to do about it, or empty."""

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class ConfigError(GridInferenceError):
    """A setting, a deployment file or an option that can't be right."""


class DecodeError(GridInferenceError):
    """Bytes that are not what the protocol or the schema says they are."""


class EncodeError(GridInferenceError):
    """A value that does not fit its schema."""


class GridError(GridInferenceError):
    """The grid did not do what was asked."""


class ConnectError(GridError):
    """No member answered at the address, or the cluster refused us."""


class MemberStartError(GridError):
    """An embedded member did not come up; the message holds the member's own reason."""


class RemoteError(GridError):
    """A member answered with an error."""

    def __init__(self, message: str, *, class_name: str = "", code: int = 0, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.class_name = class_name
        """The Java class, for example `com.hazelcast.spi.exception.DistributedObjectDestroyedException`."""
        self.code = code
        """The protocol's error code."""


class ConnectionLostError(GridError):
    """The connection went while a request was under way: whether it was carried out is not known."""

    retryable = True


class LeaseExpiredError(GridError):
    """Partitions may be somebody else's by now, so nothing is written to them until that is known."""

    retryable = True


class ModelError(GridInferenceError):
    """A model can't be used."""


class ArtifactError(ModelError):
    """A file that is no model, or an artifact that is damaged or was made by other library versions."""


class TrustError(ModelError):
    """Loading this artifact would run code that nobody vouched for."""


class SignatureError(ModelError):
    """What the model takes is unknown, or is not what the records have."""


class ModelCrashedError(ModelError):
    """The model ended the process that it ran in."""


class ModelTimeoutError(ModelError, TimeoutError):
    """The model did not answer in time, and its process was ended."""


class UnansweredError(ModelError):
    """A model was not asked, or not to an end, which says nothing of the records that wait for it."""

    retryable = True


class TrialStartError(UnansweredError):
    """A process for trials did not come up."""


class ComparisonError(ModelError):
    """Two versions can't be held against each other, or not over these records."""


class DeploymentError(GridInferenceError):
    """A deployment can't be made, found or changed."""


class PromotionError(DeploymentError):
    """A version could not be loaded by every worker, so that nothing was changed."""


class NoJournalWarning(UserWarning):
    """A deployment with `trigger = "listener"` works on a map without an event journal: what that means, what to do."""


class BackupWarning(UserWarning):
    """Maps that deployments stand in have no copy on another member: what that means, what to do."""


class ExpiryWarning(UserWarning):
    """Members do not tell whether a deployment's feature map lets records go by themselves: what that would mean."""


class NearCacheWarning(UserWarning):
    """Members read a deployment's maps through a near cache that shows stale values: which maps, what to do."""


class NoWorkersWarning(UserWarning):
    """What was put to work has been loaded by nobody yet, because no worker runs."""


def warn_forgotten(problem: str, remedy: str) -> None:
    """Warn, from a destructor or at the interpreter's exit, that something was not closed."""
    warnings.warn(f"{problem}: {remedy}", ResourceWarning, stacklevel=3)


class DeadLetterError(GridInferenceError):
    """The record was refused: `dead_letter` says why."""

    def __init__(self, message: str, *, dead_letter: Any = None, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.dead_letter = dead_letter


class NoWorkersError(GridInferenceError):
    """Nobody is there to score: no live worker on the cluster."""

    retryable = True


class PredictionTimeoutError(GridInferenceError, TimeoutError):
    """No prediction of the record came in time."""

    retryable = True
