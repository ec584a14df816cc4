"""A websocket client for tests, in the test's own event loop.

Litestar's ``TestClient`` runs the application in a thread of its own: it does not wait for the handler when the client
leaves, hangs when the handler never ends, and cannot stop reading. A `Session` calls the ASGI application itself:

- ``leave()`` disconnects and waits for the handler. One that goes on, or stumbles, fails the test, which says where.
- ``stall()`` stops reading: the application's ``send()`` blocks, as it does when a slow client's buffers are full.
- ``expire()`` has the server give up on the client, which the application only notices when it sends.
- ``cancel()`` cancels the handler, as a server does when it shuts down.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from litestar import Litestar

TIMEOUT = 2.0
"""Seconds that the application may take for a step; nothing here waits longer."""


class Closed(Exception):
    """The application closed the connection."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Session:
    """One connection, from the client's side."""

    def __init__(self, app: Litestar, path: str) -> None:
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._reading = asyncio.Event()
        self._reading.set()
        self._blocked = asyncio.Event()
        self._gone = False
        self._expired = False
        self._closed = False
        self._scope = anyio.CancelScope()
        self._handler = asyncio.create_task(self._run(app, path), name=f"handler of {path}")

    async def _run(self, app: Litestar, path: str) -> None:
        scope: Any = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"testserver")],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 80),
            "subprotocols": [],
            "extensions": {},
        }
        with self._scope:
            receive: Any = self._to_app.get
            await app(scope, receive, self._send)

    async def _send(self, message: Any) -> None:
        if not self._reading.is_set():
            self._blocked.set()
            await self._reading.wait()
        if self._gone:
            raise OSError("the client has left")  # as uvicorn does
        if self._expired:
            raise RuntimeError(f"{message['type']!r}, after sending 'websocket.close'")  # as uvicorn does
        if self._closed:
            raise RuntimeError(f"{message['type']} after the connection was closed")
        self._from_app.put_nowait(message)
        if message["type"] == "websocket.close":
            self._closed = True
            self._to_app.put_nowait({"type": "websocket.disconnect", "code": message["code"]})

    async def _next(self) -> dict[str, Any]:
        receive = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait({receive, self._handler}, timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        if not receive.done():
            receive.cancel()
            assert self._handler.done(), f"nothing was sent for {TIMEOUT} s; the {_position(self._handler)}"
            self._handler.result()
            raise Closed(1006, "the handler has ended and closed nothing")
        message = receive.result()
        if message["type"] == "websocket.close":
            raise Closed(message["code"], message.get("reason") or "")
        return message

    async def accepted(self) -> None:
        """Wait until the application has accepted the connection."""
        self._to_app.put_nowait({"type": "websocket.connect"})
        await self._next()

    def send(self, frame: str | bytes) -> None:
        """Send a text or a binary frame."""
        text, binary = (frame, None) if isinstance(frame, str) else (None, frame)
        self._to_app.put_nowait({"type": "websocket.receive", "text": text, "bytes": binary})

    async def receive(self) -> str | bytes:
        """Return the next frame; raise `Closed` if the application has closed the connection instead."""
        message = await self._next()
        frame: str | bytes = message["bytes"] if message.get("text") is None else message["text"]
        return frame

    async def closed(self) -> Closed:
        """Skip the frames before it, and return how the application closed the connection."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                try:
                    await self._next()
                except Closed as closed:
                    return closed

    def stall(self) -> None:
        """Stop reading: from now on the application's ``send()`` blocks."""
        self._reading.clear()

    async def blocked(self) -> None:
        """Wait until the application is held up in ``send()``."""
        async with asyncio.timeout(TIMEOUT):
            await self._blocked.wait()

    async def leave(self, code: int = 1006) -> None:
        """Disconnect, by default without a closing handshake, and wait until the handler has ended."""
        self._gone = True
        self._reading.set()
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": code})
        await self.ended()

    def expire(self) -> None:
        """Have the server close the connection itself, as it does when a client answers no ping."""
        self._expired = True

    def cancel(self) -> None:
        """Cancel the handler, and wait for nothing."""
        self._scope.cancel()

    async def ended(self) -> None:
        """Wait until the handler has ended; raise whatever it let escape."""
        await asyncio.wait({self._handler}, timeout=TIMEOUT)
        assert self._handler.done(), f"after {TIMEOUT} s the {_position(self._handler)}"
        self._handler.result()

    async def aclose(self) -> None:
        """End the handler, whatever it does."""
        self._handler.cancel()
        await asyncio.wait({self._handler}, timeout=TIMEOUT)


def _position(task: asyncio.Task[Any]) -> str:
    """Say what a task is waiting for, from the outermost call to the innermost."""
    calls: list[str] = []
    awaited: Any = task.get_coro()
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        calls.append(f"{frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno})")
        awaited = awaited.cr_await
    return f"{task.get_name()} is still in {' > '.join(calls)}"


@asynccontextmanager
async def connect(app: Litestar, path: str) -> AsyncGenerator[Session, None]:
    """Connect to a handler for as long as the block runs; a task that it leaves behind fails the test."""
    others = asyncio.all_tasks()
    session = Session(app, path)
    try:
        await session.accepted()
        yield session
    finally:
        await session.aclose()
    if left := asyncio.all_tasks() - others:
        _, left = await asyncio.wait(left, timeout=0.2)
    assert not left, " and ".join(map(_position, left))
