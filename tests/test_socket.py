"""What the project's websocket class promises and its own tests cannot show without waiting for it."""

import asyncio
import importlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


class Peer:
    """A connection of the websocket class, what its server does, and a clock that stands still."""

    def __init__(self, websocket_class: Any) -> None:
        self.now = 1000.0
        self.sent: list[Any] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.events.put_nowait({"type": "websocket.connect"})
        asyncio.get_running_loop().time = lambda: self.now  # type: ignore[method-assign]
        settings = SimpleNamespace(max_message_size=100, idle_timeout=600.0, send_timeout=30.0)
        scope = {"type": "websocket", "litestar_app": SimpleNamespace(state={"settings": settings})}
        self.socket = websocket_class(scope, self.events.get, self.send)

    async def send(self, message: Any) -> None:
        """Take a message, once the client reads."""
        await self.reading.wait()
        self.sent.append(message)

    def look(self) -> float:
        """Have the connection looked at, and return when it wants to be looked at again."""
        seconds: float = self.socket.find_overdue()
        return seconds


@pytest.fixture
def connect(everything: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Peer]:
    """Return what makes a connection."""
    monkeypatch.syspath_prepend(everything / "src")
    return lambda: Peer(importlib.import_module("everything.ws.socket").ClientSocket)


async def started(coroutine: Any) -> asyncio.Task[Any]:
    """Return a task that has come as far as it can."""
    task: asyncio.Task[Any] = asyncio.ensure_future(coroutine)
    for _ in range(3):
        await asyncio.sleep(0)
    return task


def test_what_is_sent_first_accepts(connect: Callable[[], Peer]) -> None:
    async def scenario() -> None:
        peer = connect()
        await peer.socket.send_text("hello")
        await peer.socket.send_bytes(b"hello")
        assert [it["type"] for it in peer.sent] == ["websocket.accept", "websocket.send", "websocket.send"]
        assert (peer.sent[1]["text"], peer.sent[2]["bytes"]) == ("hello", b"hello")

    asyncio.run(scenario())


def test_client_is_given_up_when_one_message_waits_for_long(connect: Callable[[], Peer]) -> None:
    async def scenario() -> None:
        peer = connect()
        await peer.socket.accept()
        for _ in range(9):
            peer.reading.clear()
            sending = await started(peer.socket.send_text("hello"))
            assert peer.look() == 30
            peer.now += 29.9
            assert peer.look() == pytest.approx(0.1)
            peer.reading.set()
            await sending
            peer.now += 10
        peer.reading.clear()
        peer.look()
        peer.now += 20
        sending = await started(peer.socket.send_text("hello"))
        assert peer.look() == 30
        peer.now += 20
        later = await started(peer.socket.send_text("hello"))  # is no excuse for the one before
        assert peer.look() == pytest.approx(10)
        assert peer.socket.connection_state == "connect"
        peer.now += 10
        peer.look()
        await asyncio.gather(sending, later)  # dropped, and no error
        assert peer.socket.connection_state == "disconnect"
        assert len(peer.sent) == 10

    asyncio.run(scenario())


def test_client_is_given_up_whatever_becomes_of_other_messages(connect: Callable[[], Peer]) -> None:
    async def scenario() -> None:
        peer = connect()
        await peer.socket.accept()
        peer.reading.clear()
        for stuck_for, looks_between in ((20, True), (20, False), (30, False)):
            sending = await started(peer.socket.send_text("hello"))
            assert peer.look() == 30
            for _ in range(stuck_for // 10):
                impatient = await started(peer.socket.send_text("hello"))
                peer.now += 10
                impatient.cancel()
                await asyncio.gather(impatient, return_exceptions=True)
            if stuck_for == 20:
                assert peer.look() == 10
                # What begins afterwards has all its time, whether or not there is a look before.
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                if looks_between:
                    peer.now += 30
                    assert peer.look() == 30
                assert peer.socket.connection_state == "connect"
        peer.look()
        await sending
        assert peer.socket.connection_state == "disconnect"

    asyncio.run(scenario())


def test_connection_is_idle_when_nothing_has_moved_for_long(connect: Callable[[], Peer]) -> None:
    async def scenario() -> None:
        peer = connect()
        await peer.socket.accept()
        peer.look()
        for number in range(30):
            if number % 2:
                peer.events.put_nowait({"type": "websocket.receive", "text": "hello"})
                assert await peer.socket.receive_text() == "hello"
            else:
                await peer.socket.send_text("hello")
            receiving = await started(peer.socket.receive_text())
            assert peer.look() == 30
            peer.now += 599
            assert peer.look() == 1
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
        peer.now += 0.9
        receiving = await started(peer.socket.receive())
        peer.look()
        assert not receiving.cancelling()
        peer.now += 0.1
        peer.look()
        assert await receiving == {"type": "websocket.disconnect", "code": 3008}
        assert peer.sent[-1]["type"] == "websocket.close"
        assert peer.sent[-1]["code"] == 3008

    asyncio.run(scenario())


@pytest.mark.parametrize("cancelled", ["before", "after", "while it is told"])
def test_who_is_cancelled_besides_stays_cancelled(connect: Callable[[], Peer], cancelled: str) -> None:
    async def scenario() -> None:
        peer = connect()
        await peer.socket.accept()
        peer.look()
        receiving = await started(peer.socket.receive())
        peer.now += 600
        if cancelled == "before":
            receiving.cancel()
        peer.look()
        if cancelled == "while it is told":
            peer.reading.clear()
            for _ in range(3):
                await asyncio.sleep(0)
        if cancelled != "before":
            receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving

    asyncio.run(scenario())
