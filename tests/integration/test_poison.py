"""Records that kill or hang whoever scores them: they become dead letters, all others are scored, the workers live."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

import grid_inference as gi
from tests.integration.conftest import Names, batch, until
from tests.poison import EXIT, FIELDS, HANG, KILL, RAISE, SPIN, fitted

PARTITIONS = 5
RECORDS = 500
DEATHS_MAX = 2
SCORE_TIMEOUT_S = 4.0
FOUND_S_MAX = 150.0
"""Two deaths, two takeovers, the deadlines of a hang twice more on trial; and machines may be busy."""
pytestmark = [pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"), pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def grid() -> Iterator[gi.Grid]:
    """A member with two workers that give a model little time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRID_INFERENCE_SCORE_TIMEOUT_S", str(SCORE_TIMEOUT_S))
        config = gi.MemberConfig(cluster_name=f"poison-{uuid.uuid4().hex[:8]}", heap_mb=512, partitions=PARTITIONS)
        with gi.local(workers=2, member=config) as grid:
            yield grid


@pytest.fixture
def deployed(grid: gi.Grid, names: Names) -> Iterator[gi.Predictions]:
    grid.deploy(names.deployment, fitted(), features=names.features, columns=FIELDS)
    grid.features(names.features).put_batch(batch(RECORDS), key="key")
    until(lambda: grid.verify(names.deployment, 0).complete, "the scoring of all", FOUND_S_MAX)
    yield grid.predictions(names.deployment)
    grid.undeploy(names.deployment)


def marked(mark: float) -> dict[str, float]:
    return {"a": mark, "b": 0.5, "c": 0.5}


def poison(grid: gi.Grid, names: Names, key: int, mark: float) -> Any:
    """Put a marked record among others, and wait for its dead letter."""
    assert grid.workers
    features, before = grid.features(names.features), grid.workers.restarts
    features.put_batch(batch(RECORDS, seed=key), key="key")
    features.put(key, marked(mark))
    features.put_batch(batch(RECORDS, seed=key, first_key=RECORDS), key="key")
    found: list[Any] = []

    def refused() -> bool:
        found[:] = [letter for letter in grid.dead_letters(names.deployment) if letter.key == key]
        return bool(found)

    until(refused, "the dead letter", FOUND_S_MAX)
    until(lambda: len(grid.status().workers) == 2, "the return of the workers", FOUND_S_MAX)
    verdict = grid.verify(names.deployment, FOUND_S_MAX)
    assert verdict.complete, verdict
    assert grid.workers.restarts - before <= DEATHS_MAX
    until(lambda: not trials(grid), "the end of the trial", FOUND_S_MAX)
    return found[0]


def trials(grid: gi.Grid) -> list[int]:
    """Processes that score what is suspect."""
    assert grid.workers
    found: list[int] = []
    for pid in grid.workers.pids:
        with contextlib.suppress(psutil.Error):  # one that ends meanwhile is none
            found += [
                child.pid for child in psutil.Process(pid).children() if "spawn_main" in " ".join(child.cmdline())
            ]
    return found


def test_a_record_that_kills_workers_becomes_a_dead_letter(
    grid: gi.Grid, deployed: gi.Predictions, names: Names
) -> None:
    letter = poison(grid, names, 7, KILL)
    assert (letter.cause, letter.message) == ("MODEL_CRASHED", "the model ended its process (SIGKILL)")
    # Once calm, another one is found in the same way.
    letter = poison(grid, names, 8, EXIT)
    assert (letter.cause, letter.message) == ("MODEL_CRASHED", "the model ended its process (exit code 3)")
    features = grid.features(names.features)
    features.put(7, marked(0.5))
    features.remove(8)
    until(lambda: deployed.get(7) is not None, "the score of the corrected record", FOUND_S_MAX)
    until(lambda: not grid.dead_letters(names.deployment), "the end of the dead letters", FOUND_S_MAX)
    assert grid.verify(names.deployment, FOUND_S_MAX).complete


def test_a_deploy_tries_again_what_has_killed_workers_and_none_dies_of_it(
    grid: gi.Grid, deployed: gi.Predictions, names: Names
) -> None:
    assert grid.workers
    before = poison(grid, names, 7, KILL)
    restarts = grid.workers.restarts
    version = str(grid.publish(fitted(), name=f"{names.deployment}-next", columns=FIELDS))
    for _ in range(2):  # another model, and the same one once more
        grid.deploy(names.deployment, version, features=names.features)
        until(lambda: grid.verify(names.deployment, 0).complete, "the scoring of all anew", FOUND_S_MAX)
        (letter,) = grid.dead_letters(names.deployment)
        assert (letter.key, letter.cause) == (7, "MODEL_CRASHED")
        assert letter.failed_at_us > before.failed_at_us
        before = letter
    assert grid.workers.restarts == restarts
    until(lambda: not trials(grid), "the end of the trial", FOUND_S_MAX)


@pytest.mark.parametrize(
    ("mark", "cause"),
    [(HANG, "MODEL_TIMEOUT"), (SPIN, "MODEL_TIMEOUT"), (RAISE, "MODEL_ERROR")],
    ids=["hang", "spin", "raise"],
)
def test_a_record_that_the_model_does_not_answer(
    grid: gi.Grid, deployed: gi.Predictions, names: Names, mark: float, cause: str
) -> None:
    assert poison(grid, names, 7, mark).cause == cause


def test_a_hang_on_the_event_loop_ends_one_worker_only(grid: gi.Grid, deployed: gi.Predictions, names: Names) -> None:
    """One record alone is scored there: the heartbeat marks its partition before it ends the worker."""
    assert grid.workers
    features, before = grid.features(names.features), grid.workers.restarts
    for key in range(20):  # small batches, so that the model is known to be quick with them
        deployed.predict(key, marked(0.5), 30)
    features.put(7, marked(HANG))
    until(lambda: bool(grid.dead_letters(names.deployment)), "the dead letter", FOUND_S_MAX)
    assert [letter.cause for letter in grid.dead_letters(names.deployment)] == ["MODEL_TIMEOUT"]
    assert grid.workers.restarts - before == 1
    assert grid.verify(names.deployment, FOUND_S_MAX).complete
