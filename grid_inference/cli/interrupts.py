"""Ctrl-C and SIGTERM: at once while modules are loaded, in order from then on.

A library may swallow an exception in the midst of its import, KeyboardInterrupt too, and then the command would go
on as if nobody had asked it to end. While modules are loaded there is nothing to tidy up: the system may end it.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["end_at_once", "end_in_order"]


def end_at_once() -> None:
    """Let the system end the process; an ignored SIGINT, as `nohup` leaves it, stays ignored."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end_in_order() -> None:
    """Raise KeyboardInterrupt, also for SIGTERM."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
