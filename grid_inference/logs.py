"""Logs: short constant events with stable keys, for people or as JSON; no value of a record unless that is allowed.

A module's logger comes from `logger`, and hands on to Python's own `logging`: an application that imports us sees our
events by its own settings, as `event key=value …`. Only our own processes call `set_up`, which by structlog writes all
records of the process, third parties' as well, in one form. Settings and keys: docs/logs.md.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections import deque
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final, cast

from grid_inference.errors import ConfigError, DeadLetterError, DecodeError, EncodeError, GridInferenceError

if TYPE_CHECKING:
    import structlog

__all__ = ["bind", "error_once", "logger", "set_up"]

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FORMATS: Final = ("console", "json")
OWN: Final = "grid_inference_event"
"""The attribute of a log record that holds our event and its keys."""
HIDDEN: Final = "not shown, as it may hold values of a record: GRID_INFERENCE_LOG_VALUES=1"
MAY_HOLD_VALUES: Final = (DecodeError, EncodeError, DeadLetterError)
"""Of our own errors; of others it is never known."""
Event = MutableMapping[str, Any]

TOLD_MAX: Final = 500
"""So many errors are remembered of those that are told once."""

_process: dict[str, Any] = {}
"""Keys of all events of this process."""
_told: deque[tuple[Any, ...]] = deque(maxlen=TOLD_MAX)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A module's logger: `_log.warning("what happened", deployment=…, error=error)`."""
    return cast("structlog.stdlib.BoundLogger", _Logger(name))


class _Logger:
    """structlog's logger, made with its first event: most commands have none, and importing it takes them a while."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        import structlog  # noqa: PLC0415

        made = structlog.wrap_logger(
            logging.getLogger(self._name),
            processors=[structlog.stdlib.filter_by_level, _plain, _handed_on],
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        found = self.__dict__[method] = getattr(made, method)
        return found


def error_once(log: structlog.stdlib.BoundLogger, event: str, **keys: str | int) -> None:
    """Log an error that is met again and again, such as an entry that is none of ours, the first time only."""
    told = (event, *sorted(keys.items()))
    if told not in _told:
        _told.append(told)
        log.error(event, **keys)


def bind(**keys: Any) -> None:
    """Say this with every event of the process from now on."""
    _process.update(keys)


def set_up(level: str, environ: Mapping[str, str] = os.environ) -> None:
    """Write the logs of this process to standard error, from this level on.

    Raises ConfigError for a level or a form that there is not.
    """
    form = environ.get("GRID_INFERENCE_LOG_FORMAT", "console").lower()
    for name, said, known in (("LEVEL", level, LEVELS), ("FORMAT", form, FORMATS)):
        if said not in known:
            raise ConfigError(f"GRID_INFERENCE_LOG_{name} = {said!r} is not one of {', '.join(known)}")
    import structlog  # noqa: PLC0415

    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _with_keys,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(form)],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    bind(pid=os.getpid())


def _renderer(form: str) -> Any:
    import structlog  # noqa: PLC0415

    if form == "json":
        return structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
    )


def _plain(_: Any, method: str, event: Event) -> Event:
    """Errors as texts, as far as they may be shown."""
    del method
    error = event.pop("exc_info", None)
    error = sys.exc_info()[1] if error is True else error
    for key, value in list(event.items()):
        if isinstance(value, BaseException):
            event["error_class"] = type(value).__name__
            event[key] = _said(value)
    if isinstance(error, BaseException):
        event.setdefault("error_class", type(error).__name__)
        event.setdefault("error", _said(error))
        event["traceback"] = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    return event


def _said(error: BaseException) -> str:
    ours = isinstance(error, GridInferenceError) and not isinstance(error, MAY_HOLD_VALUES)
    shown = ours or isinstance(error, OSError) or os.environ.get("GRID_INFERENCE_LOG_VALUES") == "1"
    return str(error) if shown else HIDDEN


def _handed_on(_: Any, method: str, event: Event) -> tuple[tuple[str], dict[str, Any]]:
    """What Python's logging takes: a readable text, and the event beside it."""
    del method
    keys = {key: value for key, value in event.items() if key != "event"}
    trace = keys.pop("traceback", None)
    text = " ".join([str(event["event"]), *(f"{key}={value}" for key, value in keys.items())])
    return ((f"{text}\n{trace}" if trace else text),), {"extra": {OWN: dict(event)}, "exc_info": None}


def _with_keys(_: Any, method: str, event: Event) -> Event:
    """Our event and its keys in place of the text, and what all events of the process say."""
    del method
    own: dict[str, Any] | None = getattr(event["_record"], OWN, None)
    if own:
        event.update(own)
    elif event.get("exc_info"):
        event.update(_plain(None, "", {"exc_info": event.pop("exc_info")[1]}))
    for key, value in _process.items():
        event.setdefault(key, value)
    return event
