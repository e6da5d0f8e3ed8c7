"""What the demo shows: a live table in a terminal, plain lines elsewhere. It draws numbers and makes none."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

__all__ = ["Numbers", "Screen", "milliseconds", "quantiles_ms"]

LINE_EVERY_S: Final = 2.0
LATEST_ALERTS: Final = 5
RATE_OVER_S: Final = 1.0
BAR_WIDTH: Final = 60


@dataclass(slots=True)
class Alert:
    """A prediction that crossed the threshold."""

    key: int
    score: float
    amount: float


@dataclass(slots=True)
class Numbers:
    """The stream as it stands now."""

    total: int
    threshold: float
    records: int = 0
    """Put and acknowledged."""
    predictions: int = 0
    """Found in the predictions map."""
    alerts: int = 0
    latencies_s: list[float] = field(default_factory=list[float])
    latest: deque[Alert] = field(default_factory=lambda: deque[Alert](maxlen=LATEST_ALERTS))
    history: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])
    """(moment, predictions) of the last second."""
    killed: str = ""
    """The node that was killed."""
    killed_at: int = 0
    """How many records were put by then."""
    promoted: int = 0
    """The version that was promoted meanwhile."""
    promoted_at: int = 0
    """How many records were put when it was at work everywhere."""
    changed_s: float | None = None
    longest_gap_s: float = 0.0
    """The longest time without a new prediction while some were due."""

    def see(self, predictions: int) -> None:
        """Take note of a new count."""
        now = time.perf_counter()
        if self.changed_s is not None:
            self.longest_gap_s = max(self.longest_gap_s, now - self.changed_s)
        if predictions != self.predictions or not self.lag:
            self.changed_s = now
        self.predictions = predictions
        self.history.append((now, predictions))
        while self.history[0][0] < now - RATE_OVER_S:
            self.history.popleft()

    @property
    def lag(self) -> int:
        """Put and not yet predicted; a count of predictions may be newer than that of records."""
        return max(0, self.records - self.predictions)

    @property
    def rate_per_s(self) -> float:
        """Predictions a second, over the last second."""
        if len(self.history) < 2:
            return 0.0
        (start, before), (end, after) = self.history[0], self.history[-1]
        return (after - before) / max(end - start, 1e-3)


def quantiles_ms(latencies_s: list[float]) -> tuple[float | None, float | None]:
    """Median and 99th percentile in milliseconds; None if nothing was measured."""
    if not latencies_s:
        return None, None
    p50, p99 = np.quantile(np.array(latencies_s), (0.5, 0.99)).tolist()
    return round(p50 * 1000, 2), round(p99 * 1000, 2)


class Screen:
    """Steps as they are done, then the stream."""

    def __init__(self, out: Console) -> None:
        self.out = out
        self._live: Live | None = None
        self._said_s = 0.0
        self._step_s = time.perf_counter()

    def working(self, text: str) -> None:
        """Say what is being done; a spinner turns until the next word."""
        self._step_s = time.perf_counter()
        self.stop()
        if self.out.is_terminal:
            spinner = self.out.status(f"[dim]{text} …[/]", spinner="dots")
            self._live = spinner._live  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            self._live.start(refresh=True)

    def done(self, what: str, text: str) -> None:
        """A step is finished."""
        self.stop()
        took = time.perf_counter() - self._step_s
        self.out.print(f"[green]✓[/] [bold]{what:<9}[/] {text} [dim]({took:.1f} s)[/]")

    def stop(self) -> None:
        """Leave the terminal as it was."""
        live, self._live = self._live, None
        if live:
            live.stop()

    def begin_stream(self) -> None:
        """From now on `draw` is called."""
        self.stop()
        if self.out.is_terminal:
            self._live = Live(console=self.out, auto_refresh=False, transient=True)
            self._live.start()

    def draw(self, numbers: Numbers, *, last: bool = False) -> None:
        """Show the stream as it is now."""
        if self._live:
            self._live.update(_table(numbers), refresh=True)
        elif last or time.perf_counter() - self._said_s > LINE_EVERY_S:
            self._said_s = time.perf_counter()
            p50, p99 = quantiles_ms(numbers.latencies_s)
            counts = f"records {numbers.records:,}  predictions {numbers.predictions:,}  alerts {numbers.alerts:,}"
            pace = f"{numbers.rate_per_s:,.0f}/s  lag {numbers.lag:,}  p50 {milliseconds(p50)}  p99 {milliseconds(p99)}"
            self.out.print(f"  {counts}  {pace}")


def milliseconds(value: float | None) -> str:
    """A latency for people."""
    return "-" if value is None else f"{value:,.1f} ms"


def _table(numbers: Numbers) -> RenderableType:
    p50, p99 = quantiles_ms(numbers.latencies_s)
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", min_width=12)
    rows.add_column(justify="right", min_width=12)
    rows.add_column(style="dim")
    rows.add_row("records", f"{numbers.records:,}", f"of {numbers.total:,} payments")
    rows.add_row("predictions", f"[cyan]{numbers.predictions:,}[/]", f"{numbers.rate_per_s:,.0f} per second")
    rows.add_row("lag", f"{numbers.lag:,}", "put and not yet predicted")
    rows.add_row("p50", milliseconds(p50), "from the put to its prediction seen here")
    rows.add_row("p99", milliseconds(p99), f"over {len(numbers.latencies_s):,} sampled payments")
    rows.add_row("alerts", f"[red]{numbers.alerts:,}[/]", f"score >= {numbers.threshold:.2f}")
    if numbers.killed:
        rows.add_row("[red]killed[/]", numbers.killed, f"a node, at {numbers.killed_at:,} payments")
    if numbers.promoted:
        rows.add_row("promoted", f"version {numbers.promoted}", f"at {numbers.promoted_at:,} payments, without a pause")
    bar = ProgressBar(total=numbers.total, completed=numbers.predictions, width=BAR_WIDTH)
    return Group(Text(), bar, Text(), rows, Text(), _alerts(numbers))


def _alerts(numbers: Numbers) -> RenderableType:
    latest = Table.grid(padding=(0, 2))
    for alert in reversed(numbers.latest):
        key = Text(f"payment {alert.key:,}", style="dim")
        latest.add_row(Text("alert", style="red"), key, f"{alert.amount:9.2f}", f"score {alert.score:.3f}")
    for _ in range(LATEST_ALERTS - len(numbers.latest)):
        latest.add_row("")
    return latest
