"""A client that is cheap enough not to be the limit: one loop over all its connections, and frames made beforehand.

It offers what browsers offer, compression among it, and compresses what it sends where the server takes that up.
"""

import contextlib
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from figures import HOST, free_port
from peers import Form

SERVER_CORE, CLIENT_CORE = 0, min(1, (os.cpu_count() or 1) - 1)
LARGE = 1 << 18
TIME = re.compile(rb"\d{9,}\.\d{6}")
SMALL = 126  # bytes of a message; from then on its length is written elsewhere


def allow_files(count: int) -> int:
    """Allow as many open files as are needed, or as the system lets us, for this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(count, hard)))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@dataclass
class Served:
    """A contender that is being served."""

    label: str
    form: Form
    work: str
    sources: Path
    published: float = 0
    """How many events a second are published, to its channel."""
    broker: str = "memory://"
    core: int = SERVER_CORE

    def __enter__(self) -> Self:
        """Start the server, and wait until it listens."""
        self.port = free_port()
        self.log = tempfile.TemporaryFile()
        path = os.pathsep.join([str(self.sources), os.environ.get("PYTHONPATH", "")])
        arguments = [self.label, self.form.name, self.work, str(self.port), str(self.core)]
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py")), *arguments],
            env={
                **os.environ,
                "PYTHONPATH": path,
                "PUBLISHED": str(self.published),
                "EVERYTHING_CHANNELS_URL": self.broker,
                "EVERYTHING_MAX_CONNECTIONS": "0",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
        )
        assert self.process.stdout
        line = self.process.stdout.readline() if self.label.startswith("generated") else b"/"
        self.path = line.decode().strip()
        end = time.monotonic() + 20
        while not self.listens():
            if self.process.poll() is not None or time.monotonic() > end:
                self.log.seek(0)
                raise RuntimeError(f"{self.label} does not start: {self.log.read().decode(errors='replace')}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        """End the server, if need be by force."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        self.log.close()

    def listens(self) -> bool:
        """Tell whether the server takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0

    def memory(self) -> int:
        """Return how many bytes of memory the server holds."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()

    def cpu(self) -> float:
        """Return how many seconds the server has been at work: what it needs, whoever else wants the core."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    def request(self) -> bytes:
        """Return what opens a connection."""
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        ).encode()


@dataclass
class Result:
    """What came of a measurement."""

    messages: int
    seconds: float
    busy: float
    """The part of the time that the client itself was at work: near 1, it is the client that is measured."""
    work: float
    """The seconds that the server was at work."""
    latencies: list[float] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """Return what a message costs the server, in microseconds of its core: less noisy than the rate."""
        return self.work / self.messages * 1e6

    @property
    def rate(self) -> float:
        """Return the messages of a second."""
        return self.messages / self.seconds

    def latency(self, part: float) -> float:
        """Return the latency that this part of the messages stays below, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000 if ordered else 0.0


class Clients:
    """So many connections to one server; or to several, by turns."""

    def __init__(self, served: Served, count: int, *others: Served) -> None:
        self.served = served
        self.all_served = (served, *others)
        self.sockets: dict[int, socket.socket] = {}
        self.poll = select.epoll()
        self.left: dict[int, bytes] = {}
        self.compresses = False
        for number in range(count):
            self.connect(self.all_served[number % len(self.all_served)])

    def connect(self, served: Served) -> None:
        """Open one connection."""
        opened = socket.create_connection((HOST, served.port), timeout=20)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.sendall(served.request())
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = opened.recv(LARGE)
            if not data:
                raise RuntimeError(f"{self.served.label} refuses: {answer!r}")
            answer += data
        if b" 101 " not in answer:
            raise RuntimeError(f"{self.served.label} refuses: {answer!r}")
        self.compresses = b"permessage-deflate" in answer
        opened.setblocking(False)  # noqa: FBT003 - the name says it
        self.sockets[opened.fileno()] = opened
        self.left[opened.fileno()] = answer.partition(b"\r\n\r\n")[2]
        self.poll.register(opened, select.EPOLLIN)

    def close(self) -> None:
        """Close all connections, without a word."""
        for opened in self.sockets.values():
            opened.close()
        self.poll.close()

    def frame(self) -> bytes:
        """Return a message, as a client sends it; masked, but with a mask that changes nothing."""
        form = self.served.form
        message = form.frame({"type": "say", "text": "hello"} if form.payload == "typed" else "hello")
        data = message.encode() if isinstance(message, str) else message
        first = 0x81 if form.is_text else 0x82
        if self.compresses:  # refers to nothing before it, and so can be sent again and again
            deflate = zlib.compressobj(wbits=-15)
            data = (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")
            first |= 0x40
        return bytes([first, 0x80 | len(data)]) + bytes(4) + data

    def reply(self, seconds: float) -> Result:
        """Send a message on each connection, and the next one when it is answered, for so many seconds."""
        frame, sockets, left, poll = self.frame(), self.sockets, self.left, self.poll.poll
        clock = time.perf_counter
        since: dict[int, float] = {}
        latencies: list[float] = []
        busy, work, begun = time.process_time(), self.served.cpu(), clock()
        for number, opened in sockets.items():
            since[number] = clock()
            opened.send(frame)
        end = begun + seconds
        waiting = len(sockets)
        while waiting:
            for number, _ in poll(5):
                data = left[number] + sockets[number].recv(LARGE)
                if len(data) < 2 or len(data) < 2 + data[1]:
                    if not data:
                        raise RuntimeError(f"{self.served.label} has closed")
                    left[number] = data
                    continue
                if data[1] >= SMALL or len(data) > 2 + data[1]:
                    raise RuntimeError(f"{self.served.label} sends more than it was asked for: {data!r}")
                left[number] = b""
                now = clock()
                latencies.append(now - since[number])
                if now < end:
                    since[number] = now
                    sockets[number].send(frame)
                else:
                    waiting -= 1
        took = clock() - begun
        work = self.served.cpu() - work
        return Result(len(latencies), took, (time.process_time() - busy) / took, work, latencies)

    def cpu(self) -> float:
        """Return how many seconds all servers have been at work."""
        return sum(it.cpu() for it in self.all_served)

    def listen(self, seconds: float, *, is_timed: bool = False) -> Result:
        """Read what is sent on all connections, for so many seconds; and how late it is, if it says when it was."""
        sockets, left, poll = self.sockets, self.left, self.poll.poll
        messages = 0
        latencies: list[float] = []
        busy, work, begun = time.process_time(), self.cpu(), time.perf_counter()
        end = begun + seconds
        while time.perf_counter() < end:
            for number, _ in poll(0.1):
                data = left[number] + sockets[number].recv(LARGE)
                position, length = 0, len(data)
                while position + 2 <= length and (after := position + 2 + data[position + 1]) <= length:
                    if is_timed and (sent := TIME.search(data, position, after)):
                        latencies.append(time.time() - float(sent[0]))
                    position = after
                    messages += 1
                left[number] = data[position:]
        took = time.perf_counter() - begun
        return Result(messages, took, (time.process_time() - busy) / took, self.cpu() - work, latencies)


@contextlib.contextmanager
def clients(served: Served, count: int, *others: Served) -> Iterator[Clients]:
    """Hold so many connections for as long as the block runs, and load from a core of our own."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {CLIENT_CORE})
    opened = Clients(served, count, *others)
    try:
        yield opened
    finally:
        opened.close()
