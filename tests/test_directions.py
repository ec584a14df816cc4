"""Handlers that send something else than they receive, or nothing: what is refused, and how they fare when served."""

import asyncio
from collections.abc import Generator
from pathlib import Path

import pytest

from conftest import Command
from projects import DIRECTED, handlers_of, render
from serving.client import Client, clients, direction_of
from serving.server import Server, serve
from test_servers import SERVERS, assert_failed, meet, play, shut_down

PACKED = {"out_payload": "typed", "out_transport": "binary", "out_codec": "msgpack"}
RECEIVING_TYPED = [it for it in DIRECTED if it["payload"] == "typed"]
RECEIVING_RAW = [it for it in DIRECTED if it["payload"] == "raw"]


@pytest.fixture(scope="module")
def directed(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with all of them."""
    answers = {"project_name": "Everything", "asyncapi": "yes", "handlers": DIRECTED}
    return render(template, tmp_path_factory.mktemp("directed"), answers)


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, directed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server, None, None]:
    """Return a running server of that project, which counts what it holds."""
    with serve(request.param, directed, tmp_path_factory.mktemp("server") / "output") as server:
        yield server


# What is said on the command line -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("--payload raw --transport binary --out-payload typed", {"out_payload": "typed", "out_transport": "text"}),
        ("--out-payload raw", {"out_payload": "raw", "out_transport": "binary"}),
        ("--transport binary --out-payload raw", {"out_payload": "raw", "out_transport": "text"}),
        ("--out-codec msgpack", {"out_payload": "typed", "out_transport": "binary", "out_codec": "msgpack"}),
        ("--codec msgpack --out-transport text", {"out_payload": "typed", "out_transport": "text"}),
        ("--payload raw --out-transport binary", {"out_payload": "raw", "out_transport": "binary"}),
        ("--out-payload same", {}),
        ("--out-payload typed", {}),
        ("--codec msgpack --out-payload typed --out-codec msgpack", {}),
        ("--answers none", {"answers": "none"}),
        ("--answers each", {}),
        ("--direction duplex --payload raw --answers none", {"answers": "none"}),
    ],
)
def test_what_is_the_same_is_not_said(command: Command, project: Path, said: str, kept: dict[str, str]) -> None:
    code, out, err = command("new", "handler", "audio", *said.split())
    assert code == 0, err
    entry = next(it for it in handlers_of(project) if it["name"] == "audio")
    assert {key: value for key, value in entry.items() if key.startswith("out_") or key == "answers"} == kept
    # And what would have prompted for nothing says the same.
    again = next(line for line in out.splitlines() if "ws-scaffold new handler" in line).split("ws-scaffold ")[1]
    assert all(f"--{key.replace('_', '-')} {value}" in again for key, value in kept.items())


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        (
            "--out-payload raw --out-transport text",
            (
                'out_transport "text" contradicts out_payload "raw": errors come in text frames, as messages do, and a '
                "client could not tell the two apart."
            ),
        ),
        (
            "--direction push --out-payload raw",
            'out_payload "raw" contradicts direction "push": a handler that only sends has one payload.',
        ),
        (
            "--direction push --out-transport binary",
            'out_transport "binary" contradicts direction "push": a handler that only sends has one transport.',
        ),
        (
            "--direction push --out-codec msgpack",
            'out_codec "msgpack" contradicts direction "push": a handler that only sends has one codec.',
        ),
        (
            "--out-payload same --out-transport binary",
            'out_transport "binary" contradicts out_payload "same": say what is in these frames, typed or raw.',
        ),
        (
            "--out-transport text --out-codec msgpack",
            'out_codec "msgpack" contradicts out_transport "text": MessagePack needs binary frames.',
        ),
        (
            "--out-payload raw --out-codec msgpack",
            'out_codec "msgpack" contradicts out_payload "raw": a raw message is not encoded at all.',
        ),
        (
            "--out-payload same --out-codec msgpack --transport binary",
            'out_codec "msgpack" contradicts out_payload "same": take out_payload typed.',
        ),
        ("--out-payload raw --sends said", 'sends "said" contradicts out_payload "raw": a raw message is of no kind.'),
        (
            "--answers none --sends said",
            'sends "said" contradicts answers "none": nothing is sent but what is wrong, and what is done.',
        ),
        (
            "--answers none --out-payload raw",
            'answers "none" contradicts out_payload "raw": nothing raw is sent.',
        ),
        (
            "--direction push --answers none",
            'answers "none" contradicts direction "push": a handler that only sends receives no messages.',
        ),
        (
            "--direction duplex --events channel --answers none",
            'answers "none" contradicts events "channel": what a message leads to is published, and not answered.',
        ),
        (
            "--direction push --contract dto --out-payload raw",
            'out_payload "raw" contradicts direction "push": a handler that only sends has one payload.',
        ),
        (
            "--contract dto --out-codec msgpack --interface listener-class",
            (
                'contract "dto" contradicts interface "listener-class": with a DTO, a message that does not fit closes '
                "the connection, and no error can be answered."
            ),
        ),
        (
            "--payload raw --out-payload typed --work message",
            'work "message" contradicts payload "raw": only a typed message has work of its own.',
        ),
    ],
)
def test_contradiction_is_refused_with_the_reason(command: Command, project: Path, said: str, refusal: str) -> None:
    before = handlers_of(project)
    assert command("new", "handler", "audio", *said.split()) == (2, "", f"ws-scaffold: {refusal}\n")
    assert handlers_of(project) == before


def test_change_keeps_what_still_fits(command: Command, project: Path) -> None:
    def change(*said: str) -> dict[str, str]:
        assert command("change", "handler", "chat", *said)[0] == 0
        (entry,) = handlers_of(project)
        return {key: value for key, value in entry.items() if key.startswith("out_") or key in ("answers", "sends")}

    assert change("--out-payload", "raw") == {"out_payload": "raw", "out_transport": "binary"}
    assert change("--transport", "binary") == {"out_payload": "raw", "out_transport": "text"}
    assert change("--interface", "websocket") == {"out_payload": "raw", "out_transport": "text"}
    assert change("--out-payload", "same") == {"sends": "said text:str"}
    assert change("--answers", "none") == {"answers": "none"}
    assert change("--answers", "each") == {"sends": "said text:str"}
    assert change("--out-codec", "msgpack") == {**PACKED, "sends": "said text:str"}
    assert change("--direction", "push") == {"sends": "said text:str"}


@pytest.mark.parametrize(
    "contradiction",
    ["{out_payload: raw, out_transport: text}", "{answers: none, out_payload: raw, out_transport: binary}"],
)
def test_state_that_contradicts_itself_is_refused(command: Command, project: Path, contradiction: str) -> None:
    state = project / ".copier-answers.yml"
    said = contradiction.strip("{}").replace(", ", "\n  ")
    state.write_text(state.read_text().replace("  guard: none", f"  {said}\n  guard: none"))
    code, _, err = command("new", "handler", "talk", "--defaults")
    assert code == 1
    assert "has a handler 1 that cannot be: " in err
    assert "contradicts" in err
    assert not (project / "src/desk/ws/talk").exists()


# On real servers ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("leave", ["close", "end", "reset"])
def test_client_that_leaves_leaves_nothing_behind(server: Server, leave: str) -> None:
    async def scenario(client: Client) -> None:
        await client.exchange()
        if leave == "close":
            await client.connection.close(1000)
        else:
            await (client.reset if leave == "reset" else client.end_the_stream)()

    server.begin()
    meet(server, scenario, DIRECTED)
    assert_failed(server)


@pytest.mark.slow
def test_client_that_stops_reading_and_is_gone_leaves_nothing_behind(server: Server) -> None:
    flooded = [it for it in DIRECTED if direction_of(it) == "duplex" or it.get("answers") != "none"]
    names = [it["name"] for it in flooded]

    async def scenarios() -> None:
        async with clients(server.port, flooded) as opened:
            await asyncio.to_thread(server.demand, "flood")
            await play(Client.stop_reading, opened)
            await asyncio.to_thread(server.wait_for_blocked_sends, names)
            await play(Client.reset, opened)

    server.begin("flood to come")
    asyncio.run(scenarios())
    server.settle(names)
    assert_failed(server)


@pytest.mark.slow
def test_invalid_message_is_refused_and_survived(server: Server) -> None:
    async def scenario(client: Client) -> None:
        for frame in client.invalid_frames():
            await client.connection.send(frame)
            error = await client.receive_answer()
            assert error.keys() == {"type", "detail"}, (frame, error)
            assert error["type"] == "error"
        await client.exchange()

    server.begin()
    meet(server, scenario, RECEIVING_TYPED)
    assert_failed(server)


@pytest.mark.slow
def test_raw_frame_of_the_wrong_kind_closes(server: Server) -> None:
    async def scenario(client: Client) -> None:
        await client.exchange()
        await client.connection.send("text", text=not client.is_text)
        assert await client.closed() == (1003, f"expected a {'text' if client.is_text else 'binary'} frame")

    server.begin()
    meet(server, scenario, RECEIVING_RAW)
    assert_failed(server)


@pytest.mark.slow
def test_message_that_fails_closes_and_is_logged_once(server: Server) -> None:
    async def scenario(client: Client) -> None:
        await client.send("hello")
        assert await client.closed() == (4500, "Internal Server Error")

    server.begin("fail to reply")
    meet(server, scenario, DIRECTED)
    assert_failed(server, DIRECTED)


@pytest.mark.slow
def test_shutdown_releases_all_connections(directed: Path, tmp_path: Path) -> None:
    shut_down(directed, tmp_path / "output", DIRECTED)
