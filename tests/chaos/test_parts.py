"""The tormentors' own parts, as far as they can be looked at without a grid."""

from __future__ import annotations

import json
import random
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing

import numpy as np
import pytest
from hazelcast.core import HazelcastJsonValue

from grid_inference.node.workers import Workers
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import encode_keys
from grid_inference.wire.protocol import journal, messages
from tests.chaos.campaign import EACH, SUMS, dealt, summed
from tests.chaos.ends import Lease, leases_of, owned_by, positions_of, said_by
from tests.chaos.failpoints import point_of
from tests.chaos.faults import FAULTS
from tests.chaos.model import trained
from tests.chaos.mutants import EXPOSING, MUTANTS, PROMOTIONS
from tests.chaos.run import Options, schedule
from tests.chaos.stage import is_of
from tests.chaos.workload import Form, derived, form_of, records
from tests.proxy import Proxy, Requests

TIMEOUT_S = 20.0


def message(*payloads: bytes) -> bytes:
    """A message of the client protocol."""
    frames = [struct.pack("<iH", 6 + len(payload), 0) + payload for payload in payloads]
    last = struct.pack("<iH", 6 + len(payloads[-1]), 1 << 13) + payloads[-1]
    return b"".join([*frames[:-1], last])


def test_requests_are_counted_wherever_the_stream_is_cut() -> None:
    chance = random.Random(3)
    stream = b"CP2" + b"".join(message(*(bytes(chance.randrange(30)) for _ in range(n % 3 + 1))) for n in range(50))
    for _ in range(20):
        counted, at = Requests(), 0
        while at < len(stream):
            step = chance.randint(1, 40)
            counted.feed(stream[at : at + step])
            at += step
        assert counted.count == 50


def test_a_swallowed_answer_is_that_of_a_request_which_arrived() -> None:
    with socket.create_server(("127.0.0.1", 0)) as member, Proxy(member.getsockname()[1]) as proxy:
        proxy.swallow(2)
        requests = b"CP2" + message(b"first") + message(b"second")
        with socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT_S) as worker:
            worker.sendall(requests)
            accepted, _ = member.accept()
            with closing(accepted):
                accepted.settimeout(TIMEOUT_S)
                came = b""
                while len(came) < len(requests):
                    came += accepted.recv(1000)
                accepted.sendall(b"answer")
                assert worker.recv(1000) == b""
    assert came == requests
    assert proxy.swallowed == 1


def test_a_blackhole_holds_back_and_gives_all_back() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as member,
        Proxy(member.getsockname()[1]) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT_S) as worker,
        member.accept()[0] as accepted,
    ):
        accepted.settimeout(TIMEOUT_S)
        proxy.blackhole()
        worker.sendall(b"held")
        threading.Timer(0.1, proxy.flow).start()
        assert accepted.recv(10) == b"held"


def test_failpoints_know_requests_by_their_bytes() -> None:
    key, value, partitions = encode_keys([1]), Blobs.of([bytes(20)]), np.zeros(1, np.int32)

    def put_all(name: str) -> bytearray:
        return next(messages.put_all_requests(name, key, value, partitions))[1]

    assert point_of(put_all("records.predictions"))[0] == "write"
    assert point_of(put_all("records.dead-letters"))[0] == "bury"
    assert point_of(put_all("grid_inference.positions"))[0] == "position"
    assert point_of(put_all("records"))[0] == ""
    assert point_of(journal.read_request("records", 0, 1, 10))[0] == "read"


def test_a_seed_gives_one_order_and_every_fault_is_in_it() -> None:
    assert schedule(Options(7)) == schedule(Options(7)) != schedule(Options(8))
    assert sorted(schedule(Options(7))) == sorted(name for name, one in FAULTS.items() if one.by_default)
    assert schedule(Options(7, faults=("clear", "zombie"))) == ["clear", "zombie"]


def test_a_campaign_deals_every_fault_three_times_whatever_the_seed() -> None:
    hands = dealt(7, 20)
    assert hands == dealt(7, 20) != dealt(8, 20)
    assert len({seed for seed, _ in hands}) == 20
    assert all(len(set(faults)) == len(faults) for _, faults in hands)
    assert Counter(name for _, faults in hands for name in faults) == dict.fromkeys(FAULTS, EACH)
    assert {len(faults) for _, faults in hands} == {len(FAULTS) * EACH // 20, len(FAULTS) * EACH // 20 + 1}


def test_a_campaign_says_what_was_wrong_and_what_was_tried_too_rarely() -> None:
    good = dict.fromkeys(SUMS, 0) | {"stale_window_s": 0.0, "bounds_broken": [], "trouble": [], "failed": []}
    runs = [
        good | {"seed": 1, "faults": dict.fromkeys(FAULTS, 2), "acknowledged": 250_000, "recoveries": [["start", 9.0]]},
        good | {"seed": 2, "faults": dict.fromkeys(FAULTS, 1), "recoveries": [["zombie", 3.0], ["clear", 1.0]]},
    ]
    told = summed(5, runs)
    assert told["too_few"] == ["no indeterminate", "no zombie_late_writes"]
    assert told["recovery_s"] == {"p50": 2.0, "worst": 3.0}
    assert not told["failed"]
    told = summed(5, [runs[0], runs[1] | {"faults": {}, "acknowledged": -60_000, "lost": 3, "failed": ["lost"]}])
    assert told["failed"] == {"2": ["lost"]}
    assert told["lost"] == 3
    assert len(told["too_few"]) == len(FAULTS) + 3


def test_every_mutant_has_faults_that_expose_it() -> None:
    assert EXPOSING.keys() == MUTANTS.keys() >= PROMOTIONS.keys()
    assert all(FAULTS.keys() >= set(faults) for faults in EXPOSING.values())


def test_entries_that_are_none_of_ours_are_left_out() -> None:
    lease = HazelcastJsonValue('{"deaths": 1, "epoch": 3, "worker": "host-71-ab"}')
    strange = [HazelcastJsonValue("{}"), HazelcastJsonValue("[1]"), HazelcastJsonValue("{"), "text", 7, None]
    assert leases_of([("lease/1", lease), *enumerate(strange)]) == {"lease/1": Lease("host-71-ab", 3, 1)}
    stored = struct.pack(">qq?qqiq", 50, 0, False, 3, 0, 1, 0)
    assert positions_of([("d/1", stored), ("d/2", bytes(7)), ("d/3", "text")]) == {"d/1": (50, 3, 1)}
    said = {"id": "host-71-ab", "pid": 71, "said_at_us": 99_000_000, "deployments": {"records": {"owned": 9}}}
    workers = said_by([HazelcastJsonValue(json.dumps(said)), *strange])
    assert workers == [said]
    assert owned_by([*workers, {**said, "said_at_us": 100_000_000}], 101.5)["records"] == 9, "one says nothing any more"


def test_a_worker_is_known_by_its_process() -> None:
    assert is_of("a-host-71-ab", [71])
    assert not is_of("a-host-71-ab", [7, 72])
    assert not is_of("", [71])


def test_the_supervisor_starts_and_revives_workers_by_what_chaos_replaces() -> None:
    started = threading.Semaphore(0)

    class Brief(Workers):
        def _spawn(self) -> subprocess.Popen[bytes]:
            started.release()
            return subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE)

    with Brief("", "", 1):
        assert started.acquire(timeout=TIMEOUT_S)
        assert started.acquire(timeout=TIMEOUT_S), "the first one has ended, and nobody came in its place"


@pytest.mark.parametrize("form", [form for form in Form if form < Form.REMOVED])
def test_a_record_tells_its_form(form: Form) -> None:
    assert form_of(records([5], [1], [form])[0]) == form


def test_values_follow_from_key_and_sequence() -> None:
    keys, seqs = np.arange(1, 1001), np.arange(1000) % 7
    values = derived(keys, seqs)
    assert values.shape == (1000, 3)
    assert 0 <= values.min() <= values.max() < 1
    assert np.unique(values).size == values.size
    assert (derived(keys[5:6], seqs[5:6]) == values[5]).all()


def test_the_model_misbehaves_where_it_is_told_to() -> None:
    model = trained()
    good, raises, nan = (np.array([[0.5, 0.5, 0.5, mark]]) for mark in (0.0, Form.RAISES, Form.NAN_SCORE))
    assert model.predict_proba(good).sum() == pytest.approx(1)
    assert np.isnan(model.predict_proba(nan)).all()
    with pytest.raises(ValueError, match="marked"):
        model.predict_proba(np.vstack([good, raises]))
