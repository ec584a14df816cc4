"""What one visitor does: every way of using or misusing a handler that we know of."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from random import Random

from projects import Handler
from serving.client import Client, connected, target_of
from serving.server import HOST, Server, path_of

LIMITS = {"uvicorn": 64 * 1024, "granian": 16 * 1024 * 1024}
"""How many bytes a message may have: what the project sets, and what granian does not let anybody set."""
NO_ANSWER = 1006
PATIENCE = 6.0
"""Seconds after which a server that sends pings must have ended a connection on which nothing is heard."""


@dataclass
class Visitor:
    """One client of one handler, with random numbers of its own, and the totals of the crowd."""

    server: Server
    handler: Handler
    random: Random
    totals: Counter[str] = field(default_factory=Counter)

    def connect(self, demand: str = "") -> AbstractAsyncContextManager[Client]:
        """Connect, and demand something of the service."""
        self.totals["connections"] += 1
        return connected(self.server.port, self.handler, demand)

    async def pause(self, longest: float) -> None:
        """Wait for a moment."""
        await asyncio.sleep(self.random.uniform(0, longest))

    async def converse(self, client: Client, *, answered: int = 0) -> int:
        """Exchange a few messages, each of which must be answered; return how many there have been in all."""
        for number in range(answered + 1, answered + self.random.randint(1, 12) + 1):
            await client.exchange(number)
            answered = number
        self.totals["exchanges owed and had"] += answered
        return answered

    async def hang_up(self, client: Client, code: int = 1000) -> None:
        """Close as one should, which the server must answer; granian forgets to, once in some thousand times."""
        await client.connection.close(code)
        if self.server.kind == "granian" and client.connection.close_code == NO_ANSWER:
            self.totals["closes not answered"] += 1
            return
        assert client.connection.close_code == code

    async def expect(self, client: Client, *codes: int) -> None:
        """Check that the server closes with one of these codes."""
        code, reason = await client.closed()
        assert code in codes, f"closed with {code} {reason!r}"


Visit = Callable[[Visitor], Awaitable[None]]


# The well-behaved, who must get every answer that they are owed -----------------------------------------------------


async def close(visitor: Visitor) -> None:
    """Talk, and close."""
    async with visitor.connect() as client:
        await visitor.converse(client)
        code = visitor.random.choice([1000, 1001, 3000, 4999])
        await visitor.hang_up(client, code)


async def read_slowly(visitor: Visitor) -> None:
    """Ask for much at once, and read it with pauses."""
    async with visitor.connect() as client:
        count = visitor.random.randint(5, 25)
        if client.is_answered:
            for number in range(count):
                await client.send(f"{number}")
            for number in range(count):
                await visitor.pause(0.02)
                client.check(await client.receive_answer(), number + 1, f"{number}")
        else:
            first = await client.receive_event()
            assert first == 1 or client.is_shared
            for number in range(1, count):
                await visitor.pause(0.02)
                assert await client.receive_event() == first + number
        visitor.totals["exchanges owed and had"] += count
        await visitor.hang_up(client)


async def receive_answers(client: Client, count: int) -> int:
    """Receive the answers to so many messages, and return how many there were.

    Who floods a channel may be too slow for it: the oldest events are dropped, but in order, and never the last one.
    """
    received, number = 0, -1
    while number < count - 1:
        answer = await client.receive_answer()
        number += 1
        received += 1
        if client.is_shared:
            text = answer["text"] if client.is_typed else answer
            assert int(text) >= number, f"{text} is behind {number}"
            number = int(text)
        client.check(answer, number + 1, f"{number}")
    return received


async def flood(visitor: Visitor) -> None:
    """Send as fast as the connection takes it, and read meanwhile."""
    async with visitor.connect() as client:
        count = visitor.random.randint(100, 300)

        async def send() -> None:
            for number in range(count):
                await client.send(f"{number}")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send())
            if client.is_answered:
                visitor.totals["exchanges owed and had"] += await receive_answers(client, count)
        await visitor.converse(client, answered=count)
        await visitor.hang_up(client)


async def send_invalid_frames(visitor: Visitor) -> None:
    """Send what is no message, be told so, and go on."""
    async with visitor.connect() as client:
        for frame in visitor.random.sample(client.invalid_frames(), 3):
            if client.is_answered and client.is_typed:
                await client.connection.send(frame)
                answer = await client.receive_answer()
                assert answer["type"] == "error", answer
                visitor.totals["exchanges owed and had"] += 1
            elif not client.is_answered:
                await client.connection.send(frame)
        await visitor.converse(client)
        await visitor.hang_up(client)


# Those who break the rules, and are told so -------------------------------------------------------------------------


async def send_frames_of_the_wrong_kind(visitor: Visitor) -> None:
    """Send text where binary frames are expected, or the other way around."""
    async with visitor.connect() as client:
        await visitor.converse(client)
        await client.connection.send("hello", text=not client.is_text)
        if client.is_answered and not client.is_typed:
            await visitor.expect(client, 1003)
            return
        if client.is_answered:
            assert (await client.receive_answer())["type"] == "error"
        await visitor.hang_up(client)


async def send_too_much(visitor: Visitor) -> None:
    """Begin a message that is larger than the server allows."""
    async with visitor.connect() as client:
        await visitor.converse(client)
        client.announce(LIMITS[visitor.server.kind] + 1)
        await visitor.expect(client, *((1009,) if visitor.server.kind == "uvicorn" else (1005, 1006)))


async def break_the_protocol(visitor: Visitor) -> None:
    """Send bytes that are no websocket frame: a reserved opcode, an unmasked frame, text that is no UTF-8, noise."""
    async with visitor.connect() as client:
        await visitor.converse(client)
        noise = bytes(visitor.random.randrange(256) for _ in range(16))
        broken = [b"\x83\x80\0\0\0\0", b"\x82\x01a", b"\x81\x81\0\0\0\0\xff", b"\xf1\x80\0\0\0\0", b"\xff" * 16, noise]
        client.connection.transport.write(visitor.random.choice(broken))
        await visitor.pause(0.1)
        await client.reset()


async def make_the_service_fail(visitor: Visitor) -> None:
    """Have the service fail, and see nothing of its secrets."""
    demands = visitor.random.sample(["fail to reply", "fail to tell"], 2)
    async with visitor.connect() as client:
        demand = next(it for it in demands if (client.is_answered if it == "fail to reply" else client.is_sent_events))
    async with visitor.connect(demand) as client:
        if demand == "fail to reply":
            await client.send("hello")
        await visitor.expect(client, 4500)
        visitor.totals[f"failed {path_of(visitor.handler['name'])}"] += 1


# Those who are gone -------------------------------------------------------------------------------------------------


async def abort(visitor: Visitor) -> None:
    """Talk, and crash."""
    async with visitor.connect() as client:
        await visitor.converse(client)
        await client.reset()


async def vanish(visitor: Visitor) -> None:
    """Talk, and end without a word."""
    async with visitor.connect() as client:
        await visitor.converse(client)
        await client.end_the_stream()


async def abort_within_a_message(visitor: Visitor) -> None:
    """Crash with a message half sent."""
    async with visitor.connect() as client:
        client.announce(1000)
        client.connection.transport.write(b" " * visitor.random.randint(0, 999))
        await visitor.pause(0.02)
        await client.reset()


async def abort_within_a_push(visitor: Visitor) -> None:
    """Crash while the server is busy sending."""
    async with visitor.connect("flood") as client:
        if client.is_answered:
            for number in range(visitor.random.randint(1, 24)):
                await client.send(f"{number}")
        await visitor.pause(0.05)
        await client.reset()


async def fall_silent(visitor: Visitor) -> None:
    """Keep the connection, and neither read nor write any more, not even a pong."""
    async with visitor.connect() as client:
        await visitor.converse(client)
        client.connection.transport.pause_reading()
        if visitor.server.kind != "uvicorn":
            await visitor.pause(PATIENCE / 3)  # granian sends no pings, and would wait for ever
            await client.reset()
            return
        await asyncio.sleep(PATIENCE)
        await visitor.expect(client, 1006, 1011)


async def stop_reading(visitor: Visitor) -> None:
    """Have much sent, and do not read it; until the server gives up, or not so long."""
    async with visitor.connect("flood") as client:
        await client.stop_reading()
        await visitor.pause(PATIENCE / 2)
        await client.reset()


async def storm(visitor: Visitor) -> None:
    """Come and go, again and again, not always as far as the handshake."""
    for _ in range(visitor.random.randint(5, 15)):
        if visitor.random.random() < 0.5:
            async with visitor.connect() as client:
                if visitor.random.random() < 0.5:
                    await client.reset()
                else:
                    await visitor.hang_up(client)
            continue
        visitor.totals["connections"] += 1
        request = f"GET {target_of(visitor.handler)} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\n"
        _, writer = await asyncio.open_connection(HOST, visitor.server.port)
        writer.write(request.encode()[: visitor.random.randrange(len(request))])
        await visitor.pause(0.01)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()


VISITS: tuple[Visit, ...] = (
    close,
    read_slowly,
    flood,
    send_invalid_frames,
    send_frames_of_the_wrong_kind,
    send_too_much,
    break_the_protocol,
    make_the_service_fail,
    abort,
    vanish,
    abort_within_a_message,
    abort_within_a_push,
    fall_silent,
    stop_reading,
    storm,
)
