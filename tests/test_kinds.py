"""Kinds of messages: how they are said, and how they come, go, and are renamed without a line of the user's lost."""

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Command
from projects import commit, handlers_of, run, run_own_tests

ROOM = ("--interface", "duplex-listener", "--events", "channel")
FOLDER = "src/desk/ws/room"
SERVICE, TESTS = f"{FOLDER}/service.py", "tests/ws/test_ws_room.py"
RETURN = "        return SaidEvent(text=message.text, at=datetime.now(UTC))\n"


@pytest.fixture
def room(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project whose handler receives two kinds, committed; it is the current folder."""
    kinds = ("--messages", "say text:str, typing", "--sends", "said text:str at:datetime, left")
    assert command("new", "project", "desk", "--handler-name", "room", *ROOM, *kinds)[0] == 0
    commit(tmp_path / "desk")
    monkeypatch.chdir(tmp_path / "desk")
    return tmp_path / "desk"


def edit(path: Path, old: str, new: str) -> None:
    """Put one text in the place of another, which is there once."""
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new))


def edited(room: Path) -> Path:
    """Return the project with edits of its owner's, committed."""
    edit(room / SERVICE, RETURN, f"        self.last = message.text  # mine\n{RETURN}")
    edit(
        room / SERVICE,
        "    async def publish(self, event: Event) -> None:\n",
        "    async def mine(self, message: SayMessage) -> None:\n        await self.say(message)  # mine\n\n"
        "    async def publish(self, event: Event) -> None:\n",
    )
    edit(
        room / f"{FOLDER}/schemas.py",
        "    text: str\n    at: datetime\n",
        "    text: str\n    at: datetime\n    by: str = 'me'\n",
    )
    (room / TESTS).write_text(
        f"{(room / TESTS).read_text()}\n\ndef test_mine() -> None:\n    assert SAY and SayMessage\n"
    )
    commit(room, "Mine")
    return room


def diff(project: Path) -> dict[str, list[str]]:
    """Return which lines have come and gone, by file."""
    done = run("git", "diff", "--unified=0", "--no-color", cwd=project)
    lines: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        if line.startswith("+++ b/"):
            path = line.removeprefix("+++ b/")
        elif line.startswith(("+", "-")) and not line.startswith("---"):
            lines.setdefault(path, []).append(line)
    return lines


def kinds_of(project: Path) -> tuple[str, str]:
    """Return what the state says of the first handler's kinds."""
    (handler, *_) = handlers_of(project)
    return handler.get("messages", ""), handler["sends"]


# How they are said ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("say", "say"),
        ("say,typing", "say, typing"),
        ("  say   text:str,typing  ", "say text:str, typing"),
        (
            "say text:string n:integer x:number y:double z:boolean t:text",
            "say text:str n:int x:float y:float z:bool t:str",
        ),
        (
            "a to:int? tags:list[string]? at:datetime day:date who:uuid",
            "a to:int? tags:list[str]? at:datetime day:date who:uuid",
        ),
    ],
)
def test_kinds_are_kept_in_one_spelling(command: Command, tmp_path: Path, said: str, kept: str) -> None:
    assert command("new", "project", "desk", "--messages", said, "--sends", said, "--defaults")[0] == 0
    assert kinds_of(tmp_path / "desk") == (kept, kept)


TYPES = "str, int, float, bool, datetime, date, uuid, such as text:str, list[str] for several, and a question mark for"


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        ("", '"" cannot be a kind: take up to 30 small letters, digits and underscores, such as say.'),
        ("say,", '"" cannot be a kind: take up to 30 small letters, digits and underscores, such as say.'),
        ("Say", '"Say" cannot be a kind: take up to 30 small letters, digits and underscores, such as say.'),
        ("say-it", '"say-it" cannot be a kind: take up to 30 small letters, digits and underscores, such as say.'),
        ("x" * 31, f'"{"x" * 31}" cannot be a kind: take up to 30 small letters, digits and underscores, such as say.'),
        ("class", '"class" has a meaning of its own: take another name for the kind, such as my_class.'),
        ("done", '"done" has a meaning of its own: take another name for the kind, such as my_done.'),
        ("say, say", '"say" is named like another kind: take another name for one of them.'),
        ("a_1, a1", '"a1" is named like another kind: take another name for one of them.'),
        ("say text", f'"text" cannot be a field: take a name and one of {TYPES} one that may be missing.'),
        ("say text:strr", f'"text:strr" cannot be a field: take a name and one of {TYPES} one that may be missing.'),
        ("say :str", f'":str" cannot be a field: take a name and one of {TYPES} one that may be missing.'),
        ("say x:list[y]", f'"x:list[y]" cannot be a field: take a name and one of {TYPES} one that may be missing.'),
        ("say id:str", '"id:str" cannot be a field: "id" is taken, so choose another name.'),
        ("say a:str a:int", '"a:int" cannot be a field: "a" is taken, so choose another name.'),
        ("say if:str", '"if:str" cannot be a field: "if" is taken, so choose another name.'),
        ("say date:date", '"date:date" cannot be a field: "date" is taken, so choose another name.'),
    ],
)
def test_what_cannot_be_a_kind_is_refused(command: Command, tmp_path: Path, said: str, refusal: str) -> None:
    for flag in ("--messages", "--sends"):
        code, out, err = command("new", "project", "desk", flag, said, "--defaults")
        assert (code, out, err) == (2, "", f"ws-scaffold: {refusal}\n")
        assert not (tmp_path / "desk").exists()


@pytest.mark.parametrize(
    ("answers", "refusal"),
    [
        (
            ["--payload", "raw", "--messages", "say"],
            'messages "say" contradicts payload "raw": a raw message is of no kind.',
        ),
        (["--payload", "raw", "--sends", "say"], 'sends "say" contradicts payload "raw": a raw message is of no kind.'),
        (
            ["--direction", "push", "--messages", "say"],
            'messages "say" contradicts direction "push": a handler that only sends receives none.',
        ),
        (
            ["--interface", "stream", "--contract", "dto", "--sends", "one, two"],
            'sends "one, two" contradicts contract "dto": a DTO passes on one kind.',
        ),
    ],
)
def test_kinds_that_contradict_other_answers_are_refused(command: Command, answers: list[str], refusal: str) -> None:
    assert command("new", "project", "desk", *answers, "--defaults") == (2, "", f"ws-scaffold: {refusal}\n")


def test_state_with_kinds_that_cannot_be_is_refused(command: Command, room: Path) -> None:
    state = room / ".copier-answers.yml"
    edit(state, "messages: say text:str, typing", 'messages: "x(tag=1)) __import__(chr(1)"')
    code, _, err = command("list")
    assert code == 1
    assert 'has a handler 1 that cannot be: "' in err


# How they come --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["say,typing,read", "say text:str, typing, read", "say,read,typing"])
def test_new_kind_comes_alone(command: Command, room: Path, said: str) -> None:
    """A struct, a method, a case, a test, and a line in every list; all else stays as it is."""
    edited(room)
    code, out, _ = command("change", "handler", "room", "--messages", said)
    assert (code, "conflict" in out) == (0, False)
    lines = diff(room)
    assert sorted(lines) == sorted(
        [
            ".copier-answers.yml",
            "README.md",
            TESTS,
            *(f"{FOLDER}/{it}.py" for it in ("asyncapi", "handler", "schemas", "service")),
        ]
    )
    state = lines.pop(".copier-answers.yml")
    assert [line[0] for line in state] == ["-", "+"]
    for path, changed in lines.items():
        assert not [line for line in changed if line.startswith("-")], path
    wanted = {"handler": 3, "schemas": 3, "asyncapi": 2}
    for name, count in wanted.items():
        assert len([it for it in lines[f"{FOLDER}/{name}.py"] if it.strip("+ ")]) == count, name


def test_project_with_new_kinds_passes_its_own_tests(command: Command, room: Path) -> None:
    edited(room)
    kinds = "say text:str, typing, read up_to:int tags:list[str]? at:datetime"
    assert command("change", "handler", "room", "--messages", kinds, "--sends", "said, left, x y:uuid")[0] == 0
    done = run_own_tests(Path(sys.executable), room)
    assert done.returncode == 0, done.stdout


def test_kind_that_is_only_named_keeps_its_fields(command: Command, room: Path) -> None:
    assert command("change", "handler", "room", "--messages", "typing, say", "--sends", "left, said, gone")[0] == 0
    assert kinds_of(room) == ("typing, say text:str", "left, said text:str at:datetime, gone")
    assert command("change", "handler", "room", "--messages", "say n:int")[0] == 0
    assert kinds_of(room)[0] == "say n:int"


def test_field_that_is_added_by_hand_breaks_no_test_that_is_not_about_fields(room: Path) -> None:
    schemas = room / f"{FOLDER}/schemas.py"
    edit(
        schemas,
        '    """What a client sends as `say`."""\n\n    text: str\n',
        '    """What a client sends as `say`."""\n\n    text: str\n    mood: Literal["good", "bad"]\n    at: datetime\n'
        "    tags: list[str]\n    to: int | None\n    where: dict[str, float]\n",
    )
    edit(schemas, "from typing import Union\n", "from typing import Literal, Union\n")
    done = run_own_tests(Path(sys.executable), room, "tests/ws/test_ws_room.py")
    assert done.returncode == 0, done.stdout


# How they go ----------------------------------------------------------------------------------------------------------


def test_kind_that_goes_leaves_nothing(command: Command, room: Path) -> None:
    edited(room)
    before = {path: (room / path).read_text() for path in (SERVICE, TESTS, f"{FOLDER}/schemas.py")}
    assert command("change", "handler", "room", "--messages", "say,typing,read")[0] == 0
    code, out, _ = command("change", "handler", "room", "--messages", "say,typing")
    assert (code, {path: (room / path).read_text() for path in before}) == (0, before), out
    assert command("change", "handler", "room", "--messages", "say", "--sends", "said")[0] == 0
    text = "".join(path.read_text() for path in (room / FOLDER).glob("*.py"))
    assert not re.search("TypingMessage|`typing`|LeftEvent", text)
    done = run_own_tests(Path(sys.executable), room, "tests/ws/test_ws_room.py")
    assert done.returncode == 0, done.stdout


EDITS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a line in the method": (
        SERVICE,
        lambda room: edit(room / SERVICE, 'if anything."""\n', 'if anything."""\n        return None\n'),
    ),
    "a comment in the method": (
        SERVICE,
        lambda room: edit(room / SERVICE, 'if anything."""\n', 'if anything."""\n        # mine\n'),
    ),
    "a field": (
        f"{FOLDER}/schemas.py",
        lambda room: edit(
            room / f"{FOLDER}/schemas.py", 'sends as `typing`."""\n', 'sends as `typing`."""\n\n    to: int = 0\n'
        ),
    ),
    "a line in its test": (
        TESTS,
        lambda room: edit(room / TESTS, 'watch("typing")\n', 'watch("typing")\n        assert True\n'),
    ),
    "a use of its class": (
        SERVICE,
        lambda room: edit(
            room / SERVICE, "class RoomService:\n", "LAST: TypingMessage | None = None\n\n\nclass RoomService:\n"
        ),
    ),
}


@pytest.mark.parametrize("what", EDITS)
def test_kind_that_the_user_has_made_something_of_stays_and_is_named(command: Command, room: Path, what: str) -> None:
    path, change = EDITS[what]
    change(room)
    commit(room, "Mine")
    code, out, _ = command("change", "handler", "room", "--messages", "say")
    note = f'note: the kind "typing" stays, as {path} holds edits of it: remove those first\n'
    assert (code, note in out, diff(room)) == (0, True, {})
    assert command("change", "handler", "room", "--messages", "read, say")[0] == 0
    assert kinds_of(room)[0] == "read, say text:str, typing"


def test_kind_of_events_that_the_user_relies_on_stays(command: Command, room: Path) -> None:
    edit(room / SERVICE, "    SaidEvent,\n", "    LeftEvent,\n    SaidEvent,\n")
    edit(
        room / SERVICE,
        "        self.connections.remove(connection)\n",
        "        self.connections.remove(connection)\n        LeftEvent()\n",
    )
    code, out, _ = command("change", "handler", "room", "--sends", "said")
    assert (code, f'note: the kind "left" stays, as {SERVICE} holds edits of it' in out) == (0, True)
    assert kinds_of(room)[1] == "said text:str at:datetime, left"


# How they are renamed -------------------------------------------------------------------------------------------------


def test_kind_is_renamed_with_what_uses_it(command: Command, room: Path) -> None:
    edited(room)
    with (room / "src/desk/app.py").open("a") as file:
        file.write("\nfrom .ws.room.schemas import SayMessage, SaidEvent\n\nMINE = SayMessage, 'SayMessage', 'say'\n")
    code, out, _ = command("rename", "kind", "room", "say", "speak_up")
    assert (code, "conflict" in out) == (0, False)
    assert kinds_of(room)[0] == "speak_up text:str, typing"
    service, tests = (room / SERVICE).read_text(), (room / TESTS).read_text()
    assert "    async def speak_up(\n        self,\n        message: SpeakUpMessage,\n" in service
    mine = "    async def mine(self, message: SpeakUpMessage) -> None:\n        await self.speak_up(message)  # mine\n"
    assert mine in service
    assert "        self.last = message.text  # mine\n" in service
    assert "    assert SPEAK_UP and SpeakUpMessage\n" in tests
    assert "MINE = SpeakUpMessage, 'SayMessage', 'say'\n" in (room / "src/desk/app.py").read_text()
    assert command("rename", "kind", "room", "say", "speak_up")[1].startswith("already up to date\n")
    assert command("rename", "kind", "room", "speak_up", "say")[0] == 0
    done = run("git", "diff", "--stat", "--", FOLDER, TESTS, cwd=room)
    assert done.stdout == ""


def test_kind_that_is_received_and_sent_has_one_name(command: Command, room: Path) -> None:
    assert command("change", "handler", "room", "--sends", "said, typing by:str")[0] == 0
    assert command("rename", "kind", "room", "typing", "writing")[0] == 0
    assert kinds_of(room) == ("say text:str, writing", "said text:str at:datetime, writing by:str")
    assert "class WritingMessage(" in (room / f"{FOLDER}/schemas.py").read_text()
    assert "class WritingEvent(" in (room / f"{FOLDER}/schemas.py").read_text()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            ["sya", "x"],
            'The handler "room" has no kind "sya". Did you mean "say"?\n  try: one of left, said, say, typing',
        ),
        (["say", "typing"], '"typing" is named like another kind: take another name for one of them.'),
        (
            ["say", "Speak"],
            '"Speak" cannot be a kind: take up to 30 small letters, digits and underscores, such as say.',
        ),
        (["say", "x y:str"], '"x y:str" cannot be a kind.\n  try: take one name, such as speak_up\n'),
    ],
)
def test_rename_that_cannot_be_is_refused(command: Command, room: Path, words: list[str], error: str) -> None:
    code, out, err = command("rename", "kind", "room", *words)
    assert (code, out, diff(room)) == (2, "", {})
    assert err.startswith(f"ws-scaffold: {error}")


# Whatever happens -----------------------------------------------------------------------------------------------------


def test_random_histories_of_kinds_lose_nothing(command: Command, room: Path) -> None:
    """Kinds come, go and are renamed while lines of the user's stand beside them: as many lines as there were stay."""
    rng = random.Random(1)  # noqa: S311 - no secret
    words = ["say", "typing", "read", "gone", "a_1", "a_10"]
    written = 0
    for _ in range(60):
        messages, sends = (list(filter(None, it.split(", "))) for it in kinds_of(room))
        match rng.choice(["messages", "messages", "sends", "rename", "edit", "edit"]):
            case "messages":
                command("change", "handler", "room", "--messages", ",".join(rng.sample(words, rng.randint(1, 4))))
            case "sends":
                command("change", "handler", "room", "--sends", ",".join(rng.sample(words, rng.randint(1, 3))))
            case "rename":
                old = rng.choice([*messages, *sends]).split()[0]
                command("rename", "kind", "room", old, rng.choice(words))
            case "edit":
                path = room / rng.choice([SERVICE, f"{FOLDER}/handler.py", f"{FOLDER}/schemas.py", TESTS])
                lines = path.read_text().splitlines(keepends=True)
                at = rng.randrange(len(lines))
                indent = re.match(" *", lines[at])
                changed = [*lines[:at], f"{indent[0] if indent else ''}# mine {written}\n", *lines[at:]]
                if _compiles("".join(changed)):
                    path.write_text("".join(changed))
                    written += 1
        files = {path: path.read_text() for path in (room / FOLDER).glob("*.py")} | {
            room / TESTS: (room / TESTS).read_text()
        }
        text = "".join(files.values())
        assert [it for it in range(written) if not re.search(rf"# mine {it}$", text, re.MULTILINE)] == []
        if "<<<<<<<" in text:
            for path, content in files.items():
                path.write_text(re.sub(r"(?m)^(<<<<<<< ours|=======|>>>>>>> theirs)\n", "", content))
            subprocess.run(["git", "commit", "--quiet", "--all", "--message", "x"], cwd=room, check=True)
            break  # what is left between them need not be Python
        assert all(map(_compiles, files.values()))
    listed: dict[str, Any] = json.loads(command("list", "--json")[1])
    assert listed["handlers"][0]["name"] == "room"


def _compiles(text: str) -> bool:
    try:
        compile(text, "it.py", "exec")
    except SyntaxError:
        return False
    return True


ODD = (
    "list kind:str fields:int message:str? app:str session:bool, str, type text:str, print, answer, dispatch, "
    "decode x:int, encode, connection, name, codec sample:str, test_it test:str, event, message, any_message, "
    "anyio, plugin_of, int"
)
"""Kinds and fields that are called what something else is called in the files that they come into."""


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--work", "message"), ROOM])
def test_kinds_of_odd_names_pass_their_own_tests(command: Command, tmp_path: Path, options: tuple[str, ...]) -> None:
    assert command("new", "project", "desk", *options, "--messages", ODD, "--sends", ODD, "--defaults")[0] == 0
    done = run(sys.executable, "-m", "mypy", "--no-error-summary", cwd=tmp_path / "desk")
    assert done.returncode == 0, done.stdout
    done = run_own_tests(Path(sys.executable), tmp_path / "desk")
    assert done.returncode == 0, done.stdout


def test_field_that_hides_what_is_beside_it_is_refused(command: Command) -> None:
    for field in ("list:str?", "self:str", "str:str", "internal:int", "ref:int"):
        code, out, err = command("new", "project", "desk", "--messages", f"say {field}", "--defaults")
        assert (code, out) == (2, "")
        assert err == (
            f'ws-scaffold: "{field}" cannot be a field: "{field.partition(":")[0]}" is taken, so choose another name.\n'
        )
