"""A name is respelled where the template rendered it, and nowhere else; what cannot be followed is named."""

import ast
from pathlib import Path

import pytest

from conftest import Command
from test_odd_files import add
from ws_scaffold.imports import uses
from ws_scaffold.renames import Modules, Place
from ws_scaffold.render import Rendered
from ws_scaffold.spelling import HANDLER, Renamed, Spelling, edited

DUPLEX = ("--interface", "duplex-websocket")
SERVICE = "src/desk/ws/{}/service.py"

MINE = '''

async def mine(messages, events, service, connection, chat):
    """Tell the message to the chat service of an event."""
    message = {"message": "event", "messages": [chat], "ChatService": None}
    return [it for it in messages if it is None or it not in events], message, f"{service} {connection!r:>10} {{chat}}"
'''
"""Python in words of the template: of these, none is made of a handler's name."""


@pytest.fixture
def named(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """Return a project whose handler has the name that the test asks for, and is the current folder."""
    name = request.param
    assert command("new", "project", "desk", "--defaults", "--handler-name", name, *DUPLEX)[0] == 0
    monkeypatch.chdir(tmp_path / "desk")
    return tmp_path / "desk"


@pytest.mark.parametrize(
    ("named", "new"),
    [("message", "event"), ("i", "a"), ("chat", "message"), ("event", "i"), ("a", "chat")],
    indirect=["named"],
)
def test_words_of_the_users_that_look_like_a_name_stay(
    command: Command, named: Path, new: str, request: pytest.FixtureRequest
) -> None:
    old = request.node.callspec.params["named"]
    for path in (SERVICE.format(old), f"src/desk/ws/{old}/handler.py", f"tests/ws/test_ws_{old}.py", "src/desk/app.py"):
        add(named / path, MINE)
    code, _, err = command("rename", "handler", old, new)
    assert (code, err) == (0, "")
    for path in (SERVICE.format(new), f"src/desk/ws/{new}/handler.py", f"tests/ws/test_ws_{new}.py", "src/desk/app.py"):
        text = (named / path).read_text()
        assert text.endswith(MINE), path
        ast.parse(text)


@pytest.mark.parametrize("named", ["chat"], indirect=True)
def test_identifiers_that_the_template_has_made_follow_in_what_the_user_wrote(command: Command, named: Path) -> None:
    add(
        named / SERVICE.format("chat"),
        "\n\n__all__ = ['ChatService']\n\n\ndef two(one: 'ChatService | None', ChatConnection: int = 1) -> str:\n"
        "    return f'{ChatService} {one!r:>{ChatConnection}} ChatService' + 'ChatService'  # ChatService\n",
    )
    code, out, _ = command("rename", "handler", "chat", "room_talk")
    assert (
        (named / SERVICE.format("room_talk"))
        .read_text()
        .endswith(
            "\n\n__all__ = ['RoomTalkService']\n\n\n"
            "def two(one: 'RoomTalkService | None', RoomTalkConnection: int = 1) -> str:\n"
            "    return f'{RoomTalkService} {one!r:>{RoomTalkConnection}} ChatService' + 'ChatService'  # ChatService\n"
        )
    )
    assert code == 0
    notes = [line for line in out.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert notes[0].startswith("note: src/desk/ws/room_talk/service.py:")
    assert notes[0].endswith(" still says ChatService: it is RoomTalkService now")


@pytest.mark.parametrize("named", ["chat"], indirect=True)
def test_members_of_a_class_keep_their_names(command: Command, named: Path) -> None:
    lines = (
        "\n\nclass Mine:\n    ChatEvent: int = 1\n    ChatError = 2\n\n    async def chat_handler(self) -> int:\n"
        "        return self.ChatEvent + self.ChatError\n\n    def ChatMessage(self) -> int:\n"
        "        return self.chat_handler()\n"
    )
    add(named / SERVICE.format("chat"), lines)
    assert command("rename", "handler", "chat", "talk")[0] == 0
    assert (named / SERVICE.format("talk")).read_text().endswith(lines)


@pytest.mark.parametrize("named", ["chat"], indirect=True)
def test_name_that_comes_from_elsewhere_is_another_one(command: Command, named: Path) -> None:
    add(named / "src/desk/mine.py", "class ChatService: ...\n\n\nclass Mine:\n    ChatService = ChatService\n")
    lines = (
        "\n\nfrom desk import mine\nfrom desk.mine import ChatService\n\nprint(ChatService, mine.Mine.ChatService)\n"
    )
    add(named / "tests/ws/test_ws_services.py", lines)
    assert command("rename", "handler", "chat", "talk")[0] == 0
    assert (named / "tests/ws/test_ws_services.py").read_text().endswith(lines)


@pytest.mark.parametrize("named", ["chat"], indirect=True)
def test_line_of_the_templates_that_was_edited_beside_the_name_follows(command: Command, named: Path) -> None:
    handler = named / "src/desk/ws/chat/handler.py"
    text = handler.read_text()
    for old, new in (
        ('"""The handler of /chat: ', '"""The handler of /chat, as I like it: '),
        ('    "/chat",\n', '    "/chat",  # "/chat" is mine\n'),
        ("answers messages", "it answers messages"),
    ):
        assert old in text
        text = text.replace(old, new)
    handler.write_text(text)
    assert command("rename", "handler", "chat", "room_talk")[0] == 0
    text = (named / "src/desk/ws/room_talk/handler.py").read_text()
    assert '"""The handler of /room-talk, as I like it: ' in text
    assert '    "/room-talk",  # "/chat" is mine\n' in text


@pytest.mark.parametrize("named", ["chat"], indirect=True)
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("from .ws.chat.service import ChatService", "from .ws.talk.service import TalkService"),
        ("from .ws.chat.service import (\n  ChatService,\n)", "from .ws.talk.service import (\n  TalkService,\n)"),
        ("from .ws.chat import service\nservice.ChatService", "from .ws.talk import service\nservice.TalkService"),
        ("from .ws import chat, socket", "from .ws import talk as chat, socket"),
        ("from .ws import chat as c", "from .ws import talk as c"),
        (
            "from .ws import (chat)\nchat.service.ChatConnection",
            "from .ws import (talk as chat)\nchat.service.TalkConnection",
        ),
        ("import desk.ws.chat.service as x\nx.ChatService", "import desk.ws.talk.service as x\nx.TalkService"),
        (
            "import os, desk.ws.chat.service\nos.x(desk.ws.chat.service.ChatService, chat=1)",
            "import os, desk.ws.talk.service\nos.x(desk.ws.talk.service.TalkService, chat=1)",
        ),
        ("from desk import ws\nws.chat.service.ChatService()", "from desk import ws\nws.talk.service.TalkService()"),
        ("from .ws.chat.service import ChatService as S", "from .ws.talk.service import TalkService as S"),
        ("from .ws.chat_2 import ChatService\nChatService()", "from .ws.chat_2 import ChatService\nChatService()"),
        ("from chat import ChatService\nimport chat.ws", "from chat import ChatService\nimport chat.ws"),
    ],
)  # fmt: skip
def test_imports_of_what_has_moved_are_followed_in_generated_files(
    command: Command, named: Path, line: str, expected: str
) -> None:
    add(named / "src/desk/app.py", f"\n\n{line}\n")
    code, out, err = command("rename", "handler", "chat", "talk")
    assert (code, err) == (0, "")
    assert (named / "src/desk/app.py").read_text().endswith(f"\n\n{expected}\n")
    assert "note: " not in out


@pytest.mark.parametrize("named", ["chat"], indirect=True)
def test_imports_are_followed_in_another_handlers_files(command: Command, named: Path) -> None:
    assert command("new", "handler", "feed", "--interface", "stream")[0] == 0
    add(named / SERVICE.format("feed"), "\n\nfrom ..chat.service import ChatService\n\nMINE = ChatService\n")
    code, out, _ = command("rename", "handler", "chat", "talk")
    assert (code, "merge     src/desk/ws/feed/service.py" in out.splitlines()) == (0, True)
    expected = "\n\nfrom ..talk.service import TalkService\n\nMINE = TalkService\n"
    assert (named / SERVICE.format("feed")).read_text().endswith(expected)


@pytest.mark.parametrize("named", ["chat"], indirect=True)
def test_what_may_need_a_hand_is_named_by_file_and_line(command: Command, named: Path) -> None:
    own = {
        "src/desk/ws/chat/mine.py": "from .service import ChatService\n",
        "src/desk/mine.py": "import os\n\nfrom .ws.chat import service\nfrom .ws import chat\n",
        "tests/test_mine.py": 'URL = "ws://localhost/ws/chat"\nOTHER = "/ws/chats /chat-2"\n',
        "deploy.toml": 'factory = "desk.ws.chat.service:ChatService"\nprose = "a chat of desk"\n',
        "Makefile": "lint:\n\truff check src/desk/ws/chat\n",
    }
    for path, text in own.items():
        add(named / path, text)
    (named / "blob.bin").write_bytes(b"\0desk.ws.chat")
    code, out, _ = command("rename", "handler", "chat", "talk")
    assert code == 0
    assert [line for line in out.splitlines() if line.startswith("note: ")] == [
        "note: Makefile:2 still says src/desk/ws/chat: it is src/desk/ws/talk now",
        "note: deploy.toml:1 still says desk.ws.chat: it is desk.ws.talk now",
        "note: deploy.toml:1 still says ChatService: it is TalkService now",
        "note: src/desk/mine.py:3, 4 still says chat: it is talk now",
        "note: src/desk/ws/talk/mine.py:1 still says ChatService: it is TalkService now",
        "note: tests/test_mine.py:1 still says /chat: it is /talk now",
    ]
    for path, text in own.items():
        assert (named / path.replace("ws/chat", "ws/talk")).read_text() == text


@pytest.mark.parametrize("named", ["chat"], indirect=True)
def test_very_many_notes_are_counted(command: Command, named: Path) -> None:
    for number in range(30):
        add(named / f"own/mine_{number:02}.py", "import desk.app\n" * 9)
    code, out, _ = command("change", "project", "--package-name", "trading")
    notes = [line for line in out.splitlines() if line.startswith("note: ")]
    assert (code, len(notes)) == (0, 21)
    assert notes[0] == "note: own/mine_00.py:1, 2, 3, 4, 5 and more still says desk: it is trading now"
    assert notes[-1] == "note: and 10 more like these"


@pytest.mark.parametrize("named", ["chat"], indirect=True)
def test_package_is_respelled_only_where_it_is_the_package(command: Command, named: Path) -> None:
    settings = (
        '\nHOST = "desk.example.com"\nDB = "desk.sqlite3"\nLOG = \'desk.log\'\nTOPIC = "desk"\nAPP = "desk.app:app"\n'
    )
    add(named / "src/desk/ws/settings.py", settings)
    add(named / "README.md", "\nIt moves from desk to desk.\n")
    add(
        named / "src/desk/app.py",
        "\nimport os, desk.ws\nimport desk.ws.chat.service as x\nfrom desk import ws\n\nprint(desk.ws, x, ws, os.d)\n",
    )
    (named / "src/desk/blob.bin").write_bytes(b"\0desk.app desk")
    code, out, err = command("change", "project", "--package-name", "trading")
    assert (code, err) == (0, "")
    assert (named / "src/trading/ws/settings.py").read_text().endswith(settings)
    assert (named / "README.md").read_text().endswith("\nIt moves from desk to desk.\n")
    assert (
        (named / "src/trading/app.py")
        .read_text()
        .endswith(
            "\nimport os, trading.ws\nimport trading.ws.chat.service as x\nfrom trading import ws\n\n"
            "print(trading.ws, x, ws, os.d)\n"
        )
    )
    assert (named / "src/trading/blob.bin").read_bytes() == b"\0desk.app desk"
    line = (named / "src/trading/ws/settings.py").read_text().count("\n")
    assert [it for it in out.splitlines() if it.startswith("note: ")] == [
        f"note: src/trading/ws/settings.py:{line} still says desk: it is trading now"
    ]


@pytest.mark.parametrize("named", ["chat"], indirect=True)
def test_name_that_is_something_else_as_well_is_not_followed_but_named(command: Command, named: Path) -> None:
    add(named / "src/desk/app.py", "\nimport desk.ws\n\n\ndef mine(desk: int) -> int:\n    return desk\n")
    code, out, _ = command("change", "project", "--package-name", "trading")
    text = (named / "src/trading/app.py").read_text()
    assert text.endswith("\nimport trading.ws\n\n\ndef mine(desk: int) -> int:\n    return desk\n")
    assert (code, " still says desk: it is trading now" in out) == (0, True)


@pytest.mark.parametrize("named", ["chat"], indirect=True)
def test_text_that_is_no_python_is_kept_and_named(command: Command, named: Path) -> None:
    add(named / SERVICE.format("chat"), "\n\nprint ChatService is None\n")
    code, out, _ = command("rename", "handler", "chat", "talk")
    named_as = "note: src/desk/ws/talk/service.py is no Python: its imports are not followed"
    assert (code, named_as in out.splitlines()) == (0, True)
    assert (named / SERVICE.format("talk")).read_text().endswith("\n\nprint ChatService is None\n")


@pytest.mark.parametrize("named", ["chat"], indirect=True)
def test_name_that_an_edit_has_made_another_word_of_stays(command: Command, named: Path) -> None:
    handler = named / "src/desk/ws/chat/handler.py"
    text = handler.read_text()
    assert '    "/chat",\n' in text
    handler.write_text(
        text.replace('    "/chat",\n', '    "/chatter",\n').replace("The handler of /chat", "Mine of /a-chat")
    )
    assert command("rename", "handler", "chat", "talk")[0] == 0
    text = (named / "src/desk/ws/talk/handler.py").read_text()
    assert '    "/chatter",\n' in text
    assert text.startswith('"""Mine of /a-chat: ')


# Without a template


def spelling(name: str, new: str, marked: str) -> Spelling:
    """Return where a name stands in a file of a handler, given that file with the stand-in."""
    file = Rendered(marked.encode, "handler.py", HANDLER)
    return Spelling([Renamed(name, new, HANDLER)], lambda: {"handler.py": file})


def test_every_spelling_is_known() -> None:
    marked = "zqh_zqj zqh-zqj Zqh zqj ZqhZqj ZQH_ZQJ zqhzqj"
    known = spelling("market_data", "chat_2", marked)
    (line,) = known.lines("handler.py", "market_data")
    assert line == "market_data market-data Market data MarketData MARKET_DATA marketdata"
    assert edited(line, known.spans(marked)) == "chat_2 chat-2 Chat 2 Chat2 CHAT_2 chat2"


def test_line_that_the_template_also_has_without_the_name_holds_none() -> None:
    known = spelling("message", "event", "    zqh_zqj,\n    message,\n    zqh_zqj: it,\n")
    assert known.lines("handler.py", "message") == {"    message: it,": "    zqh_zqj: it,"}


def test_identifier_that_the_template_also_has_without_the_name_is_none() -> None:
    known = spelling("publish", "send", "class PublishError: ...\nclass ZqhZqjError: ...\nclass ZqhZqjEvent: ...\n")
    assert known.identifiers("publish") == {"PublishEvent": "SendEvent"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x: Literal['ChatEvent'] | Annotated[A, 'ChatEvent']", "x: Literal['ChatEvent'] | Annotated[A, 'ChatEvent']"),
        ("x: list['ChatEvent | int'] | 'ChatEvent'", "x: list['TalkEvent | int'] | 'TalkEvent'"),
        ("x = 'ChatEvent'", "x = 'ChatEvent'"),
        ("x.ChatEvent = ChatEvent", "x.ChatEvent = TalkEvent"),
        ("import desk.ws\nimport y as desk\ndesk.ws.chat", "import desk.ws\nimport y as desk\ndesk.ws.chat"),
        ("from ...ws import chat", "from ...ws import chat"),
        ("raise x from ChatEvent", "raise x from TalkEvent"),
        ("if x:\n  from . import (\n    chat,  # a\n  )", "if x:\n  from . import (\n    talk as chat,  # a\n  )"),
        ("x = 'ä'; import desk.ws.chat", "x = 'ä'; import desk.ws.talk"),
        ("import desk.ws.chat.x as y, desk.ws.chat_2", "import desk.ws.talk.x as y, desk.ws.chat_2"),
    ],
)  # fmt: skip
def test_what_uses_a_name_and_what_does_not(text: str, expected: str) -> None:
    place = Place(("desk", "ws"), ("desk", "ws"), {"ChatEvent": "TalkEvent"}, defines=True)
    found = uses(text, place, Modules({("desk", "ws", "chat"): ("desk", "ws", "talk")}))
    assert found
    assert edited(text, found.edits) == expected
