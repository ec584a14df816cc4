"""Paths: how they are said, what cannot be one, what comes of them, and who is told when somebody comes and goes."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from brokers import broker
from conftest import Command
from projects import FORMS, REPOSITORY, SHAPES, commit, handlers_of, questions, render, run, run_own_tests
from serving.server import DEADLINE, HOST, free_port, listens, wait_until
from test_kinds import diff, edit
from ws_scaffold.render import Rendering
from ws_scaffold.template import Template

TYPES = "str, int, float, uuid, decimal, date, datetime, time, timedelta, path"
THREADS = "/threads/{kind:str}/{id:int}"
CHANNEL = ("--interface", "duplex-listener", "--events", "channel")


# What is said --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        ("", '"" cannot be a path: begin it with a slash, such as /threads/{id:int}.'),
        ("threads", '"threads" cannot be a path: begin it with a slash, such as /threads/{id:int}.'),
        ("/", '"/" cannot be a path: put something behind each slash, such as /threads/{id:int}.'),
        ("/a//b", '"/a//b" cannot be a path: put something behind each slash, such as /threads/{id:int}.'),
        ("/a/", '"/a/" cannot be a path: put something behind each slash, such as /threads/{id:int}.'),
        ("/..", '".." cannot be part of a path: clients leave it out, so take a name, such as threads.'),
        ("/a b", '"a b" cannot be part of a path: take letters, digits and ._~- or a parameter, such as {id:int}.'),
        ("/a?b", '"a?b" cannot be part of a path: take letters, digits and ._~- or a parameter, such as {id:int}.'),
        (
            "/a{x:int}",
            '"a{x:int}" cannot be part of a path: take letters, digits and ._~- or a parameter, such as {id:int}.',
        ),
        (
            "/{x:int}{y}",
            '"{x:int}{y}" cannot be part of a path: take letters, digits and ._~- or a parameter, such as {id:int}.',
        ),
        ("/{id}", f'"{{id}}" has no type: say one of {TYPES}, such as {{id:str}}.'),
        ("/{id:}", f'"{{id:}}" has no type: say one of {TYPES}, such as {{id:str}}.'),
        ("/{id:integer}", f'"{{id:integer}}" has an unknown type: take one of {TYPES}, such as {{id:str}}.'),
        (
            "/{Id:int}",
            '"{Id:int}" cannot be a parameter: take up to 40 small letters, digits and underscores, such as {id:int}.',
        ),
        (
            "/{class:int}",
            (
                '"{class:int}" cannot be a parameter: "class" has a meaning of its own, so take another name, such as '
                "{my_class:int}."
            ),
        ),
        (
            "/{id:int}/{id:str}",
            ('"{id:str}" cannot be a parameter: "id" is there already, so take another name, such as {other_id:str}.'),
        ),
        ("/{rest:path}/x", '"{rest:path}" takes all that follows: put it last.'),
        (
            f"/{'x' * 80}",
            f'"/{"x" * 80}" is too long for a path: take up to 80 characters, such as /threads/{{id:int}}.',
        ),
        (
            "/{say:str}",
            (
                'path "/{say:str}" contradicts messages "say text:str": a connection cannot have "say" twice, as a '
                "parameter and as a kind; take another name for one of them."
            ),
        ),
    ],
)
def test_what_cannot_be_a_path_is_refused(command: Command, tmp_path: Path, said: str, refusal: str) -> None:
    assert command("new", "project", "desk", "--path", said, "--defaults") == (2, "", f"ws-scaffold: {refusal}\n")
    assert not (tmp_path / "desk").exists()


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        (
            "/room",
            "a channel is named after the parameters of the path, such as /room/{channel:str}.",
        ),
        (
            "/room/{at:datetime}",
            "no channel can be named after {at:datetime}, so take one of str, int, uuid, date.",
        ),
        (
            "/room/{channel:str}/{id:int}",
            '"channel" is what the channel itself has, or is called; take another name.',
        ),
        ("/room/{channel:int}", '"channel" is what the channel itself has, or is called; take another name.'),
        ("/room/{count:int}", '"count" is what the channel itself has, or is called; take another name.'),
    ],
)
def test_path_that_names_no_channel_is_refused(command: Command, said: str, refusal: str) -> None:
    expected = f'ws-scaffold: path "{said}" contradicts events "channel": {refusal}\n'
    assert command("new", "project", "desk", *CHANNEL, "--path", said, "--defaults") == (2, "", expected)


@pytest.mark.parametrize("name", ["channel", "count", "room"])
def test_channel_of_one_text_is_that_text(command: Command, tmp_path: Path, name: str) -> None:
    path = f"/rooms/{{{name}:str}}"
    assert command("new", "project", "desk", "--handler-name", "room", *CHANNEL, "--path", path, "--defaults")[0] == 0
    assert handlers_of(tmp_path / "desk")[0]["path"] == path
    assert "channel: str," in (tmp_path / "desk/src/desk/ws/room/service.py").read_text()


def test_parameter_is_called_like_nothing_that_a_handler_is_given(command: Command) -> None:
    asked = questions()
    for name in [*asked["reserved"]["default"], *asked["taken_parameters"]["default"]]:
        code, _, err = command("guide", "--path", f"/x/{{{name}:int}}")
        assert code == 2, name
        assert f'"{name}" has a meaning of its own' in err


def test_no_parameter_hides_what_a_connection_has() -> None:
    """What the connections of all forms have, but for the kinds of messages: those are compared with the path."""
    state = {"_src_path": "", "layout": "project", "project_name": "Desk", "package_name": "desk", "asyncapi": "no"}
    handlers = [it | {"guard": "none"} for it in (*FORMS, *SHAPES)]
    files = Rendering(Template(REPOSITORY), {**state, "handlers": handlers}).render()
    had: set[str] = set()
    for path, file in files.items():
        if path.endswith("/service.py"):
            connection = file.content.decode().partition("Connection:\n")[2].partition("\nclass ")[0]
            had |= {"".join(it) for it in re.findall(r"self\.(\w+) \+?= |def ([a-z]\w*)", connection)}
    asked = questions()
    assert {"events", "receive", "received", "reply"} <= had
    assert had - {"channel", "say"} <= {*asked["reserved"]["default"], *asked["taken_parameters"]["default"]}


def test_path_of_every_type_may_be_said(command: Command) -> None:
    assert ", ".join(questions()["path_types"]["default"]) == TYPES
    for name in questions()["path_types"]["default"]:
        code, out, _ = command("guide", "--path", f"/x/{{value:{name}}}")
        assert (code, f"--path '/x/{{value:{name}}}'" in out) == (0, True)


def test_usual_path_is_not_kept(command: Command, tmp_path: Path) -> None:
    assert command("new", "project", "desk", "--handler-name", "my_chat", "--path", "/my-chat")[0] == 0
    assert "path" not in handlers_of(tmp_path / "desk")[0]


# Beside others, and later --------------------------------------------------------------------------------------------


@pytest.fixture
def desk(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with a handler of a path of its own, committed; it is the current folder."""
    assert command("new", "project", "desk", "--handler-name", "chat", "--path", THREADS)[0] == 0
    commit(tmp_path / "desk")
    monkeypatch.chdir(tmp_path / "desk")
    return tmp_path / "desk"


def refusal_of(one: str, path: str, other: str, other_path: str) -> tuple[int, str, str]:
    """Return what the command says of paths that cannot be told apart."""
    said = f'The paths of "{one}" and of the handler "{other}" cannot be told apart: {path} and {other_path}.'
    hint = f"another path for one of them: ws-scaffold change handler {other} --path PATH"
    return 2, "", f"ws-scaffold: {said}\n  try: {hint}\n"


@pytest.mark.parametrize(
    "path", [THREADS, "/threads/{a:str}/{b:uuid}", "/threads/{x:int}/{rest:path}", "/threads/{rest:path}"]
)
def test_two_handlers_at_one_path_are_refused(command: Command, desk: Path, path: str) -> None:
    assert command("new", "handler", "talk", "--path", path, "--defaults") == refusal_of("talk", path, "chat", THREADS)
    assert command("new", "handler", "talk", "--path", "/threads/{a:str}", "--defaults")[0] == 0
    assert command("change", "handler", "talk", "--path", path) == refusal_of("talk", path, "chat", THREADS)
    state = desk / ".copier-answers.yml"
    edit(state, "path: /threads/{a:str}", f"path: {path}")
    assert command("list")[0] == 1
    assert 'has two handlers, "chat" and "talk", whose paths cannot be told apart' in command("list")[2]


@pytest.mark.usefixtures("desk")
def test_usual_path_of_another_handler_is_refused(command: Command) -> None:
    assert command("new", "handler", "talk", "--path", "/feed", "--defaults")[0] == 0
    refusal = refusal_of("feed", "/feed", "talk", "/feed")
    assert command("new", "handler", "feed", "--defaults") == refusal
    assert command("rename", "handler", "chat", "feed")[0] == 0, "it has a path of its own"
    assert command("new", "handler", "x", "--defaults")[0] == 0
    assert command("remove", "handler", "feed")[0] == 0
    assert command("rename", "handler", "x", "feed") == refusal


@pytest.mark.parametrize("path", ["threads", "/{id}", "/{say:int}", "/{socket:int}"])
def test_state_with_a_path_that_cannot_be_is_refused(command: Command, desk: Path, path: str) -> None:
    edit(desk / ".copier-answers.yml", f"path: {THREADS}", f'path: "{path}"')
    code, _, err = command("list")
    assert code == 1
    assert "has a handler 1 that cannot be: " in err


def test_state_with_a_path_that_names_no_channel_is_refused(command: Command, desk: Path) -> None:
    assert command("change", "handler", "chat", *CHANNEL)[0] == 0
    edit(desk / ".copier-answers.yml", f"path: {THREADS}", "path: /threads")
    assert "has a handler 1 that cannot be: " in command("list")[2]


def test_renamed_handler_keeps_its_path(command: Command, desk: Path) -> None:
    assert command("rename", "handler", "chat", "talk")[0] == 0
    assert handlers_of(desk)[0]["path"] == THREADS
    listed = json.loads(command("list", "--json")[1])["handlers"]
    assert [it["path"] for it in listed] == ["/ws/threads/{kind}/{id}"]


def test_path_does_not_change_by_itself(command: Command, desk: Path) -> None:
    code, _, err = command("change", "handler", "chat", "--messages", "id text:str")
    assert (code, "contradicts messages" in err) == (2, True)
    assert command("change", "handler", "chat", "--messages", "say text:str, typing", "--guard", "token")[0] == 0
    assert handlers_of(desk)[0]["path"] == THREADS
    out = command("change", "handler", "chat", "--path", "/chat")[1]
    assert "--path /chat\n" in out
    assert "path" not in handlers_of(desk)[0]


def test_changed_path_is_merged(command: Command, desk: Path) -> None:
    """What the user has written beside it stays, and no other file than those that say the path is touched."""
    folder = "src/desk/ws/chat"
    said = "        return SaidEvent(text=message.text)\n"
    edit(desk / f"{folder}/service.py", said, f"        self.last = message.text  # mine\n{said}")
    commit(desk, "Mine")
    code, out, _ = command("change", "handler", "chat", "--path", "/threads/{kind:str}/{id:int}/{day:date}")
    assert (code, "conflict" in out) == (0, False)
    lines = diff(desk)
    added = [line for line in lines[f"{folder}/service.py"] if line.startswith("+") and "threads" not in line]
    removed = [line for line in lines[f"{folder}/service.py"] if line.startswith("-") and "threads" not in line]
    assert added == [
        "+from datetime import date",
        "+        day: date,",
        "+        self.day = day",
        "+        day: date,",
        "+        connection = ChatConnection(kind, id, day)",
    ]
    assert removed == ["-        connection = ChatConnection(kind, id)"]
    done = run_own_tests(Path(sys.executable), desk)
    assert done.returncode == 0, done.stdout


# Who comes, and who goes ---------------------------------------------------------------------------------------------

ROOM = {
    "name": "room",
    "interface": "duplex-listener",
    "payload": "typed",
    "transport": "text",
    "events": "channel",
    "guard": "none",
    "sends": "said text:str, joined, left",
    "path": THREADS,
}
RELEASED = "        self.connections.remove(connection)\n"


@pytest.fixture
def room(template: Path, tmp_path: Path) -> Path:
    """Return a project whose service tells the channel who comes and who goes, by hand: where it says so."""
    return told(render(template, tmp_path / "desk", {"project_name": "Desk", "handlers": [ROOM]}))


def told(project: Path) -> Path:
    """Have the service of a project tell the channel who comes and who goes, and return the project."""
    service = project / "src/desk/ws/room/service.py"
    edit(service, "    SaidEvent,\n", "    JoinedEvent,\n    LeftEvent,\n    SaidEvent,\n")
    come = "            yield connection\n"
    edit(service, come, f"            await self.publish(channel, JoinedEvent())\n{come}")
    text = service.read_text()
    assert text.endswith(RELEASED)
    service.write_text(f"{text}        await self.publish(connection.channel, LeftEvent())\n        print('told')\n")
    return project


SCRIPT = """
import asyncio
import json

from desk.ws.channels import PublishError
from desk.ws.settings import Settings
from desk.ws.testing import Refused, connect, create_app, plugin_of, serve

PATH = "/ws/threads/question/7"


async def kind(session):
    return json.loads(await session.receive())["type"]


async def main():
    async with serve(create_app(Settings())) as app, connect(app, PATH) as ann, connect(app, f"{PATH}0") as eve:
        service = plugin_of(app).services.room
        heard = {"ann": [await kind(ann)]}

        async def fail(message):
            raise RuntimeError("not for the client")

        async def fails(session):
            for it in service.connections:
                it.say = fail
            session.send(json.dumps({"type": "say", "text": "hello"}))
            await session.closed()

        async def cancelled(session):
            session.cancel()

        async def cancelled_by_asyncio(session):
            session._handler.cancel()
            await asyncio.wait({session._handler})

        async def left(session):
            await session.leave(1000)

        async def reset(session):
            await session.leave()

        for end in left, reset, cancelled, cancelled_by_asyncio, fails:
            async with connect(app, PATH) as bob:
                heard[end.__name__] = [await kind(bob), await kind(ann)]
                await end(bob)
                heard[end.__name__].append(await kind(ann))
        await asyncio.sleep(0)
        heard["eve"] = [await kind(eve)]
        assert len(service.connections) == 2, service.connections

        async def unpublished(channel, data):
            raise PublishError("not now")

        service._publish, publish = unpublished, service._publish
        try:
            async with connect(app, PATH):
                raise AssertionError("it came")
        except Refused:
            pass
        assert len(service.connections) == 2, "who could not be told of is still held"
        assert plugin_of(app).channels.subscribers == 2
        service._publish = publish
        await ann.leave()
        await eve.leave()
    print(json.dumps(heard))


asyncio.run(main())
"""


def test_others_are_told_who_comes_and_goes_however_that_is(room: Path) -> None:
    (room / "script.py").write_text(SCRIPT)
    done = run(sys.executable, "-W", "error", "script.py", cwd=room, env={"PYTHONPATH": "src"})
    assert done.returncode == 0, done.stdout
    ends = ("left", "reset", "cancelled", "cancelled_by_asyncio", "fails")
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "ann": ["joined"],
        **{end: ["joined", "joined", "left"] for end in ends},
        "eve": ["joined"],
    }


@contextmanager
def served(project: Path, url: str | None = None) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """Serve a project on uvicorn, and return the process, where its handler is, and what the process writes to."""
    port = free_port()
    output = project.parent / f"output-{port}"
    command = [sys.executable, "-m", "desk", "--port", str(port)]
    env = {"PYTHONPATH": "src", "PYTHONUNBUFFERED": "1", **({"DESK_CHANNELS_URL": url} if url else {})}
    with output.open("wb") as log, subprocess.Popen(command, cwd=project, env=env, stdout=log, stderr=log) as process:
        try:
            wait_until(lambda: [] if listens(port) else ["it does not listen"], output.read_text)
            yield process, f"ws://{HOST}:{port}/ws/threads/question/7", output
        finally:
            process.kill()


async def kind(socket: ClientConnection) -> str:
    """Return the kind of the next message."""
    async with asyncio.timeout(DEADLINE):
        message: dict[str, Any] = json.loads(await socket.recv())
    return str(message["type"])


@pytest.mark.slow
def test_others_are_told_on_a_real_server(room: Path) -> None:
    """Who leaves, and who resets; at the end of the server, everybody is told of, and nothing fails."""

    async def visit(url: str, process: subprocess.Popen[bytes]) -> None:
        async with connect(url) as ann, connect(url) as zoe:
            assert [await kind(ann), await kind(ann), await kind(zoe)] == ["joined"] * 3
            async with connect(url):
                assert [await kind(ann), await kind(zoe)] == ["joined"] * 2
            assert [await kind(ann), await kind(zoe)] == ["left"] * 2
            bob = await connect(url)
            assert [await kind(ann), await kind(zoe)] == ["joined"] * 2
            bob.transport.abort()
            assert [await kind(ann), await kind(zoe)] == ["left"] * 2
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(ann.wait_closed(), DEADLINE)

    with served(room) as (process, url, output):
        asyncio.run(visit(url, process))
        process.wait(DEADLINE)
        log = output.read_text()
    assert log.count("told") == 4, log
    assert "Traceback" not in log


@pytest.mark.slow
def test_server_that_ends_tells_those_of_others(template: Path, tmp_path: Path) -> None:
    answers = {"project_name": "Desk", "channels_backend": "redis", "handlers": [ROOM]}
    project = told(render(template, tmp_path / "desk", answers))

    async def visit(here: str, there: str, process: subprocess.Popen[bytes]) -> None:
        async with connect(there) as ann, connect(here):
            assert [await kind(ann), await kind(ann)] == ["joined"] * 2
            process.send_signal(signal.SIGTERM)
            assert await kind(ann) == "left"

    with ExitStack() as stack:
        running = stack.enter_context(broker("valkey"))
        process, here, _ = stack.enter_context(served(project, running.url))
        _, there, _ = stack.enter_context(served(project, running.url))
        asyncio.run(visit(here, there, process))


# What the application has --------------------------------------------------------------------------------------------

CHAT = {"name": "chat", "interface": "listener", "payload": "typed", "transport": "text", "guard": "none"}
FEED = {"name": "feed", "interface": "stream", "payload": "raw", "transport": "text", "guard": "none"}

HOST_APPLICATION = """
from litestar import Litestar
from litestar.di import Provide

from acme.ws import WebsocketPlugin


class Store:
    def __init__(self):
        self.said = []


store = Store()


def create_app():
    return Litestar(
        plugins=[WebsocketPlugin()],
        dependencies={"store": Provide(lambda: store, sync_to_thread=False)},
        openapi_config=None,
    )
"""

HOST_SCRIPT = """
import asyncio
import json

from acme.app import create_app, store
from acme.ws.testing import connect, serve


async def main():
    async with serve(create_app()) as app:
        async with connect(app, "/live/chat/7") as session:
            session.send('{"type": "say", "id": 1, "text": "hello"}')
            assert json.loads(await session.receive())["ref"] == 1
            await session.leave()
        async with connect(app, "/live/feed") as session:
            await session.receive()
            await session.leave()
    print(json.dumps(store.said))


asyncio.run(main())
"""


def test_dependency_of_the_application_reaches_the_service_as_the_docstring_says(
    template: Path, tmp_path: Path
) -> None:
    """An argument more where the docstring says so, and handed on: by hand, and in a host."""
    answers = {
        "layout": "host",
        "project_name": "Acme",
        "package_name": "acme",
        "ws_path": "src/acme/ws",
        "ws_import": "acme.ws",
        "ws_route": "/live",
        "handlers": [CHAT | {"path": "/chat/{number:int}"}, FEED],
    }
    project = render(template, tmp_path / "acme", answers)
    for name in "chat", "feed":
        dependencies = project / f"src/acme/ws/{name}/dependencies.py"
        text = dependencies.read_text()
        (argument,) = re.findall(r"a store, comes in here by its name: with `(.+)`", text)
        assert argument == "store: NamedDependency[Store]"
        edit(dependencies, "    service: NamedDependency[", f"    {argument},\n    service: NamedDependency[")
        connect_call = "service.connect(number)" if name == "chat" else "service.connect()"
        edit(
            dependencies, connect_call, "service.connect(number, store)" if name == "chat" else "service.connect(store)"
        )
        edit(dependencies, "from typing import Any\n", "from typing import Any\nfrom typing import Any as Store\n")
    chat = project / "src/acme/ws/chat/service.py"
    edit(
        chat,
        "        number: int,\n    ) -> None:\n",
        "        number: int,\n        store,\n    ) -> None:\n        self.store = store\n",
    )
    edit(chat, "        number: int,\n    ) -> AsyncGen", "        number: int,\n        store,\n    ) -> AsyncGen")
    edit(chat, "ChatConnection(number)", "ChatConnection(number, store)")
    said = "        return SaidEvent(text=message.text)\n"
    edit(chat, said, f"        self.store.said.append((self.number, message.text))\n{said}")
    feed = project / "src/acme/ws/feed/service.py"
    edit(feed, "    async def connect(self) ->", "    async def connect(self, store) ->")
    edit(
        feed, "            yield connection\n", "            store.said.append('feed')\n            yield connection\n"
    )
    (project / "src/acme/app.py").write_text(HOST_APPLICATION)
    (project / "script.py").write_text(HOST_SCRIPT)
    done = run(sys.executable, "-W", "error", "script.py", cwd=project, env={"PYTHONPATH": "src"})
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout.splitlines()[-1]) == [[7, "hello"], "feed"]
