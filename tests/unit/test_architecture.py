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

ROOMS = {
    "cli": "demo node api versions observe drift model grid records wire pictures config logs errors",
    "node": "api observe flow model grid wire config metrics logs errors",
    "aio": "api",
    "api": "versions observe flow drift model grid records wire config logs display errors",
    "versions": "flow model grid records wire pictures config errors",
    "observe": "flow model grid wire config errors",
    "flow": "drift model grid records wire config metrics logs errors",
    "drift": "model grid wire pictures logs display errors",
    "model.store": "model.engines model.inputs model grid wire config logs display errors",
    "model.engines": "model.inputs model wire config errors",
    "model.inputs": "model wire config errors",
    "model": "wire.compact wire errors",
    "grid": "grid.link wire config logs errors",
    "grid.link": "wire.compact wire.protocol wire config logs errors",
    "grid.member": "config logs errors",
    "records": "wire.compact wire display",
    "wire.arrow": "wire.compact wire errors",
    "wire.json": "wire errors",
    "wire.compact": "wire.kernels wire errors",
    "wire.protocol": "wire.kernels wire errors",
    "wire.kernels": "",
    "wire": "errors",
    "demo": "",
    "pictures": "errors",
    "config": "errors",
    "metrics": "",
    "logs": "errors",
    "display": "",
    "errors": "",
}
"""The rooms from the top down, and what each may import: rooms further down only, with those within them as far as they
stand further down too. A module is of the innermost room that it lies in (ARCHITECTURE.md)."""
# What anybody may import of the client; all else of it is private, and moves with every release.
PUBLIC_CLIENT = {"hazelcast", "hazelcast.config", "hazelcast.core", "hazelcast.errors", "hazelcast.predicate"}
CLIENT_ROOM = "grid.link"


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


@cache
def imported(name: str) -> frozenset[str]:
    """Every module that a module imports, by its full name; inside functions as well."""
    here = [PACKAGE, *name.split(".")] if name else [PACKAGE]
    package = here if MODULES[name].name == "__init__.py" else here[:-1]
    found: set[str] = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found.update(resolve(source, alias.name) for alias in node.names)
    return frozenset(found)


def resolve(source: str, attribute: str) -> str:
    """`from package import module` names the module, `from module import thing` the module it is in."""
    inner = f"{source}.{attribute}".removeprefix(f"{PACKAGE}.")
    return f"{source}.{attribute}" if source.startswith(PACKAGE) and inner in MODULES else source


def ours(names: frozenset[str]) -> set[str]:
    return {name.removeprefix(PACKAGE).removeprefix(".") for name in names if name.split(".")[0] == PACKAGE}


def within(name: str, around: str) -> bool:
    return name == around or name.startswith(f"{around}.")


def room(name: str) -> str:
    return max((each for each in ROOMS if within(name, each)), key=len, default="")


@every_module
def test_imports_only_what_its_room_may(name: str):
    if not name:
        return  # the package's face gathers what its rooms offer
    here, order = room(name), list(ROOMS)
    assert here, f"{name} is in no room of ROOMS"
    others = {other: room(other) for other in ours(imported(name)) if other and room(other) != here}
    allowed = [each for each in order[order.index(here) + 1 :] if any(within(each, one) for one in ROOMS[here].split())]
    wrong = sorted(other for other, there in others.items() if there not in allowed)
    assert not wrong, f"{name} imports {wrong}; {here} may import from {ROOMS[here] or 'no room'}, further down only"


def test_every_room_and_every_arrow_is_there():
    """ROOMS says what is, not what was."""
    for here, allowed in ROOMS.items():
        modules_here = [name for name in MODULES if name and room(name) == here]
        assert modules_here, f"there is no room {here}"
        used = {room(other) for name in modules_here for other in ours(imported(name)) if other}
        unused = [each for each in allowed.split() if not any(within(there, each) for there in used)]
        assert not unused, f"{here} imports nothing from {unused}"


def test_no_circles():
    """Neither in functions nor for type checkers only."""
    graph = {name: ours(imported(name)) - {name, ""} for name in MODULES if name}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@every_module
def test_the_wire_knows_bytes_only(name: str):
    if not name.startswith("wire"):
        return
    kernels = {"numba", "platformdirs"} if room(name) == "wire.kernels" else set[str]()
    allowed = sys.stdlib_module_names | {"numpy", "pyarrow"} | kernels
    outside = {other for other in imported(name) if other.split(".")[0] not in allowed}
    strangers = {other for other in outside if other != f"{PACKAGE}.errors" and not other.startswith(f"{PACKAGE}.wire")}
    assert not strangers
    io = {"asyncio", "socket", "threading", "selectors", "subprocess"} - ({"threading"} if kernels else set[str]())
    assert not imported(name) & io, "wire does no I/O"


@every_module
def test_only_link_touches_the_clients_private_parts(name: str):
    if room(name) == CLIENT_ROOM:
        return
    touched = {other for other in imported(name) if other.split(".")[0] == "hazelcast"} - PUBLIC_CLIENT
    assert not touched, f"{name} imports {sorted(touched)}; only {CLIENT_ROOM} may"


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
