"""The websocket class of every handler: what is true of a connection, whatever it is for."""

import asyncio
import weakref
from asyncio import current_task
from math import inf
from typing import Any, Literal, overload

from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from litestar.status_codes import (
    WS_1000_NORMAL_CLOSURE,
    WS_1003_UNSUPPORTED_DATA,
    WS_1006_ABNORMAL_CLOSURE,
    WS_1009_MESSAGE_TOO_BIG,
)
from litestar.types import Message, Receive, Scope, Send

from .limits import is_lost, look_after, size_of

WS_3008_TIMEOUT = 3008  # in IANA's registry
MAX_REASON_BYTES = 123  # what RFC 6455 leaves of a close frame; servers fail on more
MAX_TURN = 64  # messages that one connection receives before others have their turn


class ClientSocket(WebSocket[Any, Any, Any]):
    """A WebSocket on which a client that has left, or has stopped reading, is no error.

    What is sent to such a client is dropped, and streams end. What the client sent before it left is still received;
    then ``receive()`` raises ``WebSocketDisconnect``, and ``iter_data()`` and its siblings end. Servers disagree here:
    uvicorn raises an ``OSError`` of its own, or a ``RuntimeError`` if it has closed the connection itself; others say
    nothing; and none gives up on a client that keeps the connection and stops reading.

    A client that sends too large a message, or with which nothing has been exchanged for too long, is closed with the
    code that says so. One that sends messages too fast is not closed: they are received more slowly, until the client
    itself has to wait. So a burst loses nothing, and a flood costs little. The settings have the limits.

    This is the one place for what is true of every connection, whatever its handler does: limits, time stamps, counts,
    a log line when it ends. Override ``accept()``, ``receive_data()``, ``send_wrapper()`` or ``close()``, and call
    ``super()``; but listeners accept with Litestar's own ``accept()``, whatever the class says. What one handler needs
    belongs in its dependencies, who may connect in a guard, and what a message means in its service. The plugin's
    router takes it as its ``websocket_class``; a handler that needs another one names a subclass, as `RawSocket` is.
    """

    # As its bases: there may be many connections, and each would have a dictionary.
    __slots__ = (
        "__weakref__",
        "_deaf",
        "_due",
        "_idle_timeout",
        "_left",
        "_left_before",
        "_loop",
        "_max_message_size",
        "_max_rate",
        "_moved",
        "_overdue",
        "_quiet_since",
        "_receiving",
        "_send_timeout",
        "_sending",
        "_stuck_since",
        "_turn",
        "subprotocol",
    )

    subprotocol: str | None
    """What the connection is accepted with if the handler chooses nothing. For guards and dependencies to set."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings = scope["route_handler"].opt["websockets"].settings
        self._max_message_size: int = settings.max_message_size
        self._idle_timeout: float = settings.idle_timeout
        self._send_timeout: float = settings.send_timeout
        self._max_rate: int = settings.max_messages_per_second
        self._loop = asyncio.get_running_loop()
        self._sending: list[asyncio.Task[Any]] = []  # the tasks inside of `send`
        self._stuck_since = inf  # the first look that saw a task there, since a message was sent
        self._receiving: asyncio.Task[Any] | None = None  # the task inside of `receive`
        self._moved = True  # whether a message was sent, or a turn has ended, since the last look
        self._quiet_since = inf  # the look that saw the last message
        self._overdue: frozenset[asyncio.Task[Any]] = frozenset()  # the tasks that we have cancelled
        self._deaf = False  # whether nothing is received any more
        self._turn = min(MAX_TURN, self._max_rate // 4 or 1) if self._max_rate else MAX_TURN
        self._left = self._turn  # messages that are left of this turn
        self._left_before = -1  # the same at the last look
        self._due = -inf  # when a client at the largest rate would have sent all that was received
        self.subprotocol = None
        super().__init__(scope, receive, send)
        look_after(weakref.ref(self), self._loop)

    def receive_wrapper(self, receive: Receive) -> Receive:
        """Wrap ``receive``: a client that reaches a limit is closed or has to wait."""

        async def wrapped_receive() -> Any:
            self._left -= 1
            if self._left < 0:
                await self._end_turn()
            if self._deaf:
                raise WebSocketDisconnect(detail="the client has left", code=WS_1006_ABNORMAL_CLOSURE)
            self._receiving = current_task(self._loop)
            try:
                message: Any = await receive()
            except asyncio.CancelledError:
                if not self._was_overdue():
                    raise
                if self._deaf:
                    return {"type": "websocket.disconnect", "code": WS_1006_ABNORMAL_CLOSURE}
                return await self._give_up(WS_3008_TIMEOUT, "idle timeout")
            finally:
                self._receiving = None
            if message["type"] == "websocket.receive":
                data = message.get("text") or message.get("bytes")
                limit = self._max_message_size
                # At most four bytes a character: most messages are too short to be measured.
                if data and 4 * len(data) > limit and size_of(data) > limit:
                    return await self._give_up(WS_1009_MESSAGE_TOO_BIG, f"message too large (limit: {limit} bytes)")
            elif message["type"] == "websocket.connect":
                self.connection_state = "connect"
            else:
                self.connection_state = "disconnect"
                self._deaf = True
            return message

        return wrapped_receive

    async def _end_turn(self) -> None:
        """Let other connections have their turn; and wait, if the client sends more messages than it may."""
        seconds = 0.0
        self._left = self._turn - 1
        self._moved = True
        if self._max_rate and self.connection_state != "disconnect":
            now = self._loop.time()
            # What a client has not sent, it may send later: at most as much as in a second.
            self._due = max(self._due, now - 1) + self._turn / self._max_rate
            seconds = max(self._due - now, 0)
        await asyncio.sleep(seconds)

    async def _give_up(self, code: int, reason: str) -> Any:
        """Close the connection, and return what a receive returns of a client that has left."""
        await self.close(code, reason)
        return {"type": "websocket.disconnect", "code": code}

    def send_wrapper(self, send: Send) -> Send:
        """Wrap ``send``: what cannot be sent is dropped."""

        async def wrapped_send(message: Message) -> None:
            if self.connection_state == "disconnect":
                return
            if not self._sending:
                self._stuck_since = inf
            task: Any = current_task(self._loop)
            self._sending.append(task)
            self._moved = True
            try:
                await send(message)
                self._stuck_since = inf
            except OSError:
                self.connection_state = "disconnect"  # a receive has yet to say so, after what the client sent before
            except RuntimeError as exc:
                if not is_lost(exc):
                    raise
                self.connection_state = "disconnect"
                self._end_receiving()  # the server may not say so before it has told the client all
            except asyncio.CancelledError:
                if not self._was_overdue():
                    # anyio 4 knows its cancellations by their message, and granian 2 puts one of its own in its place:
                    # let anyio repeat what it said.
                    await asyncio.sleep(0)
                    raise
            finally:
                self._sending.remove(task)

        return self._accept_wrapper(wrapped_send)

    def _accept_wrapper(self, send: Send) -> Send:
        """Wrap ``send`` for the first message, which is the only one to accept."""

        async def wrapped_accept(message: Message) -> None:
            if message["type"] == "websocket.send":
                await self.accept()  # comes by here, too
            else:
                self.send = send
            if message["type"] == "websocket.accept":
                message["subprotocol"] = message["subprotocol"] or self.subprotocol
            await send(message)

        return wrapped_accept

    @overload
    async def receive_data(self, mode: Literal["text"]) -> str: ...

    @overload
    async def receive_data(self, mode: Literal["binary"]) -> bytes: ...

    async def receive_data(self, mode: Literal["text", "binary"]) -> str | bytes:
        """Return the data of the next frame, or raise ``WebSocketDisconnect``. A frame of the other kind is empty."""
        if self.connection_state == "init":
            await self.accept()
        event: Any = await self.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(detail="the client has left", code=event["code"])
        data: str | bytes | None = event.get("text" if mode == "text" else "bytes")
        return await self.receive_other(mode) if data is None else data

    async def receive_other(self, mode: Literal["text", "binary"]) -> str | bytes:
        """Return what `receive_data` is to return for a frame of the other kind."""
        return "" if mode == "text" else b""

    def send_data(self, data: str | bytes, mode: Literal["text", "binary"] = "text", encoding: str = "utf-8") -> Any:
        """Return what sends a frame when it is awaited, and accepts the connection first if nobody has."""
        if mode == "text":
            text = data if isinstance(data, str) else data.decode(encoding)
            return self.send({"type": "websocket.send", "text": text, "bytes": None})
        content = data if isinstance(data, bytes) else data.encode(encoding)
        return self.send({"type": "websocket.send", "bytes": content, "text": None})

    def stop_receiving(self) -> None:
        """Let the receive loop end, as when the client leaves, because there is nothing more to send.

        A message in hand is done and answered first. If the client has left already, so is what it sent before.
        """
        if self.connection_state != "disconnect":
            self._end_receiving()

    def _end_receiving(self) -> None:
        self._deaf = True
        if self._receiving:
            self._cancel(self._receiving)

    def find_overdue(self) -> float | None:
        """Cancel the tasks that have waited for too long.

        Return the seconds until the next look, or None when the connection has ended. What has begun since the last
        look is taken to begin now. So nothing is cut short, and nothing takes twice as long as it may.
        """
        if self.connection_state == "disconnect":
            if self._receiving:  # not for a message: the server should have said that the client has left
                self._end_receiving()
            return None if self._deaf else self._send_timeout
        now = self._loop.time()
        self._stuck_since = min(self._stuck_since, now) if self._sending else inf
        patience = min(self._stuck_since, now) + self._send_timeout - now
        if patience <= 0:
            self.connection_state = "disconnect"
            self._cancel(*self._sending)
            self._end_receiving()
            return None
        if self._moved or self._left != self._left_before:
            self._moved = False
            self._left_before = self._left
            self._quiet_since = now
        idle = self._quiet_since + (self._idle_timeout or inf) - now
        if idle <= 0:
            if self._receiving and not self._sending:
                self._cancel(self._receiving)
            self._quiet_since = now  # a handler that sends, or does not even receive, is at work
            idle = self._idle_timeout
        return min(patience, idle)

    def _cancel(self, *tasks: asyncio.Task[Any]) -> None:
        for task in frozenset(tasks) - self._overdue:  # each once
            task.cancel()
        self._overdue |= frozenset(tasks)

    def _was_overdue(self) -> bool:
        """Tell whether the current task was cancelled by us, and by nobody else."""
        task = current_task(self._loop)
        if task not in self._overdue:
            return False
        self._overdue -= {task}
        return not task.uncancel()

    async def close(self, code: int = WS_1000_NORMAL_CLOSURE, reason: str | None = None) -> None:
        """Close the connection. What is sent from now on is dropped, and nothing is received any more."""
        await super().close(code, (reason or "").encode()[:MAX_REASON_BYTES].decode(errors="ignore"))
        self.connection_state = "disconnect"
        self._deaf = True


class RawSocket(ClientSocket):
    """A socket that takes one kind of frame, and closes on the other.

    Litestar hands a frame of the other kind over as an empty one, and a raw handler could not tell the two apart.
    """

    __slots__ = ()

    async def receive_other(self, mode: Literal["text", "binary"]) -> str | bytes:
        """Close the connection, and raise ``WebSocketDisconnect``."""
        await self.close(WS_1003_UNSUPPORTED_DATA, f"expected a {mode} frame")
        raise WebSocketDisconnect(detail="a frame of the wrong kind", code=WS_1003_UNSUPPORTED_DATA)
