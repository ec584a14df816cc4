"""The guide: what it asks, what it decides, and what it refuses."""

import itertools
import keyword
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from projects import HANDLERS, REPOSITORY, questions, render
from terminal import at_a_terminal, words
from ws_scaffold.template import LAYOUT


def state_of(project: Path) -> dict[str, Any]:
    """Return what a project's answers file says."""
    content: dict[str, Any] = yaml.safe_load((project / ".copier-answers.yml").read_text())
    return content


def test_there_are_ninety_four_valid_handlers() -> None:
    """Ninety, and where a DTO helps, four more."""
    assert len(HANDLERS) == 94
    per_interface = itertools.groupby(HANDLERS, key=lambda handler: handler["interface"])
    assert [len(list(handlers)) for _, handlers in per_interface] == [24, 10, 10, 10, 20, 20]


def test_every_question_that_is_asked_has_a_help_text() -> None:
    for name, question in questions().items():
        assert question.get("when") is False or question["help"], name


def test_every_question_is_about_a_handler_or_about_the_project() -> None:
    asked = [name for name, question in questions().items() if "handlers is not defined" in str(question.get("when"))]
    assert questions()["guide"]["default"] == asked
    asked_of_a_project = ("", "{{ layout == 'host' }}", "{{ has_channels }}")
    about_the_project = [
        name for name, question in questions().items() if question.get("when", "") in asked_of_a_project
    ]
    assert [LAYOUT, *questions()["project"]["default"]] == about_the_project


def test_readme_has_the_interfaces_of_the_guide() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    table = re.findall(r"^\| (\w+) \| (\S+) \| `([\w-]+)` \| `(.+?)` \| (.+?) \|$", readme, re.MULTILINE)
    assert table == [
        (it["direction"], "-" if it["direction"] == "push" else it["control"], name, it["litestar"], it["reason"])
        for name, it in questions()["interfaces"]["default"].items()
    ]


def test_answers_file_holds_the_state_and_none_of_the_guide(template: Path, tmp_path: Path) -> None:
    project = render(template, tmp_path / "trading-desk", {"project_name": "Trading Desk"})
    state = state_of(project)
    assert list(state) == ["_commit", "_src_path", "layout", "project_name", "package_name", "asyncapi", "handlers"]
    assert state["package_name"] == "trading_desk"
    chat = {"name": "chat", "interface": "listener", "payload": "typed", "transport": "text", "guard": "none"}
    chat |= {"messages": "say text:str", "sends": "said text:str"}
    assert state["handlers"] == [chat]
    assert list(state["handlers"][0]) == list(chat)


def test_answers_about_channels_are_kept_where_there_are_some(template: Path, tmp_path: Path) -> None:
    answers = {"direction": "push", "events": "channel", "channels_backend": "redis", "channels_history": "20"}
    state = state_of(render(template, tmp_path / "desk", answers))
    assert list(state)[2:] == [
        "layout",
        "project_name",
        "package_name",
        "asyncapi",
        "channels_backend",
        "channels_history",
        "handlers",
    ]
    assert (state["channels_backend"], state["channels_history"]) == ("redis", "20")
    assert state["handlers"][0]["events"] == "channel"


def test_channels_are_in_memory_and_without_a_past_by_default(template: Path, tmp_path: Path) -> None:
    state = state_of(render(template, tmp_path / "desk", {"direction": "duplex", "events": "channel"}))
    assert (state["channels_backend"], state["channels_history"]) == ("memory", "0")
    older = {"handlers": [{"name": "chat", "interface": "stream", "payload": "raw", "transport": "text"}]}
    state = state_of(render(template, tmp_path / "older", older))
    assert state["handlers"] == [{**older["handlers"][0], "events": "own", "guard": "none"}]


def test_project_is_named_after_its_folder(template: Path, tmp_path: Path) -> None:
    state = state_of(render(template, tmp_path / "my-Desk.2", {}))
    assert (state["project_name"], state["package_name"]) == ("my-Desk.2", "my_desk_2")


@pytest.mark.parametrize(
    ("direction", "control", "interface"),
    [
        ("push", None, "stream"),
        ("reply", "framework", "listener"),
        ("reply", "manual", "websocket"),
        ("duplex", "framework", "duplex-listener"),
        ("duplex", "manual", "duplex-websocket"),
    ],
)
def test_the_need_decides_the_interface(
    template: Path, tmp_path: Path, direction: str, control: str | None, interface: str
) -> None:
    answers = {"direction": direction} | ({"control": control} if control else {})
    state = state_of(render(template, tmp_path / "demo", answers))
    assert state["handlers"][0]["interface"] == interface


def test_codec_answers_what_it_implies(template: Path, tmp_path: Path) -> None:
    state = state_of(render(template, tmp_path / "demo", {"codec": "msgpack"}))
    assert (state["handlers"][0]["transport"], state["handlers"][0]["codec"]) == ("binary", "msgpack")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (
            {"interface": "stream", "direction": "reply"},
            'interface "stream" contradicts direction "reply": it is for direction "push"',
        ),
        (
            {"interface": "websocket", "control": "framework"},
            'interface "websocket" contradicts control "framework": with it the loop\'s control is "manual"',
        ),
        (
            {"direction": "push", "control": "manual"},
            'control "manual" contradicts direction "push": a handler that only sends has no receive loop to control',
        ),
        (
            {"codec": "msgpack", "transport": "text"},
            'codec "msgpack" contradicts transport "text": MessagePack needs binary frames',
        ),
        (
            {"codec": "json", "payload": "raw"},
            'codec "json" contradicts payload "raw": a raw message is not encoded at all',
        ),
        (
            {"contract": "dto", "payload": "raw", "direction": "push"},
            'contract "dto" contradicts payload "raw": a raw message has no fields',
        ),
        (
            {"contract": "dto", "codec": "msgpack", "direction": "push"},
            'contract "dto" contradicts codec "msgpack": Litestar encodes what a DTO passes on as JSON',
        ),
        (
            {"contract": "dto"},
            (
                'contract "dto" contradicts interface "listener": '
                "a function listener with a DTO works in one application of a process only"
            ),
        ),
        (
            {"contract": "dto", "interface": "listener-class"},
            (
                'contract "dto" contradicts interface "listener-class": '
                "with a DTO, a message that does not fit closes the connection, and no error can be answered"
            ),
        ),
        (
            {"contract": "dto", "interface": "duplex-websocket"},
            'contract "dto" contradicts interface "duplex-websocket": Litestar applies no DTO in a loop of your own',
        ),
        (
            {"contract": "dto", "direction": "push", "events": "channel"},
            (
                'contract "dto" contradicts events "channel": '
                "an event is encoded once for all subscribers, not by Litestar for each"
            ),
        ),
        (
            {"events": "channel", "direction": "reply"},
            'events "channel" contradicts direction "reply": a handler that only answers sends no events',
        ),
        (
            {"events": "channel", "interface": "websocket"},
            'events "channel" contradicts direction "reply": a handler that only answers sends no events',
        ),
        (
            {"direction": "push", "events": "channel", "channels_backend": "postgres", "channels_history": "20"},
            (
                'channels_history "20" contradicts channels_backend "postgres": NOTIFY keeps no past events; take 0, '
                "or the backend redis"
            ),
        ),
        (
            {"direction": "push", "events": "channel", "channels_history": "many"},
            '"many" is not a number of past events: take one from 0 to 1000, such as 20',
        ),
    ],
)
def test_contradiction_is_refused_with_the_reason(
    template: Path, tmp_path: Path, answers: dict[str, str], reason: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(reason) + "$"):
        render(template, tmp_path / "demo", answers)
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("name", ["Chat", "chat-room", "2chat", "_chat", "chat_", "chat__room", "", "c" * 41, "çhat"])
def test_malformed_handler_name_is_refused_with_a_good_one(template: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f'"{name}" cannot be a handler\'s name: take up to 40 .*, such as chat_room$'):
        render(template, tmp_path / "demo", {"handler_name": name})


@pytest.mark.parametrize(
    ("question", "name", "reason"),
    [
        ("handler_name", "class", "is a Python keyword: take another name, such as my_class"),
        ("handler_name", "socket", "has a meaning of its own in Litestar: take another name, such as my_socket"),
        (
            "handler_name",
            "guards",
            "is what files of the project's own are called: take another name, such as my_guards",
        ),
        ("handler_name", "aux", "cannot be a folder on Windows: take another name, such as my_aux"),
        ("package_name", "nul", "cannot be a folder on Windows: take another name, such as my_nul"),
        ("package_name", "redis", "would hide the module of that name: take another one, such as my_redis"),
        ("package_name", "async", "is a Python keyword: take another name, such as my_async"),
        ("package_name", "litestar", "would hide the module of that name: take another one, such as my_litestar"),
        ("package_name", "asyncio", "would hide the module of that name: take another one, such as my_asyncio"),
        ("package_name", "tests", "would hide the module of that name: take another one, such as my_tests"),
        (
            "package_name",
            "Desk",
            "cannot be a package's name: take up to 40 small letters, digits and underscores, such as trading_desk",
        ),
        (
            "project_name",
            'a "desk"',
            "cannot be the project's name: take up to 60 characters, no quotes or backslashes, such as Trading Desk",
        ),
    ],
)
def test_name_that_would_break_the_project_is_refused(
    template: Path, tmp_path: Path, question: str, name: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(f'"{name}" {reason}') + "$"):
        render(template, tmp_path / "demo", {question: name})


def test_every_keyword_is_refused() -> None:
    refused = set(questions()["keywords"]["default"])
    assert {word for word in keyword.kwlist if word.islower()} == refused


def test_terminal_shows_the_recommended_interface_and_why(template: Path, tmp_path: Path) -> None:
    """Accept every default at a real terminal, but for the direction."""
    command = (sys.executable, "-m", "copier", "copy", "--vcs-ref=HEAD", "-d", "direction=duplex", template, "demo")
    shown = words(at_a_terminal(command, tmp_path))
    assert "Which of Litestar's interfaces? I recommend duplex-listener." in shown
    assert questions()["interfaces"]["default"]["duplex-listener"]["reason"] in shown
    assert state_of(tmp_path / "demo")["handlers"][0]["interface"] == "duplex-listener"
