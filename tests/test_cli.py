"""The command, as one meets it: what it says, what it asks, and how it ends."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import Command
from projects import REPOSITORY, handlers_of, questions
from terminal import ENTER, at_a_terminal, words
from trees import contents
from ws_scaffold import __version__
from ws_scaffold.arguments import parser_of
from ws_scaffold.operations import spelled
from ws_scaffold.template import Template


def test_new_project_prints_a_line_a_file_and_the_command_that_asks_nothing(command: Command, tmp_path: Path) -> None:
    code, out, err = command("new", "project", "desk", "--project-name", "Trading Desk", "--interface", "stream")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "create    src/trading_desk/ws/chat/handler.py" in lines
    assert lines[-7:] == [
        (
            "to repeat without prompts: ws-scaffold new project desk --project-name 'Trading Desk' "
            "--package-name trading_desk --asyncapi yes --handler-name chat --interface stream --payload typed "
            "--transport text --events own --guard none --sends 'tick number:int at:datetime'"
        ),
        "",
        "Trading Desk is ready. Next:",
        "",
        "  cd desk",
        "  uv run pytest",
        "  uv run python -m trading_desk",
    ]
    state = yaml.safe_load((tmp_path / "desk" / ".copier-answers.yml").read_text())
    assert (state["_src_path"], state["_commit"]) == ("gh:org/ws-scaffold", f"v{__version__}")


def test_new_handler(command: Command, project: Path) -> None:
    assert command("new", "handler", "feed", "--interface", "stream", "--payload", "raw") == (
        0,
        (
            "update    README.md\n"
            "update    src/desk/ws/handlers.py\n"
            "update    src/desk/ws/testing.py\n"
            "update    tests/ws/test_ws_asyncapi.py\n"
            "create    src/desk/ws/feed/__init__.py\n"
            "create    src/desk/ws/feed/asyncapi.py\n"
            "create    src/desk/ws/feed/dependencies.py\n"
            "create    src/desk/ws/feed/handler.py\n"
            "create    src/desk/ws/feed/service.py\n"
            "create    tests/ws/test_ws_feed.py\n"
            "update    .copier-answers.yml\n"
            "to repeat without prompts: "
            "ws-scaffold new handler feed --interface stream --payload raw --transport text --events own --guard none\n"
        ),
        "",
    )
    assert handlers_of(project)[1] == {
        "name": "feed",
        "interface": "stream",
        "payload": "raw",
        "transport": "text",
        "events": "own",
        "guard": "none",
    }


def test_first_handler_with_a_channel_brings_the_channels(command: Command, project: Path) -> None:
    code, out, _ = command("new", "handler", "rooms", "--interface", "duplex-listener", "--events", "channel")
    assert code == 0
    assert "create    src/desk/ws/channels.py" in out.splitlines()
    assert "channels_backend: memory\n" in (project / ".copier-answers.yml").read_text()
    listed = json.loads(command("list", "--json")[1])["handlers"]
    assert [(it["path"], it["events"]) for it in listed] == [("/ws/chat", None), ("/ws/rooms/{channel}", "channel")]
    shown = "rooms  /ws/rooms/{channel}  duplex-listener, typed, JSON in text frames, for everyone\n"
    assert shown in command("list")[1]
    code, out, _ = command("remove", "handler", "rooms")
    assert code == 0
    assert "delete    src/desk/ws/channels.py" in out.splitlines()
    assert "channels_backend" not in (project / ".copier-answers.yml").read_text()


def test_answers_about_the_project_come_with_the_first_handler_that_needs_them(command: Command, project: Path) -> None:
    rooms = ("new", "handler", "rooms", "--direction", "duplex", "--events", "channel")
    code, out, _ = command(*rooms, "--channels-backend", "redis", "--channels-history", "20")
    assert code == 0
    assert out.splitlines()[-1].endswith(" at:datetime' --channels-backend redis --channels-history 20")
    assert "channels_backend: redis\nchannels_history: '20'\n" in (project / ".copier-answers.yml").read_text()
    before = contents(project)
    for arguments in (
        ("new", "handler", "news", "--direction", "push", "--events", "channel", "--channels-backend", "memory"),
        ("change", "handler", "chat", "--direction", "push", "--events", "channel", "--channels-backend", "memory"),
    ):
        assert command(*arguments) == (
            2,
            "",
            (
                'ws-scaffold: The project already has channels_backend "redis".\n'
                "  try: ws-scaffold change project --channels-backend memory\n"
            ),
        )
    assert contents(project) == before
    code, out, _ = command("new", "handler", "news", "--direction", "push", "--events", "channel")
    assert (code, "--channels-backend" in out) == (0, False)


def test_answer_about_channels_needs_a_handler_with_one(command: Command, project: Path) -> None:
    before = contents(project)
    for command_line, error in (
        (
            ("new", "handler", "news", "--channels-backend", "redis"),
            "channels_backend does not apply to this handler.\n  try: leave it out\n",
        ),
        (
            ("change", "project", "--channels-backend", "redis"),
            (
                "channels_backend does not apply to this project: none of its handlers needs it.\n"
                "  try: ws-scaffold list shows its handlers\n"
            ),
        ),
    ):
        assert command(*command_line) == (2, "", f"ws-scaffold: {error}")
    assert contents(project) == before


def test_backend_of_the_channels_can_be_changed(command: Command, project: Path) -> None:
    command("new", "handler", "rooms", "--direction", "duplex", "--events", "channel")
    plugin = project / "src/desk/ws/plugin.py"
    plugin.write_text(f"{plugin.read_text()}\n# mine\n")
    code, out, _ = command("change", "project", "--channels-backend", "redis", "--channels-history", "20")
    assert code == 0
    assert "create    src/desk/ws/broker.py" in out.splitlines()
    assert "merge     src/desk/ws/plugin.py" in out.splitlines()
    assert "Channels(create_backend(self.settings.channels_url))\n" in plugin.read_text()
    assert plugin.read_text().endswith("\n# mine\n")
    code, _, err = command("change", "project", "--channels-backend", "postgres")
    assert (code, err.startswith('ws-scaffold: channels_history "20" contradicts channels_backend "postgres": ')) == (
        2,
        True,
    )
    assert command("change", "project", "--channels-backend", "postgres", "--channels-history", "0")[0] == 0
    assert '"psycopg[binary]>=' in (project / "pyproject.toml").read_text()
    assert command("change", "project", "--channels-backend", "memory")[0] == 0
    assert not (project / "src/desk/ws/broker.py").exists()


def test_new_project_takes_the_answers_about_channels(command: Command, tmp_path: Path) -> None:
    answers = ("--direction", "push", "--events", "channel", "--channels-backend", "redis", "--channels-history", "20")
    code, out, _ = command("new", "project", "desk", *answers)
    assert code == 0
    assert "create    src/desk/ws/broker.py" in out.splitlines()
    assert "--channels-backend redis --channels-history 20 " in out
    assert "HISTORY = 20\n" in (tmp_path / "desk/src/desk/ws/channels.py").read_text()


def test_same_command_twice_changes_nothing_and_says_so(command: Command, project: Path) -> None:
    command("new", "handler", "feed", "--interface", "stream")
    before = contents(project)
    code, out, _ = command("new", "handler", "feed", "--interface", "stream")
    assert (code, out.splitlines()[0]) == (0, "already up to date")
    assert contents(project) == before


def test_interface_alone_answers_what_it_implies(command: Command, project: Path) -> None:
    for interface in questions()["interfaces"]["default"]:
        assert command("new", "handler", f"my-{interface}", "--interface", interface)[0] == 0
    assert {it["interface"] for it in handlers_of(project)} == set(questions()["interfaces"]["default"])


@pytest.mark.parametrize("name", ["chat-room", "ChatRoom", "chatRoom", "chat_room_handler", "Chat Room", "CHAT_ROOM"])
def test_usual_spellings_of_a_name_are_understood(name: str) -> None:
    assert spelled(name) == "chat_room"


MALFORMED = "cannot be a handler's name: take up to 40 small letters, digits and underscores, such as chat_room."


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("class", '"class" is a Python keyword: take another name, such as my_class.'),
        ("socket", '"socket" has a meaning of its own in Litestar: take another name, such as my_socket.'),
        (
            "limits",
            '"limits" is what files of the project\'s own are called: take another name, such as my_limits.',
        ),
        ("con", '"con" cannot be a folder on Windows: take another name, such as my_con.'),
        *((name, f'"{name}" {MALFORMED}') for name in ("2chat", "../chat", "/chat", "chat/../..", "x" * 41, "", ".")),
        ("\N{CYRILLIC SMALL LETTER ES}hat", f'"\N{CYRILLIC SMALL LETTER ES}hat" {MALFORMED}'),
    ],
)
def test_name_that_cannot_be_one_is_refused_in_a_sentence(
    command: Command, project: Path, name: str, reason: str
) -> None:
    before = contents(project)
    assert command("new", "handler", name, "--defaults") == (2, "", f"ws-scaffold: {reason}\n")
    assert command("rename", "handler", "chat", name) == (2, "", f"ws-scaffold: {reason}\n")
    assert contents(project) == before


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["new", "handler"],
            "ws-scaffold: The new handler needs a name.\n  try: ws-scaffold new handler NAME\n",
        ),
        (
            ["new", "handler", "x", "--interface", "stream", "--direction", "reply"],
            'ws-scaffold: interface "stream" contradicts direction "reply": it is for direction "push".\n',
        ),
        (
            ["change", "handler", "talk", "--payload", "raw"],
            'ws-scaffold: There is no handler "talk".\n  try: one of chat\n',
        ),
        (
            ["change", "handler", "chat"],
            (
                "ws-scaffold: There is nothing to change.\n"
                "  try: give an answer: ws-scaffold change handler --help lists them\n"
            ),
        ),
        (
            ["new", "handler", "x", "--codec", "mgspack"],
            (
                'ws-scaffold: "mgspack" is not a choice for --codec. Did you mean "msgpack"?\n'
                "  try: one of json, msgpack\n"
            ),
        ),
        (
            ["new", "song"],
            'ws-scaffold: There is no command "ws-scaffold new song".\n  try: one of project, handler\n',
        ),
        (
            ["chagne", "handler", "chat"],
            (
                'ws-scaffold: There is no command "ws-scaffold chagne". Did you mean "change"?\n'
                "  try: one of new, change, rename, remove, update, list, guide, completion\n"
            ),
        ),
        (
            ["change", "handler", "caht", "--payload", "raw"],
            'ws-scaffold: There is no handler "caht". Did you mean "chat"?\n  try: one of chat\n',
        ),
        (
            ["remove", "handler", "ChatRoom"],
            'ws-scaffold: There is no handler "ChatRoom". Did you mean "chat"?\n  try: one of chat\n',
        ),
        (
            ["list", "--jsn"],
            'ws-scaffold: There is no option "--jsn". Did you mean "--json"?\n  try: ws-scaffold list --help\n',
        ),
        (
            ["new", "handler", "x", "--dry"],
            (
                'ws-scaffold: There is no option "--dry". Did you mean "--dry-run"?\n'
                "  try: ws-scaffold new handler --help\n"
            ),
        ),
        (
            ["list", "chat"],
            'ws-scaffold: "chat" is one argument too many.\n  try: ws-scaffold list --help\n',
        ),
        (
            ["rename", "handler"],
            (
                "ws-scaffold: The following arguments are required: NAME, NEW_NAME.\n"
                "  try: ws-scaffold rename handler --help\n"
            ),
        ),
        (
            ["update", "--to", ""],
            'ws-scaffold: "" is not a version.\n  try: leave out --to for the newest release\n',
        ),
        (
            ["new", "project", ""],
            'ws-scaffold: Argument DIR: "" is not a folder.\n  try: ws-scaffold new project --help\n',
        ),
    ],
)
@pytest.mark.usefixtures("project")
def test_misuse_is_one_sentence_a_way_out_and_exit_code_2(command: Command, arguments: list[str], error: str) -> None:
    assert command(*arguments) == (2, "", error)


def test_handler_that_is_there_with_other_answers_is_left_alone(command: Command, project: Path) -> None:
    before = contents(project)
    assert command("new", "handler", "chat", "--interface", "stream") == (
        1,
        "",
        (
            'ws-scaffold: There is already a handler "chat", with other answers; nothing was written.\n'
            "  try: ws-scaffold change handler chat\n"
        ),
    )
    assert contents(project) == before


def test_outside_of_a_project(command: Command) -> None:
    assert command("list") == (
        1,
        "",
        "ws-scaffold: There is no generated project here or above.\n  try: ws-scaffold new project DIR makes one\n",
    )


def test_folder_of_the_project_may_be_given(command: Command, project: Path, tmp_path: Path) -> None:
    os.chdir(tmp_path)
    code, out, _ = command("-C", "desk/src/desk", "new", "handler", "feed")
    again = "--interface listener --payload typed --transport text --guard none"
    again += " --messages 'say text:str' --sends 'said text:str'"
    start = "to repeat without prompts: ws-scaffold -C desk/src/desk new handler feed"
    assert (code, out.splitlines()[-1]) == (0, f"{start} {again}")
    assert [it["name"] for it in handlers_of(project)] == ["chat", "feed"]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (
            ["--transport", "binary"],
            {"interface": "listener", "payload": "typed", "transport": "binary", "codec": "json", "guard": "none"},
        ),
        (
            ["--interface", "websocket"],
            {"interface": "websocket", "payload": "typed", "transport": "text", "guard": "none"},
        ),
        (
            ["--direction", "duplex"],
            {"interface": "duplex-listener", "payload": "typed", "transport": "text", "events": "own", "guard": "none"},
        ),
        (["--control", "manual"], {"interface": "websocket", "payload": "typed", "transport": "text", "guard": "none"}),
        (["--payload", "raw"], {"interface": "listener", "payload": "raw", "transport": "text", "guard": "none"}),
        (
            ["--codec", "msgpack", "--transport", "binary"],
            {"interface": "listener", "payload": "typed", "transport": "binary", "codec": "msgpack", "guard": "none"},
        ),
    ],
)
def test_change_keeps_the_answers_that_still_fit(
    command: Command, project: Path, answers: list[str], expected: dict[str, str]
) -> None:
    assert command("change", "handler", "chat", *answers)[0] == 0
    kinds = {"messages": "say text:str", "sends": "said text:str"} if expected["payload"] == "typed" else {}
    assert handlers_of(project) == [{"name": "chat"} | expected | kinds]


def test_change_of_the_loop_keeps_the_direction(command: Command, project: Path) -> None:
    command("change", "handler", "chat", "--interface", "duplex-listener")
    command("change", "handler", "chat", "--control", "manual")
    assert handlers_of(project)[0]["interface"] == "duplex-websocket"


def test_change_of_the_interface_leaves_the_service_alone(command: Command, project: Path) -> None:
    service = project / "src/desk/ws/chat/service.py"
    service.write_text(service.read_text() + "\n# mine\n")
    before = service.read_bytes()
    code, out, _ = command("change", "handler", "chat", "--interface", "websocket", "--transport", "binary")
    assert (code, service.read_bytes()) == (0, before)
    assert "service.py" not in out


def test_change_of_the_package_moves_it_with_all_that_is_in_it(command: Command, project: Path) -> None:
    (project / "src/desk/prices.py").write_text("from desk.app import app\n")
    (project / "tests/test_prices.py").write_text("import os\n\nfrom desk.prices import app\n")
    app = project / "src/desk/app.py"
    app.write_text(f"{app.read_text()}\nimport desk.prices  # mine\n")
    code, out, _ = command("change", "project", "--package-name", "trading")
    assert code == 0
    assert "move      src/trading/prices.py (from src/desk/prices.py)" in out.splitlines()
    for place in ("tests/test_prices.py:3", "src/trading/prices.py:1"):
        assert f"note: {place} still says desk: it is trading now" in out.splitlines()
    assert not (project / "src/desk").exists()
    assert (project / "src/trading/prices.py").read_text() == "from desk.app import app\n"
    assert (project / "src/trading/app.py").read_text().endswith("\nimport trading.prices  # mine\n")
    assert 'packages = ["src/trading"]' in (project / "pyproject.toml").read_text()
    assert command("change", "project", "--package-name", "trading")[1].startswith("already up to date")


def test_change_of_the_projects_name_reaches_edited_files(command: Command, project: Path) -> None:
    readme = project / "README.md"
    readme.write_text(f"{readme.read_text()}\nMine.\n")
    assert command("change", "project", "--project-name", "Trading Desk")[0] == 0
    assert readme.read_text().startswith("# Trading Desk\n")
    assert readme.read_text().endswith("\nMine.\n")
    assert command("change", "project") == (
        2,
        "",
        (
            "ws-scaffold: There is nothing to change.\n"
            "  try: give an answer: ws-scaffold change project --help lists them\n"
        ),
    )


def test_rename(command: Command, project: Path) -> None:
    service = project / "src/desk/ws/chat/service.py"
    service.write_text(service.read_text() + "\n# mine\n")
    (project / "src/desk/ws/chat/notes.txt").write_text("mine, too\n")
    code, out, _ = command("rename", "handler", "chat", "talk")
    assert code == 0
    assert "move      src/desk/ws/talk/service.py (from src/desk/ws/chat/service.py)" in out.splitlines()
    assert not (project / "src/desk/ws/chat").exists()
    moved = (project / "src/desk/ws/talk/service.py").read_text()
    assert moved.endswith("\n# mine\n")
    assert "class TalkService:" in moved
    assert (project / "src/desk/ws/talk/notes.txt").read_text() == "mine, too\n"
    assert command("rename", "handler", "chat", "talk")[1].startswith("already up to date\n")


def test_rename_to_a_name_that_is_taken(command: Command, project: Path) -> None:
    command("new", "handler", "feed", "--defaults")
    before = contents(project)
    assert command("rename", "handler", "chat", "feed") == (
        1,
        "",
        'ws-scaffold: There is already a handler "feed"; nothing was written.\n  try: choose another name\n',
    )
    assert contents(project) == before


def test_remove_keeps_what_holds_edits_and_names_it(command: Command, project: Path) -> None:
    service = project / "src/desk/ws/chat/service.py"
    service.write_text(service.read_text() + "\n# mine\n")
    code, out, _ = command("remove", "handler", "chat")
    assert code == 0
    assert "keep      src/desk/ws/chat/service.py (it holds edits: --force deletes it, too)" in out.splitlines()
    assert [path.name for path in (project / "src/desk/ws/chat").iterdir()] == ["service.py"]
    assert handlers_of(project) == []
    no_handler = 'ws-scaffold: There is no handler "chat".\n  try: ws-scaffold new handler NAME adds one\n'
    assert command("remove", "handler", "chat") == (2, "", no_handler)


def test_remove_with_force_leaves_nothing(command: Command, project: Path) -> None:
    service = project / "src/desk/ws/chat/service.py"
    service.write_text(service.read_text() + "\n# mine\n")
    assert command("remove", "handler", "chat", "--force")[0] == 0
    assert not (project / "src/desk/ws/chat").exists()
    assert not (project / "tests/ws/test_ws_chat.py").exists()


def test_first_guard_brings_its_files_and_the_last_takes_them_along(command: Command, project: Path) -> None:
    before = contents(project)
    of_guards = {"src/desk/ws/guards.py", "tests/ws/test_ws_guards.py"}
    code, out, _ = command("change", "handler", "chat", "--guard", "token")
    assert code == 0
    assert {line.split()[1] for line in out.splitlines() if line.startswith("create ")} == of_guards
    assert handlers_of(project)[0]["guard"] == "token"
    assert contents(project).keys() == before.keys() | of_guards
    code, out, _ = command("change", "handler", "chat", "--guard", "none")
    assert code == 0
    assert {line.split()[1] for line in out.splitlines() if line.startswith("delete ")} == of_guards
    assert contents(project) == before


def test_list(command: Command, project: Path) -> None:
    del project
    command("new", "handler", "chat_room", "--interface", "duplex-websocket", "--payload", "raw")
    command("change", "handler", "chat", "--guard", "token")
    assert command("list") == (
        0,
        (
            "chat       /ws/chat  listener, typed, JSON in text frames, for clients with the token\n"
            "           Each message is answered, so the handler is a function of one message; "
            "Litestar runs the receive loop.\n"
            "chat_room  /ws/chat-room  duplex-websocket, raw text, for everyone\n"
            "           Both send whenever they like: your own receive loop and the stream share one task group.\n"
        ),
        "",
    )
    code, out, _ = command("list", "--json")
    assert code == 0
    assert [(it["name"], it["path"], it["guard"]) for it in json.loads(out)["handlers"]] == [
        ("chat", "/ws/chat", "token"),
        ("chat_room", "/ws/chat-room", "none"),
    ]
    command("remove", "handler", "chat")
    command("remove", "handler", "chat_room")
    assert command("list") == (0, "no handlers; ws-scaffold new handler NAME adds one\n", "")


def test_guide_recommends_says_why_prints_the_command_and_writes_nothing(command: Command, tmp_path: Path) -> None:
    assert command("guide", "--direction", "push", "--codec", "msgpack") == (
        0,
        (
            "stream: @websocket_stream, typed, MessagePack in binary frames\n"
            "Only the server sends, so the handler is a generator; Litestar listens for the disconnect meanwhile.\n"
            "ws-scaffold new handler NAME --interface stream --payload typed --transport binary --codec msgpack "
            "--events own --guard none --sends 'tick number:int at:datetime'\n"
        ),
        "",
    )
    assert json.loads(command("guide", "--control", "manual", "--json")[1])["interface"] == "websocket"
    assert not list(tmp_path.iterdir())


def test_dry_run_shows_the_plan_with_differences_and_writes_nothing(command: Command, project: Path) -> None:
    before = contents(project)
    code, out, _ = command("change", "handler", "chat", "--payload", "raw", "--dry-run")
    assert code == 0
    assert contents(project) == before
    assert "delete    src/desk/ws/chat/schemas.py" in out.splitlines()
    assert "--- a/src/desk/ws/chat/service.py" in out.splitlines()
    assert "+    async def reply(self, message: str) -> str:" in out.splitlines()
    assert "dry run: nothing was written" in out.splitlines()


def test_json_is_one_document_and_has_the_documented_shape(command: Command, project: Path) -> None:
    plan: dict[str, Any] = json.loads(
        command("change", "handler", "chat", "--payload", "raw", "--dry-run", "--json")[1]
    )
    done: dict[str, Any] = json.loads(command("change", "handler", "chat", "--payload", "raw", "--json")[1])
    assert (plan.pop("written"), done.pop("written")) == (False, True)
    assert plan == done
    assert set(done) == {"project", "changed", "conflicts", "completed", "files", "notes", "news", "command"}
    assert (done["project"], done["changed"], done["conflicts"], done["completed"]) == (str(project), True, [], [])
    assert {"action", "path", "note", "diff"} == set(done["files"][0])
    assert {it["path"]: it["action"] for it in done["files"]}["src/desk/ws/chat/schemas.py"] == "delete"
    documented = (REPOSITORY / "docs" / "command.md").read_text()
    for key in {"written", *done, *done["files"][0]}:
        assert f"`{key}`" in documented, key


def test_flag_is_there_for_every_question_of_the_guide(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "template", tmp_path / "template")
    content = (REPOSITORY / "copier.yml").read_text()
    content = content.replace("default: [handler_name,", "default: [mood, handler_name,")
    content += "mood:\n  type: str\n  help: How does it feel?\n  choices: {Fine: fine, Bad: bad}\n  default: fine\n"
    (tmp_path / "copier.yml").write_text(content)
    options = parser_of(Template(tmp_path)).parse_args(["new", "handler", "chat", "--mood", "bad"])
    assert options.mood == "bad"
    for name in questions()["guide"]["default"]:
        assert name == "handler_name" or hasattr(options, name)


def run_at_a_terminal(arguments: list[str], folder: Path, keys: bytes = ENTER, **environment: str) -> str:
    """Run the command at a terminal, press the keys where it waits, and return what it shows."""
    command = [sys.executable, "-m", "ws_scaffold", *arguments]
    return at_a_terminal(command, folder, keys, PYTHONPATH=str(REPOSITORY / "src"), **environment)


def test_terminal_is_asked_what_is_missing_in_the_words_of_the_guide(project: Path) -> None:
    shown = words(run_at_a_terminal(["new", "handler", "feed", "--direction", "push"], project))
    assert "What is in a message?" in shown
    assert "Which of Litestar's interfaces? I recommend stream." in shown
    assert questions()["interfaces"]["default"]["stream"]["reason"] in shown
    assert "Who sends messages?" not in shown
    assert handlers_of(project)[1] == {
        "name": "feed",
        "interface": "stream",
        "payload": "typed",
        "transport": "text",
        "events": "own",
        "guard": "none",
        "sends": "tick number:int at:datetime",
    }


def test_colours_are_for_terminals_that_want_them(command: Command, project: Path) -> None:
    assert "\x1b[" not in command("new", "handler", "one", "--defaults")[1]
    assert "\x1b[32mcreate" in run_at_a_terminal(["new", "handler", "two", "--defaults"], project, b"")
    assert "\x1b[" not in run_at_a_terminal(["new", "handler", "three", "--defaults"], project, b"", NO_COLOR="1")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_there_for_every_shell(command: Command, shell: str) -> None:
    code, out, _ = command("completion", shell)
    assert code == 0
    assert "_ARGCOMPLETE" in out


def test_shell_completes_flags_choices_and_handlers(project: Path) -> None:
    def completed(line: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "ws_scaffold"],
            cwd=project,
            env={
                **os.environ,
                "PYTHONPATH": str(REPOSITORY / "src"),
                "_ARGCOMPLETE": "1",
                "_ARGCOMPLETE_STDOUT_FILENAME": str(project / "completions"),
                "COMP_LINE": line,
                "COMP_POINT": str(len(line)),
                "COMP_TYPE": "9",
            },
            check=False,
        )
        assert done.returncode == 0
        return (project / "completions").read_text().replace("\x0b", " ").split()

    assert completed("ws-scaffold ren") == ["rename"]
    assert completed("ws-scaffold change handler ch") == ["chat"]
    assert completed("ws-scaffold new handler x --interface duplex-l") == ["duplex-listener"]
    assert "--transport" in completed("ws-scaffold new handler x --t")


def test_litestar_has_the_command_too(project: Path) -> None:
    """Needs the package to be installed, as `uv run` does it: Litestar finds the command by its entry point."""
    done = subprocess.run(
        [sys.executable, "-m", "litestar", "ws", "list"], cwd=project, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        0,
        "chat  /ws/chat  listener, typed, JSON in text frames, for everyone",
    ), done.stderr


def test_help_and_version_read_well(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in (
        (["--version"], f"ws-scaffold {__version__}\n"),
        (["change", "handler", "--help"], "usage: ws-scaffold change handler [-h]"),
    ):
        with pytest.raises(SystemExit) as ended:
            command(*arguments)
        assert ended.value.code == 0
        assert capsys.readouterr().out.startswith(expected)


def test_handlers_whose_classes_would_be_called_the_same_are_refused(command: Command, project: Path) -> None:
    assert command("new", "handler", "room_1", "--defaults")[0] == 0
    before = contents(project)
    for arguments in (("new", "handler", "room1", "--defaults"), ("rename", "handler", "chat", "room1")):
        code, out, err = command(*arguments)
        assert (code, out) == (2, "")
        assert err == (
            'ws-scaffold: "room1" and the handler "room_1" would have classes of the same name, such as Room1Service.\n'
            "  try: choose another name\n"
        )
    assert contents(project) == before
    assert command("rename", "handler", "room_1", "room1")[0] == 0
