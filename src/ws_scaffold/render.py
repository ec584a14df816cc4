"""A state, rendered with a version of the template to the files of a project: in memory, as Copier writes them."""

import os
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any

from ws_scaffold.paths import inside
from ws_scaffold.template import LAYOUT, Answers, Template
from ws_scaffold.tree import CACHES

ANSWERS_FILE = ".copier-answers.yml"
"""Where a project keeps its state."""
HOST_ANSWERS_FILE = ".copier-answers.ws.yml"
"""Where an application that somebody else has made keeps it: another template may have answers there, too."""
ANSWERS_FILES = (HOST_ANSWERS_FILE, ANSWERS_FILE)

State = dict[str, Any]
"""`_src_path`, `_commit`, the answers about the project, and `handlers`: what the answers file holds."""


def answers_file_in(root: Path) -> str:
    """Return what the answers file in a folder is called: where there are two, one is another template's."""
    return HOST_ANSWERS_FILE if (root / HOST_ANSWERS_FILE).is_file() else ANSWERS_FILE


def answers_file_of(state: State) -> str:
    """Return what the file is called that keeps a state."""
    return HOST_ANSWERS_FILE if state.get(LAYOUT) == "host" else ANSWERS_FILE


SUFFIX = ".jinja"
PER_HANDLER = "websockets"
"""What the names of the template's lists end in that have an entry for each handler."""
YIELD = re.compile(r"{%\s*yield\s+(\w+)\s+from\s+(\w+)\s*%}(.*?){%\s*endyield\s*%}")


def all_answers(state: State) -> Answers:
    """Return the answers that a state holds."""
    return {name: value for name, value in state.items() if not name.startswith("_")}


@dataclass(frozen=True)
class Rendered:
    """A file, as the template has it."""

    make: Callable[[], bytes] = field(repr=False, compare=False)
    source: str
    """The template that it came from: the same one, whatever the handler is called."""
    owner: str | None
    """The handler that it belongs to, if it belongs to one."""
    executable: bool = False

    @cached_property
    def content(self) -> bytes:
        """What it holds: rendered when it is asked for, because of the base not all is."""
        return self.make()


Files = dict[str, Rendered]
"""The files of a project, by their paths in it."""


@dataclass(frozen=True)
class _Source:
    """A file of the template, and where it goes."""

    name: str
    path: str
    loop: tuple[str, str] | None
    """The variable of its `yield`, and what that loops over."""
    executable: bool


def _sources(template: Template) -> Iterator[_Source]:
    top = inside(template.root, template.root / template.settings["_subdirectory"])
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(set(folders) - CACHES)  # pip compiles what it installs, our template too
        for name in sorted(names):
            absolute = os.path.join(folder, name)  # noqa: PTH118 - this runs for every file, at every start
            relative = PurePosixPath(os.path.relpath(absolute, top).replace(os.sep, "/"))
            found = YIELD.search(str(relative))
            yield _Source(
                os.path.relpath(absolute, template.root).replace(os.sep, "/"),
                YIELD.sub(r"\3", str(relative)),
                (found[1], found[2]) if found else None,
                bool(os.stat(absolute).st_mode & 0o111),  # noqa: PTH116 - the same
            )


def _folders_of(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


class Rendering:
    """A state in the light of a version of the template: what follows from its answers is found once."""

    def __init__(self, template: Template, state: State, answers: Answers | None = None) -> None:
        """Take what `Template.resolve` has returned for this state, where that is known already."""
        self.template = template
        self.state = state
        self.about: Answers = {name: state[name] for name in (LAYOUT, *template.names("project")) if name in state}
        """The answers about the project."""
        self.entries: list[Answers] = state["handlers"]
        """What the state says of each handler."""
        if answers:
            self._answers = answers

    @cached_property
    def _answers(self) -> Answers:
        return self.template.resolve(all_answers(self.state))

    @cached_property
    def _sources(self) -> list[_Source]:
        return list(_sources(self.template))

    @property
    def route(self) -> str:
        """The path below which the handlers are served; it has not always been a question."""
        route: str = self._answers.get("ws_route", "/ws")
        return route

    @property
    def package(self) -> tuple[str, str]:
        """Where the handlers are, and how that is imported; it has not always been a question."""
        package = self._answers["package_name"]
        return self._answers.get("ws_path", f"src/{package}/ws"), self._answers.get("ws_import", f"{package}.ws")

    @property
    def requirements(self) -> list[str]:
        """What the handlers need beside what Litestar brings, as a `pyproject.toml` says it."""
        return [value for name, value in self._answers.items() if name.endswith("_requirement") and value]

    @property
    def handlers(self) -> Mapping[str, Answers]:
        """What the templates see of each handler, by its name."""
        return {handler["name"]: handler for handler in self._answers["websockets"]}

    @property
    def answers_file(self) -> str:
        """Where the project keeps this state."""
        return answers_file_of(self.state)

    def _shared(self) -> Answers:
        """Return what a file of one handler may depend on beside its handler: nothing that says what others are."""
        return {
            name: value
            for name, value in self._answers.items()
            if name != "handlers" and not name.endswith(PER_HANDLER)
        }

    def same(self, other: "Rendering") -> set[str]:
        """Return the handlers whose files are the same in both, without rendering any."""
        if self.template is not other.template or self.about != other.about:
            return set()
        theirs = other.handlers
        return {name for name, handler in self.handlers.items() if theirs.get(name) == handler}

    def _places(self, without: Container[str] = ()) -> Iterator[tuple[_Source, Answers, str | None, str]]:
        """Yield where each file goes: its template, what that sees, the handler that it belongs to, and its path."""
        whole: Answers = {
            **self._answers,
            "_copier_answers": self.state,
            "_copier_conf": {"answers_file": self.answers_file},
        }
        shared = self._shared()
        excluded = self.template.excluded(whole)
        for source in self._sources:
            contexts: Iterable[tuple[Answers, str | None]] = ((whole, None),)
            if source.loop:
                variable, of = source.loop
                handlers = (it for it in self._answers[of] if it["name"] not in without)
                contexts = (({**shared, variable: handler}, handler["name"]) for handler in handlers)
            for context, owner in contexts:
                path = self.template.evaluate(source.path.removesuffix(SUFFIX), context)
                # A name that comes out empty is that of a file which this project lacks.
                if all(path.split("/")) and excluded.isdisjoint((path, *_folders_of(path))):
                    yield source, context, owner, path

    def places(self) -> set[str]:
        """Return the paths of all the project's files."""
        return {path for _, _, _, path in self._places()}

    def render(self, without: Container[str] = ()) -> Files:
        """Return the project's files, but for those of the handlers named in `without`."""
        return {
            path: Rendered(partial(self._content, source, context), source.name, owner, source.executable)
            for source, context, owner, path in sorted(self._places(without), key=lambda place: place[-1])
        }

    def _content(self, source: _Source, context: Answers) -> bytes:
        if source.path.endswith(SUFFIX):
            return self.template.jinja.get_template(source.name).render(context).encode()
        return inside(self.template.root, self.template.root / source.name).read_bytes()
