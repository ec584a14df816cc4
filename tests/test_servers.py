"""What every handler promises holds on real servers: nothing of a connection is left there, however it ends."""

import asyncio
import os
import re
import shlex
import socket
import statistics
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Generator, Iterator
from contextlib import AsyncExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from projects import HANDLERS, Handler, run
from serving import ALLOWED, TOKEN
from serving.client import Client, clients, connected, direction_of, handshake
from serving.server import COMMANDS, DEADLINE, HOST, Server, path_of, serve, wait_until

pytestmark = pytest.mark.slow

Scenario = Callable[[Client], Awaitable[None]]

SERVERS = ("uvicorn", "granian")
NAMES = [handler["name"] for handler in HANDLERS]
PUSHING = [handler for handler in HANDLERS if direction_of(handler) == "push"]
ANSWERING = [handler for handler in HANDLERS if direction_of(handler) != "push"]
TELLING = [handler for handler in HANDLERS if direction_of(handler) != "reply"]
TIMES = 5  # so often is what depends on the moment tried
GRACE = 5  # seconds that the project gives its handlers when it is told to end
LARGEST = 64 * 1024  # bytes of a message, by default
ECHO = next(handler for handler in HANDLERS if handler["name"] == "listener_raw_text")

UPGRADE = (
    "HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

only_linux = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux says what there is")


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, everything: Path, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server, None, None]:
    """Return a running server of the project with all handlers, which counts what it holds."""
    output = tmp_path_factory.mktemp("server") / "output"
    with serve(request.param, everything, output) as server:
        yield server


@pytest.fixture(scope="module")
def generated_server(everything: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server, None, None]:
    """Return a running server of the project with all handlers, as a user starts it."""
    with serve("generated", everything, tmp_path_factory.mktemp("server") / "output") as server:
        yield server


async def play(scenario: Scenario, opened: Collection[Client]) -> None:
    """Play a scenario with all these clients at once, and fail with what each of them says."""

    async def one(client: Client) -> str:
        try:
            async with asyncio.timeout(DEADLINE):
                await scenario(client)
        except Exception:  # noqa: BLE001
            return f"{client.name}: {traceback.format_exc()}"
        return ""

    failures = list(filter(None, await asyncio.gather(*map(one, opened))))
    assert not failures, "\n".join(failures)


def meet(server: Server, scenario: Scenario, handlers: Collection[Handler] = HANDLERS) -> None:
    """Play a scenario with a client of each of these handlers, after which there must be nothing left of them."""

    async def all_clients() -> None:
        async with clients(server.port, handlers) as opened:
            await play(scenario, opened)

    asyncio.run(all_clients())
    server.settle([handler["name"] for handler in handlers])


def assert_failed(server: Server, handlers: Collection[Handler] = ()) -> None:
    """Check that these handlers have failed, as the log says once for each, and that nothing else is wrong there."""
    assert sorted(server.failures()) == sorted(path_of(handler["name"]) for handler in handlers), server.log()
    assert not server.troubles(), server.log()


# How a client may leave ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 4001])
def test_client_that_closes_leaves_nothing_behind(server: Server, code: int) -> None:
    async def scenario(client: Client) -> None:
        await client.exchange()
        await client.connection.close(code)
        # Once in some thousand times, granian does not answer, and keeps the connection; its handler has ended.
        assert client.connection.close_code in ((code,) if server.kind == "uvicorn" else (code, 1006))

    server.begin()
    meet(server, scenario, HANDLERS * TIMES)
    assert_failed(server)


@pytest.mark.parametrize("leave", [Client.end_the_stream, Client.reset])
def test_client_that_is_gone_leaves_nothing_behind(server: Server, leave: Scenario) -> None:
    async def scenario(client: Client) -> None:
        await client.exchange()
        await leave(client)

    server.begin()
    meet(server, scenario, HANDLERS * TIMES)
    assert_failed(server)


def test_client_that_stops_reading_and_is_gone_leaves_nothing_behind(server: Server) -> None:
    async def scenarios() -> None:
        async with clients(server.port, HANDLERS) as opened:
            await asyncio.to_thread(server.demand, "flood")  # not before, or the clients would have to keep it
            await play(Client.stop_reading, opened)
            await asyncio.to_thread(server.wait_for_blocked_sends, NAMES)
            await play(Client.reset, opened)

    server.begin("flood to come")
    asyncio.run(scenarios())
    server.settle(NAMES)
    assert_failed(server)


def test_client_that_stops_reading_and_stays_is_given_up(server: Server) -> None:
    send_timeout = 2

    async def scenarios() -> None:
        async with clients(server.port, HANDLERS) as opened:
            await asyncio.to_thread(server.demand, "flood", send_timeout=send_timeout)
            await play(Client.stop_reading, opened)
            await asyncio.to_thread(server.wait_for_blocked_sends, NAMES, 0.5 * send_timeout)
            await asyncio.to_thread(server.settle, NAMES)
            # Nothing was given up because the client had left. The project's own server ends connections, too.
            still_there = [client.name for client in opened if client.is_connected()]
            assert still_there == ([] if server.kind == "uvicorn" else NAMES)

    server.begin("flood to come", send_timeout=send_timeout)
    asyncio.run(scenarios())
    server.settle(NAMES)
    assert_failed(server)


@pytest.mark.parametrize("server", ["uvicorn"], indirect=True)
@pytest.mark.parametrize("most", [0, 1000])
def test_client_that_floods_delays_nobody_else(server: Server, most: int) -> None:
    stop = threading.Event()

    def flood() -> None:
        with socket.create_connection((HOST, server.port)) as flooder:
            flooder.settimeout(DEADLINE)
            flooder.sendall(f"GET {path_of(ECHO['name'])} {UPGRADE}".encode())
            threading.Thread(target=drain, args=[flooder], daemon=True).start()
            with suppress(OSError):
                while not stop.is_set():
                    flooder.sendall(b"\x81\x81\0\0\0\0x" * 10_000)

    def drain(flooder: socket.socket) -> None:
        with suppress(OSError):
            while flooder.recv(1 << 20):
                pass

    async def scenario() -> list[float]:
        flooding = threading.Thread(target=flood)
        try:
            async with clients(server.port, [ECHO]) as (client,):
                await client.exchange()
                flooding.start()
                await asyncio.sleep(0.5)
                seconds = []
                for _ in range(20):
                    began = time.monotonic()
                    await client.be_answered()
                    seconds.append(time.monotonic() - began)
                return sorted(seconds)
        finally:
            stop.set()
            await asyncio.to_thread(flooding.join)

    server.begin(max_messages_per_second=most)
    seconds = asyncio.run(scenario())
    assert statistics.median(seconds) < 0.25, seconds
    server.settle()
    assert not server.failures()  # uvicorn may log an assertion of its own, of the flooder that leaves in a frame


@pytest.mark.parametrize("server", ["uvicorn"], indirect=True)
def test_client_that_leaves_before_it_is_accepted_is_no_failure(server: Server) -> None:
    def visit(handler: Handler) -> None:
        with socket.create_connection((HOST, server.port)) as visitor:
            channel = "/lobby" if handler.get("events") == "channel" else ""
            visitor.sendall(f"GET {path_of(handler['name'])}{channel} {UPGRADE}".encode())

    server.begin()
    for handler in [handler for handler in HANDLERS if handler["guard"] == "none"] * TIMES:
        visit(handler)
    server.settle()
    assert_failed(server)


# What a client may send ----------------------------------------------------------------------------------------------


def test_invalid_message_is_refused_and_survived(server: Server) -> None:
    async def scenario(client: Client) -> None:
        for frame in client.invalid_frames():
            await client.connection.send(frame)
            error = await client.receive_answer()
            assert error.keys() == {"type", "detail"}, (frame, error)
            assert error["type"] == "error"
            assert error["detail"]
        await client.exchange()

    server.begin()
    meet(server, scenario, [handler for handler in ANSWERING if handler["payload"] == "typed"])
    assert_failed(server)


def test_raw_frame_of_the_wrong_kind_closes(server: Server) -> None:
    async def scenario(client: Client) -> None:
        await client.exchange()
        await client.connection.send("text", text=not client.is_text)
        kind = "text" if client.is_text else "binary"
        assert await client.closed() == (1003, f"expected a {kind} frame")

    server.begin()
    meet(server, scenario, [handler for handler in ANSWERING if handler["payload"] == "raw"])
    assert_failed(server)


def all_of_unicode() -> list[str]:
    """Return texts that hold every character there is, surrogates being none."""
    characters = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    return [characters[start : start + 0x4000] for start in range(0, len(characters), 0x4000)]


def in_pieces(data: bytes, *, size: int) -> Iterator[bytes]:
    """Yield the data in pieces of that size, the last one empty: fragments that end in the middle of characters."""
    yield from (data[start : start + size] for start in range(0, len(data), size))
    yield b""


def test_raw_messages_come_back_whole(server: Server) -> None:
    texts = [
        "",
        "hello",
        "\0",
        "\r\n",
        "\N{ZERO WIDTH NO-BREAK SPACE}",
        "\N{SNOWMAN}" * (LARGEST // 3),
        *all_of_unicode(),
    ]
    binary = [b"", bytes(range(256)), bytes(LARGEST), b"\xff" * LARGEST, "hello".encode("utf-16")]
    binary += [bytes([byte]) for byte in range(256)]

    async def scenario(client: Client) -> None:
        messages: list[str | bytes] = [*texts] if client.is_text else [*binary]
        for number, message in enumerate(messages):
            data = message.encode() if isinstance(message, str) else message
            await client.connection.send(message)
            assert await client.receive_frame() == message, f"message {number}"
            await client.connection.send(in_pieces(data, size=len(data) // 7 + 1), text=client.is_text)
            assert await client.receive_frame() == message, f"message {number}, in fragments"

    server.begin()
    meet(server, scenario, [handler for handler in ANSWERING if handler["payload"] == "raw"])
    assert_failed(server)


def test_text_that_is_not_utf8_closes(server: Server) -> None:
    async def scenario(client: Client) -> None:
        await client.exchange()
        await client.connection.send(b"\xff", text=True)
        code, _ = await client.closed()
        # Granian closes without a code.
        assert code == (1007 if server.kind == "uvicorn" else 1005)

    server.begin()
    meet(server, scenario)
    assert not server.failures()  # uvicorn logs an error of its own: no handler ever sees such a frame


def test_what_a_client_of_a_push_handler_sends_is_ignored(server: Server) -> None:
    async def scenario(client: Client) -> None:
        await client.exchange()
        for _ in range(10):
            for frame in ("", "{nope", b"", b"\xff"):
                await client.connection.send(frame)
        await client.exchange()

    server.begin()
    meet(server, scenario, PUSHING)
    assert_failed(server)


# Who may connect -----------------------------------------------------------------------------------------------------


def test_handshake_is_refused_and_nothing_is_touched(server: Server) -> None:
    """A browser sends what this client sends: it cannot set the header, and names its page's origin."""
    right = {"additional_headers": {"Authorization": f"Bearer {TOKEN}"}, "subprotocols": None}
    no_token: list[dict[str, Any]] = [
        {"subprotocols": None},
        {"subprotocols": ["bearer"]},
        {"subprotocols": ["bearer", TOKEN[:-1]]},
        {"subprotocols": None, "additional_headers": {"Authorization": "Bearer wrong"}},
        {"subprotocols": None, "additional_headers": {"Authorization": "Basic " + TOKEN}},
    ]
    foreign: list[dict[str, Any]] = [
        {**right, "origin": f"http://other.example:{server.port}"},
        {**right, "origin": f"https://{HOST}:{server.port}"},
        {**right, "origin": "null"},
    ]

    async def problem(handler: Handler, options: dict[str, Any]) -> str:
        try:
            async with handshake(server.port, handler, **options):
                return f"{handler['name']} accepts {options}"
        except InvalidStatus as refused:
            return "" if refused.response.status_code == 403 else f"{handler['name']}: {refused}"

    async def scenario() -> None:
        for handler in HANDLERS:
            attempts = (no_token if handler["guard"] == "token" else []) + foreign
            problems = await asyncio.gather(*(problem(handler, options) for options in attempts))
            assert not list(filter(None, problems))

    server.begin()
    asyncio.run(scenario())
    server.settle([])
    assert_failed(server)


def test_handshake_is_accepted_from_who_may_connect(server: Server) -> None:
    header = {"Authorization": f"Bearer {TOKEN}"}
    attempts: list[tuple[dict[str, Any], str | None]] = [
        ({"additional_headers": header, "subprotocols": None}, None),
        ({"additional_headers": header, "subprotocols": None, "origin": f"http://{HOST}:{server.port}"}, None),
        ({"subprotocols": ["bearer", TOKEN], "origin": ALLOWED}, "bearer"),
    ]

    async def scenario() -> None:
        for handler in HANDLERS:
            for options, chosen in attempts:
                async with handshake(server.port, handler, **options) as connection:
                    assert connection.subprotocol == (chosen if handler["guard"] == "token" else None)
                    await Client(handler, connection).exchange()

    server.begin()
    asyncio.run(scenario())
    server.settle(NAMES * len(attempts))
    assert_failed(server)
    assert TOKEN not in server.output.read_text()


def test_page_over_tls_connects_where_the_server_believes_the_proxy(server: Server) -> None:
    """The page of a name; the proxy is on the same machine, which uvicorn takes to be one."""

    async def status(origin: str, forwarded: str) -> int:
        headers = {"X-Forwarded-Proto": forwarded}
        url = f"ws://demo.example{path_of(ECHO['name'])}"
        options: dict[str, Any] = {"origin": origin, "additional_headers": headers, "proxy": None}
        try:
            async with connect(url, host=HOST, port=server.port, **options) as connection:
                assert connection.response
                return connection.response.status_code
        except InvalidStatus as refused:
            return refused.response.status_code

    async def scenario() -> list[int]:
        return [
            await status("https://demo.example", "https"),
            await status("https://demo.example", "http"),
            await status("http://demo.example", "https"),
            await status("http://demo.example", "http"),
        ]

    server.begin()
    assert asyncio.run(scenario()) == [101 if server.kind == "uvicorn" else 403, 403, 403, 403]
    server.settle()
    assert_failed(server)


def test_page_can_ask_why_it_was_refused(server: Server) -> None:
    def ask(**headers: str) -> tuple[int, bytes]:
        connection = HTTPConnection(HOST, server.port, timeout=DEADLINE)
        try:
            connection.request("GET", "/ws", headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    assert ask(Authorization=f"Bearer {TOKEN}") == (204, b"")
    assert ask(Authorization="Bearer wrong") == (401, b'{"status_code":401,"detail":"wrong token"}')
    status, content = ask(Authorization=f"Bearer {TOKEN}", Origin="https://other.example")
    assert status == 403
    assert b"pages of 'https://other.example' may not connect" in content


def test_refusal_is_one_line_in_the_log_and_what_there_is_not_is_none(server: Server) -> None:
    """Browsers ask for an icon by themselves, and whoever tries doors would fill a log."""

    async def scenario() -> None:
        for handler in (ECHO, ECHO | {"name": "nothing"}):
            with pytest.raises(InvalidStatus):
                await handshake(server.port, handler, origin="https://other.example")

    def status(method: str, path: str) -> int:
        connection = HTTPConnection(HOST, server.port, timeout=DEADLINE)
        try:
            connection.request(method, path)
            return connection.getresponse().status
        finally:
            connection.close()

    server.begin()
    asyncio.run(scenario())
    tried = [("GET", "/favicon.ico"), ("GET", "/schema"), ("GET", "/ws/nothing"), ("GET", "/ws/listener-raw-text")]
    assert [status(*it) for it in [*tried, ("POST", "/ws")]] == [404, 404, 404, 405, 405]
    server.settle([])  # by then, all is logged
    assert [line.partition(" refused at ")[2] for line in server.log().splitlines() if " refused at " in line] == [
        "/ws/listener-raw-text: pages of 'https://other.example' may not connect",
    ]
    assert_failed(server)


# What one client may take --------------------------------------------------------------------------------------------


def test_message_larger_than_the_limit_closes(server: Server) -> None:
    async def scenario(client: Client) -> None:
        await client.exchange()
        await client.connection.send("x" * 1001, text=client.is_text)
        assert await client.closed() == (1009, "message too large (limit: 1000 bytes)")

    server.begin(max_message_size=1000)
    meet(server, scenario)
    assert_failed(server)


def test_idle_client_is_closed(server: Server) -> None:
    async def scenario(client: Client) -> None:
        if client.is_answered:
            await client.send("hello")
            await client.receive_answer()
        assert await client.closed() == (3008, "idle timeout")

    server.begin("silence", idle_timeout=3)
    meet(server, scenario)
    assert_failed(server)


def test_client_that_is_one_too_many_is_closed_and_takes_the_next_free_place(server: Server) -> None:
    def places_taken() -> list[str]:
        return [name for name, counts in server.counts()["handlers"].items() if counts["held"] > 1]

    async def scenario() -> None:
        async with clients(server.port, HANDLERS * 2) as opened, clients(server.port, HANDLERS) as too_many:
            for client in too_many:
                assert await client.closed() == (1013, "too many connections (limit: 2)")
            await play(Client.exchange, opened)
            for client in opened[: len(HANDLERS)]:
                await client.connection.close()
            await asyncio.to_thread(wait_until, places_taken, server.log)
            async with clients(server.port, HANDLERS) as again:
                await play(Client.exchange, again)

    server.begin(max_connections=2)
    asyncio.run(scenario())
    server.settle(NAMES * 3)
    assert_failed(server)


@only_linux
@pytest.mark.parametrize("server", ["uvicorn"], indirect=True)
@pytest.mark.parametrize(("demand", "limits"), [("flood", {}), ("silence", {"idle_timeout": 0.2})])
def test_connection_of_a_client_that_does_not_read_goes_and_counts_until_then(
    server: Server, demand: str, limits: dict[str, float]
) -> None:
    """Whether the server waits for it to read what is sent, or to answer a close."""
    most = 4

    async def come_in(stack: AsyncExitStack) -> None:
        """Have one more client in, as soon as it is let in, which then reads nothing any more."""
        while True:
            client = await stack.enter_async_context(connected(server.port, ECHO))
            try:
                await client.send("hello")
                await client.connection.recv()
            except ConnectionClosed:  # there are as many as there may be
                await asyncio.sleep(0.01)
            else:
                return await client.stop_reading()

    async def scenario() -> None:
        async with AsyncExitStack() as stack, asyncio.timeout(DEADLINE):
            for _ in range(3 * most):
                await come_in(stack)
                assert 0 < server.connections() <= most
            await asyncio.to_thread(wait_until, lambda: "connected" * server.connections(), server.log)

    server.begin(demand, send_timeout=0.5, max_connections=most, **limits)
    asyncio.run(scenario())
    server.settle()
    assert_failed(server)


@only_linux
@pytest.mark.parametrize("server", ["uvicorn"], indirect=True)
def test_pings_of_a_client_that_does_not_read_pile_up_nowhere(server: Server) -> None:
    async def scenario() -> None:
        async with clients(server.port, HANDLERS[:1]) as opened:
            await play(Client.ping_for_good, opened)

    server.begin(send_timeout=2)
    before = server.memory()
    asyncio.run(scenario())
    assert server.memory() - before < 20 * 1024 * 1024
    server.settle()
    assert_failed(server)


def test_compression_is_not_accepted(generated_server: Server) -> None:
    """A kilobyte that becomes a megabyte would be in memory before any limit is looked at."""

    async def scenario() -> None:
        async with handshake(generated_server.port, ECHO, compression="deflate") as connection:
            assert connection.request
            assert connection.response
            assert "permessage-deflate" in connection.request.headers["Sec-WebSocket-Extensions"]
            assert "Sec-WebSocket-Extensions" not in connection.response.headers
            await Client(ECHO, connection).exchange()

    asyncio.run(scenario())


def test_message_in_any_number_of_fragments_ends_the_connection(generated_server: Server) -> None:
    def fragments() -> Iterator[str]:
        for _ in range(20_000):
            yield ""

    async def scenario() -> None:
        async with handshake(generated_server.port, ECHO) as connection:
            with pytest.raises(ConnectionClosed):
                await connection.send(fragments())
            assert (connection.close_code, generated_server.failures()) == (1006, [])

    asyncio.run(scenario())


def test_handshake_with_headers_that_are_too_large_is_answered(generated_server: Server) -> None:
    """Else the connection would stay, and fail the shutdown."""

    async def scenario(headers: dict[str, str]) -> None:
        with pytest.raises(InvalidStatus) as refused:
            await handshake(generated_server.port, ECHO, additional_headers=headers)
        assert refused.value.response.status_code == 431

    asyncio.run(scenario({"X": "x" * 9000}))
    asyncio.run(scenario({f"X-{number}": "" for number in range(200)}))


# What a service may do -----------------------------------------------------------------------------------------------


def test_reply_that_fails_closes_and_is_logged_once(server: Server) -> None:
    async def scenario(client: Client) -> None:
        await client.send("hello")
        assert await client.closed() == (4500, "Internal Server Error")

    server.begin("fail to reply")
    meet(server, scenario, ANSWERING)
    assert_failed(server, ANSWERING)


def test_events_that_fail_close_and_are_logged_once(server: Server) -> None:
    async def scenario(client: Client) -> None:
        assert await client.receive_event() == 1
        assert await client.closed() == (4500, "Internal Server Error")

    server.begin("fail to tell")
    meet(server, scenario, TELLING)
    assert_failed(server, TELLING)


def test_reply_that_fails_does_not_wait_for_a_client_that_reads_nothing(everything: Path, tmp_path: Path) -> None:
    """On uvicorn as it is: with the project's own protocol, the connection would go as well."""
    raw = [it for it in ANSWERING if it["payload"] == "raw" and it.get("events") != "channel"]
    handlers = list({handler["interface"]: handler for handler in raw}.values())

    async def stall_and_fail(client: Client) -> None:
        client.connection.transport.pause_reading()
        await client.send("hello")
        await client.send("hello")

    async def scenario(server: Server) -> None:
        async with clients(server.port, handlers) as opened:
            await play(stall_and_fail, opened)
            await asyncio.to_thread(server.settle)
            assert all(client.is_connected() for client in opened)

    with serve("uvicorn", everything, tmp_path / "output", ws="websockets-sansio") as server:
        server.begin("flood and fail", send_timeout=0.5)
        asyncio.run(scenario(server))
        assert_failed(server, handlers)


# When the server ends ------------------------------------------------------------------------------------------------


def shut_down(project: Path, output: Path, handlers: Collection[Handler]) -> None:
    """End a server while a client of each of these handlers is connected, and check that all are released."""

    async def scenario(server: Server) -> None:
        async with clients(server.port, handlers) as opened:
            await play(Client.exchange, opened)
            await asyncio.to_thread(server.terminate, GRACE)
            assert {await client.closed() for client in opened} == {(1012, "")}

    with serve("uvicorn", project, output) as server:
        server.begin()
        asyncio.run(scenario(server))
        assert not server.leftovers(server.last_counts(), Counter(handler["name"] for handler in handlers))
        assert_failed(server)


def test_shutdown_releases_all_connections(everything: Path, tmp_path: Path) -> None:
    shut_down(everything, tmp_path / "output", HANDLERS)


def test_shutdown_does_not_wait_for_clients_that_stopped_reading(everything: Path, tmp_path: Path) -> None:
    async def scenario(server: Server) -> None:
        async with clients(server.port, HANDLERS) as opened:
            await asyncio.to_thread(server.demand, "flood")  # not before, or the clients would have to keep it
            await play(Client.stop_reading, opened)
            await asyncio.to_thread(server.wait_for_blocked_sends, NAMES)
            await asyncio.to_thread(server.terminate, 2 * GRACE)

    with serve("uvicorn", everything, tmp_path / "output") as server:
        server.begin("flood to come")
        asyncio.run(scenario(server))
        assert not server.leftovers(server.last_counts(), Counter(NAMES))


@pytest.mark.parametrize("demand", ["none", "flood"])
def test_granian_shuts_down_without_waiting_for_anybody(everything: Path, tmp_path: Path, demand: str) -> None:
    """Granian drops its connections, and may drop the handlers too: whether they release what they hold is luck."""

    async def scenario(server: Server) -> None:
        async with clients(server.port, HANDLERS) as opened:
            if demand == "flood":
                await asyncio.to_thread(server.demand, demand)  # not before, or the clients would have to keep it
                await play(Client.stop_reading, opened)
                await asyncio.to_thread(server.wait_for_blocked_sends, NAMES)
            else:
                await play(Client.exchange, opened)
            await asyncio.to_thread(server.terminate, GRACE)
            assert {await client.closed() for client in opened} == {(1006, "")}

    with serve("granian", everything, tmp_path / "output") as server:
        server.begin("flood to come" if demand == "flood" else demand)
        asyncio.run(scenario(server))
        assert not server.failures()  # granian's own log may hold worse: a thread that panics at a blocked send


# As a user runs it ---------------------------------------------------------------------------------------------------


def test_command_of_the_readme_is_the_one_that_is_tried(everything: Path) -> None:
    assert " ".join(COMMANDS["command"].split(" --port {port} ")) in re.sub(
        r" \\\n +", " ", (everything / "README.md").read_text()
    )


@pytest.mark.parametrize("kind", ["generated", "command", "litestar"])
def test_project_runs_as_generated(kind: str, everything: Path, tmp_path: Path) -> None:
    async def scenario(server: Server) -> None:
        async with clients(server.port, HANDLERS) as opened:
            await play(Client.exchange_alone, opened)

    with serve(kind, everything, tmp_path / "output") as server:
        asyncio.run(scenario(server))
        assert_failed(server)


def test_setting_that_cannot_be_ends_the_start_in_a_sentence(everything: Path) -> None:
    environ = {"EVERYTHING_IDLE_TIMEOUT": "soon", "PYTHONPATH": "src"}
    done = run(sys.executable, "-m", "everything", cwd=everything, timeout=DEADLINE, env=environ)
    sentence = 'EVERYTHING_IDLE_TIMEOUT is "soon", but takes a number of seconds, or 0 for never'
    assert (done.returncode, done.stdout.splitlines()[-1]) == (2, f"everything: error: {sentence}")
    assert "Traceback" not in done.stdout


def test_message_that_is_too_large_closes(generated_server: Server) -> None:
    async def too_large(client: Client) -> None:
        client.announce(LARGEST + 1)
        code, _ = await client.closed()
        assert code == 1009

    async def scenario() -> None:
        async with clients(generated_server.port, HANDLERS) as opened:
            await play(too_large, opened)

    asyncio.run(scenario())
    assert_failed(generated_server)


def test_command_of_the_readme_tries_every_handler(everything: Path, generated_server: Server) -> None:
    _, _, section = (everything / "README.md").read_text().partition("\n### Try them\n")
    (command,) = re.findall(r"^uv run .*?^'$", section.partition("\n## ")[0], re.MULTILINE | re.DOTALL)
    done = run(
        *shlex.split(command.removeprefix("uv run ").replace(":8000/", f":{generated_server.port}/")),
        cwd=everything,
        timeout=10 * DEADLINE,
        env={
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "EVERYTHING_TOKEN": TOKEN,
        },
    )
    assert done.returncode == 0, done.stdout
    printed = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    assert len(printed) == len(HANDLERS), done.stdout
    for path, answers in printed.items():
        handler = next(it for it in HANDLERS if it["name"].replace("_", "-") == path.split("/")[1])
        event = "tick" if handler["payload"] == "typed" else "event"
        words: dict[str, list[str]] = {"push": [event], "reply": ["hello"], "duplex": [event, "hello"]}
        if handler.get("events") == "channel":
            words = {"push": [], "duplex": ["hello"]}
        assert all(word in answers for word in words[direction_of(handler)]), f"{path} {answers}"
