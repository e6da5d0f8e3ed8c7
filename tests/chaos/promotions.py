"""Promotions under load: two of three while faults are under way, the third while all flows, where pauses are measured.

What the judge makes of versions, and what the report says of them.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tests.chaos.checker import Histories, Verdict
from tests.chaos.child import ChildError
from tests.chaos.promoter import CHANGE_S_MAX
from tests.chaos.reading import Reader
from tests.chaos.stage import Stage, say
from tests.chaos.versions import FIRST, PROMOTE, Change, Message, Reigns, Stretch, check_messages

FAULTS_OF_A_RUN = 8
AMONG = (
    "worker_sigkill",
    "worker_sigterm",
    "worker_bounces",
    "worker_sigstop",
    "workers_all",
    "zombie",
    "member_kill",
    "member_leave",
    "proxy_cut",
    "proxy_swallow",
    "failpoint_score",
    "poison",
    "model_raises",
    "model_nan",
    "model_dies",
)
"""A run without chosen faults takes some of these."""
HASTY_TIMEOUT_S, CALM_TIMEOUT_S = 3.0, 60.0
"""Of a change's first attempt: under a fault it is short, so that some fail."""
APART_S_MAX = 1.0
"""Between two changes under a fault, and before the first one."""
AFTER_S = 1.0
"""A change's stretch goes so far beyond its end; as long a stretch without one follows."""
PAUSE_S_MAX = 1.0
"""For so long no prediction at all may come in a change's stretch, unless there were such pauses without one, too."""
PAUSE_FACTOR = 2.0
LATE_S_MAX = 30.0
"""So long a version may go on after it was replaced: a worker may stand still or be cut off meanwhile."""
ASKED_S_MAX = CHANGE_S_MAX + 150.0


def chosen(seed: int) -> list[str]:
    """The faults of a run."""
    return random.Random(f"{seed}/among").sample(AMONG, FAULTS_OF_A_RUN)


@contextmanager
def beside(stage: Stage, count: int, seed: int) -> Iterator[None]:
    """Change versions while a fault is under way, and be done with it."""
    apart = random.Random(f"{seed}/{stage.fault}/{len(stage.changes)}")

    def promote() -> None:
        for _ in range(count):
            time.sleep(apart.uniform(0, APART_S_MAX))
            change(stage, HASTY_TIMEOUT_S)

    promoting = threading.Thread(target=promote)
    promoting.start()
    try:
        yield
    finally:
        promoting.join()


def in_calm(stage: Stage, count: int) -> None:
    """Change versions while nothing else happens, each change followed by a stretch without one."""
    if count:
        stage.settle()
    for _ in range(count):
        one = change(stage, CALM_TIMEOUT_S)
        if one is None:
            return
        stage.calm_changes.append(one)
        time.sleep(max(0.0, stretch_without(one)[1] - time.monotonic()))


def stretch_of(one: Change) -> Stretch:
    """A change, and what it may have left behind."""
    return one.begun_s, one.ended_s + AFTER_S


def stretch_without(one: Change) -> Stretch:
    """As long a stretch behind it."""
    begun_s, ended_s = stretch_of(one)
    return ended_s, 2 * ended_s - begun_s


def change(stage: Stage, timeout_s: float) -> Change | None:
    """Have the promoter do one change; None if it could not, which is trouble."""
    try:
        said = stage.children["promoter"].ask("change", ASKED_S_MAX, first_timeout_s=timeout_s)
    except ChildError as error:
        said = {"given_up": str(error)}
    if "given_up" in said:
        stage.trouble.append(f"{stage.fault}: {said['given_up']}")
        return None
    one = Change(**said["change"])
    stage.changes.append(one)
    say(f"    {one.kind} to version {one.version} in {one.ended_s - one.begun_s:.1f} s")
    for failure in one.failed:
        say(f"      failed before: {failure}")
    return one


def judge_messages(stage: Stage, reader: Reader, name: str, histories: Histories) -> Verdict:
    """The verdict on a deployment's messages, of which the observer has kept a sample."""
    messages = [Message(*one) for one in stage.tell("observer", "messages", deployment=name)["messages"]]
    written, expected = reader.said(name, messages, histories)
    return check_messages(messages, written, expected, Reigns.of(stage.changes))


def reported(stage: Stage, wanted: int, verdicts: Sequence[Verdict], on_topics: Sequence[Verdict]) -> dict[str, Any]:
    """What the report says of versions."""
    sent = Counter({int(version): n for version, n in stage.tell("observer", "versions")["versions"].items()})
    standing = sum((verdict.versions for verdict in verdicts), Counter[int]())
    checked = sum((verdict.versions for verdict in on_topics), Counter[int]())
    promoted = {FIRST, *(one.version for one in stage.changes)}
    kinds = Counter(one.kind for one in stage.changes)
    failed = [said for one in stage.changes for said in one.failed]
    late_s = [pair for one in [*verdicts, *on_topics] for pair in one.late_s.items()]
    in_calm_us = {one.ended_us for one in stage.calm_changes}
    return {
        "promotions": kinds[PROMOTE],
        "rollbacks": kinds.total() - kinds[PROMOTE],
        "promotions_missing": wanted - kinds.total(),
        "promotions_failed": len(failed),
        "failures_of_promotions": dict(Counter(said.split(":")[0] for said in failed)),
        "half_promoted": [said for one in stage.changes for said in one.half_done],
        "change_s": sorted(round(one.ended_s - one.begun_s, 2) for one in stage.changes),
        "versions": {
            version: {"predictions": standing[version], "messages": sent[version], "messages_checked": checked[version]}
            for version in sorted({*promoted, *sent, *standing})
        },
        "silent_versions": sorted(version for version in promoted if not checked[version]),
        "version_late_s": round(max((late_s for _, late_s in late_s), default=0.0), 2),
        "version_late_in_calm_s": round(max((late_s for end, late_s in late_s if end in in_calm_us), default=0.0), 2),
        **stage.children["promoter"].ask("shadowed", ASKED_S_MAX),
        **pauses(stage),
    }


def pauses(stage: Stage) -> dict[str, Any]:
    """The longest times without a prediction: of the changes' stretches in calm, and of those without a change."""
    with_s, without_s = (
        stage.tell("observer", "pauses", stretches=[stretch(one) for one in stage.calm_changes])["pauses"]
        for stretch in (stretch_of, stretch_without)
    )
    return {
        "changes_in_calm": len(with_s),
        **_longest("longest_pause_s", with_s),
        **_longest("longest_pause_without_s", without_s),
    }


def _longest(name: str, found: list[dict[str, float]]) -> dict[str, float]:
    return {
        name: max((one["all"] for one in found), default=0.0),
        f"{name}_of_a_partition": max((one["partition"] for one in found), default=0.0),
    }


def broken(told: Mapping[str, Any]) -> list[str]:
    """Which bounds of promotions did not hold."""
    if "promotions" not in told:
        return []
    found, most_s = list[str](), max(PAUSE_S_MAX, PAUSE_FACTOR * told["longest_pause_without_s"])
    if told["longest_pause_s"] > most_s:
        found.append(f"no prediction for {told['longest_pause_s']} s > {most_s:g} s at a promotion")
    if told["version_late_s"] > LATE_S_MAX:
        found.append(f"a version scored {told['version_late_s']} s > {LATE_S_MAX:g} s after it was replaced")
    if not told["shadow_predictions"]:
        found.append("the shadow predicted nothing")
    return found
