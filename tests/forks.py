"""Runs of pytest in projects, without the time that a new process takes to import Litestar: see `fork_server`."""

import atexit
import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SERVER = Path(__file__).with_name("fork_server.py")
OF_A_RUN = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
"""What an interpreter is told in its environment, and each run anew."""

_waiting: defaultdict[Path, list["subprocess.Popen[bytes]"]] = defaultdict(list)
"""Servers that have nothing to do, by their interpreter: as many as have ever been needed at a time."""


def run_pytest(
    python: Path, folder: Path, *arguments: str, timeout: float, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Do what ``python -W error -m pytest`` does in a folder, and return its output, both streams in one.

    Raises:
        subprocess.TimeoutExpired: after `timeout` seconds; whatever it had started is killed.
    """
    try:
        server = _waiting[python].pop()
    except IndexError:
        server = _start(python)
    request = {"folder": str(folder), "arguments": arguments, "timeout": timeout, "environment": {**os.environ, **env}}
    assert server.stdin
    assert server.stdout
    server.stdin.write(json.dumps(request).encode() + b"\n")
    server.stdin.flush()
    line = server.stdout.readline()
    assert line, f"the fork server of {python} has ended with {server.wait()}"
    _waiting[python].append(server)
    answer: dict[str, Any] = json.loads(line)
    if answer["code"] is None:
        raise subprocess.TimeoutExpired(["pytest", *arguments], timeout, answer["output"])
    return subprocess.CompletedProcess(["pytest", *arguments], answer["code"], answer["output"])


def _start(python: Path) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if name not in OF_A_RUN}
    return subprocess.Popen(
        [str(python), "-W", "error", str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )


@atexit.register
def stop() -> None:
    """End the servers that have nothing to do."""
    for servers in _waiting.values():
        while servers:
            with servers.pop() as server:
                assert server.stdin
                server.stdin.close()
