"""What a run found: a table for people, the same in Markdown for the README, and latest.json for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.compare import Results
from bench.tables import markdown_table

__all__ = ["Row", "json_of", "markdown", "measured_on", "rows_of", "show", "write"]


@dataclass(frozen=True, slots=True)
class Aim:
    """A measure, the floor that must hold, and the goal of the design."""

    key: str
    text: str
    peer: str
    floor: float
    goal: float
    unit: str = ""
    at_most: bool = False

    def met(self, value: float, bound: float) -> bool:
        """Whether the value is as good as the bound."""
        return value <= bound if self.at_most else value >= bound


BARE: Final = "put → bare listener"
AIMS: Final = (
    Aim("backlog_hgb_of_bare", "backlog, gradient boosting", "bare `predict_proba`, all cores", 0.6, 0.75),
    Aim("backlog_lr_of_listener", "backlog, logistic regression", "entry listener, row by row", 180, 400, "/s"),
    Aim("reconcile_of_journal", "backlog of ten journals (reconcile)", "the same through the journal", 0.5, 0.8),
    Aim("put_cpu_of_set", "`put` of 30 numbers, CPU", "the client's `set`", 1.0, 0.6, "µs", at_most=True),
    Aim("get_cpu_of_get", "`get` of 30 numbers, CPU", "the client's `get`", 1.0, 0.6, "µs", at_most=True),
    *(
        Aim(
            f"{ours}_{rows}_cpu_of_{peer}",
            f"`{ours}` of {rows}, CPU",
            f"the client's `{peer}`",
            *aims,
            "µs",
            at_most=True,
        )
        for ours, peer, of_rows in (
            ("put_batch", "put_all", {1: (3.5, 1.5), 100: (0.4, 0.15)}),
            ("get_batch", "get_all", {1: (4.5, 2.0), 100: (0.5, 0.2)}),
        )
        for rows, aims in of_rows.items()
    ),
    Aim("texts_of_numbers_pandas", "`put_batch` of 14 numbers and 4 texts, pandas", "of the numbers alone", 0.5, 0.7),
    Aim("texts_of_numbers_arrow", "the same, Arrow", "of the numbers alone", 0.5, 0.7),
    Aim("put_batch_of_put_all", "`put_batch`", "the client's `put_all`", 34, 45),
    Aim("get_batch_of_get_all", "`get_batch`", "the client's `get_all`", 28, 40),
    Aim("decode_arrow_of_objects", "10 numbers and 5 texts → Arrow", "the client's objects", 10, 30),
    Aim("backlog_transformer_of_bare", "backlog, ColumnTransformer", "bare `predict_proba` on a DataFrame", 0.65, 0.8),
    Aim("backlog_json_of_compact", "the same as JSON values", "as Compact records", 0.7, 0.9),
    Aim("listened_of_listener", '`trigger = "listener"`, logistic regression', "entry listener, row by row", 20, 40),
    Aim("metrics_on_of_off", "backlog, workers that measure", "workers that do not", 0.98, 1.0, "/s"),
    Aim("shadow_on_of_off", "records put and scored, with a shadow of budget 0.1", "without", 0.9, 0.95, "/s"),
    Aim("drift_on_of_off", "backlog, drift is counted", "it is not", 0.97, 1.0, "/s"),
    Aim(
        "latency_p50_of_listener",
        "put → prediction seen, 500/s, p50",
        "put → bare listener",
        2.2,
        1.8,
        "ms",
        at_most=True,
    ),
    Aim(
        "latency_p99_of_listener",
        "put → prediction seen, 500/s, p99",
        "put → bare listener",
        2.5,
        2.0,
        "ms",
        at_most=True,
    ),
    Aim("latency_p50_5000_of_500", "the same, 5,000/s, p50", "at 500/s", 2.5, 1.5, "ms", at_most=True),
    Aim("latency_p50_50000_of_500", "the same, 50,000/s, p50", "at 500/s", 8, 4, "ms", at_most=True),
)
PYTHON: Final = Aim("python_us_per_record", "worker CPU outside the model", "", 0.8, 0.4, "µs", at_most=True)
MEMORY: Final = Aim("worker_rss_growth_mb", "worker memory, 0.2 → 2 million waiting", "", 32, 0, "MB", at_most=True)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    measure: str
    ours: str
    peer: str
    value: str
    floor: str
    goal: str
    verdict: str


def rows_of(results: Results) -> list[Row]:
    """The lines of what was measured."""
    rows = [_ratio_row(aim, results) for aim in AIMS if aim.key in results.ratios]
    singles = ((PYTHON, results.python_us_per_record), (MEMORY, results.worker_rss_growth_mb))
    for aim, value in singles:
        if value is not None:
            said = f"{value:.2f} {aim.unit}"
            rows.append(Row(aim.text, said, "", said, *_bounds(aim), _verdict(aim, value)))
    for label, found in results.latency_ms.items():
        at = f"{int(label):,}/s" if label.isdigit() else f"{label} of the live maximum"
        ours = f"p50 {found['p50']:.2f}, p99 {found['p99']:.2f} ms"
        rows.append(Row(f"put → prediction seen, {at}", ours, "", "", "", "", ""))
    return rows


def _ratio_row(aim: Aim, results: Results) -> Row:
    ratio, (ours, peer) = results.ratios[aim.key], results.sides[aim.key]
    unit = aim.unit or "/s"
    shown = {"ms": "{:,.2f} ms", "µs": "{:,.0f} µs", "/s": "{:,.0f}/s"}[unit]
    left, right = shown.format(ours), shown.format(peer)
    return Row(aim.text, left, f"{right} ({aim.peer})", f"{_short(ratio)} {TIMES}", *_bounds(aim), _verdict(aim, ratio))


def _bounds(aim: Aim) -> tuple[str, str]:
    sign = "≤" if aim.at_most else "≥"
    return f"{sign} {aim.floor:g}", f"{sign} {aim.goal:g}" if aim.goal else "flat"


def _verdict(aim: Aim, value: float) -> str:
    if not aim.met(value, aim.floor):
        return "below"
    return "goal" if aim.met(value, aim.goal) else "ok"


def _short(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


TIMES: Final = "\N{MULTIPLICATION SIGN}"
HEADINGS: Final = ("measure", "grid-inference", "peer", "ratio", "floor", "goal", "")


def show(console: Console, rows: list[Row]) -> None:
    """Print the table."""
    table = Table(*HEADINGS, title="grid-inference against its peers, medians of one run", title_justify="left")
    colours = {"below": "red", "ok": "yellow", "goal": "green"}
    for row in rows:
        table.add_row(*_cells(row), style=colours.get(row.verdict))
    console.print(table)


def _cells(row: Row) -> tuple[str, ...]:
    return (row.measure, row.ours, row.peer, row.value, row.floor, row.goal, row.verdict)


def markdown(rows: list[Row], machine: dict[str, Any]) -> str:
    """The table as it goes into the README, with the machine named."""
    return f"{markdown_table(HEADINGS, [_cells(row) for row in rows])}\n\n{measured_on(machine)}"


def measured_on(machine: dict[str, Any]) -> str:
    """The sentence that says on what."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    facts = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['os']}"
    software = f"Python {machine['python']}, {packages}, commit {machine['commit']}"
    return f"Measured on {facts}, {software}; member, workers and load share the machine."


def json_of(results: Results, machine: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Everything, with the keys that others rely on."""
    return {
        "ratios": {aim.key: _rounded(results.ratios.get(aim.key)) for aim in AIMS},
        "latency_ms": results.latency_ms,
        "python_us_per_record": results.python_us_per_record,
        "worker_rss_growth_mb": results.worker_rss_growth_mb,
        "floors": {aim.key: aim.floor for aim in (*AIMS, PYTHON, MEMORY)},
        "sides": {name: [_rounded(one) for one in both] for name, both in results.sides.items()},
        "details": results.details,
        "run": run,
        "machine": machine,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def write(path: Path, found: dict[str, Any]) -> None:
    """Write it whole or not at all."""
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(path)
