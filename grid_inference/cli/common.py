"""What commands share: the options that say where the grid is, the connection, and how results are written."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import uuid
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from grid_inference.api.client import Grid, connect
from grid_inference.cli.ending import USAGE, Ending
from grid_inference.config import PROMOTE_TIMEOUT_S
from grid_inference.errors import BackupWarning, ExpiryWarning, NearCacheWarning, NoJournalWarning, NoWorkersWarning
from grid_inference.grid.expiry import LOSS
from grid_inference.model.inputs.difference import Difference
from grid_inference.wire.keys import KEY_KINDS, DataKey, encode_keys

__all__ = [
    "EXPIRY_ACCEPTED",
    "connected",
    "console",
    "examples",
    "grid_options",
    "json_option",
    "key_of",
    "key_type_option",
    "meant",
    "plain",
    "say_differences",
    "say_failures",
    "saying_warnings",
    "table",
    "timeout_option",
    "wait_option",
    "write_json",
]

EXPIRY_ACCEPTED = f"expiry is accepted, if its map lets records go by themselves: {LOSS}"
NEAR = 0.8
"""So alike are names of which one may be meant by the other."""
Command = TypeVar("Command", bound=Callable[..., Any])

KEY_TYPES = tuple(kind for kind in KEY_KINDS if kind not in {"bytes", "data"})

json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON for programs.")
key_type_option = click.option(
    "--key-type",
    type=click.Choice(KEY_TYPES),
    help="The keys' type in the grid. By default whole numbers are `long`, as in Java, and all else is `string`.",
)
timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=float,
    default=PROMOTE_TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long workers may take to load it.",
)


def wait_option(what: str) -> Callable[[Command], Command]:
    """`--wait`, for what."""
    return click.option(
        "--wait",
        "wait_s",
        type=click.FloatRange(0),
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help=what,
    )


def examples(*commands: str) -> str:
    """The end of a command's help."""
    return "\n".join(
        ["\b", "Example:" if len(commands) == 1 else "Examples:", *(f"  {command}" for command in commands)]
    )


def grid_options(command: Command) -> Command:
    """`--address` and `--cluster-name`."""
    address = click.option("--address", metavar="HOST:PORT", help="A member of the grid. [default: 127.0.0.1:5701]")
    name = click.option("--cluster-name", metavar="NAME", help="The cluster's name. [default: grid-inference]")
    return address(name(command))


@contextmanager
def connected(address: str | None, cluster_name: str | None) -> Generator[Grid]:
    """A grid to work with, closed in the end."""
    with connect(address, cluster_name=cluster_name) as grid:
        yield grid


@contextmanager
def saying_warnings() -> Generator[None]:
    """Have what our API warns of said in a line each, in the end."""
    with warnings.catch_warnings(record=True) as said:
        for kind in (BackupWarning, ExpiryWarning, NearCacheWarning, NoJournalWarning, NoWorkersWarning):
            warnings.simplefilter("always", kind)
        try:
            yield
        finally:
            for warning in said:
                click.echo(f"warning: {warning.message}", err=True)


def console(*, stderr: bool = False) -> Console:
    """A console for people; piped into a file it does not break lines."""
    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal:
        made.width = 1000
    return made


class _Table(Table):
    """A table whose cells are texts as they are: a name in brackets is no markup."""

    def add_row(self, *cells: Any, **how: Any) -> None:
        """Add a row."""
        super().add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), **how)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table in the house's style."""
    made = _Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left")
    return made


def say_differences(found: Sequence[Difference]) -> None:
    """Tell where records are not what a model was fitted on; nothing where they are."""
    if not found:
        return
    rows = table("input", "model takes", "field", "records have", "")
    for one in found:
        rows.add_row(one.input, one.takes, one.field, f"{one.has} in {one.schema}" if one.has else "", one.said)
    console().print(rows)


def say_failures(name: str, failures: Sequence[str]) -> None:
    """Tell why a deployment does not run, by each worker's reason."""
    out = console()
    for failure in failures:
        out.print(f"[red]{escape(name)} does not run:[/] ", end="")
        out.print(failure, markup=False)


def meant(name: str, there: Sequence[str]) -> str:
    """Which of those that are there may have been meant by a name that is not, as the end of a sentence."""
    import difflib  # noqa: PLC0415 - only for a mistyped name

    near = difflib.get_close_matches(name, there, 1, NEAR)
    return f"; is {near[0]!r} meant?" if near else ""


def write_json(value: Any) -> None:
    """One JSON document on one line of stdout, at once; in ASCII where that is not UTF-8."""
    utf8 = (sys.stdout.encoding or "utf-8").lower() in {"utf-8", "utf8"}
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=not utf8, default=str) + "\n")
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """Dataclasses, numpy values and bytes as JSON can hold them; what is no number is null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def key_of(text: str, key_type: str | None) -> Any:
    """A key from the command line as the grid's bytes of it."""
    kind = key_type or ("long" if _is_whole(text) else "string")
    try:
        if kind == "uuid":
            value: Any = uuid.UUID(text)
        elif kind in {"float", "double"}:
            value = float(text)
        else:
            value = text if kind == "string" else int(text)
        return DataKey(encode_keys([value], kind)[0])
    except ValueError:
        raise Ending(USAGE, f"{text!r} is no key of type {kind}", "choose another --key-type") from None


def _is_whole(text: str) -> bool:
    try:
        return -(2**63) <= int(text) < 2**63 and "_" not in text
    except ValueError:
        return False
