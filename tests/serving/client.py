"""Clients of the handlers: each speaks what its handler understands, and can leave in every way there is."""

import asyncio
import itertools
import secrets
import socket
import struct
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import quote_plus

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

from projects import Handler, questions

from . import LONG, SECRET, TOKEN
from .server import DEADLINE, HOST, path_of


def direction_of(handler: Handler) -> str:
    """Return who sends: push, reply or duplex."""
    direction: str = questions()["interfaces"]["default"][handler["interface"]]["direction"]
    return direction


class Client:
    """A client of one handler."""

    def __init__(self, handler: Handler, connection: ClientConnection) -> None:
        self.name = handler["name"]
        self.connection = connection
        self.is_sent_events = direction_of(handler) != "reply"
        self.is_shared = handler.get("events") == "channel"
        self.receives = direction_of(handler) != "push"
        self.has_replies = handler.get("answers", "each") == "each"
        self.is_typed = handler["payload"] == "typed"
        self.is_text = handler["transport"] == "text"
        self.ids = itertools.count(1)
        self.codec: Any = msgspec.msgpack if handler.get("codec") == "msgpack" else msgspec.json
        sent = {key: handler.get(f"out_{key}", "") for key in ("payload", "transport", "codec")}
        self.is_sent_typed, self.is_sent_text, self.sent_codec = self.is_typed, self.is_text, self.codec
        if sent["payload"]:
            self.is_sent_typed, self.is_sent_text = sent["payload"] == "typed", sent["transport"] == "text"
            self.sent_codec = msgspec.msgpack if sent["codec"] == "msgpack" else msgspec.json
        # Then what is not raw is an answer, which travels as messages do.
        self.is_sent_both = self.receives and self.is_typed and not self.is_sent_typed
        self.is_answered = self.receives and (self.is_typed or self.has_replies)

    async def send(self, text: str) -> None:
        """Send a message that says so; one that is answered has a number."""
        message = {"type": "say", "text": text} | ({} if self.is_shared else {"id": next(self.ids)})
        data: bytes = self.codec.encode(message) if self.is_typed else text.encode()
        await self.connection.send(data, text=self.is_text)

    async def receive_frame(self) -> str | bytes:
        """Return the data of the next message that is no event: as it comes, in a frame of the right kind."""
        while self.is_event(frame := await self.connection.recv()):
            assert self.is_sent_events
        assert isinstance(frame, str if self.is_text else bytes), f"a frame of the wrong kind: {frame!r:.200}"
        return frame

    async def receive(self) -> Any:
        """Return the next message: decoded if it is typed, else as a string."""
        frame = await self.connection.recv()
        if self.is_sent_both and isinstance(frame, str) == self.is_text:
            return self.codec.decode(frame)
        assert isinstance(frame, str) == self.is_sent_text, f"a frame of the wrong kind: {frame!r:.200}"
        if self.is_sent_typed:
            return self.sent_codec.decode(frame)
        return frame if isinstance(frame, str) else frame.decode()

    @staticmethod
    def is_event(frame: str | bytes) -> bool:
        """Tell whether a raw message is an event."""
        return frame.startswith("event ") if isinstance(frame, str) else frame.startswith(b"event ")

    def number(self, message: Any) -> int | None:
        """Return the number of an event, or None for any other message."""
        if isinstance(message, dict) and not self.is_shared:
            return message["number"] if message["type"] == "tick" else None
        if isinstance(message, dict) and "size" in message:
            return message["size"] - LONG if message["size"] > LONG else None
        text: str = message.get("text", "") if isinstance(message, dict) else message
        return int(text.removeprefix("event ")) if text.startswith("event ") else None

    async def receive_event(self) -> int:
        """Return the number of the next message, an event."""
        message = await self.receive()
        number = self.number(message)
        assert number, f"no event: {message!r}"
        return number

    async def receive_answer(self) -> Any:
        """Return the next message that is no event."""
        while self.number(message := await self.receive()):
            assert self.is_sent_events
        return message

    def check(self, answer: Any, number: int, text: str) -> None:
        """Check that this is the answer to that message: where events are a channel's, the client's own event."""
        done, said = {"type": "done", "ref": number}, {"type": "said", "text": text}
        if not self.has_replies:
            assert answer == done, answer
        elif not self.is_sent_typed:
            assert answer == text, f"{answer!r} is not {text!r}"
        elif not self.is_typed:
            assert answer == answer | {"type": "received", "size": len(text)}, answer
        elif self.is_shared:
            assert answer == answer | said, answer
        else:
            assert answer == said | {"ref": number}, answer

    async def exchange(self, number: int = 1) -> None:
        """Check that events arrive, and that a message is answered, as the first or that `number` of them."""
        if self.is_sent_events:
            first = await self.receive_event()
            assert await self.receive_event() == first + 1
        if self.receives:
            await self.be_answered(number)

    async def be_answered(self, number: int = 1) -> None:
        """Check that a message is answered; and by what it is itself, where all are told."""
        await self.send("hello")
        if self.is_answered:
            self.check(await self.receive_answer(), number, "hello")
        if self.is_sent_both and self.has_replies and not self.is_shared:
            assert await self.receive_answer() == {"type": "done", "ref": number}

    async def exchange_alone(self) -> None:
        """Check what works where nobody else publishes."""
        if not self.is_shared:
            await self.exchange()
        elif self.receives:
            await self.be_answered()

    async def closed(self) -> tuple[int, str]:
        """Return the code and reason with which the server closes, 1006 if it goes without; read on until then."""
        self.connection.transport.resume_reading()
        try:
            while True:
                assert SECRET not in str(await self.connection.recv())
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")

    def is_connected(self) -> bool:
        """Tell whether neither side has ended the connection, as far as one sees who does not read."""
        transport = self.connection.transport
        error = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return not error and not transport.is_closing()

    def invalid_frames(self) -> list[str | bytes]:
        """Return frames that the handler cannot decode, all of a typed message's."""
        if self.codec is msgspec.msgpack:
            say = b"\xa4type\xa3say\xa4text"
            invalid = [
                b"",
                b"\xc1",
                b"\x90",
                b"\x80",
                b"\x82" + say + b"\x01",
                b"\x82" + say + b"\xa1\xff",
                b"\x91" * 50_000,
            ]
        else:
            say = b'{"type": "say", "text": '
            invalid = [b"", b"{nope", b"[]", b"{}", say + b"1}", say + b'"\xff"}', b"[" * 50_000]
        if self.is_text:
            return [frame.decode() for frame in invalid if b"\xff" not in frame] + [b'{"type": "say", "text": "hello"}']
        return [*invalid, '{"type": "say", "text": "hello"}']

    def announce(self, size: int) -> None:
        """Send the header of a message of that many bytes, and none of them."""
        masked = 0x80
        opcode = Opcode.TEXT if self.is_text else Opcode.BINARY
        self.connection.transport.write(struct.pack("!BBQI", 0x80 | opcode, masked | 127, size, 0))

    async def stop_reading(self) -> None:
        """Read nothing any more; and where messages are answered, send many, for the answers to pile up."""
        self.connection.transport.pause_reading()
        if self.is_answered:
            for _ in range(24):
                await self.send("hello")

    async def ping_for_good(self) -> None:
        """Read nothing any more, and have the server answer a megabyte of pings at a time, until it has had enough."""
        transport = self.connection.transport
        transport.pause_reading()
        masked = 0x80
        ping = struct.pack("!BBI", 0x80 | Opcode.PING, masked | 125, 0) + bytes(125)
        while not transport.is_closing():
            if not transport.get_write_buffer_size():
                transport.write(ping * 8000)
            await asyncio.sleep(0.001)

    async def end_the_stream(self) -> None:
        """Leave without a close frame, as a process that ends does."""
        self.connection.transport.abort()
        await self.connection.wait_closed()

    async def reset(self) -> None:
        """Leave without a close frame, as a process that crashes or a network that breaks does."""
        transport = self.connection.transport
        if not transport.is_closing():  # the server may have been faster
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await self.end_the_stream()


def handshake(port: int, handler: Handler, demand: str = "", **options: Any) -> connect:
    """Return a handshake with a handler, with a demand on its service; unless the options differ, as one who may."""
    welcome = {"subprotocols": ["bearer", TOKEN]} if handler["guard"] == "token" else {}
    return connect(
        f"ws://{HOST}:{port}{target_of(handler, demand)}",
        **{
            "compression": None,  # a flood of one letter would be no flood
            "close_timeout": DEADLINE,
            "max_queue": None,  # or a client that has much to read does not see that the server closes
            "max_size": None,
            "open_timeout": DEADLINE,
            "ping_interval": None,
            "proxy": None,
            **welcome,
            **options,
        },
    )


def target_of(handler: Handler, demand: str = "") -> str:
    """Return where a handler is, on a channel that nobody else has, if it has channels."""
    channel = f"/{secrets.token_hex(8)}" if handler.get("events") == "channel" else ""
    return f"{path_of(handler['name'])}{channel}{demand and '?'}{quote_plus(demand)}"


@asynccontextmanager
async def connected(port: int, handler: Handler, demand: str = "") -> AsyncGenerator[Client, None]:
    """Connect to a handler, and leave no connection open behind the block; demand something of its service."""
    async with handshake(port, handler, demand, close_timeout=DEADLINE / 4) as connection:
        try:
            yield Client(handler, connection)
        finally:
            connection.transport.abort()


@asynccontextmanager
async def clients(port: int, handlers: Iterable[Handler]) -> AsyncGenerator[list[Client], None]:
    """Connect to these handlers, one client each, and leave no connection open behind the block."""
    async with AsyncExitStack() as stack, asyncio.timeout(10 * DEADLINE):
        yield [await stack.enter_async_context(connected(port, handler)) for handler in handlers]
