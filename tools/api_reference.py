"""The API reference, docs/api.md, from signatures and docstrings: python tools/api_reference.py writes it anew.

Of each docstring the first paragraph stands there; a field's docstring is the string below it.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import grid_inference as gi

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "api.md"
HEAD = """\
# API reference

<!-- Written by tools/api_reference.py: change the docstrings, and run it again. -->

All names of `grid_inference`: signatures without types, and the first paragraph of each docstring; `help(...)` says the
rest. An application begins with `connect()` or `local()`, and gets everything else from its `Grid`:
[`features(name)`](#features) is a map of records, [`predictions(name)`](#predictions) are the results of a deployment,
with their [`dead_letters`](#deadletters) and [`subscribe()`](#subscription).

`grid_inference.aio` has the same for event loops: `await` what is called here, use `async with` and `async for`, and
`asyncio.timeout` in place of `timeout` of `subscribe`. `local()` and what belongs to it is here only. Who may use what
from where: [Threads](concurrency.md).
"""


def reference() -> str:
    """The page."""
    parts = [HEAD]
    for title, names in groups():
        parts.append(f"## {title}\n")
        values = [getattr(gi, name) for name in names]
        if all(issubclass(value, BaseException) for value in values if isinstance(value, type)):
            parts.append(errors(values))
        else:
            parts += [described(value) for value in values]
    return "\n".join(parts)


def groups() -> Iterator[tuple[str, list[str]]]:
    """The names of `__all__` under the comments that stand between them."""
    source = inspect.getsource(gi).partition("__all__ = [")[2].partition("]")[0]
    for block in re.split(r"^ *# ", source, flags=re.MULTILINE)[1:]:
        title, _, names = block.partition("\n")
        yield title, re.findall(r'"(\w+)"', names)


def described(value: Any) -> str:
    """One function or class."""
    name, said = value.__name__, first_paragraph(value)
    if not isinstance(value, type):
        return f"### {name}\n\n`{call(value)}`{returned(value)}: {said}\n"
    parts = [f"### {name}\n", f"{said}\n"]
    if is_dataclass(value):
        fields = Fields(value)
        parts += ["| field | type | what it is |\n|---|---|---|"]
        parts += [row(f"`{field}`", f"`{kind}`", text) for field, kind, text in fields.public] + [""]
    methods = [f"- {entry}" for entry in members(value)]
    return "\n".join([*parts, *methods, ""] if methods else parts)


def members(value: type) -> Iterator[str]:
    """The public attributes, properties and methods of a class that have a docstring."""
    if not is_dataclass(value):
        yield from (f"`{name}`: {text}" for name, _, text in Fields(value).public if text)
    for name, member in attributes(value).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            yield f"`{name}`: {first_paragraph(member)}"
        elif isinstance(member, classmethod):
            bound = getattr(value, name)
            yield f"`{value.__name__}.{call(bound)}`{returned(bound)}: {first_paragraph(bound)}"
        elif inspect.isfunction(member):
            yield f"`{call(member)}`{returned(member)}: {first_paragraph(member)}"


def attributes(value: type) -> dict[str, Any]:
    """Of a class and of what it is made from in this package, its own first."""
    found: dict[str, Any] = {}
    for owner in value.__mro__:
        if owner.__module__.startswith(gi.__name__):
            found |= {name: member for name, member in vars(owner).items() if name not in found}
    return found


def errors(values: list[type[BaseException]]) -> str:
    """Errors and warnings, each with what it is a case of."""
    of = [", ".join(f"`{base.__name__}`" for base in value.__bases__) for value in values]
    rows = [row(f"`{value.__name__}`", bases, first_paragraph(value)) for value, bases in zip(values, of, strict=True)]
    return "\n".join(["| name | is a | what it says |\n|---|---|---|", *rows, ""])


class Fields:
    """The attributes of a class and the strings below them, from its source."""

    def __init__(self, owner: type) -> None:
        self.owner = owner

    @cached_property
    def public(self) -> list[tuple[str, str, str]]:
        """Name, type and first paragraph of each."""
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(self.owner))).body
        inits = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
        bodies = [tree.body] if is_dataclass(self.owner) else [init.body for init in inits]
        return [found for body in bodies for found in self._below(body)]

    @staticmethod
    def _below(body: list[ast.stmt]) -> Iterator[tuple[str, str, str]]:
        for node, following in zip(body, [*body[1:], None], strict=True):
            if not isinstance(node, ast.AnnAssign | ast.Assign):
                continue
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "_")
            kind = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
            if name.startswith("_") or "ClassVar" in kind or "Final" in kind:
                continue
            text = following.value.value if isinstance(following, ast.Expr) and is_text(following.value) else ""
            yield name, kind, paragraph(text)


def is_text(node: ast.expr) -> bool:
    """Whether it is a string by itself."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def call(function: Any) -> str:
    """A signature without types: `put(key, record)`."""
    signature = inspect.signature(function)
    parameters = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    kept = [each for each in parameters if each.name != "self"]
    bare = signature.replace(parameters=kept, return_annotation=inspect.Signature.empty)
    return f"{function.__name__}{bare}"


def returned(function: Any) -> str:
    """What it gives; empty for None."""
    annotation = inspect.signature(function).return_annotation
    return "" if annotation in {"None", inspect.Signature.empty} else f" → `{annotation}`"


def first_paragraph(value: Any) -> str:
    """Of its docstring, as one line."""
    return paragraph(value.__doc__ or "")


def paragraph(text: str) -> str:
    """The first one, as one line."""
    return " ".join(inspect.cleandoc(text).split("\n\n")[0].split())


def row(*cells: str) -> str:
    """Of a table, in which a bar would begin a cell."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
