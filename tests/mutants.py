"""Break every generated handler in every way we know; its own generated tests must notice.

``python tests/mutants.py`` tries every mutant on every handler. ``python tests/mutants.py covering`` tries every mutant
once on every interface that it applies to, and every handler at least once.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from projects import (
    HANDLERS,
    PYTHONS,
    Handler,
    build_environment,
    copy_of_the_working_tree,
    find_python,
    render,
    run_own_tests,
)

TIMEOUT = 60.0
"""Seconds that a mutant's tests may take; the project's own limit for a blocked event loop is 10."""

HANDLER = "src/demo/ws/{name}/handler.py"
SERVICE = "src/demo/ws/{name}/service.py"
SCHEMAS = "src/demo/ws/{name}/schemas.py"
DEPENDENCIES = "src/demo/ws/{name}/dependencies.py"
SOCKET = "src/demo/ws/socket.py"
APP = "src/demo/app.py"

AS_EVENTS = r"aclosing\((connection\.events\(\))\)"
INVALID = r"except \(ValueError, RecursionError\)"
CANCEL = r"tasks\.cancel_scope\.cancel\(\)"


@dataclass(frozen=True)
class Mutant:
    """A way to break a handler: in one file, every match of a pattern is replaced."""

    name: str
    file: str
    pattern: str
    replacement: str
    applies: Callable[[Handler], bool] = lambda _handler: True

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


def _raw(handler: Handler) -> bool:
    return _receives(handler) and handler["payload"] == "raw"


MUTANTS = (
    # What is held, and how it is given back
    Mutant("nothing held", SERVICE, r"^ *self\.connections\.add\(connection\)\n", ""),
    Mutant("release removed", SERVICE, r"await self\.release\(connection\)", "pass"),
    Mutant("released twice", SERVICE, r"^( *)await self\.release\(connection\)", r"\g<0>\n\g<0>"),
    Mutant(
        "release not protected against a failure",
        SERVICE,
        r"^ *try:\n    ( *yield connection\n) *finally:\n *#.*\n    ( *with .*\n)    ( *await self\.release.*\n)",
        r"\1\2\3",
    ),
    Mutant("await in the release unshielded", SERVICE, r"CancelScope\(shield=True\)", "CancelScope()"),
    Mutant(
        "state shared between connections",
        SERVICE,
        r"^( *)self\.(sent|received) \+= 1$",
        r"\1self.\2 = type(self).\2 = getattr(type(self), '\2', 0) + 1",
    ),
    Mutant(
        "service shared between applications",
        DEPENDENCIES,
        r"^( *)service: \w+ = state\.setdefault\(\n *\"\w+\",\n *(\w+\(\)),\n *\)",
        r"\1service = globals().setdefault('service', \2)",
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
        r"^( *)(.*await socket\.send_data\(.*await connection\.reply.*\n)",
        r"\1\2\1await anyio.sleep_forever()\n",
        _own_loop,
    ),
    Mutant(
        "deaf to the disconnect",
        HANDLER,
        r"^( *)(return .*await connection\.reply.*\n)",
        r"\1if connection.received:\n\1    await anyio.sleep_forever()\n\1\2",
        lambda handler: _receives(handler) and not _own_loop(handler),
    ),
    Mutant("background task not cancelled", HANDLER, CANCEL + r"  # the client has left", "pass", _duplex),
    Mutant("receive loop not cancelled", HANDLER, CANCEL + r"  # no more events", "pass", _duplex),
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
    # What is let in
    Mutant("invalid payload passed on", SCHEMAS, r"Decoder\(\w+\)", "Decoder()", _typed),
    Mutant("invalid payload not survived", HANDLER, INVALID, "except KeyError", _typed),
    Mutant("deep nesting not survived", HANDLER, INVALID, "except ValueError", _typed),
    Mutant("frames of the other kind let in", HANDLER, r"import RawSocket", "import ClientSocket as RawSocket", _raw),
    # The websocket class
    Mutant("stock websocket class", SOCKET, r"def (send_wrapper|close|receive_data)\(", r"def unused_\1("),
    Mutant(
        "websocket class forgotten",
        APP,
        r"^ *websocket_class=ClientSocket,\n",
        "",
        lambda handler: not _own_loop(handler) and not _duplex(handler) and not _raw(handler),
    ),
    Mutant("a send to a client that left is an error", SOCKET, r"except OSError:\n", "except ZeroDivisionError:\n"),
    Mutant(
        "a send after the server has closed is an error",
        SOCKET,
        r"except RuntimeError as",
        "except ZeroDivisionError as",
    ),
    Mutant("a client that stopped reading is kept", SOCKET, r"^        loop\.call_later\(.*\)\n", ""),
    Mutant("shutdown does not wait", APP, r"^ *on_shutdown=\[wait_for_handlers\],\n", ""),
    # What is told, and to whom
    Mutant("failure not logged", APP, r'log_exceptions="always"', 'log_exceptions="never"'),
)

CONTROLS = tuple(Mutant("nothing broken", file, r"\A", "") for file in (HANDLER, SERVICE, DEPENDENCIES, SOCKET, APP))
"""Touch a file as a mutant does, and break nothing: these must survive."""

IMPORTS = "import anyio\nfrom contextlib import nullcontext\n"
"""What mutants may use beside what the file imports itself."""


def all_runs() -> list[tuple[Mutant, Handler]]:
    """Return every mutant with every handler that it applies to."""
    return [(mutant, handler) for handler in HANDLERS for mutant in MUTANTS if mutant.applies(handler)]


def covering_runs() -> list[tuple[Mutant, Handler]]:
    """Return every mutant once with every interface that it applies to; the forms of handlers take turns."""
    chosen: list[tuple[Mutant, Handler]] = []
    turns: dict[str, int] = {}
    for mutant in MUTANTS:
        for interface in dict.fromkeys(handler["interface"] for handler in HANDLERS):
            fitting = [it for it in HANDLERS if it["interface"] == interface and mutant.applies(it)]
            if fitting:
                turns[interface] = turns.get(interface, -1) + 1
                chosen.append((mutant, fitting[turns[interface] % len(fitting)]))
    return chosen


class Laboratory:
    """Projects of one handler each, known to be sound, and an environment to try mutants in."""

    def __init__(self, template: Path, python: Path, folder: Path) -> None:
        self._template = template
        self._python = python
        self._folder = folder

    def _sound(self, handler: Handler) -> Path:
        project = self._folder / handler["name"]
        answers = {"project_name": "Demo", "package_name": "demo", "handlers": [handler]}
        render(self._template, project, answers)
        done = run_own_tests(self._python, project)
        assert done.returncode == 0, f"{handler['name']} fails untouched:\n{done.stdout}"
        return project

    def prepare(self, handlers: Iterable[Handler]) -> None:
        """Make a project for each of the handlers, and check that it passes its tests as it is."""
        with ThreadPoolExecutor(2) as pool:
            for _ in pool.map(self._sound, handlers):
                pass

    def _survives(self, run: tuple[Mutant, Handler]) -> str | None:
        """Return what survived, or None if the generated tests have noticed."""
        mutant, handler = run
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            project = Path(folder) / "project"
            shutil.copytree(self._folder / handler["name"], project, ignore=shutil.ignore_patterns("__pycache__"))
            mutant.apply(project, handler)
            path = project / mutant.file.format(name=handler["name"])
            path.write_text(re.sub(r"(?m)^(?=(from|import) )", IMPORTS, path.read_text(), count=1))
            done = run_own_tests(self._python, project, "-x", timeout=TIMEOUT)
        if done.returncode == 1:
            return None
        if done.returncode == 0:
            return f"{handler['name']}: {mutant.name!r} survives"
        raise RuntimeError(f"{handler['name']}: {mutant.name!r} did not even run:\n{done.stdout}")

    def survivors(self, runs: Iterable[tuple[Mutant, Handler]]) -> Iterator[str]:
        """Yield what the generated tests did not notice; raise `LookupError` for a mutant that finds no place."""
        with ThreadPoolExecutor(2) as pool:
            yield from filter(None, pool.map(self._survives, runs))


def main(choice: str = "all") -> int:
    """Try the mutants, print what survived, and return how many did."""
    runs = {"all": all_runs, "covering": covering_runs}[choice]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        template = copy_of_the_working_tree(folder / "template")
        sample = render(template, folder / "sample", {"project_name": "Demo"})
        python = build_environment(folder / "environment", sample, find_python(PYTHONS[0]) or sys.executable)
        laboratory = Laboratory(template, python, folder)
        laboratory.prepare({handler["name"]: handler for _, handler in runs}.values())
        survived = 0
        for survivor in laboratory.survivors(runs):
            survived += 1
            sys.stdout.write(f"{survivor}\n")
    sys.stdout.write(f"{len(runs) - survived} of {len(runs)} mutants killed\n")
    return survived


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
