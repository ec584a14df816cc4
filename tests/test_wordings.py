"""What uvicorn says when there is no client any more: generated projects know it by its words."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect

HOST = "127.0.0.1"
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
HELLO = {"type": "websocket.send", "text": "hello"}

Exchange = Callable[[Any, Any], Awaitable[None]]


@pytest.fixture
def limits(everything: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module of a generated project that knows the words."""
    monkeypatch.syspath_prepend(everything / "src")
    return importlib.import_module("everything.ws.limits")


@asynccontextmanager
async def served(app: Any) -> AsyncGenerator[int, None]:
    """Serve an application with uvicorn, and yield the port."""
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=0, lifespan="off", log_level="critical"))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


def raised_by(exchange: Exchange, visit: Callable[[int], Awaitable[None]]) -> BaseException | None:
    """Return what a send raises in an application that has such an exchange with such a visitor."""

    async def scenario() -> BaseException | None:
        raised: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

        async def app(_scope: Any, receive: Any, send: Any) -> None:
            await receive()
            try:
                await exchange(receive, send)
            except (OSError, RuntimeError) as exc:
                raised.set_result(exc)
            else:
                raised.set_result(None)

        async with asyncio.timeout(20), served(app) as port:
            await visit(port)
            return await raised

    return asyncio.run(scenario())


async def stay(port: int) -> None:
    """Connect, and wait for the close."""
    async with connect(f"ws://{HOST}:{port}", proxy=None) as connection:
        await connection.wait_closed()


async def leave(port: int) -> None:
    """Connect, and close."""
    async with connect(f"ws://{HOST}:{port}", proxy=None):
        pass


async def leave_at_once(port: int) -> None:
    """Ask for a connection, and wait for nothing."""
    _, writer = await asyncio.open_connection(HOST, port)
    writer.write(HANDSHAKE)
    writer.close()


def test_send_to_a_client_that_has_left_raises_an_oserror(limits: Any) -> None:
    async def exchange(receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"
        await send(HELLO)

    raised = raised_by(exchange, leave)
    assert isinstance(raised, OSError)
    assert limits.is_lost(raised)


def test_send_after_the_server_has_closed_is_known_by_its_words(limits: Any) -> None:
    async def exchange(_receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
        await send(HELLO)

    raised = raised_by(exchange, stay)
    assert isinstance(raised, RuntimeError)
    assert limits.CLOSED_BY_SERVER in str(raised)


def test_send_to_a_client_that_was_not_accepted_is_known_by_its_words(limits: Any) -> None:
    """It depends on the turn of the event loop: the server accepts nobody who is leaving, and says nothing of it."""
    heard: list[BaseException | None] = []
    for turns in range(12):

        async def exchange(_receive: Any, send: Any, turns: int = turns) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await send({"type": "websocket.accept"})
            await send(HELLO)

        heard.append(raised_by(exchange, leave_at_once))
    strange = [str(it) for it in heard if isinstance(it, RuntimeError)]
    assert strange, heard
    assert all(limits.NEVER_ACCEPTED in it for it in strange)
    assert all(limits.is_lost(it) for it in heard if it)
