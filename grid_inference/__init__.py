"""grid-inference: machine-learning inference inside a Hazelcast data grid.

Put a feature record into a map; its prediction stands in the predictions map, beside it. Begin with `connect()` or
`local()`; the asynchronous API is `grid_inference.aio`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grid_inference.api.client import DeadLetters, Features, Gap, Grid, Predictions, Subscription, connect
    from grid_inference.config import DeploymentConfig, DriftConfig, GridConfig, TopicConfig, WorkerConfig
    from grid_inference.drift.report import ColumnDrift, Drift
    from grid_inference.errors import (
        ArtifactError,
        BackupWarning,
        ComparisonError,
        ConfigError,
        ConnectError,
        ConnectionLostError,
        DeadLetterError,
        DecodeError,
        DeploymentError,
        EncodeError,
        ExpiryWarning,
        GridError,
        GridInferenceError,
        MemberStartError,
        ModelError,
        NearCacheWarning,
        NoJournalWarning,
        NoWorkersError,
        NoWorkersWarning,
        PredictionTimeoutError,
        PromotionError,
        RemoteError,
        SignatureError,
        TrustError,
    )
    from grid_inference.grid.member import Member, MemberConfig
    from grid_inference.model.signature import Signature
    from grid_inference.model.store.published import Model, ModelVersion
    from grid_inference.model.store.registry import Deployed
    from grid_inference.node.local import local
    from grid_inference.observe.proof import PartitionProof
    from grid_inference.observe.status import Status
    from grid_inference.observe.verify import Verdict
    from grid_inference.records import DeadLetter, Prediction, RecordTable
    from grid_inference.versions.comparison.report import Comparison
    from grid_inference.versions.promotion import Promotion

__all__ = [
    # Grids
    "connect",
    "local",
    "Grid",
    "GridConfig",
    "Member",
    "MemberConfig",
    "WorkerConfig",
    # Records and predictions
    "DeadLetter",
    "DeadLetters",
    "Features",
    "Gap",
    "Prediction",
    "Predictions",
    "RecordTable",
    "Subscription",
    # Models and deployments
    "Comparison",
    "Deployed",
    "DeploymentConfig",
    "DriftConfig",
    "Model",
    "ModelVersion",
    "Promotion",
    "Signature",
    "TopicConfig",
    # How it is doing
    "ColumnDrift",
    "Drift",
    "PartitionProof",
    "Status",
    "Verdict",
    # Errors
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
    "MemberStartError",
    "ModelError",
    "NearCacheWarning",
    "NoJournalWarning",
    "NoWorkersError",
    "NoWorkersWarning",
    "PredictionTimeoutError",
    "PromotionError",
    "RemoteError",
    "SignatureError",
    "TrustError",
]

# Loaded at their first use: the command line must answer, and take a Ctrl-C, before scikit-learn is imported.
_HOMES = {
    "api.client": (
        "DeadLetters",
        "Features",
        "Gap",
        "Grid",
        "Predictions",
        "Subscription",
        "connect",
    ),
    "versions.comparison.report": ("Comparison",),
    "config": (
        "DeploymentConfig",
        "DriftConfig",
        "GridConfig",
        "TopicConfig",
        "WorkerConfig",
    ),
    "drift.report": (
        "ColumnDrift",
        "Drift",
    ),
    "errors": (
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
        "MemberStartError",
        "ModelError",
        "NearCacheWarning",
        "NoJournalWarning",
        "NoWorkersError",
        "NoWorkersWarning",
        "PredictionTimeoutError",
        "PromotionError",
        "RemoteError",
        "SignatureError",
        "TrustError",
    ),
    "grid.member": (
        "Member",
        "MemberConfig",
    ),
    "model.store.published": (
        "Model",
        "ModelVersion",
    ),
    "model.store.registry": ("Deployed",),
    "model.signature": ("Signature",),
    "node.local": ("local",),
    "observe.proof": ("PartitionProof",),
    "observe.status": ("Status",),
    "observe.verify": ("Verdict",),
    "versions.promotion": ("Promotion",),
    "records": (
        "DeadLetter",
        "Prediction",
        "RecordTable",
    ),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f"{__name__}.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
