"""The judge: from the log of writes, the maps as they stand in the end and the model's own answers to a verdict.

Pure functions over plain values. Nothing here knows the grid or the flow, and none of their code is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SCORE_TOLERANCE = 1e-12
GAP_TOLD_S = 40.0
"""A gap that shows within this time explains why a position went back: so long a gap may take to be declared."""
EXAMPLES_MAX = 12
"""So many findings of a sort are told one by one."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a key as its writer knows it."""

    seq: int
    form: int | None
    """None: the key was removed."""
    acknowledged: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it stands in the feature map."""

    seq: int
    form: int
    digest: int
    genuine: bool = True
    """Its values are those that its writer gave to this key and sequence."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the model itself says of a record."""

    score: float
    label: str
    version: int = 1
    """Which of the model's versions says so: the one that the record's prediction names, if it is one."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """A prediction as it stands."""

    digest: int
    score: float
    label: str | None
    version: int = 1
    scored_at_us: int = 0
    model: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A dead letter as it stands."""

    digest: int
    version: int = 1
    scored_at_us: int = 0
    """When it failed."""
    model: str = ""


@dataclass(frozen=True, slots=True)
class AtWork:
    """What was deployed last: no result but its own may stand in the end."""

    model: str
    variant: int = 1
    """Which of the models of that name it is: another cluster's may have the same name and number."""
    since_us: int = 0
    """When it was deployed, by the machine's one clock."""


Histories = dict[int, list[Write]]


@dataclass(slots=True)
class Verdict:
    """What was found, by sort; a run is good if there is none."""

    records: int = 0
    predictions: int = 0
    dead_letters: int = 0
    versions: Counter[int] = field(default_factory=Counter[int])
    """Results that were looked at, by the version that they name."""
    late_s: dict[float, float] = field(default_factory=dict[float, float])
    """When a version was replaced → how long at most it went on scoring then."""
    found: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def add(self, sort: str, what: str) -> None:
        """Note one finding."""
        self.found[sort] += 1
        some = self.examples.setdefault(sort, [])
        if len(some) < EXAMPLES_MAX:
            some.append(what)

    @property
    def good(self) -> bool:
        """Nothing was found."""
        return not self.found.total()


def standing(writes: Sequence[Write]) -> list[Write]:
    """Which writes of a key may stand in the end: the last acknowledged one, or an indeterminate one behind it."""
    last = max((i for i, write in enumerate(writes) if write.acknowledged), default=-1)
    allowed = list(writes[max(last, 0) :])
    return allowed if last >= 0 else [Write(0, None, acknowledged=True), *allowed]


def check(
    histories: Histories,
    records: Mapping[int, Stored],
    predictions: Mapping[int, Predicted],
    dead_letters: Mapping[int, Refused],
    expected: Mapping[int, Expected],
    at_work: AtWork,
) -> Verdict:
    """Judge one deployment; all arguments but the last are by key.

    `expected` has no entry for a record that must be refused. Sorts of findings: `lost_write` (the feature map does not
    hold what was acknowledged), `foreign` (it holds what nobody wrote), `lost` (a record without a result), `stale` (a
    result of another value), `double` (a second result beside the right one), `outdated` (of another model, or from
    before the deploy), `wrong` (not what the version that it names says, or the name of no version), `refused` (a dead
    letter where a prediction should be) and `accepted` (the reverse), `orphan` (a result of a key that is gone),
    `invented` (a result of a key that nobody wrote).
    """
    verdict = Verdict(len(records), len(predictions), len(dead_letters))
    verdict.versions.update(one.version for one in predictions.values())
    for key, writes in histories.items():
        _check_record(verdict, key, standing(writes), records.get(key))
    for key, record in records.items():
        if key not in histories or not record.genuine:
            verdict.add("foreign", f"key {key}: {record}")
        result = _check_result(verdict, key, record, predictions.get(key), dead_letters.get(key), expected.get(key))
        if result and (result.model != at_work.model or result.scored_at_us < at_work.since_us):
            verdict.add("outdated", f"key {key}: {result}, at work is {at_work}")
    for sort, keys in (("prediction", predictions), ("dead letter", dead_letters)):
        for key in keys:
            if key not in records:
                verdict.add("orphan" if key in histories else "invented", f"key {key}: a {sort} without a record")
    return verdict


def _check_record(verdict: Verdict, key: int, allowed: Sequence[Write], record: Stored | None) -> None:
    if record is None:
        if not any(write.form is None for write in allowed):
            verdict.add("lost_write", f"key {key} is gone, sequence {allowed[0].seq} was acknowledged")
    elif not any((write.seq, write.form) == (record.seq, record.form) for write in allowed):
        verdict.add("lost_write", f"key {key} has sequence {record.seq}, {allowed[0].seq} was acknowledged")


def _check_result(
    verdict: Verdict,
    key: int,
    record: Stored,
    prediction: Predicted | None,
    dead_letter: Refused | None,
    expected: Expected | None,
) -> Predicted | Refused | None:
    """Find what is wrong with a record's result; the result that is of its value."""
    scored = prediction is not None and prediction.digest == record.digest
    refused = dead_letter is not None and dead_letter.digest == record.digest
    said = f"key {key}, sequence {record.seq}"
    if not scored and not refused:
        stale = prediction is not None or dead_letter is not None
        verdict.add("stale" if stale else "lost", f"{said}: {prediction}, dead letter {dead_letter}")
    elif prediction is not None and dead_letter is not None:
        verdict.add("double", f"{said}: side by side stand {prediction} and {dead_letter}")
    elif refused and expected is not None:
        verdict.add("refused", f"{said}: a dead letter where the model says {expected}")
    elif scored and expected is None:
        verdict.add("accepted", f"{said}: {prediction} of a record that must be refused")
    elif scored and prediction and expected and not _agree(prediction, expected):
        verdict.add("wrong", f"{said}: {prediction}, the model says {expected}")
    return prediction if scored else dead_letter if refused else None


def _agree(prediction: Predicted, expected: Expected) -> bool:
    same = (prediction.label, prediction.version) == (expected.label, expected.version)
    return same and abs(prediction.score - expected.score) <= SCORE_TOLERANCE


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of a deployment when nothing is written any more: by the product, and by its positions."""

    deployment: str
    journaled: bool
    owned: int
    """Partitions that workers say they score."""
    lag: int | None
    behind: tuple[str, ...] = ()
    """Partitions whose stored position is not the end of their journal."""
    incomplete: str = ""
    """What `verify` says, if it is not complete."""
    failures: tuple[str, ...] = ()


def check_told(verdict: Verdict, told: Told, partitions: int) -> None:
    """Judge what is said in the end. Sorts: `owned`, `lag`, `behind`, `incomplete`, `failing`."""
    name = told.deployment
    if told.owned != partitions:
        verdict.add("owned", f"{name}: {told.owned} partitions of {partitions} are owned")
    if told.journaled and told.lag != 0:
        verdict.add("lag", f"{name}: the lag is {told.lag}")
    for one in told.behind:
        verdict.add("behind", f"{name}: {one}")
    if told.incomplete:
        verdict.add("incomplete", f"{name}: {told.incomplete}")
    for one in told.failures:
        verdict.add("failing", f"{name}: {one}")


def duplicates(digests: Iterable[int]) -> int:
    """How many messages of a topic had been sent before: each value is written once, so its digest is its name."""
    return sum(times - 1 for times in Counter(digests).values())


@dataclass(frozen=True, slots=True)
class PositionSeen:
    """A stored position as it was read one time; the list of them is in the order of reading."""

    place: str
    """Deployment and partition."""
    epoch: int
    sequence: int
    gaps: int
    """Gaps of the deployment that had been declared by then."""
    at_s: float
    generation: int = 1
    """Of the deployment: with the next one all begins anew."""


def regressions(seen: Iterable[PositionSeen]) -> list[tuple[PositionSeen, PositionSeen]]:
    """Positions that went back, of one owner and generation, without a declared gap: work is done twice, or worse.

    When a member dies its backup may be behind what could be read a moment before, and the loss is declared once the
    table of partitions is whole. So a gap may show later, or earlier, as reconciling takes time.
    """
    places: dict[str, list[PositionSeen]] = {}
    for one in seen:
        places.setdefault(one.place, []).append(one)
    found: list[tuple[PositionSeen, PositionSeen]] = []
    for some in places.values():
        for before, one in pairwise(some):
            same = (one.epoch, one.generation) == (before.epoch, before.generation)
            if same and one.sequence < before.sequence:
                around = [each.gaps for each in some if abs(each.at_s - one.at_s) <= GAP_TOLD_S]
                if min(around) == max(around):
                    found.append((before, one))
    return found
