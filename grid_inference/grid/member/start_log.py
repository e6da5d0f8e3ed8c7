"""What a member's own log says about its start: where it listens, or why it does not. Pure functions of text."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["Reason", "Started", "reason_of", "started"]

REASON_CHARACTERS_MAX: Final = 400


class Started(NamedTuple):
    """A member that is up."""

    host: str
    port: int
    cluster_name: str


class Reason(NamedTuple):
    """Why a start failed, in the member's words, and what to do about it (empty if we don't know)."""

    text: str
    remedy: str


_STARTED = re.compile(r"\[([^\]\s]+)\]:(\d+) is STARTED")
_CLUSTER_NAME = re.compile(r"Cluster name: (\S+)")
_CAUSE = re.compile(r"^(?:Caused by: |Exception in thread \"[^\"]*\" )(.+)")
_STACK = re.compile(r"^\s+(?:at |\.\.\. \d+ more)|^Caused by: ")
_EXCEPTION_NAME = re.compile(r"^(?:[a-z]\w*\.)+(\w+)(?:: |$)")
_KNOWN: Final = (
    (
        re.compile(r"Port \[\d+\] is already in use.*"),
        "stop what uses the port, or choose another one (0 takes a free one)",
    ),
    (
        re.compile(r"(?:java\.lang\.)?OutOfMemoryError.*|Too small maximum heap.*|Invalid maximum heap size.*"),
        "give the member more heap (heap_mb)",
    ),
    (
        re.compile(
            r"Could not reserve enough space.*|.*insufficient memory.*|.*exceeds the maximum representable size.*"
        ),
        "give the member a heap that fits the machine (heap_mb)",
    ),
    (
        re.compile(
            r"Cannot assign requested address.*|.* not matching any of the .*interfaces.*|.*Name or service not known"
        ),
        "choose an address that this machine has",
    ),
    (
        re.compile(
            r"(?:Unsupported)?ClassVersionError.*|Unrecognized option.*|.*Unsupported class file major version.*"
        ),
        "use a Java runtime of version 21 or later",
    ),
)


def started(log: str) -> Started | None:
    """Find the line that says the member is up, and where."""
    line = _STARTED.search(log)
    if line is None:
        return None
    name = _CLUSTER_NAME.search(log)
    return Started(line[1], int(line[2]), name[1] if name else "")


def reason_of(log: str) -> Reason:
    """Find the member's own reason: a well-known one, else the innermost cause, else the last line."""
    for pattern, remedy in _KNOWN:
        found = pattern.search(log)
        if found:
            return Reason(found[0].strip(), remedy)
    return Reason(_innermost_cause(log.splitlines()) or _last_line(log), "")


def _innermost_cause(lines: list[str]) -> str:
    """Give the last cause's message, which may run over several lines."""
    for start in range(len(lines) - 1, -1, -1):
        cause = _CAUSE.match(lines[start])
        if cause:
            break
    else:
        return ""
    message = [cause[1]]
    for line in lines[start + 1 :]:
        if _STACK.match(line):
            break
        message.append(line.strip())
    text = _EXCEPTION_NAME.sub(r"\1: ", " ".join(filter(None, message))).removesuffix(": ")
    return text if len(text) <= REASON_CHARACTERS_MAX else f"{text[:REASON_CHARACTERS_MAX]}..."


def _last_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
