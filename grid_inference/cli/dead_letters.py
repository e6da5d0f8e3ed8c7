"""`dead-letters`: the records that were refused, listed, explained, scored anew, given up."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import click
from rich.text import Text

from grid_inference.api.dead_letters import Explanation
from grid_inference.cli.common import (
    connected,
    console,
    examples,
    grid_options,
    json_option,
    key_of,
    key_type_option,
    plain,
    table,
    wait_option,
    write_json,
)
from grid_inference.cli.ending import INCOMPLETE, USAGE, Ending
from grid_inference.records import DeadLetter
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import DataKey, key_text

__all__ = ["dead_letters"]

Command = TypeVar("Command", bound=Callable[..., Any])
UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
KEYS_SHOWN_MAX: Final = 5
NO_WORKER: Final = "`grid-inference status` shows whether the deployment runs, and its lag"


def since_of(text: str) -> datetime:
    """`90s`, `15m`, `2h`, `1d` ago, or an ISO 8601 moment, in local time unless it names its zone."""
    ago = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if ago:
        return datetime.now().astimezone() - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise click.BadParameter(f"{text!r} is no time: write 15m, 2h, 1d, or 2026-01-31T12:00") from None


class Group(click.Group):
    """Says what is meant where a deployment stands in a subcommand's place."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the command that lists."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise Ending(
                USAGE,
                f"dead-letters has no command {args[0]!r}; there are {', '.join(self.commands)}",
                f"to list those of a deployment: grid-inference dead-letters list {args[0]}",
            )
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use."""
        del ctx
        return list(self.commands)


def choosing(command: Command) -> Command:
    """The argument and options that choose among dead letters."""
    for option in (
        click.option("--since", type=since_of, metavar="TIME", help="Refused since then: 15m, 2h, 1d, or ISO 8601."),
        click.option("--cause", metavar="CODE", help="Of this cause only, e.g. MODEL_ERROR."),
        key_type_option,
        click.argument("keys", metavar="[KEY]...", nargs=-1),
        click.argument("name", metavar="DEPLOYMENT"),
    ):
        command = option(command)
    return command


@click.group("dead-letters", cls=Group, epilog=examples("grid-inference dead-letters list fraud"))
def dead_letters() -> None:
    """The records that were refused: list, show, replay, drop."""


@dead_letters.command(
    "list",
    epilog=examples(
        "grid-inference dead-letters list fraud",
        "grid-inference dead-letters list fraud --cause MODEL_ERROR --since 2h",
    ),
)
@choosing
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="List so many.")
@json_option
@grid_options
def list_(name: str, limit: int, as_json: bool, address: str | None, cluster_name: str | None, **said: Any) -> None:
    """Count the refused records by cause, and list the newest of them."""
    chosen = _choice(**said)
    with connected(address, cluster_name) as grid:
        letters = grid.predictions(name).dead_letters
        counts = letters.counts(**chosen)
        found = letters.newest(limit, **chosen)
    if as_json:
        write_json({"total": sum(counts.values()), "causes": counts, "dead_letters": found})
    elif counts:
        _say_list(counts, found)
    elif any(value is not None for value in chosen.values()):
        sys.stdout.write(f"{name} has no such dead letter\n")
    else:
        sys.stdout.write(f"{name} has refused no record\n")


def _say_list(counts: dict[str, int], found: list[DeadLetter]) -> None:
    causes = table("count", "cause", right=("count",))
    for cause, count in counts.items():
        causes.add_row(f"{count:,}", cause)
    rows = table("key", "cause", "message", "version", "at", right=("version",))
    for one in found:
        version = "replayed" if one.waiting else str(one.version)
        rows.add_row(_shown(one.key), one.cause, _text(one.message), version, _moment(one.failed_at_us))
    out = console()
    out.print(causes)
    out.print()
    out.print(rows)
    total = sum(counts.values())
    if total > len(found):
        out.print(f"the newest {len(found):,} of {total:,}; --limit shows more")


@dead_letters.command(epilog=examples("grid-inference dead-letters show fraud 4711"))
@click.argument("name", metavar="DEPLOYMENT")
@click.argument("key")
@key_type_option
@json_option
@grid_options
def show(
    name: str, key: str, key_type: str | None, as_json: bool, address: str | None, cluster_name: str | None
) -> None:
    """Show one dead letter, the record that was refused, and what to do about it."""
    wanted = key_of(key, key_type)
    with connected(address, cluster_name) as grid:
        found = grid.predictions(name).dead_letters.explain(wanted)
    if found is None:
        raise Ending(INCOMPLETE, f"{name} has no dead letter of the key {key}", "another --key-type, perhaps?")
    if as_json:
        write_json(found)
    else:
        _say_explanation(found)


def _say_explanation(found: Explanation) -> None:
    letter = found.letter
    fields = {
        "key": _shown(letter.key),
        "cause": letter.cause,
        "message": letter.message,
        "at": _moment(letter.failed_at_us),
        "model": f"{letter.model} version {letter.version}" if letter.version else f"{letter.model}, replayed",
        "input_digest": letter.input_digest,
        "record now": found.now,
        "what to do": found.remedy,
    }
    _say_fields(fields)
    sys.stdout.write("\nthe record that was refused:\n")
    if found.record is None:
        sys.stdout.write(f"  can't be read: {found.unreadable}\n  {len(letter.record)} bytes: {found.head}\n")
    else:
        _say_fields(plain(found.record), indent="  ")


def _say_fields(fields: dict[str, Any], indent: str = "") -> None:
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        text = "-" if value is None else " ".join(str(value).splitlines())
        sys.stdout.write(f"{indent}{name:<{width}}  {text}\n")


@dead_letters.command(
    epilog=examples(
        "grid-inference dead-letters replay fraud 4711 4712",
        "grid-inference dead-letters replay fraud --cause MODEL_ERROR",
        "grid-inference dead-letters replay fraud --all",
    )
)
@choosing
@click.option("--all", "every", is_flag=True, help="All of them.")
@wait_option("How long to wait until they are scored.")
@json_option
@grid_options
def replay(
    name: str, every: bool, wait_s: float, as_json: bool, address: str | None, cluster_name: str | None, **said: Any
) -> int:
    """Have refused records scored anew, as they stand now in the feature map.

    For records whose reason has gone by itself: a schema that was missing, a model that lacked something. After a
    deploy all of them are scored again anyway. Each is written back as it is, unless it has changed: no newer value is
    overwritten; listeners and a MapStore see an update, and a time to live begins anew. Until a record is scored its
    dead letter stays. One that is refused again has a new one; a dead letter whose record is gone goes.

    Exit code 1 if a named key has no dead letter, or some were not scored in time; those are scored later.
    """
    chosen = _stated_choice(every, said)
    with connected(address, cluster_name) as grid:
        done = grid.predictions(name).dead_letters.replay(**chosen, every=every, wait_s=wait_s)
    if as_json:
        write_json(done)
    else:
        sys.stdout.write(f"{done.replayed:,} replayed, {done.changed:,} changed meanwhile, {done.gone:,} gone\n")
        _say_unknown(done.unknown)
        if done.waiting:
            sys.stderr.write(f"{done.waiting:,} are not scored yet and will be; {NO_WORKER}\n")
        else:
            sys.stdout.write(f"what was refused again: grid-inference dead-letters list {name}\n")
    return INCOMPLETE if done.unknown or done.waiting else 0


@dead_letters.command(
    epilog=examples(
        "grid-inference dead-letters drop fraud 4711",
        "grid-inference dead-letters drop fraud --cause UNDECODABLE --yes",
    )
)
@choosing
@click.option("--all", "every", is_flag=True, help="All of them.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@json_option
@grid_options
def drop(
    name: str, every: bool, yes: bool, as_json: bool, address: str | None, cluster_name: str | None, **said: Any
) -> int:
    """Give dead letters up.

    They get the cause DROPPED and are listed only with `--cause DROPPED`. They stay as their records' result, so that
    `verify` stays complete and nobody tries these values again before the next deploy. To be rid of a record for good
    remove the record itself: its dead letter goes with it.

    Exit code 1 if a named key has no dead letter.
    """
    chosen = _stated_choice(every, said)
    with connected(address, cluster_name) as grid:
        letters = grid.predictions(name).dead_letters
        if not yes:
            count = sum(letters.counts(**chosen).values())
            question = f"give {count:,} dead letters of {name} up?"
            if not click.confirm(question, err=True):
                raise Ending(INCOMPLETE, "nothing was dropped")
        done = letters.drop(**chosen, every=every)
    if as_json:
        write_json(done)
    else:
        sys.stdout.write(f"{done.dropped:,} dropped, {done.changed:,} changed meanwhile and were left\n")
        _say_unknown(done.unknown)
    return INCOMPLETE if done.unknown else 0


def _choice(keys: tuple[str, ...], key_type: str | None, cause: str | None, since: datetime | None) -> dict[str, Any]:
    """What is meant, as the API takes it."""
    wanted = [key_of(key, key_type) for key in keys] if keys else None
    return {"keys": wanted, "cause": cause, "since": since}


def _stated_choice(every: bool, said: dict[str, Any]) -> dict[str, Any]:
    """The same, where all are meant only if that is said."""
    chosen = _choice(**said)
    some = any(value is not None for value in chosen.values())
    if every and some:
        raise Ending(USAGE, "--all goes with no key, --cause or --since", "leave one of them out")
    if not (every or some):
        raise Ending(USAGE, "it is not said which dead letters", "name keys, or give --cause, --since or --all")
    return chosen


def _say_unknown(unknown: list[Any]) -> None:
    if unknown:
        some = ", ".join(map(_shown, unknown[:KEYS_SHOWN_MAX])) + (", ..." if len(unknown) > KEYS_SHOWN_MAX else "")
        sys.stderr.write(f"without a dead letter: {some}\n")


def _shown(key: Any) -> str:
    return key_text(Blobs.of([key]))[0] if isinstance(key, DataKey) else str(plain(key))


def _moment(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _text(text: str) -> Text:
    return Text(str(plain(text)))  # a message is text, whatever brackets it has
