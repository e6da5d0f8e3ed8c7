"""The notebook that a data scientist opens first, run in a kernel of its own, with the grid that it starts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from ipykernel.kernelspec import write_kernel_spec
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell

from tests.integration.conftest import until

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "quickstart.ipynb"
CELL_TIMEOUT_S = 60
PROCESSES = "import json\nprint(json.dumps([grid.member.pid, *grid.workers.pids]))"
RESULTS = """
print(json.dumps({
    "verdict": verdict.to_mapping(),
    "versions": versions.to_dict(),
    "difference": (table["score"] - itself).abs().max(),
    "compiled": report.used,
    "refused": why.letter.cause,
    "back": predictions.get(1002).version,
}))
"""


@pytest.fixture
def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in; Jupyter's own are empty too, and its `python3` is the Python that runs the tests."""
    write_kernel_spec(tmp_path / "jupyter" / "kernels" / "python3")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))  # goes before the user's and the system's
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    work = tmp_path / "work"
    work.mkdir()
    return work


def place(notebook: Any, name: str) -> int:
    """The place behind the cell of that name."""
    return [cell.id for cell in notebook.cells].index(name) + 1


def run(notebook: Any, folder: Path) -> None:
    """Run all cells; raise CellExecutionError for the first that fails. The kernel ends either way."""
    client = NotebookClient(notebook, timeout=CELL_TIMEOUT_S, resources={"metadata": {"path": str(folder)}})
    asyncio.run(client.async_execute())  # its own blocking calls leave an event loop open


def printed(cell: Any) -> Any:
    return json.loads("".join(output.text for output in cell.outputs if output.get("name") == "stdout"))


def runs(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_notebook_runs_and_ends_what_it_started(notebook: Any, folder: Path) -> None:
    processes, results = new_code_cell(PROCESSES), new_code_cell(RESULTS)
    notebook.cells.insert(place(notebook, "grid"), processes)
    notebook.cells.insert(place(notebook, "verify"), results)
    run(notebook, folder)
    found = printed(results)
    verdict = found["verdict"]
    assert verdict["complete"]
    assert (verdict["records"], verdict["predictions"], verdict["dead_letters"]) == (231, 231, 0)
    assert found["versions"] == {"1": 116, "2": 114}
    assert found["difference"] < 1e-12
    assert found["compiled"]
    assert (found["refused"], found["back"]) == ("MISSING_FEATURE", 1)
    assert not any(map(runs, printed(processes)))
    assert not list(folder.iterdir())


def test_the_grid_ends_with_its_kernel_when_a_cell_fails(notebook: Any, folder: Path) -> None:
    processes = new_code_cell(PROCESSES)
    notebook.cells[place(notebook, "grid") :] = [processes, new_code_cell("raise RuntimeError('on purpose')")]
    with pytest.raises(CellExecutionError, match="on purpose"):
        run(notebook, folder)
    member_and_worker = printed(processes)
    assert len(member_and_worker) == 2
    until(lambda: not any(map(runs, member_and_worker)), "the end of member and worker")


def test_the_notebook_is_stored_without_outputs(notebook: Any) -> None:
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.metadata.kernelspec.name) == (4, "python3")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell.id for cell in code if cell.outputs or cell.execution_count or cell.metadata]
