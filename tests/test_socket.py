"""What the project's websocket class promises and its own tests cannot show without waiting for it."""

# ruff: noqa: SLF001 - a clock that stands still needs to see inside

import asyncio
import importlib
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture
def find_overdue(everything: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what looks at a connection, as plain function."""
    monkeypatch.syspath_prepend(everything / "src")
    return importlib.import_module("everything.ws.socket").ClientSocket.find_overdue


def connection(clock: list[float], **state: Any) -> Any:
    """Return what a look sees of a connection, by a clock that stands still."""
    return SimpleNamespace(
        **{
            "connection_state": "receive",
            "_loop": SimpleNamespace(time=lambda: clock[0]),
            "_sending": {},
            "_receiving": None,
            "_idle": None,
            "_moved": False,
            "_quiet_since": clock[0],
            "_send_timeout": 30.0,
            "_idle_timeout": 600.0,
            **state,
        }
    )


async def forever() -> None:
    """Do nothing."""
    await asyncio.sleep(60)


def test_client_is_given_up_when_one_message_waits_for_long(find_overdue: Any) -> None:
    async def scenario() -> None:
        clock = [1000.0]
        socket = connection(clock)
        task = asyncio.create_task(forever())
        for _ in range(9):
            socket._sending[task] = inf  # a message; those before it are sent
            assert find_overdue(socket) == 30
            clock[0] += 29.9
            assert find_overdue(socket) == pytest.approx(0.1)
            assert socket.connection_state == "receive"
            clock[0] += 10
        assert not task.cancelling()
        find_overdue(socket)
        assert socket.connection_state == "disconnect"
        assert task.cancelling()

    asyncio.run(scenario())


def test_connection_is_idle_when_nothing_has_moved_for_long(find_overdue: Any) -> None:
    async def scenario() -> None:
        clock = [1000.0]
        task = asyncio.create_task(forever())
        socket = connection(clock, _receiving=task)
        for _ in range(30):
            socket._moved = True
            assert find_overdue(socket) == 30
            clock[0] += 599
            assert find_overdue(socket) == 1
        clock[0] += 0.9
        find_overdue(socket)
        assert not task.cancelling()
        clock[0] += 0.1
        find_overdue(socket)
        assert task.cancelling()
        assert socket._idle is task

    asyncio.run(scenario())
