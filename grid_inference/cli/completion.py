"""`completion`: what a shell needs to complete our commands and options, by click."""

from __future__ import annotations

import sys

import click
from click.shell_completion import get_completion_class

from grid_inference.cli.common import examples

__all__ = ["completion"]

PROGRAM = "grid-inference"
VARIABLE = "_GRID_INFERENCE_COMPLETE"
"""By this click is asked; it follows from the program's name."""


@click.command(
    epilog=examples(
        'eval "$(grid-inference completion bash)"   # in ~/.bashrc',
        "grid-inference completion fish > ~/.config/fish/completions/grid-inference.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what lets a shell complete commands and options."""
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"there is no completion for {shell}")
    sys.stdout.write(made(ctx.find_root().command, {}, PROGRAM, VARIABLE).source() + "\n")
