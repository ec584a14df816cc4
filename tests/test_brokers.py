"""What channels promise holds on real brokers: between processes, and while a broker is away."""

import asyncio
import importlib
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from brokers import Broker, Valkey, broker
from conftest import Environment
from laboratory import Laboratory
from mutants import BROKER_MUTANTS
from projects import HANDLERS, PYTHONS, Handler, render, run, run_own_tests
from serving.server import DEADLINE, HOST, TESTS, free_port, listens, wait_until

pytestmark = pytest.mark.slow

SHARED = [handler for handler in HANDLERS if handler.get("events") == "channel"]
INTERFACES = list(dict.fromkeys(handler["interface"] for handler in SHARED))
ROOMS: Handler = {"interface": "duplex-websocket", "payload": "typed", "transport": "text", "events": "channel"}
BYTES: Handler = {"interface": "duplex-listener", "payload": "raw", "transport": "binary", "events": "channel"}
FEED: Handler = {"interface": "stream", "payload": "raw", "transport": "text", "events": "channel"}
MANY = 200
PATIENCE = 5  # seconds that publishing may take


def every_form() -> list[Handler]:
    """Return a handler for every form of a message, and for every interface: the forms take turns."""
    forms = [handler for handler in SHARED if handler["interface"] == INTERFACES[0]]
    chosen: list[Handler] = []
    for number, form in enumerate(forms):
        answers = {key: value for key, value in form.items() if key != "name"}
        chosen.append({"name": form["name"]} | answers | {"interface": INTERFACES[number % len(INTERFACES)]})
    return chosen


def test_every_form_and_every_interface_meets_the_brokers() -> None:
    assert {handler["interface"] for handler in every_form()} == set(INTERFACES)
    assert len(every_form()) == len(SHARED) / len(INTERFACES)


@pytest.fixture(scope="module")
def python(environment: Environment) -> Path:
    """Return the interpreter of the projects, with the clients of all brokers."""
    python = environment(PYTHONS[0])
    done = run(sys.executable, *("-m", "uv", "pip", "install", "--quiet", "--python", python, *CLIENTS), cwd=TESTS)
    assert done.returncode == 0, done.stdout
    return python


CLIENTS = ("redis", "psycopg[binary]")
OF_NO_BROKER = (
    *("test_app", "test_main", "test_server"),
    *(f"ws/test_ws_{name}" for name in ("contract", "handshake", "settings", "socket")),
)
"""Tests of a project that are the same whatever the broker is: test_projects.py has passed them."""


# What a project tests itself ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "history"), [("memory", "20"), ("valkey", "0"), ("valkey", "20"), ("postgres", "0")])
def test_own_tests_pass_on_every_broker(template: Path, tmp_path: Path, python: Path, kind: str, history: str) -> None:
    with broker(kind) as running:
        handlers = [it for it in every_form() if it.get("events") == "channel"]  # others know of no broker
        answers = {"channels_backend": running.backend, "channels_history": history, "handlers": handlers}
        project = render(template, tmp_path / "desk", answers)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DESK_TEST_CHANNELS_URL", running.url)
            done = run_own_tests(python, project, *(f"--ignore=tests/{it}.py" for it in OF_NO_BROKER), timeout=240)
    assert done.returncode == 0, done.stdout
    done = run_own_tests(python, project, "-k", "published or broker or starts")
    assert done.returncode == 0, f"without a broker:\n{done.stdout}"


@pytest.mark.parametrize("kind", ["valkey", "postgres"])
def test_tests_of_the_broker_notice_every_mutant(
    template: Path, tmp_path: Path, python: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with broker(kind) as running:
        monkeypatch.setenv("DEMO_TEST_CHANNELS_URL", running.url)
        answers = {"channels_backend": running.backend, "channels_history": "20" if kind == "valkey" else "0"}
        laboratory = Laboratory(template, python, tmp_path, answers)
        assert not laboratory.survivors({"name": "rooms"} | ROOMS, BROKER_MUTANTS[running.backend])


# Between processes ----------------------------------------------------------------------------------------------------


class Worker:
    """A process that serves the project."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, output: Path) -> None:
        self.process = process
        self.port = port
        self.output = output

    def log(self) -> str:
        """Return what the process has written."""
        return self.output.read_text()

    def counts(self) -> dict[str, int]:
        """Return what the process holds."""
        connection = HTTPConnection(HOST, self.port, timeout=DEADLINE)
        try:
            connection.request("GET", "/counts")
            counts: dict[str, int] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return counts

    def post(self, path: str) -> int:
        """Return the status of the answer."""
        connection = HTTPConnection(HOST, self.port, timeout=DEADLINE)
        try:
            connection.request("POST", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def settle(self, idle: dict[str, int]) -> None:
        """Wait until the process holds no more than it did when it was idle."""

        def left() -> list[str]:
            now = self.counts()
            return [f"{idle[key]} {key} became {now[key]}" for key in idle if now[key] > idle[key]]

        wait_until(left, self.log)


@contextmanager
def workers(
    project: Path, url: str, folder: Path, *, troubles: bool = False
) -> Generator[tuple[Worker, Worker], None, None]:
    """Serve a project with two processes until the block ends; they must end by themselves, and complain of nothing."""
    with ExitStack() as stack:
        started: list[Worker] = []
        for number in range(2):
            port, output = free_port(), folder / f"output-{number}"
            environ = {
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(project / "src"), str(TESTS)]),
                "PYTHONUNBUFFERED": "1",
                "DESK_CHANNELS_URL": url,
            }
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "serving.counted", "--port", str(port)],
                    cwd=project,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=stack.enter_context(output.open("wb")),
                    stderr=subprocess.STDOUT,
                )
            )
            stack.callback(process.kill)
            started.append(Worker(process, port, output))
        for worker in started:
            wait_until(lambda port=worker.port: [] if listens(port) else ["nobody listens"], worker.log)  # type: ignore[misc]
        yield started[0], started[1]
        for worker in started:
            worker.process.terminate()
        for worker in started:
            worker.process.wait(DEADLINE)
            assert troubles or not re.search("ERROR|Traceback", worker.log()), worker.log()


@asynccontextmanager
async def joined(*places: tuple[Worker, str]) -> AsyncGenerator[list[ClientConnection], None]:
    """Connect to these handlers of these workers."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(connect(f"ws://{HOST}:{worker.port}/ws/{path}", proxy=None, max_queue=None))
            for worker, path in places
        ]


async def receive(client: ClientConnection, count: int) -> list[Any]:
    """Return what the next messages say."""
    async with asyncio.timeout(DEADLINE):
        frames = [await client.recv() for _ in range(count)]
    return [json.loads(frame)["text"] if isinstance(frame, str) else frame for frame in frames]


async def say(client: ClientConnection, texts: Iterable[str]) -> None:
    """Send messages, all at once."""
    for text in texts:
        await client.send(json.dumps({"type": "say", "text": text}))


async def hears_nothing(client: ClientConnection) -> bool:
    """Tell whether nothing arrives for a moment."""
    try:
        await asyncio.wait_for(client.recv(), 0.3)
    except TimeoutError:
        return True
    return False


@pytest.fixture
def project(template: Path, tmp_path: Path, kind: str) -> Path:
    """Return a project with a handler for rooms, and one for bytes."""
    backend = {"memory": "memory", "valkey": "redis", "postgres": "postgres"}[kind]
    handlers = [{"name": "rooms"} | ROOMS, {"name": "bytes_room"} | BYTES, {"name": "feed"} | FEED]
    return render(template, tmp_path / "desk", {"channels_backend": backend, "handlers": handlers})


@pytest.fixture
def running(kind: str) -> Generator[Broker, None, None]:
    """Return the broker, running."""
    with broker(kind) as running:
        yield running


on_brokers = pytest.mark.parametrize("kind", ["valkey", "postgres"])


@on_brokers
def test_clients_of_two_processes_hear_each_other_in_order(project: Path, running: Broker, tmp_path: Path) -> None:
    async def scenario(one: Worker, other: Worker) -> None:
        here, there = "rooms/lobby", "bytes-room/lobby"
        places = [(one, here), (other, here), (one, there), (other, there), (one, "rooms/hall"), (other, "rooms/hall")]
        async with joined(*places) as (ada, bob, carl, dora, eve, finn):
            texts = [f"message {number}" for number in range(MANY)]
            frames = [(b"\xff%d", b"\0%d", b"%d")[number % 3] % number for number in range(MANY)]
            await say(ada, texts)
            for frame in frames:
                await carl.send(frame)
            for client in ada, bob:
                assert await receive(client, MANY) == texts
            for client in carl, dora:
                assert await receive(client, MANY) == frames
            await asyncio.gather(say(ada, texts), say(bob, (text.upper() for text in texts)))
            for client in ada, bob:
                received = await receive(client, 2 * MANY)
                assert [text for text in received if text[0] == "m"] == texts
                assert [text.lower() for text in received if text[0] == "M"] == texts
            assert await hears_nothing(eve)
            assert await hears_nothing(finn)

    with workers(project, running.url, tmp_path) as (one, other):
        idle = one.counts()
        asyncio.run(scenario(one, other))
        for worker in one, other:
            worker.settle(idle)


@pytest.mark.parametrize("kind", ["memory"])
def test_in_memory_processes_do_not_hear_each_other_as_the_readme_says(project: Path, tmp_path: Path) -> None:
    async def scenario(one: Worker, other: Worker) -> None:
        async with joined((one, "rooms/lobby"), (one, "rooms/lobby"), (other, "rooms/lobby")) as (ada, bob, eve):
            await say(ada, ["hello"])
            assert await receive(bob, 1) == ["hello"]
            assert await hears_nothing(eve)

    with workers(project, "memory://", tmp_path) as (one, other):
        asyncio.run(scenario(one, other))
    assert "Events stay in one process" in (project / "README.md").read_text()


# While the broker is away ---------------------------------------------------------------------------------------------


@on_brokers
def test_broker_that_goes_away_and_comes_back(project: Path, running: Broker, tmp_path: Path) -> None:
    refused = "not published: the broker cannot be reached"

    async def scenario(one: Worker, other: Worker) -> None:
        places = [(one, "rooms/lobby"), (other, "rooms/lobby"), (one, "bytes-room/lobby"), (other, "feed/lobby")]
        async with joined(*places) as (ada, bob, carl, dora):
            for client in ada, bob:  # from now on, both processes hold connections to publish with
                await say(client, ["before"])
                assert await receive(ada, 1) == await receive(bob, 1) == ["before"]
            await asyncio.to_thread(running.stop)
            await say(ada, ["lost"])
            await carl.send(b"lost")
            async with asyncio.timeout(2 * PATIENCE):
                assert json.loads(await ada.recv()) == {"type": "error", "detail": refused}
                with pytest.raises(ConnectionClosed) as closed:
                    await carl.recv()
            assert (carl.close_code, carl.close_reason) == (1013, refused), closed.value
            async with joined((other, "rooms/lobby"), (other, "rooms/hall")) as (late, gone):
                await gone.close()
                await say(ada, ["kept"])  # waits for the broker
                await asyncio.sleep(0.5)
                await asyncio.to_thread(running.start)
                assert await receive(ada, 1) == ["kept"]
                wait = asyncio.to_thread(wait_until, lambda: problems_of_the_return(one, other), one.log)
                await wait
                await say(bob, ["back"])
                for client in ada, bob, late:
                    received = await receive(client, 1)
                    if received == ["kept"]:  # by the time it was published, this process listened again
                        received = await receive(client, 1)
                    assert received == ["back"]
                texts = [f"message {number}" for number in range(MANY)]
                await say(ada, texts)
                for client in ada, bob, late:
                    assert await receive(client, MANY) == texts
                async with joined((one, "feed/lobby")) as (fred,):
                    assert await hears_nothing(fred)
                assert await hears_nothing(dora)

    with workers(project, running.url, tmp_path) as (one, other):
        idle = [worker.counts() for worker in (one, other)]
        asyncio.run(scenario(one, other))
        for worker, before in zip((one, other), idle, strict=True):
            worker.settle(before)
            assert worker.log().count("the broker is lost") == 1, worker.log()
            assert worker.log().count("the broker is back") == 1, worker.log()


def problems_of_the_return(*processes: Worker) -> list[str]:
    """Return which processes have not said that the broker is back."""
    return ["not back" for worker in processes if "the broker is back" not in worker.log()]


@pytest.mark.parametrize("kind", ["valkey"])
def test_event_does_not_overtake_the_subscription(
    project: Path, running: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two go over different connections: what is published must wait until the broker knows who listens."""
    monkeypatch.syspath_prepend(project / "src")
    backend: Any = importlib.import_module("desk.ws.broker").create_backend(running.url)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        await backend.on_startup()
        events = backend.stream_events()
        heard = asyncio.ensure_future(anext(events))
        await backend._listening.wait()  # noqa: SLF001
        subscribe, tasks = backend._pubsub.subscribe, list[Any]()  # noqa: SLF001

        async def subscribe_later(*names: str) -> None:
            loop.call_later(0.3, lambda: tasks.append(asyncio.ensure_future(subscribe(*names))))

        monkeypatch.setattr(backend._pubsub, "subscribe", subscribe_later)  # noqa: SLF001
        first = asyncio.ensure_future(backend.subscribe(["lobby"]))
        await asyncio.sleep(0)
        assert not first.done()
        await backend.publish(b"hello", ["lobby"])  # as a second subscriber would, which the broker need not be told of
        assert await asyncio.wait_for(heard, DEADLINE) == ("lobby", b"hello")
        await first
        await events.aclose()
        await backend.on_shutdown()

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["valkey"])
def test_broker_that_holds_its_connections_and_answers_nothing(project: Path, running: Broker, tmp_path: Path) -> None:
    assert isinstance(running, Valkey)
    frozen = running.frozen

    async def scenario(one: Worker, other: Worker) -> None:
        async with joined((one, "rooms/lobby"), (other, "rooms/lobby")) as (ada, bob):
            await say(ada, ["before"])
            assert await receive(ada, 1) == await receive(bob, 1) == ["before"]
            with frozen():
                await say(ada, ["lost"])
                async with asyncio.timeout(2 * PATIENCE):
                    assert json.loads(await ada.recv())["type"] == "error"
            await say(ada, ["after"])
            for client in ada, bob:
                while (text := (await receive(client, 1))[0]) != "after":
                    assert text == "lost"  # what has been written to a broker may arrive after all

    with workers(project, running.url, tmp_path) as (one, other):
        idle = one.counts()
        asyncio.run(scenario(one, other))
        one.settle(idle)
        other.settle(idle)


@pytest.mark.parametrize("kind", ["postgres"])
def test_event_that_is_too_large_for_postgres_is_refused_and_survived(
    project: Path, running: Broker, tmp_path: Path
) -> None:
    async def scenario(one: Worker, other: Worker) -> None:
        places = [(one, "rooms/lobby"), (other, "rooms/lobby"), (one, "bytes-room/lobby"), (one, "bytes-room/lobby")]
        async with joined(*places) as (ada, bob, carl, dora):
            await say(ada, ["x" * 7900])
            assert await receive(bob, 1) == await receive(ada, 1) == ["x" * 7900]
            await say(ada, ["x" * 8000])
            refused = json.loads(await ada.recv())
            assert refused["type"] == "error"
            assert refused["detail"].endswith(" bytes, and PostgreSQL passes on 7999 at most")
            await carl.send(b"\xff" * 6000)
            with pytest.raises(ConnectionClosed):
                await carl.recv()
            assert carl.close_code == 1009
            await dora.send(b"\xff" * 5900)
            assert await dora.recv() == b"\xff" * 5900
            await say(ada, ["still here"])
            assert await receive(bob, 1) == await receive(ada, 1) == ["still here"]

    with workers(project, running.url, tmp_path) as (one, other):
        asyncio.run(scenario(one, other))


# Publishing from elsewhere, as the project's README says it -----------------------------------------------------------


@pytest.mark.parametrize("handler", [ROOMS, BYTES], ids=["typed", "raw"])
def test_route_and_job_of_the_readme_publish(template: Path, tmp_path: Path, handler: Handler) -> None:
    answers = {"channels_backend": "redis", "handlers": [{"name": "rooms"} | handler]}
    project = render(template, tmp_path / "desk", answers)
    route, job = re.findall(r"^```python\n(.*?)^```", (project / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (project / "src/desk/announce.py").write_text(route)
    app = project / "src/desk/app.py"
    edited = app.read_text().replace("plugins=[", "route_handlers=[announce],\n        plugins=[")
    app.write_text(edited.replace("from .ws import", "from .announce import announce\nfrom .ws import"))
    imports, _, _ = route.partition("\n\n\n")
    (event,) = re.findall(r"^    event = (.*)$", route, re.MULTILINE) or ['b"hello"']
    script = (
        f"{imports}\nimport asyncio\nfrom desk.app import app\n"
        f"async def main():\n    event = {event}\n    async with app.lifespan():\n"
        + textwrap.indent(job, " " * 8)
        + "asyncio.run(main())\n"
    )

    async def scenario(one: Worker, environ: dict[str, str]) -> None:
        async with joined((one, "rooms/lobby")) as (ada,):
            for publish in (
                lambda: one.post("/announce/lobby"),
                lambda: run(sys.executable, "-c", script, cwd=project, env=environ),
            ):
                done = await asyncio.to_thread(publish)
                assert await receive(ada, 1) in (["hello"], [b"hello"]), done
            assert await asyncio.to_thread(one.post, "/announce/a%20b") == 500  # no name of a channel

    with broker("valkey") as running, workers(project, running.url, tmp_path, troubles=True) as (one, _):
        asyncio.run(scenario(one, {"PYTHONPATH": str(project / "src"), "DESK_CHANNELS_URL": running.url}))
