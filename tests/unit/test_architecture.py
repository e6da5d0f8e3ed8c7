"""The shape of the package, read from its source: who imports whom, who touches what, how long a function may be."""

from __future__ import annotations

import ast
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "grid_inference"
FUNCTION_LINES_MAX = 60

# Each line imports only from itself and from the lines above it (ARCHITECTURE.md).
LAYERS = (
    ("errors",),
    ("display",),
    ("pictures",),
    ("config",),
    ("metrics",),
    ("logs",),
    ("wire",),
    ("records",),
    ("grid",),
    ("model",),
    ("drift",),
    ("flow",),
    ("worker",),
    ("node", "nodes"),
    ("observe",),
    ("entries", "field_kinds"),
    ("tables",),
    ("subscriptions",),
    ("dead_letters",),
    ("features", "predictions"),
    ("claims", "comparison", "deploying", "forgetting", "promotion", "rescoring", "shadowing", "synchronization"),
    ("aio", "blocking", "client"),
    ("gateway", "connectors"),
    ("health",),
    ("demo",),
    ("cli",),
)
# What anybody may import of the client; all else of it is private, and moves with every release.
PUBLIC_CLIENT = {"hazelcast", "hazelcast.config", "hazelcast.core", "hazelcast.errors", "hazelcast.predicate"}
CLIENT_MODULES = "grid.link"
"""They are named so, or begin so."""


def modules() -> dict[str, Path]:
    """Dotted names below the package ("" is the package itself) and their files."""
    folder = ROOT / PACKAGE
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
every_module = pytest.mark.parametrize("name", [pytest.param(name, id=name or PACKAGE) for name in MODULES])


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def imported(name: str, *, only_at_import: bool = False) -> set[str]:
    """Every module that a module imports, by its full name; inside functions as well unless told otherwise."""
    here = [PACKAGE, *name.split(".")] if name else [PACKAGE]
    package = here if MODULES[name].name == "__init__.py" else here[:-1]
    found: set[str] = set()
    for node in top_level(tree(name)) if only_at_import else ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found.update(resolve(source, alias.name) for alias in node.names)
    return found


def top_level(module: ast.Module):
    """The statements that run when the module is imported: not in functions, not for type checkers only."""
    waiting: list[ast.AST] = list(module.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def resolve(source: str, attribute: str) -> str:
    """`from package import module` names the module, `from module import thing` the module it is in."""
    inner = f"{source}.{attribute}".removeprefix(f"{PACKAGE}.")
    return f"{source}.{attribute}" if source.startswith(PACKAGE) and inner in MODULES else source


def ours(names: set[str]) -> set[str]:
    return {name.removeprefix(PACKAGE).removeprefix(".") for name in names if name.split(".")[0] == PACKAGE}


def layer(name: str) -> int | None:
    first = name.split(".", maxsplit=1)[0]
    return next((depth for depth, names in enumerate(LAYERS) if first in names), None)


@every_module
def test_imports_only_from_above(name: str):
    depth = layer(name)
    if name.rpartition(".")[2] == "__main__" or not name:
        return  # the package's face and its entry point gather what the layers below them offer
    assert depth is not None, f"{name} has no place in LAYERS"
    wrong = sorted(other for other in ours(imported(name)) if other and (layer(other) or 0) > depth)
    assert not wrong, f"{name} imports {wrong}, which stand below it"


def test_no_circles():
    graph = {name: ours(imported(name, only_at_import=True)) - {name, ""} for name in MODULES if name}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@every_module
def test_the_wire_knows_bytes_only(name: str):
    if not name.startswith("wire"):
        return
    allowed = sys.stdlib_module_names | {"numpy", "pyarrow"}
    outside = {other for other in imported(name) if other.split(".")[0] not in allowed}
    strangers = {other for other in outside if other != f"{PACKAGE}.errors" and not other.startswith(f"{PACKAGE}.wire")}
    assert not strangers
    assert not imported(name) & {"asyncio", "socket", "threading", "selectors", "subprocess"}, "wire does no I/O"


@every_module
def test_only_link_touches_the_clients_private_parts(name: str):
    if name.startswith(CLIENT_MODULES):
        return
    touched = {other for other in imported(name) if other.split(".")[0] == "hazelcast"} - PUBLIC_CLIENT
    assert not touched, f"{name} imports {sorted(touched)}; only {CLIENT_MODULES}* may"


@every_module
def test_has_a_docstring(name: str):
    docstring = ast.get_docstring(tree(name))
    assert docstring, f"{MODULES[name]} has no docstring"


@every_module
def test_functions_fit_on_a_screen(name: str):
    functions = (node for node in ast.walk(tree(name)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    sizes = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    long = {function: lines for function, lines in sizes.items() if lines > FUNCTION_LINES_MAX}
    assert not long


def test_the_configuration_folder_is_no_package():
    """With an __init__.py it would stand in for the client package of the same name."""
    assert (ROOT / "hazelcast").is_dir()
    assert not list((ROOT / "hazelcast").rglob("*.py"))
