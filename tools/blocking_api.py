"""The blocking API from the asynchronous one: python tools/blocking_api.py writes its modules in api/blocking/ anew.

A class with asynchronous methods becomes one of the same name and docstrings. What is documented is carried over:
public methods, which run on the loop thread, and attributes with a docstring. What itself has a blocking twin is handed
out as that. Not written are the lives, which differ: a grid's is in api/client.py, a subscription's in
api/blocking/subscription.py.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from textwrap import fill, indent
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
API = ROOT / "grid_inference" / "api"
WRITTEN = {"dead_letters": "dead_letters", "features": "features", "predictions": "predictions", "aio": "grid"}
"""The asynchronous modules, and what they are called in api/blocking/."""
BY_HAND = "subscription"
"""What is called otherwise there: a class's `__init__` says what it takes beside a loop and an asynchronous object."""
WORDS = {
    r"It belongs to [^.]*\.": "Several threads may use it at once.",
    r"`async (with|for)`": r"`\1`",
    r"\bawait (its )?": r"\1",
    r"\bin the event loop\b": "from another thread",
    r"\bCancelled\b": "Interrupted",
}
"""What docstrings say of an event loop, and what of threads."""
LINE_CHARACTERS = 120
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Twin(NamedTuple):
    """Where a blocking class is, and what it takes beside: whatever makes one takes that behind its own parameters."""

    home: str
    more: list[ast.arg]
    defaults: list[ast.expr]
    said: str
    """What it is, by the docstring of `__init__`."""


def written() -> dict[Path, str]:
    """Each file, and what stands in it."""
    return {API / "blocking" / f"{home}.py": module(source) for source, home in WRITTEN.items()}


@cache
def twins() -> dict[str, Twin]:
    """All blocking classes by name."""
    found = {one.name: Twin(home, [], [], "") for source, home in WRITTEN.items() for one in asynchronous(source)}
    for one in parsed(f"blocking/{BY_HAND}").body:
        if isinstance(one, ast.ClassDef):
            made = init(one)
            found[one.name] = Twin(BY_HAND, made.args.args[3:], made.args.defaults, ast.get_docstring(made) or "")
    return found


def parsed(name: str) -> ast.Module:
    """A module of the API."""
    return ast.parse((API / f"{name}.py").read_text(encoding="utf-8"))


def asynchronous(source: str) -> list[ast.ClassDef]:
    """The classes of a module that have asynchronous methods."""
    found = [node for node in parsed(source).body if isinstance(node, ast.ClassDef)]
    return [one for one in found if any(isinstance(node, ast.AsyncFunctionDef) for node in one.body)]


def init(node: ast.ClassDef) -> ast.FunctionDef:
    """How it is made."""
    return next(one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__")


def module(source: str) -> str:
    """A module of blocking classes. It imports whatever may be needed, of which `tidied` leaves what is."""
    classes, tree = asynchronous(source), parsed(source)
    names = {one.name for one in classes}
    data = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.name not in names]
    others = [(twin.home, name) for name, twin in twins().items() if name not in names]
    imports = [(node.module, one.name) for node in tree.body if isinstance(node, ast.ImportFrom) for one in node.names]
    lines = [
        f'"""`{source}.py`, blocking: written by tools/blocking_api.py. Change that one, and run the tool again."""',
        *(f"from {home} import {name}" for home, name in imports if name not in twins()),
        *(f"from grid_inference.api.{source} import {name}" for name in data),
        *(f"from grid_inference.api.blocking.{home} import {name}" for home, name in others),
        "from collections.abc import Generator",
        "from grid_inference.api import aio",
        "from grid_inference.api.blocking.loop_thread import LoopThread",
        f"__all__ = {sorted(names)}",
    ]
    return tidied("\n".join([*lines, *map(blocking_class, classes)]))


def blocking_class(node: ast.ClassDef) -> str:
    """Its source."""
    theirs = re.sub(r"(?<!^)(?=[A-Z])", "_", node.name).lower()
    made = ["self._loop = loop", f"self._{theirs} = {theirs}"]
    for statement, below in pairwise(init(node).body):
        match statement, below:
            case ast.Assign([ast.Attribute(attr=name)], value), ast.Expr(ast.Constant(str() as said)):
                kind = ast.unparse(value.func) if isinstance(value, ast.Call) else ""
                own = f"{kind}(loop, {theirs}.{name})" if kind in twins() else f"{theirs}.{name}"
                made += [f"self.{name} = {own}", docstring(said, 8)]
    methods = [one for one in node.body if isinstance(one, Function) and not one.name.startswith("_")]
    body = [
        docstring(ast.get_docstring(node) or "", 4),
        f"def __init__(self, loop: LoopThread, {theirs}: aio.{node.name}) -> None:",
        indent("\n".join(made), "    "),
        *(blocking_method(one, f"self._{theirs}") for one in methods),
    ]
    return f"class {node.name}:\n" + indent("\n".join(body), "    ")


def blocking_method(node: Function, theirs: str) -> str:
    """Its source."""
    said, returned = ast.get_docstring(node), ast.unparse(node.returns) if node.returns else "None"
    call = f"{theirs}.{node.name}({handed_on(node.args)})"
    if returned.startswith("AsyncGenerator["):
        returned, call = returned.removeprefix("Async"), f"self._loop.iterate({call})"
    elif isinstance(node, ast.AsyncFunctionDef):
        call = f"self._loop.run({call})"
    kind = returned.partition("[")[0]
    if twin := twins().get(kind):
        call = ", ".join([f"{kind}(self._loop, {call}", *(one.arg for one in twin.more)]) + ")"
        node.args.args += twin.more
        node.args.defaults += twin.defaults
        said = said and f"{said}\n\n{twin.said}"
    body = "..." if said is None else f"{docstring(said, 8)}\n{'' if returned == 'None' else 'return '}{call}"
    head = [
        *(f"@{ast.unparse(one)}" for one in node.decorator_list),
        f"def {node.name}({ast.unparse(node.args)}) -> {returned}:",
    ]
    return "\n".join([*head, indent(body, "    ")])


def handed_on(taken: ast.arguments) -> str:
    """The arguments of a call by a function that takes these."""
    positional = [one.arg for one in taken.args[1:]]
    named = [f"{one.arg}={one.arg}" for one in taken.kwonlyargs]
    return ", ".join([*positional, *named, *([f"**{taken.kwarg.arg}"] if taken.kwarg else [])])


def docstring(text: str, column: int) -> str:
    """The same of a blocking object. A paragraph of other words is filled anew."""
    paragraphs = []
    for paragraph in text.strip().split("\n\n"):
        before = after = " ".join(paragraph.split())
        for pattern, words in WORDS.items():
            after = re.sub(pattern, words, after)
        paragraphs.append(paragraph if after == before else fill(after, LINE_CHARACTERS - column))
    text = "\n\n".join(paragraphs)
    return f'"""{text}\n"""' if "\n" in text else f'"""{text}"""'


def tidied(text: str) -> str:
    """In the layout of ruff, without the imports that are not used."""
    for command in (["check", "--fix", "--select", "F401"], ["check", "--fix", "--select", "I001"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--quiet", "--stdin-filename", f"{API}/blocking/any.py", "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, check=True, encoding="utf-8").stdout  # noqa: S603
    return text


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
