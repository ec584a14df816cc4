"""Every way we know to break a generated handler; its own generated tests must notice each. See `laboratory`."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from projects import Handler

HANDLER = "src/demo/ws/{name}/handler.py"
SERVICE = "src/demo/ws/{name}/service.py"
SCHEMAS = "src/demo/ws/{name}/schemas.py"
DEPENDENCIES = "src/demo/ws/{name}/dependencies.py"
SOCKET = "src/demo/ws/socket.py"
LIMITS = "src/demo/ws/limits.py"
CHANNELS = "src/demo/ws/channels.py"
BROKER = "src/demo/ws/broker.py"
APP = "src/demo/app.py"
WORK = "src/demo/ws/work.py"
CONTRACT = "src/demo/ws/contract.py"
DOCUMENTED = "src/demo/ws/{name}/asyncapi.py"
DOCUMENT = "src/demo/ws/asyncapi.py"
PLUGIN = "src/demo/ws/plugin.py"
GUARDS = "src/demo/ws/guards.py"
HANDSHAKE = "src/demo/ws/handshake.py"
SERVER = "src/demo/server.py"
SETTINGS = "src/demo/ws/settings.py"
MAIN = "src/demo/__main__.py"

OWN = "tests/ws/test_ws_{name}.py"
_ASYNCAPI = "tests/ws/test_ws_asyncapi.py"
_GUARDS = "tests/ws/test_ws_guards.py"
_HANDSHAKE = "tests/ws/test_ws_handshake.py"
_SERVICES = "tests/ws/test_ws_services.py"
_SOCKET = "tests/ws/test_ws_socket.py"
FIRST = {
    DOCUMENT: _ASYNCAPI,
    DOCUMENTED: _ASYNCAPI,
    APP: "tests/test_app.py",
    SERVER: "tests/test_server.py",
    BROKER: "tests/ws/test_ws_broker.py",
    SETTINGS: "tests/ws/test_ws_settings.py",
    MAIN: "tests/test_main.py",
    GUARDS: _GUARDS,
    HANDSHAKE: _HANDSHAKE,
    LIMITS: OWN,
    SOCKET: _SOCKET,
    PLUGIN: _SERVICES,
    CONTRACT: "tests/ws/test_ws_contract.py",
    DEPENDENCIES: _SERVICES,
    **dict.fromkeys(
        (
            *("parameter not handed on", "parameters mixed up", "parameter not kept"),
            *("channel called after one parameter only", "dependency may be called like a parameter"),
        ),
        "tests/ws/test_ws_paths.py",
    ),
    "any part names a channel": OWN,
    "released twice": OWN,
    "await in the release unshielded": _SERVICES,
    "message in hand cut short": OWN,
    "unsubscribes unshielded": _SERVICES,
    "websocket class forgotten": OWN,
    "nothing is looked after": OWN,
    "any failure of a send taken for a client that left": _SOCKET,
    "a client that left before it was accepted is an error": _SOCKET,
    "a connection that is gone looked at": _SOCKET,
    "context kept by a timer": _SOCKET,
    "failure waits for a client that does not read": OWN,
    "application left changed by the plugin": _SERVICES,
    "handler not described": _ASYNCAPI,
    "production not the default": _ASYNCAPI,
    "size of a message not limited": OWN,
    "largest message refused": OWN,
    "guard skipped": _GUARDS,
    "subprotocol not chosen": _GUARDS,
    "origin ignored": _HANDSHAKE,
    "refusal not logged": _HANDSHAKE,
    "pages cannot ask why": _GUARDS,
    "start without a token not warned of": _GUARDS,
    "failure not logged": OWN,
    "failure logged twice": "tests/test_app.py",
    "refusals logged as failures by the plugin": _GUARDS,
    **dict.fromkeys(
        (
            *("backlog unbounded in bytes", "bytes never given back", "large event dropped", "subscribers get no turn"),
            *("subscribers get no turn for large events", "events go on without a subscription"),
            *("past kept for nobody", "past unbounded in bytes"),
        ),
        "tests/ws/test_ws_channels.py",
    ),
}
"""The tests that had better come first, by the name of a mutant or the file that it breaks; else the handler's own."""

AS_EVENTS = r"aclosing\((connection\.events\(\))\)"
DETACHED = "__import__('asyncio').ensure_future(forward())"
INVALID = r"except \(ValueError, RecursionError\)"
STOP = r"socket\.stop_receiving\(\).*"
CANCEL = r"tasks\.cancel_scope\.cancel\(\)"


def is_directed(handler: Handler) -> bool:
    """Whether what a handler sends is not said by what it receives."""
    return "out_payload" in handler or "answers" in handler


@dataclass(frozen=True)
class Mutant:
    """A way to break a handler: in one file, every match of a pattern is replaced."""

    name: str
    file: str
    pattern: str
    replacement: str | Callable[[re.Match[str]], str]
    applies: Callable[[Handler], bool] = lambda _handler: True
    everywhere: bool = True
    """Whether the interface may make a difference; else the covering set has one in the place of all."""
    directed: bool | None = False
    """Whether it is about handlers that send something else than they receive, or nothing; None for all."""
    of_paths: bool = False
    """Whether it is tried with handlers that have a path of their own, and with no others."""

    def fits(self, handler: Handler) -> bool:
        """Whether it breaks something of a handler."""
        is_about = self.of_paths == ("path" in handler) and self.directed in (None, is_directed(handler))
        return is_about and self.applies(handler)

    def apply(self, project: Path, handler: Handler) -> None:
        """Break the handler of a project; raise `LookupError` where there is nothing to break."""
        path = project / self.file.format(name=handler["name"])
        text, found = re.subn(self.pattern, self.replacement, path.read_text(), flags=re.MULTILINE)
        if not found:
            raise LookupError(f"mutant {self.name!r} finds no place in {path.relative_to(project)}")
        path.write_text(text)


def _pushes(handler: Handler) -> bool:
    return handler["interface"] == "stream"


def _duplex(handler: Handler) -> bool:
    return handler["interface"].startswith("duplex-")


def _streams(handler: Handler) -> bool:
    return _pushes(handler) or _duplex(handler)


def _receives(handler: Handler) -> bool:
    return not _pushes(handler)


def _own_loop(handler: Handler) -> bool:
    return handler["interface"].endswith("websocket")


def _typed(handler: Handler) -> bool:
    return _receives(handler) and handler["payload"] == "typed"


def _has_a_dto(handler: Handler) -> bool:
    return handler.get("contract") == "dto"


def _raw(handler: Handler) -> bool:
    return _receives(handler) and handler["payload"] == "raw"


def _bytes(handler: Handler) -> bool:
    return handler["payload"] == "raw" and handler["transport"] == "binary"


def _guarded(handler: Handler) -> bool:
    return handler["guard"] == "token"


def _shared(handler: Handler) -> bool:
    return handler.get("events") == "channel"


def _works(handler: Handler) -> bool:
    return handler.get("work") == "message"


def _says(handler: Handler) -> bool:
    return _duplex(handler) and _shared(handler)


def _form(handler: Handler, prefix: str = "") -> tuple[str, ...]:
    return tuple(handler.get(f"{prefix}{key}", "") for key in ("payload", "transport", "codec"))


def _silent(handler: Handler) -> bool:
    return handler.get("answers") == "none"


def _sends_typed(handler: Handler) -> bool:
    return handler.get("out_payload", handler["payload"]) == "typed"


def _may_answer(handler: Handler) -> bool:
    return _shared(handler) or _silent(handler) or not _sends_typed(handler)


def _packs(handler: Handler) -> bool:
    return handler.get("out_codec") == "msgpack" and handler.get("codec") != "msgpack"


def _returns(handler: Handler) -> bool:
    return "listener" in handler["interface"] and not _shared(handler) and not _silent(handler)


DIRECTED_MUTANTS = (
    Mutant(
        "sent as what is received is",
        SCHEMAS,
        r"encode = msgspec\.msgpack\.Encoder",
        "encode = msgspec.json.Encoder",
        lambda handler: _packs(handler) and (_sends_typed(handler) or _typed(handler)),
    ),
    Mutant(
        "received as what is sent is",
        SCHEMAS,
        r"decoder_of\(msgspec\.json",
        "decoder_of(msgspec.msgpack",
        lambda handler: _typed(handler) and handler.get("codec") != "msgpack",
    ),
    Mutant(
        "answer in a frame of the other kind",
        HANDLER,
        r"^ *send_mode=?.*binary.*\n",
        "",
        lambda handler: (
            _returns(handler)
            and handler.get("out_transport") == "binary"
            and not (_typed(handler) and not _sends_typed(handler))
        ),
    ),
    Mutant(
        "answer in a frame of the other kind",
        HANDLER,
        r"(send_data\((?:reply|await .*), mode=)\"(text|binary)\"",
        lambda found: f'{found[1]}"{"text" if found[2] == "binary" else "binary"}"',
        lambda handler: (_own_loop(handler) or not _returns(handler)) and (_typed(handler) or _sends_typed(handler)),
    ),
    Mutant(
        "event in a frame of the other kind",
        HANDLER,
        r"(events|encoded), mode=\"(text|binary)\"",
        lambda found: f'{found[1]}, mode="{"text" if found[2] == "binary" else "binary"}"',
        _duplex,
    ),
    Mutant(
        "raw data not sent",
        HANDLER,
        r"await socket\.send_data\(data, .*",
        "pass",
        lambda handler: _typed(handler) and not _sends_typed(handler) and not _silent(handler) and not _shared(handler),
    ),
    Mutant(
        "raw data sent before the work is committed",
        HANDLER,
        r"^( *)(data = await dispatch\(.*\n)",
        r"\1\2\1await socket.send_data(data)\n",
        lambda handler: (
            _typed(handler)
            and not _sends_typed(handler)
            and not _silent(handler)
            and not _shared(handler)
            and _works(handler)
        ),
    ),
    Mutant(
        "nothing done when there is nothing to say",
        HANDLER,
        r"event or Done\(\)",
        "event",
        lambda handler: _raw(handler) and _sends_typed(handler) and not _shared(handler) and not _silent(handler),
    ),
    Mutant(
        "message not handled",
        HANDLER,
        r"await connection\.(receive|reply)\((data|frame)\)",
        "None",
        lambda handler: _raw(handler) and _silent(handler),
    ),
    Mutant(
        "what comes of it not published",
        HANDLER,
        r"await connection\.publish\(event\)",
        "pass",
        lambda handler: _shared(handler) and (_typed(handler) or _sends_typed(handler)),
    ),
    Mutant(
        "what is sent not described",
        DOCUMENTED,
        r"^    \(\n( *Encoding.*\n) *Encoding.*\n    \),\n",
        r"\1",
        lambda handler: "out_payload" in handler and _form(handler) != _form(handler, "out_"),
    ),
    Mutant(
        "answers described as what is sent",
        DOCUMENT,
        r"return sends if .*",
        "return sends",
        lambda handler: _typed(handler) and not _sends_typed(handler),
    ),
)
"""Of handlers that send something else than they receive, or nothing."""


MUTANTS = (
    *(replace(it, directed=True) for it in DIRECTED_MUTANTS),
    # What is held, and how it is given back
    Mutant("nothing held", SERVICE, r"^ *self\.connections\.add\(connection\)\n", ""),
    Mutant("release removed", SERVICE, r"await self\.release\(connection\)", "pass", directed=None),
    Mutant("released twice", SERVICE, r"^( *)await self\.release\(connection\)", r"\g<0>\n\g<0>"),
    Mutant(
        "release not protected against a failure",
        SERVICE,
        r"^ *try:\n(?: *#.*\n)*    ( *yield connection\n) *finally:\n *#.*\n    ( *with .*\n)    ( *await self.*\n)",
        r"\1\2\3",
    ),
    Mutant("await in the release unshielded", SERVICE, r"CancelScope\(shield=True\)", "CancelScope()"),
    Mutant(
        "state shared between connections",
        SERVICE,
        r"^( *)self\.(sent|received) \+= 1$",
        r"\1self.\2 = type(self).\2 = getattr(type(self), '\2', 0) + 1",
        lambda handler: _raw(handler) or (_streams(handler) and not _shared(handler)),
    ),
    # What becomes of services
    Mutant(
        "service made for each connection",
        DEPENDENCIES,
        r"(service: \w+ =) (services\.\w+)",
        r"\1 __import__('copy').deepcopy(\2)",
    ),
    Mutant(
        "service made for each connection, and thrown away",
        DEPENDENCIES,
        r"^( *)service: (\w+) = services\.\w+\n",
        r"\g<0>\1\2(*(getattr(service, name) for name in ['_publish'] if hasattr(service, name)))\n",
    ),
    Mutant(
        "service shared between applications",
        DEPENDENCIES,
        r"(plugin\.services\.\w+ =) service",
        r"\1 globals().setdefault('shared', service)",
    ),
    Mutant(
        "service never closed",
        DEPENDENCIES,
        r"^( *)async with (service\.running\(\)):",
        r"\1plugin.running = \2\n\1await plugin.running.__aenter__()\n\1if True:",
    ),
    Mutant(
        "service closed before the handlers have ended",
        PLUGIN,
        r"( *for .*\n *await running\..*\n *#.*\n)( *running\.push_async_callback\(.*\n)",
        r"\2\1",
    ),
    Mutant("shutdown does not wait", PLUGIN, r"^ *running\.push_async_callback\(.*\n", ""),
    Mutant(
        "application starts without a service that does not",
        PLUGIN,
        r"^( *)(await running\.enter_async_context\(run_service.*)",
        r"\1with __import__('contextlib').suppress(Exception):\n\1    \2",
    ),
    Mutant(
        "channels begin after the services, and end before them",
        PLUGIN,
        r"(^ *await running\.enter_async_context\(self\.channels\)\n)((?:.*\n)*?)( *yield\n)",
        r"\2\1\3",
        _shared,
    ),
    Mutant("generator of events left open", HANDLER, AS_EVENTS, r"nullcontext(\1)", _duplex),
    Mutant("generator of events left open", DEPENDENCIES, AS_EVENTS, r"nullcontext(\1)", _pushes),
    # How the end is noticed
    Mutant(
        "deaf to the disconnect", HANDLER, r"warn_on_data_discard=False,.*", "listen_for_disconnect=False,", _pushes
    ),
    Mutant(
        "deaf to the disconnect",
        HANDLER,
        r"^( *)(.*await socket\.send_data\(.*await (connection\.reply|answer).*\n)",
        r"\1\2\1await anyio.sleep_forever()\n",
        lambda handler: _own_loop(handler) and not _shared(handler),
    ),
    Mutant(
        "deaf to the disconnect",
        HANDLER,
        r"^( *)(await connection\.reply.*\n|if \(reply := .*\n.*\n)",
        r"\1\2\1await anyio.sleep_forever()\n",
        _says,
    ),
    Mutant(
        "deaf to the disconnect",
        HANDLER,
        r"^( *)(return await (connection\.reply|answer)\(.*\n)",
        r"\1connection.old = hasattr(connection, 'old')\n\1if connection.old:\n\1    await anyio.sleep_forever()\n\1\2",
        lambda handler: _receives(handler) and not _own_loop(handler) and not _shared(handler),
    ),
    Mutant(
        "background task not cancelled", HANDLER, CANCEL + r"  # the client has left", "pass", _duplex, directed=None
    ),
    Mutant("receive loop not ended", HANDLER, STOP, "pass", _duplex, directed=None),
    Mutant("message in hand cut short", HANDLER, STOP, "tasks.cancel_scope.cancel()", _duplex),
    Mutant(
        "inbound swallowed",
        HANDLER,
        r"close=False\)",
        "close=False, listen_for_disconnect=True, warn_on_data_discard=False)",
        _duplex,
    ),
    Mutant(
        "no close at the end",
        HANDLER,
        r"^ *await socket\.close\(\).*\n",
        "",
        lambda handler: _duplex(handler) or handler["interface"] == "websocket",
    ),
    # What channels do
    Mutant("never unsubscribes", CHANNELS, r"await self\.unsubscribe\(subscriber, name\)", "pass", _shared),
    Mutant("unsubscribes unshielded", CHANNELS, r"CancelScope\(shield=True\)", "CancelScope()", _shared),
    Mutant("channels never forgotten", CHANNELS, r"del subscriptions\[name\]", "pass", _shared),
    Mutant("forwards after the client has left", HANDLER, r"tasks\.start_soon\(forward\)", DETACHED, _says),
    Mutant("backlog unbounded", CHANNELS, r" or len\(self\._events\) > self\._max_events", "", _shared),
    Mutant("newest events dropped", CHANNELS, r"^( {12})self\.popleft\(\)", r"\1self._events.pop()", _shared),
    Mutant(
        "backlog unbounded in bytes", CHANNELS, r"self\._bytes > self\._max_bytes or ", "", _shared, everywhere=False
    ),
    Mutant("bytes never given back", CHANNELS, r"self\._bytes -= len\(event\)", "pass", _shared, everywhere=False),
    Mutant(
        "large event dropped",
        CHANNELS,
        r"while len\(self\._events\) > 1 and",
        "while True and",
        _shared,
        everywhere=False,
    ),
    Mutant("subscribers get no turn", CHANNELS, r"await pace\.keep\(event\)", "pass", _shared, everywhere=False),
    Mutant(
        "subscribers get no turn for large events",
        CHANNELS,
        r" or self\._bytes >= MAX_BACKLOG_BYTES // 2",
        "",
        _shared,
        everywhere=False,
    ),
    Mutant(
        "events go on without a subscription", CHANNELS, r"self\._is_over = True", "pass", _shared, everywhere=False
    ),
    Mutant("past kept for nobody", CHANNELS, r"self\._past\.pop\(channel, None\)", "pass", _shared, everywhere=False),
    Mutant(
        "past unbounded in bytes",
        CHANNELS,
        r"NewestEvents\(HISTORY, HISTORY_BYTES\)",
        "NewestEvents(HISTORY, 10**9)",
        _shared,
        everywhere=False,
    ),
    Mutant("one channel for all", CHANNELS, r'return f"{handler}:{channel}"', "return handler", _shared),
    Mutant("any name is a channel", CHANNELS, r"if not CHANNEL_NAME\.fullmatch\(channel\)", "if not channel", _shared),
    Mutant("refused without a reason", CHANNELS, r"^ *await socket\.accept\(\)\n", "", _shared),
    Mutant("past not sent", CHANNELS, r"(get_history\(name, HISTORY\)):", r"\1 and ():", _shared),
    Mutant("past sent twice", CHANNELS, r"if event\[:ID_BYTES\] not in known", "if event", _shared),
    Mutant("past not read in order", CHANNELS, r"(await self\.backend\.get_history\(.*\)):", r"(\1)[::-1]:", _shared),
    Mutant(
        "failure to publish not survived",
        HANDLER,
        r"except (PublishError|.*, PublishError\))",
        "except KeyError",
        _says,
    ),
    Mutant(
        "done told who did not ask",
        HANDLER,
        r"None if message\.id is None else ",
        "",
        lambda handler: _typed(handler) and _may_answer(handler),
        directed=None,
    ),
    # What a path says
    Mutant(
        "parameter not handed on",
        DEPENDENCIES,
        r"service\.connect\(kind, id",
        "service.connect(kind, 0",
        lambda handler: not _shared(handler),
        of_paths=True,
    ),
    Mutant(
        "parameter not kept",
        SERVICE,
        r"self\.kind = kind",
        "self.kind = ''",
        lambda handler: not _shared(handler),
        of_paths=True,
    ),
    Mutant("parameters mixed up", DEPENDENCIES, r"Channel\(kind, id\)", "Channel(id, kind)", _shared, of_paths=True),
    Mutant(
        "channel called after one parameter only",
        CHANNELS,
        r"\(handler, \*parts\)",
        "(handler, *parts[:1])",
        _shared,
        of_paths=True,
    ),
    Mutant(
        "any part names a channel",
        CHANNELS,
        r"if not CHANNEL_NAME\.fullmatch\(part\)",
        "if not part",
        _shared,
        of_paths=True,
    ),
    Mutant(
        "dependency may be called like a parameter",
        PLUGIN,
        r"^ *check_parameters\(.*\n",
        "",
        everywhere=False,
        of_paths=True,
    ),
    Mutant("no example of a parameter", DOCUMENT, r'examples\.get\(name, ""\)', '""', everywhere=False, of_paths=True),
    # Work of its own for each message
    Mutant("work never begun", HANDLER, r"async with connection\.work\(\) as work:", "if work := [object()]:", _works),
    Mutant(
        "work never ended",
        WORK,
        r"^    with anyio\.CancelScope\(shield=True\):\n *await stack\.aclose\(\)\n",
        "",
        _works,
    ),
    Mutant(
        "work never rolled back", WORK, r"await stack\.__aexit__\(\*sys\.exc_info\(\)\)", "await stack.aclose()", _works
    ),
    Mutant("work leaked when it is cancelled", WORK, r"shield=True", "shield=False", _works),
    Mutant(
        "work held while idle",
        SERVICE,
        r"^( *)return finished\(self\.begin_work\(\)\)\n",
        r"\1self.kept = self.__dict__.get('kept') or [finished(self.begin_work())]\n"
        r"\1return __import__('contextlib').nullcontext(self.kept[0])\n",
        _works,
    ),
    Mutant(
        "one piece of work for all messages",
        DEPENDENCIES,
        r"^( *)(async with (?:service\.connect\()?.*)begin_work(.*:\n)",
        r"\1async with begin_work() as shared:\n\1    pass\n\1\2lambda: __import__('contextlib').nullcontext(shared)\3",
        lambda handler: _works(handler) and not _shared(handler),
    ),
    Mutant(
        "told before the work is committed",
        HANDLER,
        r"^( *)(event = await dispatch\(.*\n)( *#.*\n)( *)(if event is not None:\n)( *)(await connection\.publish.*\n)",
        r"\1\2\1\5\1    \7",
        lambda handler: _works(handler) and _shared(handler),
    ),
    # Kinds of messages
    Mutant("kind handled by the wrong method", HANDLER, r"connection\.typing\(", "connection.read(", _typed),
    Mutant("kind dropped", HANDLER, r"^ *case ReadMessage\(\):\n.*\n", "", _typed),
    Mutant("kind not decoded", SCHEMAS, r"^    ReadMessage,\n", "", _typed),
    Mutant("kind not described", DOCUMENTED, r"^        ReadMessage,\n", "", _typed),
    Mutant(
        "message that is not done ends the connection",
        HANDLER,
        r"except \(?MessageError.*:",
        "except KeyError:",
        lambda handler: _typed(handler) or (_receives(handler) and _sends_typed(handler)),
        directed=None,
    ),
    Mutant("answer refers to another message", CONTRACT, r"ref=message\.id", "ref=1", _typed),
    Mutant("answer refers to no message", CONTRACT, r"event if message\.id is None else .*", "event", _typed),
    Mutant("nothing done when there is nothing to say", CONTRACT, r"event or Done\(\)", "event", _typed),
    Mutant("error refers to no message", CONTRACT, r"ref=envelope\.id if .*", "ref=msgspec.UNSET)", _typed),
    Mutant("kinds not named", CONTRACT, r'f"expected a message of type .*', "str(error)", _typed),
    Mutant("kind not asked for", CONTRACT, r"messages \| NoMessage", "messages", _typed),
    # What is let in
    Mutant("invalid payload passed on", SCHEMAS, r"decoder_of\(([\w.]+), AnyMessage\)", r"\1.decode", _typed),
    Mutant("invalid payload not survived", HANDLER, INVALID, "except KeyError", _typed, directed=None),
    Mutant("deep nesting not survived", HANDLER, INVALID, "except ValueError", _typed),
    Mutant(
        "frames of the other kind let in",
        HANDLER,
        r"import RawSocket",
        "import ClientSocket as RawSocket",
        _raw,
        directed=None,
    ),
    Mutant(
        "field of the client's refused",
        SCHEMAS,
        r"(Message\(Message)",
        r"\1, forbid_unknown_fields=True",
        _typed,
    ),
    # What is let out
    Mutant("field not left out", SCHEMAS, r"exclude=\{.*\}", "exclude=set()", _has_a_dto),
    Mutant("DTO forgotten", HANDLER, r"^ *return_dto=.*\n", "", _has_a_dto),
    # The websocket class
    Mutant(
        "stock websocket class", SOCKET, r"def (send_wrapper|close|receive_data|receive_other)\(", r"def unused_\1("
    ),
    Mutant(
        "websocket class forgotten",
        PLUGIN,
        r"^ *websocket_class=ClientSocket,\n",
        "",
        lambda handler: not (_own_loop(handler) or _duplex(handler) or _raw(handler) or _shared(handler)),
    ),
    Mutant("message of no type", SOCKET, r'"websocket\.send", "bytes"', '"websocket.sent", "bytes"', _bytes),
    Mutant("a send to a client that left is an error", SOCKET, r"except OSError:\n", "except ZeroDivisionError:\n"),
    Mutant(
        "a send after the server has closed is an error",
        SOCKET,
        r"except RuntimeError as",
        "except ZeroDivisionError as",
    ),
    Mutant("a client that stopped reading is kept", SOCKET, r"if patience <= 0:", "if False:"),
    Mutant("nothing is looked after", SOCKET, r"^        look_after\(.*\n", ""),
    Mutant(
        "any failure of a send taken for a client that left",
        LIMITS,
        r"^(CLOSED_BY_SERVER =) \".*\"",
        r'\1 ""',
        everywhere=False,
    ),
    Mutant(
        "a client that left before it was accepted is an error",
        LIMITS,
        r" or NEVER_ACCEPTED in str\(exc\)",
        "",
        everywhere=False,
    ),
    Mutant("a connection that is gone looked at", LIMITS, r"None if connection is None else ", "", everywhere=False),
    Mutant(
        "looks for as long as the application runs",
        SOCKET,
        r"return None if self\._deaf else self\._send_timeout",
        "return self._send_timeout",
        everywhere=False,
    ),
    Mutant("context kept by a timer", LIMITS, r", context=Context\(\)", "", everywhere=False),
    Mutant("reason cut inside of a character", SOCKET, r"errors=\"ignore\"", "", everywhere=False),
    Mutant("message that was cancelled blamed", SOCKET, r"self\._sending\.remove\(task\)", "pass", everywhere=False),
    Mutant("message blamed for an earlier one", SOCKET, r"if not self\._sending:", "if False:", everywhere=False),
    Mutant(
        "later message excuses an earlier one",
        SOCKET,
        r"if not self\._sending:",
        "if True:",
        everywhere=False,
    ),
    Mutant(
        "sent to a client that has left",
        SOCKET,
        r"^ *self\.connection_state = \"disconnect\"\n(?= *self\._deaf = True\n *return message)",
        "",
        everywhere=False,
    ),
    Mutant(
        "received from a client that has left",
        SOCKET,
        r"^ *self\._deaf = True\n(?= *return message)",
        "",
        everywhere=False,
    ),
    Mutant("received after a close", SOCKET, r"^        self\._deaf = True\n\n", "\n", everywhere=False),
    Mutant(
        "cancelled send goes on", SOCKET, r"if not (self\._was_overdue\(\):\n *# anyio)", r"if \1", everywhere=False
    ),
    Mutant(
        "last words of a client not received",
        SOCKET,
        r"(except OSError:\n)( *)",
        r"\1\2self._deaf = True\n\2",
        _receives,
    ),
    Mutant(
        "receive goes on though the server has closed",
        SOCKET,
        r"self\._end_receiving\(\)(?=  # the server)",
        "pass",
        everywhere=False,
    ),
    Mutant(
        "receive goes on though the client is given up",
        SOCKET,
        r"(self\._cancel\(\*self\._sending\)\n) *self\._end_receiving\(\)\n",
        r"\1",
        everywhere=False,
    ),
    Mutant(
        "receive goes on though the server says nothing",
        SOCKET,
        r"if self\._receiving:(?=  # not for)",
        "if False:",
        everywhere=False,
    ),
    Mutant("cancelled twice", SOCKET, r"frozenset\(tasks\) - self\._overdue", "tasks", everywhere=False),
    Mutant("failure waits for a client that does not read", PLUGIN, r", begin_closing\]", "]"),
    Mutant(
        "failure told to nobody",
        PLUGIN,
        r"config\.after_exception \+= ",
        "config.after_exception = ",
        everywhere=False,
    ),
    Mutant(
        "application left changed by the plugin",
        LIMITS,
        r"(finally:\n *)app\.asgi_handler = handle",
        r"\1pass",
        everywhere=False,
    ),
    Mutant("plugin in two applications at once", PLUGIN, r"if self\._is_running:", "if False:", everywhere=False),
    Mutant("plugin for one run only", PLUGIN, r"(finally:\n *)self\._is_running = False", r"\1pass", everywhere=False),
    Mutant("plugin copied for its handlers", PLUGIN, r"def __deepcopy__", "def unused", everywhere=False),
    Mutant(
        "close that cannot be sent is a second failure",
        LIMITS,
        r"^            if .*is_lost\(exc\):\n                raise\n",
        "            raise\n",
        everywhere=False,
    ),
    # What the document says, and to whom
    Mutant("handler not described", HANDLER, r"^ *opt ?=.*\n", ""),
    Mutant(
        "replies not described",
        DOCUMENTED,
        r"^    replies=(\{|named\()(.*|\n(        .*\n)+    )[})],\n",
        "",
        _receives,
    ),
    Mutant("errors not described", DOCUMENTED, r"^ *Error,\n", "", _typed),
    Mutant("described at another path", DOCUMENTED, r"\"/ws/", '"/', _receives),
    Mutant("document served in production", DOCUMENT, r"enabled=.*,", "enabled=True,"),
    Mutant("production not the default", SETTINGS, r"(Environment =) \"production\"", r'\1 "development"'),
    Mutant("console without a server", DOCUMENT, r"\"servers\": .*\}\)", "})"),
    Mutant(
        "described as something else", DOCUMENTED, r"Encoding\(\"[^\"]+\"", 'Encoding("text/html"', everywhere=False
    ),
    Mutant("described in other frames", DOCUMENTED, r"frames=\"\w+\"", 'frames="none"', everywhere=False),
    Mutant(
        "no word of the encoding",
        DOCUMENT,
        r"^ *content_type=its\.content_type,\n",
        "",
        lambda handler: handler.get("codec") == "msgpack",  # else the plugin guesses it from the annotation
        everywhere=False,
    ),
    Mutant(
        "no word of the frames",
        DOCUMENT,
        r"^ *extensions=.*\n",
        "",
        lambda handler: _own_loop(handler) and handler["transport"] == "binary",  # else the plugin sees it by itself
        everywhere=False,
    ),
    Mutant("replies refer to nothing", DOCUMENT, r"\{channel\}/messages/\{name\}", "", _receives, everywhere=False),
    Mutant(
        "replies refer to something else",
        DOCUMENT,
        r"\{channel\}/messages/\{name\}",
        "{channel}/messages",
        _receives,
        everywhere=False,
    ),
    Mutant("console without TLS", DOCUMENT, r'"wss" if .* else ', "", everywhere=False),
    Mutant("bytes described as text", DOCUMENT, r", format=\"binary\"", "", _bytes, everywhere=False),
    # What one client may take
    Mutant("size of a message not limited", SOCKET, r"if data and .*:", "if False:"),
    Mutant(
        "size of a message counted in characters", LIMITS, r"len\(data\.encode\(\)\)", "len(data)", everywhere=False
    ),
    Mutant("largest message refused", SOCKET, r"size_of\(data\) > limit", "size_of(data) >= limit", everywhere=False),
    Mutant("others have no turn", SOCKET, r"if self\._left < 0:", "if False:"),
    Mutant("number of messages not limited", SOCKET, r"asyncio\.sleep\(seconds\)", "asyncio.sleep(0)"),
    Mutant(
        "client that may send slowed down",
        SOCKET,
        r"max\(self\._due, now - 1\)",
        "max(self._due, now)",
        everywhere=False,
    ),
    Mutant(
        "client that has left slowed down",
        SOCKET,
        r"if self\._max_rate and .*:",
        "if self._max_rate:",
        everywhere=False,
    ),
    Mutant("number of messages always limited", SOCKET, r"if self\._max_rate and ", "if ", everywhere=False),
    Mutant("idle connection kept", SOCKET, r"if idle <= 0:", "if False:"),
    Mutant(
        "idle connection closed with another code", SOCKET, r"^(WS_3008_TIMEOUT = )3008", r"\g<1>3000", everywhere=False
    ),
    Mutant("what is received does not count", SOCKET, r" or self\._left != self\._left_before", "", everywhere=False),
    Mutant(
        "whole turn does not count", SOCKET, r"^ *self\._moved = True\n(?= *if self\._max_rate)", "", everywhere=False
    ),
    Mutant("what is sent does not count", SOCKET, r"^ *self\._moved = True\n(?= *try:)", "", _streams),
    Mutant(
        "handler at work taken for idle",
        SOCKET,
        r"finally:\n *self\._receiving = None",
        "finally:\n                pass",
        _receives,
    ),
    Mutant("connections not limited", PLUGIN, r"guards=\[limit_connections, ", "guards=["),
    Mutant("connections not counted", LIMITS, r"^ *tasks\.add\(task\)\n", ""),
    Mutant("connections counted for ever", LIMITS, r"^ *task\.add_done_callback\(.*\n", ""),
    Mutant("one connection too many", LIMITS, r"len\(tasks\) >= limit", "len(tasks) > limit", everywhere=False),
    Mutant("limit without a way to switch it off", LIMITS, r"if limit and ", "if ", everywhere=False),
    Mutant(
        "refused for their number without their subprotocol",
        LIMITS,
        r"next\(iter\(.*\), None\)",
        "None",
        everywhere=False,
    ),
    Mutant("environment ignored", SETTINGS, r"os\.environ\.get\(variable, \"\"\)", '""', everywhere=False),
    Mutant("environment not checked", SETTINGS, r"msgspec\.convert\(value, .*\)", "value", everywhere=False),
    # What one client may keep
    Mutant("connection of who does not read kept", SERVER, r"self\.loop\.call_later\(.*\)", "None", everywhere=False),
    Mutant("connection that is kept not counted", SERVER, r"await self\._until_lost", "pass", everywhere=False),
    Mutant("connection that ends kept", SERVER, r"timeout\(self\.send_timeout\)", "timeout(None)", everywhere=False),
    Mutant("connection kept by the system", SERVER, r"^ *self\.transport\.get_extra_info\(.*\n", "", everywhere=False),
    Mutant(
        "connection of who reads ended",
        SERVER,
        r"if not self\.transport\.is_closing\(\):",
        "if False:",
        everywhere=False,
    ),
    Mutant("pings pile up", SERVER, r"if self\.writable\.is_set\(\):", "if True:", everywhere=False),
    Mutant("no ping answered", SERVER, r"super\(\)\.handle_ping\(\)", "self.conn.data_to_send()", everywhere=False),
    Mutant(
        "connection of who answers no ping kept",
        SERVER,
        r"(super\(\)\.keepalive_timeout\(\)\n) *self\._lose_patience\(\)\n",
        r"\1",
        everywhere=False,
    ),
    Mutant("fragments not limited", SERVER, r"if len\(self\.frames\) > MAX_FRAGMENTS:", "if False:", everywhere=False),
    Mutant("one fragment too few", SERVER, r"> MAX_FRAGMENTS:", ">= MAX_FRAGMENTS:", everywhere=False),
    Mutant(
        "headers that are too large not answered",
        SERVER,
        r"if not self\.handshake_initiated:",
        "if False:",
        everywhere=False,
    ),
    Mutant("shutdown waits for clients", SERVER, r" and task and not task\.cancelling\(\):", ":", everywhere=False),
    # Who may connect
    Mutant("guard skipped", HANDLER, r"^ *guards ?= ?\[require_token\],?\n", "", _guarded),
    Mutant("guard lets everybody in", GUARDS, r"if not compare_digest\(.*\):", "if False:", _guarded, everywhere=False),
    Mutant(
        "beginning of a token accepted",
        GUARDS,
        r"compare_digest\((token\.encode\(\)), (expected\.encode\(\))\)",
        r"\2.startswith(\1)",
        _guarded,
        everywhere=False,
    ),
    Mutant(
        "token accepted with more behind it",
        GUARDS,
        r"compare_digest\((token\.encode\(\)), (expected\.encode\(\))\)",
        r"\1.startswith(\2)",
        _guarded,
        everywhere=False,
    ),
    Mutant("empty token taken for one", GUARDS, r"if not token:", "if token is None:", _guarded, everywhere=False),
    Mutant(
        "any scheme of authorization",
        GUARDS,
        r"if scheme\.lower\(\) == BEARER else None",
        "",
        _guarded,
        everywhere=False,
    ),
    Mutant(
        "token told in the handshake",
        GUARDS,
        r"(connection\.subprotocol =) BEARER",
        r"\1 token",
        _guarded,
        everywhere=False,
    ),
    Mutant("subprotocol not chosen", SOCKET, r"^ *message\[\"subprotocol\"\] = .*\n", " " * 16 + "pass\n", _guarded),
    Mutant("origin ignored", PLUGIN, r", check_origin\]", "]"),
    Mutant("scheme of an origin ignored", HANDSHAKE, r"Origin\(scheme,", 'Origin("",', everywhere=False),
    Mutant("port of an origin ignored", HANDSHAKE, r"host, port or .*\)\)", 'host, "")', everywhere=False),
    Mutant("origin compared as it is written", HANDSHAKE, r"text\.lower\(\)", "text", everywhere=False),
    Mutant("origin that is none accepted", HANDSHAKE, r"origin is None or ", "", everywhere=False),
    Mutant("allowed origins not allowed", HANDSHAKE, r"if origin and .*:", "if False:", everywhere=False),
    Mutant("own pages not allowed", HANDSHAKE, r"origin != _parse\(.*\):", "True:", everywhere=False),
    Mutant("pages of any name allowed", HANDSHAKE, r"if not _is_of_this_server\(.*\):", "if False:", everywhere=False),
    Mutant("pages over TLS not allowed", HANDSHAKE, r"origin\.scheme == \"https\"", "False", everywhere=False),
    Mutant("pages of localhost not allowed", HANDSHAKE, r"origin\.host == \"localhost\"", "False", everywhere=False),
    Mutant(
        "pages of a name of localhost not allowed",
        HANDSHAKE,
        r"origin\.host\.endswith\(.*\):",
        "False:",
        everywhere=False,
    ),
    Mutant("pages of an address not allowed", HANDSHAKE, r"^    return True$", "    return False", everywhere=False),
    Mutant("programs taken for pages", HANDSHAKE, r"text is None or ", "", everywhere=False),
    Mutant("refusal not logged", PLUGIN, r"\[log_refusal, ", "[", everywhere=False),
    Mutant(
        "log forged by a path", HANDSHAKE, r"quote\((scope\[\"path\"\]), .*\)  #", r"\1  #", _shared, everywhere=False
    ),
    Mutant("log forged by an origin", HANDSHAKE, r"\{text\[:100\]!a\}", "'{text[:100]}'", everywhere=False),
    Mutant("log filled by an origin", HANDSHAKE, r"text\[:100\]", "text", everywhere=False),
    Mutant("pages cannot ask why", PLUGIN, r"\[may_connect, \*handlers\]", "handlers", _guarded, everywhere=False),
    Mutant(
        "allowed pages cannot ask why", APP, r"allow_origins=list\(.*\)", "allow_origins=[]", _guarded, everywhere=False
    ),
    Mutant(
        "start without a token not warned of",
        PLUGIN,
        r"^ *warn_without_token\(.*\n",
        "",
        _guarded,
        everywhere=False,
    ),
    Mutant("token shown", SETTINGS, r", repr=False", "", _guarded, everywhere=False),
    # How it is started
    Mutant("module that does nothing", MAIN, r"^    main\(\)\n", "    pass\n", everywhere=False),
    Mutant("page served without being asked for", MAIN, r"if options\.dev:", "if not options.dev:", everywhere=False),
    Mutant("page not served when asked for", MAIN, r'= "development"', '= ""', everywhere=False),
    Mutant("everybody reaches the server", MAIN, r"host=options\.host", "host=None", everywhere=False),
    Mutant("default host for all to reach", MAIN, r'default="127\.0\.0\.1"', 'default="0.0.0.0"', everywhere=False),
    Mutant("port ignored", MAIN, r"port=options\.port", "port=8000", everywhere=False),
    Mutant("no size told the server", MAIN, r"^ *ws_max_size=.*\n", "", everywhere=False),
    Mutant(
        "settings not read at the start", MAIN, r"= Settings\.from_environment\(\)", "= Settings()", everywhere=False
    ),
    Mutant("settings refused with a traceback", MAIN, r"parser\.error\(str\(exc\)\)", "raise", everywhere=False),
    Mutant(
        "clients that are gone not looked for", MAIN, r"ws_ping_interval=20", "ws_ping_interval=None", everywhere=False
    ),
    Mutant("pings that need no answer", MAIN, r"ws_ping_timeout=20", "ws_ping_timeout=None", everywhere=False),
    Mutant("compression negotiated", MAIN, r"^ *ws_per_message_deflate=.*\n", "", everywhere=False),
    Mutant("shutdown held up for good", MAIN, r"^ *timeout_graceful_shutdown=.*\n", "", everywhere=False),
    Mutant("limit below none", SETTINGS, r"^(Count = Annotated\[int, Meta\()ge=0, ", r"\1", everywhere=False),
    # What is told, and to whom
    Mutant(
        "refusal of a reason of its own is a failure",
        APP,
        r"WebSocketDisconnect, WebSocketException, ",
        "WebSocketDisconnect, ",
        everywhere=False,
    ),
    Mutant("error that does not say what is wrong", CONTRACT, r"detail = str\(error\) if", 'detail = "?" if', _typed),
    Mutant("error that does not say what is expected", SCHEMAS, r'detail="expected .*?"', 'detail="?"', _typed),
    Mutant("failure not logged", PLUGIN, r", log_failure, ", ", "),
    Mutant("failure logged twice", PLUGIN, r'if logged != "always" and not .*:', "if True:", everywhere=False),
    Mutant(
        "refusals logged as failures by the plugin", PLUGIN, r"if isinstance\(exc, .*:", "if False:", everywhere=False
    ),
    Mutant("refusals logged as failures", APP, r", \*range\(400, 500\)", "", everywhere=False),
    Mutant("routes described to everybody", APP, r"^ *openapi_config=None,.*\n", "", everywhere=False),
)

NO_WAIT = r"^ *await self\._listening\.wait\(\)\n"
ANY_BROKER = (
    Mutant("attempts without a pause", BROKER, r"^ *await asyncio\.sleep\(PAUSE\)\n", ""),
    Mutant("loss said again and again", BROKER, r"self\._is_lost = True", "pass"),
    Mutant("return said again and again", BROKER, r"self\._is_lost = False\n(?= *logger)", "\n"),
    Mutant("connecting may take for ever", BROKER, r"asyncio\.timeout\(CONNECT_TIMEOUT\)", "asyncio.timeout(None)"),
    Mutant("events are sent before anybody listens again", BROKER, NO_WAIT, ""),
    Mutant("events in no order", BROKER, r"(_publishing = asyncio\.)Lock\(\)", r"\1Semaphore(9999)"),
    Mutant("publishing may take for ever", BROKER, r"asyncio\.timeout\(PUBLISH_TIMEOUT\)", "asyncio.timeout(None)"),
    Mutant("URL quoted", BROKER, r"^( *)raise ValueError\(\"channels_url.*from None", r"\1raise"),
)
BROKER_MUTANTS = {
    "redis": (
        *ANY_BROKER,
        Mutant("silence is a loss", BROKER, r"^ *await pubsub\.ping\(\)\n", ""),
        Mutant("silence is never a loss", BROKER, r"^( *)is_asked = True", r"\1pass"),
        Mutant("silence ends the listening", BROKER, r"(is_asked = True\n *)continue", r"\1return"),
        Mutant("an answer is no answer", BROKER, r"^ *is_asked = False\n(?= *self)", ""),
        Mutant("never listens again", BROKER, r"return pubsub$", "return None"),
        Mutant("subscriptions end with the connection", BROKER, r", \*map\(self\._key, self\._subscribed\)", ""),
        Mutant("event overtakes the subscription", BROKER, r"^ *await self\._confirmation\(channel\)  #.*\n", ""),
        Mutant("databases of a server not apart", BROKER, r"parse_url\(url\)\.get\('db', 0\)", "0"),
        Mutant("nobody joins without the past", BROKER, r"return \[\]", "raise"),
        Mutant("connection for everybody who reads the past", BROKER, r", self\._reading(?=:)", ""),
        Mutant("past kept for a minute", BROKER, r"^(HISTORY_SECONDS = )24 \* 3600", r"\g<1>60"),
        Mutant("past kept for ever", BROKER, r'^redis\.call\("EXPIRE", list, .*\n', ""),
        Mutant("names of the past kept for ever", BROKER, r'^redis\.call\("EXPIRE", lists, .*\n', ""),
        Mutant("past unbounded", BROKER, r"count > max_events or ", ""),
        Mutant("past unbounded in bytes", BROKER, r" or offset \+ #event - first > max_bytes", ""),
        Mutant("past of any number of channels", BROKER, r'^while redis\.call\("ZCARD".*', "while false do"),
        Mutant("past of the busiest channel dropped", BROKER, r"ZPOPMIN", "ZPOPMAX"),
        Mutant("past begins with its offset", BROKER, r"entry\[OFFSET_BYTES:\]", "entry"),
    ),
    "postgres": (
        *ANY_BROKER,
        Mutant("what nobody has joined is heard", BROKER, r"channel in self\._subscribed and ", ""),
        Mutant("never listens again", BROKER, r"^ {12}await self\._end_listening\(\)\n(?= *await)", ""),
        Mutant("waits for a server that is stuck", BROKER, r"^ *await connection\.close\(\)\n(?= *sending)", ""),
        Mutant("too large an event sent", BROKER, r"if size > MAX_PAYLOAD_BYTES:", "if False:"),
    ),
}
"""Ways to break what passes events on, by broker; noticed by tests that have one."""

FILES = (HANDLER, SERVICE, DEPENDENCIES, SOCKET, LIMITS, GUARDS, HANDSHAKE, SERVER, PLUGIN, APP, SETTINGS)
CONTROLS = tuple(Mutant("nothing broken", file, r"\A", "") for file in FILES)
"""Touch a file as a mutant does, and break nothing: these must survive."""

IMPORTS = "import anyio\nfrom contextlib import nullcontext\n"
"""What mutants may use beside what the file imports itself."""
