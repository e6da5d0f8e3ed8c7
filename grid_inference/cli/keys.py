"""`models keygen` and `trust`: the key that signs models here, and the keys whose models are loaded here."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from grid_inference.cli.common import console, examples, json_option, table, write_json
from grid_inference.cli.ending import REFUSED, Ending
from grid_inference.model.store.keys import FILE_BYTES_MAX, Keyring, PublicKey

__all__ = ["keygen", "keys_option", "trust"]

keys_option = click.option(
    "--keys",
    envvar="GRID_INFERENCE_KEYS",
    metavar="DIR",
    help="The folder of keys. [default: the user's own]",
)


@click.command("keygen", epilog=examples("grid-inference models keygen > ann.pem"))
@keys_option
@json_option
def keygen(keys: str | None, as_json: bool) -> None:
    """Make this machine's key, if there is none, and print its public half.

    Models that are deployed from here are signed with it. Other machines load them after `grid-inference trust add`,
    with what is printed here. The private half stays in the folder of keys: keep it to yourself.
    """
    ring = Keyring(keys)
    there = ring.signing_key()
    public = (there or ring.generate()).public
    if as_json:
        write_json(
            {
                "file": str(ring.signing_file),
                "made": there is None,
                "fingerprint": public.fingerprint,
                "pem": public.pem.decode(),
            }
        )
        return
    sys.stdout.write(public.pem.decode())
    click.echo(f"{'there is' if there else 'made'} key {public.fingerprint}: {ring.signing_file}", err=True)


@click.group("trust", epilog=examples("grid-inference trust list"))
def trust() -> None:
    """The keys whose models are loaded on this machine: add, list, remove."""


@trust.command(
    "add", epilog=examples("grid-inference trust add ann.pem", "grid-inference trust add - --name ann < ann.pem")
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--name", metavar="NAME", help="What to call it. [default: the file's name]")
@keys_option
@json_option
def add(file: Path, name: str | None, keys: str | None, as_json: bool) -> None:
    """Load models that are signed with this public key from now on; workers need not start again.

    FILE is what `grid-inference models keygen` printed elsewhere; - reads it from standard input.
    """
    dash = str(file) == "-"
    if dash and not name:
        raise click.UsageError("--name is needed for a key from standard input")
    try:
        with click.open_file(str(file), "rb") as source:
            content = source.read(FILE_BYTES_MAX)
    except OSError as error:
        raise Ending(REFUSED, f"{file}: can't be read: {error.strerror or error}") from None
    key = PublicKey.from_pem(content, "standard input" if dash else str(file))
    name = name or file.stem
    Keyring(keys).trust(name, key)
    if as_json:
        write_json({"name": name, "fingerprint": key.fingerprint})
    else:
        sys.stdout.write(f"{name} is trusted here: key {key.fingerprint}\n")


@trust.command("list", epilog=examples("grid-inference trust list"))
@keys_option
@json_option
def list_(keys: str | None, as_json: bool) -> None:
    """List the trusted keys."""
    ring = Keyring(keys)
    found, own = ring.trusted(), ring.signing_key()
    said = [
        {"name": name, "fingerprint": key.fingerprint, "own": own is not None and own.public == key}
        for name, key in found.items()
    ]
    if as_json:
        write_json(said)
    elif not said:
        sys.stdout.write("no key is trusted here; `grid-inference trust add FILE` adds one\n")
    else:
        rows = table("name", "key", "")
        for one in said:
            rows.add_row(str(one["name"]), str(one["fingerprint"]), "signs here" if one["own"] else "")
        console().print(rows)


@trust.command("remove", epilog=examples("grid-inference trust remove ann"))
@click.argument("name")
@keys_option
@json_option
def remove(name: str, keys: str | None, as_json: bool) -> None:
    """Load no more models that are signed with this key; what runs already goes on until its worker starts again."""
    Keyring(keys).distrust(name)
    if as_json:
        write_json({"name": name})
    else:
        sys.stdout.write(f"{name} is trusted here no more\n")
