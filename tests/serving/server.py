"""A server in a process of its own: started on a free port, asked for its counts, stopped whatever happens."""

import itertools
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from . import ALLOWED, SECRET, TOKEN

TESTS = Path(__file__).parent.parent
HOST = "127.0.0.1"
DEADLINE = 60.0  # seconds for whatever is waited for; much more than it takes, on a slow machine, too

COMMANDS = {
    "generated": "everything --port {port}",
    "command": (
        "uvicorn --port {port} everything.app:app --ws everything.server:ClientProtocol --ws-per-message-deflate false"
        " --ws-max-size 65536 --timeout-graceful-shutdown 5"
    ),
    "litestar": "litestar --app everything.app:app run --port {port}",
    "uvicorn": "serving.watched --port {port}",
    "granian": "granian --interface asgi --port {port} serving.watched:app",
}
"""How to serve the project: what follows `python -m`. The last two count what they hold."""

FAILURE = re.compile(
    r"^ERROR .* Uncaught exception \(connection_type=websocket, path='(.+)'\):\n"
    rf"(?:(?:Traceback|[ +|]).*\n)+?(?:[ |]*RuntimeError: {SECRET}\n)(?: *\+-+\n)?",
    re.MULTILINE,
)
"""What the project logs of a service that fails: one record, and the path in it."""
TROUBLE = re.compile(r"^.*(?:ERROR|CRITICAL|WARN|Traceback|Exception|never retrieved|panicked).*$", re.MULTILINE)

Counts = dict[str, Any]


def path_of(name: str) -> str:
    """Return the path of a handler."""
    return f"/ws/{name.replace('_', '-')}"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        port: int = bound.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Tell whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def wait_until(find_problems: Callable[[], Collection[str]], explain: Callable[[], str]) -> None:
    """Wait until there are no problems any more, or fail with them and an explanation."""
    end = time.monotonic() + DEADLINE
    while problems := find_problems():
        assert time.monotonic() < end, "\n".join([*problems, explain()])
        time.sleep(0.02)


class Server:
    """A running server, and what its process says."""

    def __init__(self, kind: str, process: subprocess.Popen[bytes], port: int, output: Path) -> None:
        self.kind = kind
        self.process = process
        self.port = port
        self.output = output
        self.marks = itertools.count(1)
        self.begun = 0
        self.before: Counts = {}
        self.idle: Counts = {}

    def log(self) -> str:
        """Return what the process has written since the scenario began, both streams in one."""
        return self.output.read_text()[self.begun :]

    def listens(self) -> bool:
        """Tell whether the server takes connections."""
        return listens(self.port)

    def problems_of_the_start(self) -> list[str]:
        """Return why the server cannot be used yet."""
        assert self.process.poll() is None, self.log()
        return [] if self.listens() else ["the server does not listen"]

    def request(self, method: str, target: str) -> Any:
        """Return what the server answers to a request over HTTP."""
        connection = HTTPConnection(HOST, self.port, timeout=DEADLINE)
        try:
            connection.request(method, target)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        assert response.status == 200, f"{content!r}\n{self.log()}"
        return json.loads(content)

    def counts(self) -> Counts:
        """Return the counts of the server process, once all that it has logged until then can be read."""
        mark = next(self.marks)
        counts: Counts = self.request("GET", f"/counts?mark={mark}")
        wait_until(lambda: [] if f"- mark {mark}\n" in self.log() else ["the log lags behind"], self.log)
        return counts

    def begin(self, demand: str = "none", **limits: float) -> None:
        """Demand something of the services, set other limits, and remember what there is before the scenario."""
        self.demand(demand, **limits)
        self.before = self.counts()
        self.idle = self.idle or self.before
        self.begun = len(self.output.read_text())

    def demand(self, name: str, **limits: float) -> None:
        """Demand something of the services from now on, and set other limits."""
        self.request("PUT", f"/demand?{urlencode({'name': name, 'limits': json.dumps(limits)})}")

    def settle(self, names: Iterable[str] | None = None) -> None:
        """Wait until nothing is left of the scenario, in which each of these handlers had a connection, if known."""
        connections = None if names is None else Counter(names)
        wait_until(lambda: self.leftovers(self.counts(), connections), self.log)

    def leftovers(self, now: Counts, connections: Counter[str] | None) -> list[str]:
        """Return what there should not be, when there have been that many connections of each handler, or any."""
        alive = {kind: (self.idle[kind], now[kind]) for kind in ("tasks", "generators", "sockets", "subscribers")}
        found = [f"{before} {kind} became {after}" for kind, (before, after) in alive.items() if after > before]
        for name, before in self.before["handlers"].items():
            connected = now["handlers"][name]["connected"]
            if connections is not None:
                connected = before["connected"] + connections[name]
            expected = dict.fromkeys(before, 0) | {"connected": connected, "released": connected}
            if now["handlers"][name] != expected:
                found.append(f"{name}: {now['handlers'][name]} in the place of {expected}")
        return found

    def wait_for_blocked_sends(self, names: Collection[str], seconds: float = 0.2) -> None:
        """Wait until a send of each of these handlers has waited for its client for so long."""

        def sending() -> list[str]:
            waits = self.counts()["waits"]
            return [f"no send of {name} waits" for name in names if waits[name] < seconds]

        wait_until(sending, self.log)

    def failures(self) -> list[str]:
        """Return the paths of the handlers that have failed since the scenario began, as often as that is logged."""
        return ["/".join(path.split("/")[:3]) for path in FAILURE.findall(self.log())]  # without a channel

    def troubles(self, *expected: re.Pattern[str]) -> list[str]:
        """Return what else is logged that is more than information, and is not expected either."""
        log = self.log()
        for pattern in (FAILURE, *expected):
            log = pattern.sub("", log)
        return TROUBLE.findall(log)

    def terminate(self, within: float) -> None:
        """Send SIGTERM, and check that the process ends within so many seconds, and with it all that listens."""
        self.process.terminate()
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running {within} seconds after SIGTERM\n{self.log()}") from None
        assert not self.listens()

    def memory(self) -> int:
        """Return how many bytes of memory the server holds, in all its processes; 0 where the system does not say."""
        pages = 0
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                group = int((folder / "stat").read_text().rpartition(")")[2].split()[2])
                pages += int((folder / "statm").read_text().split()[1]) if group == self.process.pid else 0
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
        return pages * resource.getpagesize()

    def connections(self) -> int:
        """Return how many connections to the server the system holds for it, whether it still has a file for them."""
        ended = {"06", "0A"}  # waits for stray packets only; listens
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        local_and_state = ((line.split()[1], line.split()[3]) for line in lines)
        return sum(local.endswith(f":{self.port:04X}") and state not in ended for local, state in local_and_state)

    def last_counts(self) -> Counts:
        """Return the counts that the process wrote down when it ended."""
        counts: Counts = json.loads(self.output.with_suffix(".json").read_text())
        return counts

    def stop(self) -> None:
        """End the process; by force, with all that it has started, if it does not end by itself."""
        self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)  # it leads a group of its own


@contextmanager
def serve(
    kind: str,
    project: Path,
    output: Path,
    broker: str = "memory://",
    python: str | Path = sys.executable,
    **settings: float | str,
) -> Generator[Server, None, None]:
    """Serve the project of all handlers, on a free port, until the block ends; uvicorn with other settings, if any."""
    port = free_port()
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(project / "src"), str(TESTS)]),
        "PYTHONUNBUFFERED": "1",
        "REPORT": str(output.with_suffix(".json")),
        "SETTINGS": json.dumps(settings),
        "EVERYTHING_CHANNELS_URL": broker,
        "EVERYTHING_TOKEN": TOKEN,
        "EVERYTHING_ALLOWED_ORIGINS": ALLOWED,
    }
    with (
        output.open("wb") as stream,
        subprocess.Popen(
            [python, "-m", *COMMANDS[kind].format(port=port).split()],
            cwd=project,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        server = Server(kind, process, port, output)
        try:
            wait_until(server.problems_of_the_start, server.log)
            yield server
        finally:
            server.stop()
