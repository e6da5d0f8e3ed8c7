"""The command group: which commands there are, in which order help shows them, and what an error looks like."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Final

import click

from grid_inference.cli.ending import Ending, ending_of
from grid_inference.cli.interrupts import end_in_order

__all__ = ["run"]

SECTIONS: Final = {
    "Run a grid": ("node", "worker", "demo", "doctor"),
    "Put models to work": ("deploy", "undeploy", "pause", "resume", "deployments", "rescore", "models", "trust"),
    "Records and predictions": ("put", "get", "watch"),
    "How it is doing": ("status", "verify", "dead-letters"),
    "This shell": ("completion",),
}
# Name → module and what help says: importing the modules for their help alone would take longer than to print it.
COMMANDS: Final = {
    "node": ("node", "Run a grid member and its workers on this machine."),
    "worker": ("node", "Run workers for a cluster that is there."),
    "demo": ("demo", "Card fraud, live: start a grid, train, deploy, stream, verify."),
    "doctor": ("doctor", "Check this machine and the grid, and say what to do."),
    "deploy": ("deployments", "Put a fitted model to work on a feature map."),
    "undeploy": ("deployments", "Stop a deployment for good."),
    "pause": ("deployments", "Stop scoring until `resume`."),
    "resume": ("deployments", "Go on scoring."),
    "deployments": ("deployments", "List the deployments."),
    "rescore": ("rescore", "Score all records by the version at work."),
    "models": ("models", "Publish, compare, promote and roll back models; the key that signs."),
    "trust": ("keys", "The keys whose models are loaded here: add, list, remove."),
    "put": ("put", "Put a file's rows into a feature map."),
    "get": ("records", "Show one record of a map, or a deployment's prediction."),
    "watch": ("records", "Print new predictions as they come."),
    "status": ("look", "Show members, workers and deployments."),
    "verify": ("look", "Prove that every record has its prediction."),
    "completion": ("completion", "Print what lets a shell complete commands and options."),
    "dead-letters": ("dead_letters", "The records that were refused: list, show, replay, drop."),
}
EPILOG: Final = """
\b
Try it:
  grid-inference demo
\b
Exit codes:
  0  done              3  the grid can't be reached or did not start
  1  not complete,     4  the input, the model or the request was refused
     or not found      5  an error that nobody foresaw
  2  wrong usage     130  interrupted (Ctrl-C)
\b
Environment: GRID_INFERENCE_ADDRESS, GRID_INFERENCE_CLUSTER, GRID_INFERENCE_CONFIG (a TOML
file), GRID_INFERENCE_KEYS (a folder), GRID_INFERENCE_LOG_LEVEL (DEBUG shows tracebacks).
"""


class Commands(click.Group):
    """Commands that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of help."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"grid_inference.cli.{COMMANDS[cmd_name][0]}")
        end_in_order()
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name what may have been meant where a command is not known."""
        import difflib  # noqa: PLC0415 - only for a mistyped command

        unknown = bool(args) and args[0] not in COMMANDS and not args[0].startswith("-")
        if unknown and not ctx.resilient_parsing:  # as it is while a shell completes
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            meant = f"did you mean `{near[0]}`?" if near else "`grid-inference --help` lists the commands"
            raise Ending(2, f"there is no command {args[0]!r}", meant)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in help, in sections."""
        del ctx
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(12), COMMANDS[name][1]) for name in names])


@click.command(
    cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="grid-inference", prog_name="grid-inference")
def group() -> None:
    """Machine-learning inference inside a Hazelcast data grid.

    Put a feature record into a map; a moment later its prediction stands beside it.
    """


def run(arguments: Sequence[str]) -> int:
    """Run a command line; give its exit code. Errors go to stderr."""
    debug = False
    try:
        debug = _set_up_logging()
        code = group.main(list(arguments), prog_name="grid-inference", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last place that can make a readable end of it
        if _interrupted(error):
            return 130
        ending = ending_of(error) if _are_texts(arguments) else _misread()
        if debug:
            traceback.print_exc()
        ending.say()
        return ending.code
    return code if isinstance(code, int) else 0


def _are_texts(arguments: Sequence[str]) -> bool:
    """Whether the locale's encoding has made texts of all that stood on the command line."""
    return sys.getfilesystemencoding() == "utf-8" or not any(
        "\udc80" <= sign <= "\udcff" for text in arguments for sign in text
    )


def _misread() -> Ending:
    encoding = sys.getfilesystemencoding()
    return Ending(
        2,
        f"what stands on the command line can't be read in this locale's encoding, {encoding}",
        "set LC_ALL=C.UTF-8, or PYTHONUTF8=1",
    )


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: a library whose import it breaks off may raise ImportError from it."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _set_up_logging() -> bool:
    """Log only if asked to: the client's warnings of a connection that ends mean nothing to whoever ended it."""
    level = os.environ.get("GRID_INFERENCE_LOG_LEVEL", "").upper()
    if level:
        from grid_inference.logs import set_up  # noqa: PLC0415 - only for those who ask for it

        set_up(level)
    elif not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())
    return level == "DEBUG"
