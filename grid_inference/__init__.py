"""grid-inference: machine-learning inference inside a Hazelcast data grid.

Put a feature record into a map; its prediction stands in the predictions map, beside it. Begin with `connect()` or
`local()`; the asynchronous API is `grid_inference.aio`.
"""

from grid_inference.client import Features, Grid, Predictions, Subscription, connect, local
from grid_inference.config import DeploymentConfig, GridConfig, TopicConfig, WorkerConfig
from grid_inference.errors import (
    ArtifactError,
    ConfigError,
    ConnectError,
    ConnectionLostError,
    DeadLetterError,
    DecodeError,
    DeploymentError,
    EncodeError,
    GridError,
    GridInferenceError,
    MemberStartError,
    ModelError,
    NoWorkersError,
    PredictionTimeoutError,
    RemoteError,
    SignatureError,
    TrustError,
)
from grid_inference.grid.member import Member, MemberConfig
from grid_inference.model.registry import Deployed
from grid_inference.model.signature import Signature
from grid_inference.observe.status import Status
from grid_inference.observe.verify import Verdict
from grid_inference.records import DeadLetter, Prediction, RecordTable

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
    "Features",
    "Prediction",
    "Predictions",
    "RecordTable",
    "Subscription",
    # Models and deployments
    "Deployed",
    "DeploymentConfig",
    "Signature",
    "TopicConfig",
    # How it is doing
    "Status",
    "Verdict",
    # Errors
    "ArtifactError",
    "ConfigError",
    "ConnectError",
    "ConnectionLostError",
    "DeadLetterError",
    "DecodeError",
    "DeploymentError",
    "EncodeError",
    "GridError",
    "GridInferenceError",
    "MemberStartError",
    "ModelError",
    "NoWorkersError",
    "PredictionTimeoutError",
    "RemoteError",
    "SignatureError",
    "TrustError",
]
