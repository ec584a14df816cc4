"""A handler comes into an application that exists: no file of it is touched, and the handler is as in any project."""

import asyncio
import itertools
import json
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import copier
import pytest
from websockets.asyncio.client import connect

from conftest import Command
from forks import run_pytest
from projects import FIRSTS, HANDLERS, PYTHONS, REPOSITORY, UV, commit, find_python, render, run, words_of
from serving.server import DEADLINE, HOST, free_port, listens, wait_until
from terminal import at_a_terminal, words
from test_killed import two_versions
from trees import contents
from ws_scaffold.cli import main
from ws_scaffold.errors import UsageError
from ws_scaffold.project import load_state
from ws_scaffold.render import Rendering, all_answers
from ws_scaffold.template import Template
from ws_scaffold.tree import Tree

STATE = ".copier-answers.ws.yml"


@dataclass(frozen=True)
class Host:
    """An application of somebody else's."""

    files: dict[str, str]
    """What it consists of, its tests among them."""
    found: dict[str, str]
    """What is to be found out about it."""
    module: str
    """Where the line is added, instead of what, and what is added."""
    before: str
    after: str
    python_path: str = "."
    pytest: tuple[str, ...] = ()
    needs_more: bool = False
    """Whether its environment has what ours has not: `MORE`."""
    refused: str = ""
    """Why the application refuses who has not logged in, if it does."""


def host(text: str) -> str:
    """Return a file of a host, as it stands there."""
    return textwrap.dedent(text).lstrip()


ROUTES = """
    from litestar import Litestar, get


    @get("/hello")
    async def hello() -> str:
        return "hello"
    """
OWN_TEST = """
    from litestar.testing import TestClient

    from {module} import {name}


    def test_hello() -> None:
        with TestClient({made}) as client:
            assert client.get("/hello").text == "hello"
    """

HOSTS = {
    "flat": Host(
        {
            "app.py": host(ROUTES) + "\n\napp = Litestar([hello])\n",
            "requirements.txt": "litestar\n",
            "tests/test_hello.py": host(OWN_TEST.format(module="app", name="app", made="app")),
        },
        {"ws_path": "ws", "ws_import": "ws", "tests_path": "tests/ws", "application": "app:app"},
        "app.py",
        "Litestar([hello])",
        'Litestar([hello], plugins=[__import__("ws").WebsocketPlugin()])',
    ),
    "a factory in src that needs an argument": Host(
        {
            "pyproject.toml": host(
                """
                [project]
                name = "acme"
                version = "1"
                dependencies = ["litestar>=2.25"]

                [tool.pytest.ini_options]
                pythonpath = ["src"]
                """
            ),
            "src/acme/__init__.py": "",
            "src/acme/main.py": host(ROUTES)
            + "\n\ndef create_app(name: str) -> Litestar:\n    print(name)\n    return Litestar([hello])\n",
            "tests/__init__.py": "",
            "tests/test_hello.py": host(
                OWN_TEST.format(module="acme.main", name="create_app", made='create_app("acme")')
            ),
        },
        {"ws_path": "src/acme/ws", "ws_import": "acme.ws", "tests_path": "tests/ws", "application": ""},
        "src/acme/main.py",
        "Litestar([hello])",
        'Litestar([hello], plugins=[__import__("acme.ws").ws.WebsocketPlugin()])',
        "src",
        ("--import-mode=importlib",),
    ),
    "everything is taken": Host(
        {
            "pyproject.toml": '[project]\nname = "desk"\nversion = "1"\ndependencies = ["litestar>=2.25"]\n',
            "app/__init__.py": "",
            "app/server.py": host(
                """
                from typing import Any

                from litestar import Litestar, WebSocket, get, websocket
                from litestar.channels import ChannelsPlugin
                from litestar.channels.backends.memory import MemoryChannelsBackend
                from litestar.connection import ASGIConnection
                from litestar.datastructures import State
                from litestar.di import NamedDependency
                from litestar.handlers import BaseRouteHandler
                from litestar.params import FromQuery

                guarded = []


                class OwnSocket(WebSocket[Any, Any, Any]):
                    pass


                async def note(connection: ASGIConnection, _: BaseRouteHandler) -> None:
                    guarded.append(connection.scope["path"])


                @get("/channels")
                async def its_channels(channels: NamedDependency[Any]) -> str:
                    return type(channels).__name__


                @websocket("/ws")
                async def own(socket: WebSocket[Any, Any, Any]) -> None:
                    await socket.accept()
                    length = len(await socket.receive_text())
                    await socket.send_json([type(socket).__name__, socket.app.state["settings"], length])
                    await socket.close()


                @websocket("/broken")
                async def broken(socket: WebSocket[Any, Any, Any]) -> None:
                    raise RuntimeError("of its own")


                def create_app() -> Litestar:
                    return Litestar(
                        [its_channels, own, broken],
                        websocket_class=OwnSocket,
                        guards=[note],
                        state=State({"settings": "its own", "handlers": "its own"}),
                        plugins=[
                            ChannelsPlugin(MemoryChannelsBackend(), channels=["news"]),
                        ],
                    )
                """
            ),
            "tests/test_desk.py": host(
                """
                import pytest
                from litestar.exceptions import WebSocketDisconnect
                from litestar.testing import TestClient

                from app.server import create_app, guarded


                def test_all_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
                    with TestClient(create_app()) as client:
                        assert client.get("/channels").text == "ChannelsPlugin"
                        with client.websocket_connect("/ws") as socket:
                            socket.send_text("x" * 100_000)
                            assert socket.receive_json() == ["OwnSocket", "its own", 100_000]
                        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/broken") as socket:
                            socket.receive_text()
                        assert client.get("/schema/openapi.json").status_code == 200
                    assert guarded[-3:] == ["/ws", "/broken", "/schema/openapi.json"]
                    assert not caplog.records
                """
            ),
        },
        {"ws_path": "app/ws", "ws_import": "app.ws", "ws_route": "/live", "application": "app.server:create_app()"},
        "app/server.py",
        "        plugins=[\n",
        '        plugins=[\n            __import__("app.ws").ws.WebsocketPlugin(),\n',
    ),
}

HOSTS["a core, a login and allowed hosts"] = Host(
    {
        "pyproject.toml": host(
            """
            [project]
            name = "desk"
            version = "1"
            dependencies = ["litestar[jwt]>=2.25"]

            [tool.pytest.ini_options]
            testpaths = ["app/tests"]
            asyncio_mode = "auto"
            asyncio_default_fixture_loop_scope = "session"
            asyncio_default_test_loop_scope = "session"
            """
        ),
        "app/__init__.py": "",
        "app/main.py": host(
            """
            from typing import Any

            from litestar import Litestar, Request, get
            from litestar.config.allowed_hosts import AllowedHostsConfig
            from litestar.config.app import AppConfig
            from litestar.connection import ASGIConnection
            from litestar.plugins import InitPlugin
            from litestar.security.jwt import JWTAuth, Token


            class User:
                def __init__(self, name: str) -> None:
                    self.name = name


            async def retrieve(token: Token, _: ASGIConnection[Any, Any, Any, Any]) -> User:
                return User(token.sub)


            auth = JWTAuth[User](retrieve_user_handler=retrieve, token_secret="opens nothing " * 3, exclude=["/health"])


            @get("/health")
            async def health() -> str:
                return "well"


            @get("/me")
            async def me(request: Request[User, Token, Any]) -> str:
                return request.user.name


            class ApplicationCore(InitPlugin):
                def on_app_init(self, app_config: AppConfig) -> AppConfig:
                    app_config.allowed_hosts = AllowedHostsConfig(["desk.example.com"])
                    app_config.route_handlers.extend([health, me])
                    return auth.on_app_init(app_config)


            def create_app() -> Litestar:
                return Litestar(plugins=[ApplicationCore()])
            """
        ),
        "app/tests/__init__.py": "",
        "app/tests/test_main.py": host(
            """
            import asyncio

            from litestar.testing import AsyncTestClient

            from app.main import auth, create_app


            async def test_who_has_logged_in_is_known() -> None:
                asyncio.get_running_loop()
                async with AsyncTestClient(create_app(), base_url="http://desk.example.com") as client:
                    assert (await client.get("/health")).text == "well"
                    assert (await client.get("/me")).status_code == 401
                    headers = {"authorization": f"Bearer {auth.create_token('ada')}"}
                    assert (await client.get("/me", headers=headers)).text == "ada"


            async def test_other_hosts_are_refused() -> None:
                async with AsyncTestClient(create_app(), base_url="http://other.example.com") as client:
                    assert (await client.get("/health")).status_code == 400
            """
        ),
    },
    {"ws_path": "app/ws", "ws_import": "app.ws", "tests_path": "app/tests/ws", "application": "app.main:create_app()"},
    "app/main.py",
    "plugins=[ApplicationCore()]",
    'plugins=[ApplicationCore(), __import__("app.ws").ws.WebsocketPlugin()]',
    needs_more=True,
    refused="Invalid token",
)
HOSTS["a namespace, structlog and channels"] = Host(
    {
        "pyproject.toml": host(
            """
            [project]
            name = "acme-desk"
            version = "1"
            dependencies = ["litestar[structlog]>=2.25"]

            [tool.setuptools.packages.find]
            where = ["lib/src"]

            [tool.pytest.ini_options]
            pythonpath = ["lib/src"]
            asyncio_mode = "strict"
            asyncio_default_fixture_loop_scope = "function"
            """
        ),
        "lib/src/acme/desk/asgi.py": host(
            """
            from litestar import Litestar, post
            from litestar.channels import ChannelsPlugin
            from litestar.channels.backends.memory import MemoryChannelsBackend
            from litestar.di import NamedDependency
            from litestar.plugins.structlog import StructlogPlugin


            @post("/news")
            async def publish(channels: NamedDependency[ChannelsPlugin]) -> None:
                channels.publish("news", "news")


            app = Litestar(
                [publish],
                plugins=[
                    StructlogPlugin(),
                    ChannelsPlugin(MemoryChannelsBackend(), channels=["news"]),
                ],
            )
            """
        ),
        "tests/test_asgi.py": host(
            """
            import pytest
            from litestar.testing import AsyncTestClient

            from acme.desk.asgi import app


            @pytest.mark.asyncio
            async def test_news_are_published() -> None:
                async with AsyncTestClient(app) as client:
                    assert (await client.post("/news")).status_code == 201
            """
        ),
    },
    {"ws_path": "lib/src/acme/desk/ws", "ws_import": "acme.desk.ws", "application": "acme.desk.asgi:app"},
    "lib/src/acme/desk/asgi.py",
    "    plugins=[\n",
    '    plugins=[\n        __import__("acme.desk.ws").desk.ws.WebsocketPlugin(),\n',
    "lib/src",
    needs_more=True,
)
OPEN = {"name": "open", "interface": "listener", "guard": "none"}
"""A handler that lets everybody in, unlike the first ones."""
MORE = ("litestar[jwt,structlog]", "pytest", "pytest-asyncio")

each_host = pytest.mark.parametrize("kind", HOSTS)


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment with what some hosts need."""
    target = tmp_path_factory.mktemp("more") / "environment"
    python = find_python(PYTHONS[0]) or sys.executable
    for step in (("venv", "--quiet", "--python", python, target), ("pip", "install", "-q", "--python", target, *MORE)):
        done = run(*UV, *step, cwd=REPOSITORY, timeout=300)
        assert done.returncode == 0, done.stdout
    return target / "bin/python"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> Path:
    """Return a host, which is the current folder."""
    for path, text in HOSTS[kind].files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def own_files(folder: Path, kind: str) -> dict[str, bytes]:
    """Return the files that a host came with, as they are now."""
    return {path: content for path, content in contents(folder).items() if path in HOSTS[kind].files}


def run_tests(folder: Path, kind: str, *arguments: str, python: Path = Path(sys.executable)) -> str:
    """Run tests of a host, as it would run them, and return what pytest says."""
    options = ("-q", "-rs", "-p", "no:cacheprovider", *HOSTS[kind].pytest, *arguments)
    place = {"PYTHONPATH": HOSTS[kind].python_path}
    done = run_pytest(python, folder, *options, timeout=120, env=place)
    assert done.returncode == 0, done.stdout
    return done.stdout


def switch_on(folder: Path, kind: str) -> None:
    """Add the line that the command asks for."""
    it = HOSTS[kind]
    module = folder / it.module
    assert it.before in module.read_text()
    module.write_text(module.read_text().replace(it.before, it.after))


@each_host
def test_handler_comes_into_an_application_and_goes_again(command: Command, made: Path, kind: str) -> None:
    before = contents(made)
    code, out, err = command("new", "handler", "chat", "--interface", "listener")
    assert (code, err) == (0, "")
    assert {path: it for path, it in contents(made).items() if path in before} == before
    it = HOSTS[kind]
    state = load_state(made)
    assert {name: state[name] for name in it.found} == it.found
    number = next(number for number, line in enumerate(it.files[it.module].splitlines(), 1) if "Litestar(" in line)
    imported = f", imported as {state['application']}" if state["application"] else ""
    assert f"note: the application is in {it.module}:{number}{imported}\n" in out
    where = f"into {state['ws_path']}, imported as {state['ws_import']}, and are served below {state['ws_route']}\n"
    assert f"note: the handlers go {where}note: their tests go into {state['tests_path']}, and run with " in out
    assert f"    from {state['ws_import']} import WebsocketPlugin\nnext: pytest {state['tests_path']}\n" in out
    assert command("new", "handler", "chat", "--interface", "listener")[1].startswith("already up to date\n")
    assert command("rename", "handler", "chat", "talk")[0] == 0
    assert command("new", "handler", "feed", "--interface", "stream", "--events", "channel")[0] == 0
    assert [entry["name"] for entry in json.loads(command("list", "--json")[1])["handlers"]] == ["feed", "talk"]
    assert command("remove", "handler", "talk")[0] == command("remove", "handler", "feed")[0] == 0
    assert contents(made) == before


@each_host
def test_edited_file_stays_when_the_last_handler_goes(command: Command, made: Path, kind: str) -> None:
    del kind
    command("new", "handler", "chat", "--interface", "listener")
    (service,) = made.rglob("chat/service.py")
    service.write_text(f"{service.read_text()}\n# mine\n")
    code, out, _ = command("remove", "handler", "chat")
    assert (code, service.read_text().endswith("\n# mine\n")) == (0, True)
    assert f"keep      {service.relative_to(made)} (it holds edits: --force deletes it, too)" in out.splitlines()


@pytest.mark.slow
@each_host
def test_all_interfaces_pass_their_tests_and_the_host_passes_its_own(
    command: Command, made: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    """In its own settings, in another import mode, and without the plugin of pytest that happens to be there."""
    it = HOSTS[kind]
    python: Path = request.getfixturevalue("more") if it.needs_more else Path(sys.executable)
    own = [path for path in it.files if "/test_" in path]
    run_tests(made, kind, *own, python=python)
    for handler in (*FIRSTS, OPEN):
        assert command("new", "handler", *words_of(handler))[0] == 0
    out = run_tests(made, kind, load_state(made)["tests_path"], python=python)
    assert ("add WebsocketPlugin() to the plugins of" in out) == bool(it.found["application"])
    switch_on(made, kind)
    out = run_tests(made, kind, python=python)
    assert "add WebsocketPlugin()" not in out
    guarded = sum(handler["guard"] == "token" for handler in FIRSTS) if it.found["application"] else 0
    assert out.count(" is refused at ") == guarded + bool(it.refused)
    assert not it.refused or f" is refused at {load_state(made)['ws_route']}/open: {it.refused}\n" in out
    run_tests(made, kind, *own, "--import-mode=importlib", python=python)
    run_tests(made, kind, load_state(made)["tests_path"], "-p", "no:anyio", python=python)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["everything is taken"])
def test_handlers_and_the_hosts_own_are_served_by_a_real_server(
    command: Command, made: Path, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    assert command("new", "handler", *words_of(OPEN))[0] == 0
    switch_on(made, kind)
    port, output = free_port(), tmp_path_factory.mktemp("output") / "output"

    async def visit() -> list[Any]:
        async with connect(f"ws://{HOST}:{port}/live/open", proxy=None) as client:
            await client.send('{"type": "say", "id": 1, "text": "hello"}')
            reply = json.loads(await client.recv())
            await client.send("nonsense")
            error = json.loads(await client.recv())
        async with connect(f"ws://{HOST}:{port}/ws", proxy=None) as client:
            await client.send("x" * 1000)
            return [reply, error["type"], json.loads(await client.recv())]

    server = ("-m", "uvicorn", "--factory", "app.server:create_app", "--host", HOST, "--port", str(port))
    with (
        output.open("wb") as log,
        subprocess.Popen([sys.executable, *server], cwd=made, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            wait_until(lambda: [] if listens(port) else ["nobody listens"], output.read_text)
            answered = asyncio.run(asyncio.wait_for(visit(), DEADLINE))
        finally:
            process.terminate()
            process.wait(DEADLINE)
    expected = {"type": "said", "ref": 1, "text": "hello"}
    assert answered == [expected, "error", ["OwnSocket", "its own", 1000]]
    assert "Traceback" not in output.read_text()


@pytest.mark.slow
@each_host
def test_all_interfaces_are_typed_as_strictly_as_can_be(command: Command, made: Path, kind: str) -> None:
    for handler in FIRSTS:
        assert command("new", "handler", *words_of(handler))[0] == 0
    place = {"MYPYPATH": HOSTS[kind].python_path}
    package = load_state(made)["ws_import"]
    done = run(sys.executable, "-m", "mypy", "--strict", "--warn-unreachable", "-p", package, cwd=made, env=place)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@each_host
def test_what_is_written_is_what_copier_writes(
    command: Command, plain_template: Path, made: Path, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    theirs = own_files(made, kind)
    for handler in FIRSTS:
        assert command("new", "handler", *words_of(handler))[0] == 0
    target = tmp_path_factory.mktemp("copied")
    answers = {**all_answers(load_state(made)), "project_name": load_state(made)["project_name"]}
    copier.run_copy(str(plain_template), target, data=answers, defaults=True, quiet=True)
    written = {path: content for path, content in contents(made).items() if path not in theirs and path != STATE}
    assert written == {path: content for path, content in contents(target).items() if path != STATE}


def test_every_handler_is_rendered_in_a_host_as_copier_does(plain_template: Path, tmp_path: Path) -> None:
    answers = {"layout": "host", "ws_path": "app/ws", "imports": "absolute", "asyncapi": "yes", "handlers": HANDLERS}
    project = render(plain_template, tmp_path / "host", answers)
    files = Rendering(Template(plain_template), load_state(project)).render()
    assert {path: file.content for path, file in files.items()} == contents(project)


@pytest.mark.parametrize("kind", ["everything is taken"])
def test_list_says_whether_the_handlers_are_switched_on_and_where(command: Command, made: Path, kind: str) -> None:
    command("new", "handler", "chat", "--interface", "listener")
    path = HOSTS[kind].found["ws_route"] + "/chat"
    out = command("list")[1]
    assert out.startswith(f"chat  {path}  listener, ")
    assert out.endswith("\nnot switched on: no WebsocketPlugin() in the application\n")
    listed = json.loads(command("list", "--json")[1])
    assert (listed["switched_on"], listed["handlers"][0]["path"]) == ("", path)
    module = made / HOSTS[kind].module
    text = module.read_text().replace(
        "from typing import Any\n", "from typing import Any\n\nfrom app.ws import WebsocketPlugin\n"
    )
    module.write_text(text.replace(HOSTS[kind].before, f"{HOSTS[kind].before}            WebsocketPlugin(),\n"))
    line = module.read_text().splitlines().index("            WebsocketPlugin(),") + 1
    assert command("list")[1].endswith(f"\nswitched on in {HOSTS[kind].module}:{line}\n")


@pytest.mark.parametrize("kind", ["flat"])
def test_answers_of_another_template_are_left_alone(command: Command, made: Path, kind: str) -> None:
    del kind
    theirs = made / ".copier-answers.yml"
    theirs.write_text("_commit: v1\n_src_path: gh:somebody/else\nname: host\n")
    before = theirs.read_bytes()
    assert command("list")[0] == 1
    assert command("new", "handler", "chat", "--interface", "listener")[0] == 0
    assert command("new", "handler", "feed", "--interface", "stream")[0] == 0
    assert theirs.read_bytes() == before
    assert [entry["name"] for entry in load_state(made)["handlers"]] == ["chat", "feed"]


def interrupt_the_first_handler(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin to make a handler that is called chat, and stop after some of its files."""
    write, written = Tree.write, itertools.count()

    def interrupt(tree: Tree, path: str, *arguments: Any, **options: Any) -> Any:
        if next(written) == 5:
            raise KeyboardInterrupt
        return write(tree, path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Tree, "write", interrupt)
        assert command("new", "handler", "chat", "--interface", "listener")[0] == 1


@pytest.mark.parametrize("again", ["chat", "feed"])
@pytest.mark.parametrize("kind", ["flat"])
def test_first_handler_that_was_interrupted_is_completed_by_the_next_run(
    command: Command, made: Path, monkeypatch: pytest.MonkeyPatch, kind: str, again: str
) -> None:
    del kind
    interrupt_the_first_handler(command, monkeypatch)
    assert not (made / STATE).exists()
    assert command("new", "handler", again, "--interface", "listener")[0] == 0
    assert [entry["name"] for entry in load_state(made)["handlers"]] == list(dict.fromkeys(["chat", again]))
    assert command("new", "handler", again, "--interface", "listener")[1].startswith("already up to date\n")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["everything is taken"])
def test_document_says_where_the_handlers_are_served(command: Command, made: Path, kind: str) -> None:
    command("new", "handler", "chat", "--interface", "listener")
    assert command("change", "project", "--asyncapi", "yes")[0] == 0
    run_tests(made, kind, load_state(made)["tests_path"])


def test_litestar_that_is_too_old_is_said_before_anything_is_written(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app.py").write_text("from litestar import Litestar\n\napp = Litestar()\n")
    (tmp_path / "requirements.txt").write_text("litestar==2.16.0\n")
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    code, out, err = command("new", "handler", "chat")
    assert (code, out, contents(tmp_path) == before) == (1, "", True)
    assert "and a handler needs 2.23 or newer; nothing was written.\n" in err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("ws_path", it) for it in ("../ws", "/ws", ".git/ws", "app//ws", "app/Ws", "app/ws\n", "")),
        *(("ws_import", it) for it in ("app.other", "app..ws", "app.ws\n", "1.ws")),
        *(("tests_path", it) for it in ("../tests", "app/ws/tests", ".git", "tests\n")),
        *(("ws_route", it) for it in ("ws", "/ws/", "/w s", "/ws/{name:str}", "/ws\n")),
        *(("application", it) for it in ("app", "app:create_app(1)", 'app:app" + "', "app:app\n")),
    ],
)
def test_answer_about_an_application_that_cannot_be_is_refused(name: str, value: str) -> None:
    given = {"layout": "host", "ws_path": "app/ws", "package_name": "app", name: value}
    with pytest.raises(UsageError, match=" cannot be "):
        Template(REPOSITORY).resolve(given)


def test_what_is_lacking_is_said_before_anything_is_written(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app.py").write_text("from litestar import Litestar\n\napp = Litestar()\n")

    def interrupt(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ws_scaffold.cli.apply", interrupt)
    code, out, _ = command("new", "handler", "chat", "--interface", "listener")
    assert (code, "note: its dependencies do not name what the handlers need: anyio, msgspec" in out) == (1, True)


def test_folder_without_an_application_is_told_how_to_make_a_project(command: Command) -> None:
    error = "There is no generated project here or above.\n  try: ws-scaffold new project DIR makes one\n"
    assert command("new", "handler", "chat") == (1, "", f"ws-scaffold: {error}")


# Which application, and whose -----------------------------------------------------------------------------------------

TWO = {
    "requirements.txt": "anyio\nlitestar>=2.25\nmsgspec\n",
    "acme/__init__.py": "",
    "acme/main.py": "from litestar import Litestar\n\napp = Litestar()\n",
    "admin/__init__.py": "",
    "admin/panel/__init__.py": "",
    "admin/panel/site.py": "from litestar import Litestar\n\n\ndef make_site() -> Litestar:\n    return Litestar()\n",
}
INNER = {
    "pyproject.toml": '[project]\nname = "outer"\nversion = "1"\n',
    "app.py": "from litestar import Litestar\n\napp = Litestar()\n",
    "apps/api/pyproject.toml": '[project]\nname = "api"\nversion = "1"\n',
    "apps/api/main.py": "from litestar import Litestar\n\napp = Litestar()\n",
    "apps/tool/pyproject.toml": '[project]\nname = "tool"\nversion = "1"\n',
}


def write_all(folder: Path, files: dict[str, str]) -> Path:
    """Write files, and return the folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def test_of_several_applications_the_likeliest_is_taken_and_the_others_are_named(
    command: Command, tmp_path: Path
) -> None:
    write_all(tmp_path, TWO)
    out = command("new", "handler", "chat", "--interface", "listener")[1]
    other = "there is another one in admin/panel/site.py:5: --application 'admin.panel.site:make_site()' takes that one"
    assert f"note: the application is in acme/main.py:3, imported as acme.main:app\nnote: {other}\n" in out
    assert load_state(tmp_path)["ws_path"] == "acme/ws"


@pytest.mark.parametrize("said", ["admin.panel.site:make_site()", "admin.panel.site:make_site"])
def test_application_that_is_said_is_taken(command: Command, tmp_path: Path, said: str) -> None:
    write_all(tmp_path, TWO)
    assert command("new", "handler", "chat", "--interface", "listener", "--application", said)[0] == 0
    state = load_state(tmp_path)
    assert (state["ws_path"], state["ws_import"]) == ("admin/panel/ws", "admin.panel.ws")


@pytest.mark.parametrize("said", ["acme.mian:app", "acme.main:ap"])
def test_application_that_is_said_and_is_not_there_is_refused(command: Command, tmp_path: Path, said: str) -> None:
    before = contents(write_all(tmp_path, TWO))
    code, out, err = command("new", "handler", "chat", "--interface", "listener", "--application", said)
    assert (code, out, contents(tmp_path) == before) == (2, "", True)
    assert err == (
        f'ws-scaffold: There is no application "{said}" here. Did you mean "acme.main:app"?\n'
        "  try: one of acme.main:app, admin.panel.site:make_site()\n"
    )


FOUND = """
note: the application is in admin/site.py:3, imported as admin.site:app
note: the handlers go into admin/ws, imported as admin.ws, and are served below /ws
note: their tests go into tests/ws, and run with the active interpreter
note: imports are relative, and files are not formatted: no use of ruff was found
"""
SAID = """
note: the application is in admin/site.py:3, imported as admin.site:make
note: the handlers go into admin/live, imported as admin.live, and are served below /live
note: their tests go into checks/live, and run with {python}
note: imports are absolute, and files are formatted with ruff
"""
FLAGS = (
    "--ws-path admin/live --ws-import admin.live --tests-path checks/live --ws-route /live --imports absolute"
    " --formatter ruff"
)


def test_what_was_found_is_shown_before_it_is_used_and_each_is_a_flag(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/an/environment")
    needs = "[project]\nname = 'a'\nversion = '1'\ndependencies = ['anyio', 'litestar>=2.25', 'msgspec']\n"
    made = "from litestar import Litestar\n\napp = Litestar()\nmake = Litestar\n"
    before = contents(write_all(tmp_path, {"pyproject.toml": needs, "admin/__init__.py": "", "admin/site.py": made}))
    new = ("new", "handler", "chat", "--interface", "listener")

    def stop(*_: object, **__: object) -> NoReturn:
        raise SystemExit(capsys.readouterr().out)

    with monkeypatch.context() as patch:
        patch.setattr("ws_scaffold.cli.apply", stop)
        with pytest.raises(SystemExit) as stopped:
            command(*new)
    assert stopped.value.code == FOUND.removeprefix("\n")
    assert contents(tmp_path) == before
    assert FOUND in f"\n{command(*new)[1]}"
    assert command("change", "project", *FLAGS.split(), "--application", "admin.site:make")[0] == 0
    changed = contents(tmp_path)
    assert command("remove", "handler", "chat")[0] == 0
    assert contents(tmp_path) == before
    python = "../bin/python"
    write_all(tmp_path.parent, {"bin/python": ""})
    (tmp_path.parent / "bin/python").chmod(0o755)
    out = command(*new, *FLAGS.split(), "--application", "admin.site:make", "--python", python)[1]
    assert SAID.format(python=tmp_path.parent / "bin/python") in f"\n{out}"
    assert f" --python {python}\n" in out
    assert f"\nnext: {tmp_path.parent}/bin/python -m pytest checks/live\n" in out
    assert contents(tmp_path) == changed


@pytest.mark.parametrize("said", ["", "nowhere/python", "no-such-python", "./file", "./"])
def test_interpreter_that_is_not_there_is_refused(command: Command, tmp_path: Path, said: str) -> None:
    before = contents(write_all(tmp_path, {**TWO, "file": ""}))
    code, out, err = command("new", "handler", "chat", "--interface", "listener", "--python", said)
    assert (code, out, contents(tmp_path) == before) == (2, "", True)
    assert err == f'ws-scaffold: There is no interpreter "{said}".\n  try: name one, such as .venv/bin/python\n'


def test_litestar_of_the_interpreter_that_is_said_is_the_one(command: Command, tmp_path: Path) -> None:
    """One beside it that is too old does not count, nor one that is new enough."""
    old, new = "lib/python3.13/site-packages/litestar-2.16.1.dist-info/METADATA", "bin/python"
    before = contents(write_all(tmp_path, {**TWO, f".venv/{old}": "", ".venv/bin/python": "", "env/bin/python": ""}))
    for name in (".venv", "env"):
        (tmp_path / name / "bin/python").chmod(0o755)
    words = ("new", "handler", "chat", "--interface", "listener")
    for python in ([], ["--python", ".venv/bin/python"]):
        code, _, err = command(*words, *python)
        assert (code, contents(tmp_path) == before) == (1, True)
        assert "ws-scaffold: The application has Litestar 2.16.1," in err
    code, out, _ = command(*words, "--python", f"env/{new}")
    assert (code, "next: env/bin/python -m pytest tests/ws\n" in out) == (0, True)


def test_interpreter_has_no_meaning_where_there_are_handlers(command: Command, tmp_path: Path) -> None:
    write_all(tmp_path, TWO)
    assert command("new", "handler", "chat", "--interface", "listener")[0] == 0
    before = contents(tmp_path)
    code, out, err = command("new", "handler", "talk", "--interface", "listener", "--python", sys.executable)
    assert (code, out, contents(tmp_path) == before) == (2, "", True)
    assert err == (
        "ws-scaffold: --python is for the first handler of an application, and there are handlers here already.\n"
        "  try: leave it out\n"
    )


@pytest.mark.slow
def test_at_a_terminal_one_chooses_among_several(tmp_path: Path) -> None:
    write_all(tmp_path, TWO)
    program = (sys.executable, "-m", "ws_scaffold", "new", "handler", "chat")
    shown = words(at_a_terminal(program, tmp_path))
    assert "Which application is it?" in shown
    assert "admin.panel.site:make_site(), in admin/panel/site.py:5" in shown
    assert shown.index("note: the application is in acme/main.py:3") < shown.index(
        "Which new folder do the handlers go into?"
    )


@pytest.mark.slow
def test_under_litestar_the_application_that_is_loaded_is_the_one(tmp_path: Path) -> None:
    write_all(tmp_path, TWO)
    arguments = ("--app", "admin.panel.site:make_site", "ws", "new", "handler", "chat", "--defaults")
    done = run(sys.executable, "-m", "litestar", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    state = load_state(tmp_path)
    assert (state["ws_import"], state["application"]) == ("admin.panel.ws", "admin.panel.site:make_site()")


def test_application_that_litestar_has_loaded_is_taken_although_it_is_not_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Something else makes it: then it is the likeliest, which is named."""
    monkeypatch.chdir(write_all(tmp_path, TWO))
    assert main(["new", "handler", "chat", "--defaults"], loaded="somewhere.else:app") == 0
    assert load_state(tmp_path)["ws_path"] == "acme/ws"


@pytest.mark.parametrize("first", [".", "apps/api"])
def test_each_application_of_a_repository_has_its_own_handlers(command: Command, tmp_path: Path, first: str) -> None:
    """In whatever order they come; what is in no application is in the one around it."""
    write_all(tmp_path, INNER)
    for folder in dict.fromkeys((first, ".", "apps/api")):
        code, _, err = command("-C", folder, "new", "handler", "chat", "--interface", "listener")
        assert (code, err) == (0, "")
    for folder in (".", "apps/api"):
        assert (tmp_path / folder / STATE).is_file()
        listed = json.loads(command("-C", folder, "list", "--json")[1])
        assert listed["project"] == str((tmp_path / folder).resolve())
    assert command("-C", "apps/tool", "new", "handler", "feed", "--interface", "stream")[0] == 0
    assert [it["name"] for it in load_state(tmp_path)["handlers"]] == ["chat", "feed"]
    assert [it["name"] for it in load_state(tmp_path / "apps/api")["handlers"]] == ["chat"]


def test_application_of_somebody_else_is_taken_only_where_it_is_named(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(tmp_path, {**TWO, "pyproject.toml": "", "acme/deep/notes.txt": ""})
    monkeypatch.setattr("ws_scaffold.project.owner_of", lambda path: 4711 if path == tmp_path else 0)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.chdir(tmp_path / "acme/deep")
    before = contents(tmp_path)
    code, _, err = command("new", "handler", "chat", "--interface", "listener")
    assert (code, contents(tmp_path) == before) == (1, True)
    assert err.startswith("ws-scaffold: There is no generated project here or above.\n")
    assert command("-C", str(tmp_path), "new", "handler", "chat", "--interface", "listener")[0] == 0


def test_half_made_handler_says_what_completes_it(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(tmp_path, TWO)
    interrupt_the_first_handler(command, monkeypatch)
    code, _, err = command("list")
    assert (code, "  try: the same ws-scaffold new … again completes it\n" in err) == (1, True)


# Two templates --------------------------------------------------------------------------------------------------------


def another_template(folder: Path) -> Path:
    """Return a template of somebody else's, of an application, with two versions."""
    write_all(
        folder,
        {
            "copier.yml": "name:\n  type: str\n  default: desk\n",
            "app.py.jinja": 'from litestar import Litestar\n\nNAME = "{{ name }}"\napp = Litestar()\n',
            "requirements.txt": "anyio\nlitestar>=2.25\nmsgspec\n",
            "{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers|to_nice_yaml }}",
        },
    )
    commit(folder)
    assert run("git", "tag", "v1.0.0", cwd=folder).returncode == 0
    (folder / "app.py.jinja").write_text((folder / "app.py.jinja").read_text() + "\n# Of the second version.\n")
    commit(folder, "Later")
    assert run("git", "tag", "v2.0.0", cwd=folder).returncode == 0
    return folder


@pytest.mark.parametrize("by", ["ws-scaffold", "copier"])
@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_application_of_another_template_is_updated_by_both(
    command: Command, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, first: str, by: str
) -> None:
    """In either order, and ours by either tool: each brings its own files, and none of the other's."""
    theirs = another_template(tmp_path_factory.mktemp("theirs"))
    project = tmp_path / "desk"
    copier.run_copy(str(theirs), project, defaults=True, quiet=True, vcs_ref="v1.0.0")
    assert command("-C", str(project), "new", "handler", "chat", "--interface", "listener")[0] == 0
    state = project / STATE
    text = re.sub("_commit: .*", "_commit: v0.0.1", state.read_text())
    state.write_text(re.sub("_src_path: .*", f"_src_path: {two_versions(tmp_path_factory.mktemp('ours'))}", text))
    commit(project)

    def update_theirs() -> None:
        before = {path: it for path, it in contents(project).items() if "ws" in path}
        copier.run_update(project, defaults=True, overwrite=True, quiet=True)
        assert "# Of the second version.\n" in (project / "app.py").read_text()
        assert {path: it for path, it in contents(project).items() if "ws" in path} == before

    def update_ours() -> None:
        before = {path: it for path, it in contents(project).items() if "ws" not in path}
        if by == "copier":
            copier.run_update(project, answers_file=STATE, defaults=True, overwrite=True, quiet=True)
        else:
            code, out, _ = command("-C", str(project), "update")
            assert (code, "conflict" in out) == (0, False)
        assert (project / "ws/chat/logic.py").is_file()
        assert (project / "ws/chat/handler.py").read_text().endswith("\n# A fix.\n")
        assert {path: it for path, it in contents(project).items() if "ws" not in path} == before

    steps = [update_theirs, update_ours]
    for step in steps if first == "theirs" else reversed(steps):
        step()
        commit(project)
    assert "_commit: v2.0.0\n" in (project / ".copier-answers.yml").read_text()
    assert "_commit: v0.0.2\n" in state.read_text()
    assert command("-C", str(project), "new", "handler", "feed", "--interface", "stream")[0] == 0
