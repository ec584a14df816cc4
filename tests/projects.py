"""Projects rendered with Copier from the working tree, and the environments that their own tests run in."""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import copier
import yaml

from forks import run_pytest

REPOSITORY = Path(__file__).parent.parent
UV = (sys.executable, "-m", "uv")
PYTHONS = ("3.11", "3.12", "3.13")
OWN_ENVIRONMENT = {"PYTHONPATH": "src", "PYTHONDONTWRITEBYTECODE": ""}
"""What a project's own tests find set, beside what is set here."""

Handler = dict[str, str]
"""An entry of the state: name, interface, payload, transport, guard, and codec, events and contract where there is a
choice of them, and the kinds of messages where they are typed."""


@cache
def questions() -> dict[str, Any]:
    """Return what `copier.yml` asks."""
    content: dict[str, Any] = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
    return {name: question for name, question in content.items() if not name.startswith("_")}


TICK = "tick number:int at:datetime"


def _may_have_a_dto(handler: Handler) -> bool:
    interface = questions()["interfaces"]["default"][handler["interface"]]
    json = handler["payload"] == "typed" and handler.get("codec", "json") == "json"
    return json and handler.get("events") == "own" and not interface["no_dto"]


def _kinds_of(handler: Handler, direction: str) -> dict[str, str]:
    """Return the kinds of messages that a handler has where nothing else is said."""
    if handler["payload"] == "raw":
        return {}
    own = {"reply": ["said text:str"], "push": [TICK], "duplex": ["said text:str", TICK]}[direction]
    sends = "said text:str at:datetime" if handler.get("events") == "channel" else ", ".join(own)
    return {**({} if direction == "push" else {"messages": "say text:str"}), "sends": sends}


def _valid_handlers() -> list[Handler]:
    asked = questions()
    choices = [asked[name]["choices"].values() for name in ("events", "payload", "transport")]
    choices.append(asked["codecs"]["default"])
    handlers: list[Handler] = []
    for (interface, details), (events, payload, transport, codec) in itertools.product(
        asked["interfaces"]["default"].items(), itertools.product(*choices)
    ):
        handler = {"interface": interface, "payload": payload, "transport": transport}
        if payload == "typed" and transport == "binary":
            handler["codec"] = codec
        if details["direction"] != "reply":
            handler["events"] = events
        kinds = _kinds_of(handler, details["direction"])
        for guard, contract in itertools.product(asked["guard"]["choices"].values(), ({}, {"contract": "dto"})):
            entry = handler | {"guard": guard} | contract | kinds
            if entry not in handlers and (not contract or _may_have_a_dto(handler)):
                handlers.append(entry)
    return [{"name": _name(handler)} | handler for handler in handlers]


def _name(handler: Handler) -> str:
    """Return a name that says what the answers are, in the 40 letters that a name may have."""
    form = handler.get("codec") or f"{handler['payload']}_{handler['transport']}"
    words = [
        handler["interface"],
        form,
        handler.get("contract", "none"),
        "shared" if handler.get("events") == "channel" else "none",
        handler["guard"],
    ]
    return "_".join(word for word in words if word != "none").replace("-", "_")


HANDLERS = _valid_handlers()
"""Every valid combination of answers about one handler, named after it."""


def _forms() -> list[Handler]:
    """Return a handler for every interface, payload and kind of events, with what else there is to choose in turn."""
    forms: dict[tuple[str, str, str | None], list[Handler]] = {}
    for handler in HANDLERS:
        forms.setdefault((handler["interface"], handler["payload"], handler.get("events")), []).append(handler)
    return [handlers[number % len(handlers)] for number, handlers in enumerate(forms.values())]


FORMS = _forms()
FIRSTS = list({handler["interface"]: handler for handler in FORMS}.values())
"""One of every interface."""


WORKERS = [
    handler | {"name": f"w_{handler['name']}"[:40], "work": "message"} for handler in FORMS if "messages" in handler
]
"""One of every interface and kind of events that receives typed messages, each with work of its own for a message."""

_TYPED = [it for it in HANDLERS if it["payload"] == "typed" and "contract" not in it]


def _alike(*keys: str) -> list[Handler]:
    """Return the answers to some questions that a handler of typed messages may have, each once."""
    found = (tuple((key, it[key]) for key in keys if key in it) for it in _TYPED)
    return [dict(it) for it in dict.fromkeys(found)]


AXES: list[list[Handler]] = [
    _alike("interface", "payload", "events"),
    _alike("transport", "codec"),
    _alike("guard"),
    [
        {"messages": "say text:str"},
        {"messages": "typing, say text:str? to:list[int] at:datetime"},
        {"messages": "a_10, a_2 x:float y:bool, test_it day:date who:uuid? tags:list[str]?, x text:str"},
    ],
    [
        {"sends": "said text:str, gone"},
        {"sends": "typing"},
        {"sends": "test_it number:int at:datetime who:uuid, x text:str day:date? ok:bool"},
    ],
    [{"work": "none"}, {"work": "message"}],
    [{"path": number} for number in "0123"],
]
PATHED = [it | {"name": f"p_{it['name']}"[:40], "path": "/of/p/{kind:str}/{id:int}"} for it in FIRSTS]
"""One of every interface, with a path of its own."""

PATHS = {
    "own": ["", "/{kind:str}/{id:int}", "/{at:datetime}/{rest:path}", "/{price:decimal}/x/{wait:timedelta}"],
    "channel": ["", "/{kind:str}/{id:int}", "/{day:date}/{who:uuid}/x", "/{room:str}"],
}
"""What a path may go on with, by whose the events are: nothing, for one without a path of its own."""


def _with_path(handler: Handler) -> Handler:
    """Return a handler with a path of its own, or without, for the number of one."""
    end = PATHS[handler.get("events", "own")][int(handler.get("path", 0))]
    others = {key: value for key, value in handler.items() if key != "path"}
    return others | ({"path": f"/of/{handler['name']}{end}"} if end else {})


def _pairwise(letter: str, axes: list[list[Handler]], fits: Callable[[Handler], bool] = bool) -> list[Handler]:
    """Return handlers in which any two answers of two axes meet, with as few handlers as a simple search needs."""
    combinations = [
        it
        for it in itertools.product(*(range(len(axis)) for axis in axes))
        if fits({key: value for axis, at in zip(axes, it, strict=True) for key, value in axis[at].items()})
    ]
    bits: dict[object, int] = {}  # a bit for each pair: sets would take long
    pairs = [
        sum(1 << bits.setdefault(pair, len(bits)) for pair in itertools.combinations(enumerate(it), 2))
        for it in combinations
    ]
    missing, handlers = (1 << len(bits)) - 1, list[Handler]()
    while missing:
        best = max(range(len(pairs)), key=lambda number: (pairs[number] & missing).bit_count())
        missing &= ~pairs[best]
        handler = {"name": f"{letter}{len(handlers)}"}
        for axis, at in zip(axes, combinations[best], strict=True):
            handler |= axis[at]
        pushes = handler["interface"] == "stream"
        left_out = {"messages", "work"} if pushes else {"work"} if handler.get("work") == "none" else set()
        handlers.append(_with_path({key: value for key, value in handler.items() if key not in left_out}))
    return handlers


def _raw_with_paths() -> list[Handler]:
    raw = [it for it in FORMS if it["payload"] == "raw"]
    return [_with_path(it | {"name": f"r{number}", "path": "312"[number % 3]}) for number, it in enumerate(raw)]


VARIED = [*_pairwise("v", AXES), *_raw_with_paths()]
"""Pairwise: every form of typed messages with every way to say kinds, with work or without, and with paths.

Raw ones have paths, too.
"""


def _may_be_directed(handler: Handler) -> bool:
    """Whether what is received and what is sent, which are not the same, do not contradict each other."""
    received, sent = (
        {key: handler.get(f"{prefix}{key}", "") for key in ("payload", "transport", "codec")} for prefix in ("", "out_")
    )
    shared, silent = handler.get("events") == "channel", handler.get("answers") == "none"
    beside = received["payload"] == "typed" and sent["payload"] == "raw"
    nothing = silent and beside and not handler["interface"].startswith("duplex")
    no_work = handler["work"] == "message" and received["payload"] == "raw"
    alike = beside and received["transport"] == sent["transport"]
    same = received == sent and not silent
    return not ((shared and silent) or nothing or no_work or alike or same)


_FORMS = [
    {"payload": "typed", "transport": "text"},
    {"payload": "typed", "transport": "binary", "codec": "json"},
    {"payload": "typed", "transport": "binary", "codec": "msgpack"},
    {"payload": "raw", "transport": "text"},
    {"payload": "raw", "transport": "binary"},
]


def _directed() -> list[Handler]:
    """Return handlers that send something else than they receive, or nothing."""
    receiving = [it for it in _alike("interface", "events") if it["interface"] != "stream"]
    sent: list[Handler] = [{f"out_{key}": value for key, value in form.items()} for form in _FORMS]
    answers: list[Handler] = [{}, {"answers": "none"}]
    work: list[Handler] = [{"work": "none"}, {"work": "message"}]
    return _pairwise("d", [receiving, _FORMS, sent, answers, work, _alike("guard")], _may_be_directed)


DIRECTED = _directed()
"""Pairwise: every form of what is received with every form of what is sent, answered or not."""

SHAPES = list({tuple(map(it.get, ("payload", "out_payload", "events", "answers"))): it for it in DIRECTED}.values())
"""One of every payload that is received, with every one that is sent."""


def words_of(handler: Handler) -> list[str]:
    """Return a handler as it is said on the command line: its name, and its answers."""
    return [handler["name"], *(f"--{key.replace('_', '-')}={value}" for key, value in handler.items() if key != "name")]


def commit(source: Path, message: str = "Template") -> None:
    """Put a folder under version control, as it is."""
    git = ["git", "-c", "user.name=Tests", "-c", "user.email=tests@localhost", "-C", str(source)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", message], check=True)


def copy_of_the_working_tree(target: Path) -> Path:
    """Commit what is in the working tree, tracked or new, to a repository of its own, and return where."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source = REPOSITORY / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(source.read_bytes())
    commit(target)
    return target


def render(template: Path, target: Path, answers: Mapping[str, Any]) -> Path:
    """Copy the template, with defaults for what is not answered, and return the project."""
    copier.run_copy(str(template), target, data=dict(answers), defaults=True, quiet=True, vcs_ref="HEAD")
    return target


def run(
    *command: str | Path, cwd: Path, timeout: float = 120, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, at most for `timeout` seconds, and return its output, both streams in one."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        timeout=timeout,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def run_own_tests(
    python: Path, project: Path, *arguments: str, timeout: float = 120, forked: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a project's own tests, with warnings as errors, in an environment that has its dependencies.

    In a fork, which takes less time, or in a new process, where a module that the project forgets to import is not
    there because another project has imported it.
    """
    options = ("-q", "-p", "no:cacheprovider", *arguments)
    if forked:
        return run_pytest(python, project, *options, timeout=timeout, env=OWN_ENVIRONMENT)
    return run(python, "-W", "error", "-m", "pytest", *options, cwd=project, timeout=timeout, env=OWN_ENVIRONMENT)


def find_python(version: str) -> str | None:
    """Return the interpreter of that version, or None where there is none: this one, one on the path, or pyenv's."""
    if sys.version.startswith(f"{version}."):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    candidates = [f"python{version}", *sorted(str(path) for path in pyenv.glob(f"{version}.*/bin/python"))]
    for candidate in filter(None, map(shutil.which, candidates)):
        if run(candidate, "--version", cwd=REPOSITORY).stdout.startswith(f"Python {version}."):
            return candidate
    return None


def build_environment(target: Path, project: Path, *options: str, python: str = sys.executable) -> Path:
    """Install what a project declares, and nothing else, into a new environment, and return its interpreter."""
    commands: tuple[tuple[str | Path, ...], ...] = (
        (*UV, "venv", "--quiet", "--python", python, target),
        (*UV, "pip", "install", "--quiet", "--python", target, "-r", "pyproject.toml", "--group", "dev", *options),
    )
    for command in commands:
        done = run(*command, cwd=project, timeout=300)
        assert done.returncode == 0, done.stdout
    return target / "bin" / "python"


def handlers_of(project: Path) -> list[Handler]:
    """Return the handlers that a project's state lists."""
    handlers: list[Handler] = yaml.safe_load((project / ".copier-answers.yml").read_text())["handlers"]
    return handlers
