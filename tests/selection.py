"""Which tests `make test` runs: all but those that have members or minutes and do not guard the main way.

A line of either table is a folder, a file, a test or one of its cases; what comes of it is the marker `rest`.
"""

from __future__ import annotations

LONG = (
    "tests/integration",
    "tests/chaos/test_profile.py",
    "tests/simulation/test_simulation.py::test_every_promise_holds_in_a_few_schedules",
    "tests/simulation/test_simulation.py::test_a_seed_gives_the_same_run_each_time",
    "tests/simulation/test_simulation.py::test_a_fix_that_is_taken_out_is_missed",
)
"""What has members or takes minutes: for `make test-all`, and for .ci/run behind `make test`."""

MAIN = (
    "tests/integration/test_flow.py",  # put, prediction, dead letter, verify
    "tests/integration/test_light.py::test_the_package_imports_nothing_but_itself",
    "tests/integration/test_light.py::test_an_application_that_puts_and_reads",
    "tests/integration/test_leases.py",  # who may write
    "tests/integration/test_ownership.py",  # takeover, repair
    "tests/integration/test_promotion.py",  # publish, promote, rollback
    "tests/integration/test_sync.py::test_a_restart_of_the_whole_cluster_brings_all_back",
    "tests/integration/test_quickstart.py::test_a_page_runs_word_for_word[README]",
    "tests/chaos/test_profile.py::test_nothing_is_lost_under_a_few_faults",
)
"""What of that guards the main way, for which `make test` runs it all the same."""


def long(nodeid: str) -> bool:
    """Whether a test has members or takes minutes."""
    return _named(nodeid, LONG)


def rest(nodeid: str) -> bool:
    """Whether a test is left to `make test-all`."""
    return long(nodeid) and not _named(nodeid, MAIN)


def _named(nodeid: str, lines: tuple[str, ...]) -> bool:
    return any(nodeid == line or nodeid.startswith((f"{line}/", f"{line}::", f"{line}[")) for line in lines)
