"""The Litestar application of somebody else's that a handler is to live in: found by reading, never by running it.

What is found is shown before it is used, and each of it can be said instead: a wrong guess costs a question.
"""

import ast
import dataclasses
import keyword
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from ws_scaffold.errors import Code, UsageError
from ws_scaffold.formatting import header_of
from ws_scaffold.host_config import BROUGHT, WANTED, Settings, first, text
from ws_scaffold.host_source import PLUGIN, Application, Kind, Source, Tree, applications, top_of, walked

FOLDER_NAMES = ("ws", "ws_handlers")
"""What our folder is called, unless it is taken: never `websockets`, which would hide the library in a flat host."""
ROUTES = ("/ws", "/live", "/live-ws")

LAUNCHERS = ("pyproject.toml", "Makefile", "Dockerfile", "Procfile", "docker-compose.yml", "compose.yml", "README.md")
USUAL = ("app", "asgi", "main", "application", "server", "__init__")
NO_MODULES = frozenset({"alembic", "migrations", "tests", "test"})
"""Folders that are called what something else that is imported is called."""

MOST_HOSTS = 10
STARTED = r"(?:\w*app|application|main)"


Found = tuple[Source, Application]


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """A line of a file, from the host's root."""

    path: str
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """An application of somebody else's, and what a handler needs to know of it."""

    root: Path
    application: Application
    import_path: str | None
    package: str
    ws_path: str
    ws_import: str
    tests_path: str
    route: str
    relative_imports: bool
    ruff: str | None
    """The file that says that it is formatted with ruff, from its root."""
    header: str
    python: str | None
    litestar: str
    too_old: bool
    litestar_installed: str | None
    lacks: tuple[str, ...]
    others: "tuple[Host, ...]" = ()
    """Applications that it might have been instead."""


def find_hosts(folder: Path, said: str = "") -> list[Host]:
    """Return the applications below a folder, or else in the project that it is in: the likeliest first.

    Applications in tests, documents and examples count where there are no others. Where an import path is said, only
    those count that may be meant by it.
    """
    try:
        folder = folder.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        return []
    if not folder.is_dir():
        return []
    tree = walked(top_of(folder))
    start = PurePosixPath(folder.relative_to(tree.top).as_posix())
    found = [(source, it) for source, made in applications(tree).items() for it in made]
    found = _meant(tree, found, said) if said else found
    for wanted in (
        [(source, it) for source, it in found if source.place.is_relative_to(start) and not source.is_aside],
        [(source, it) for source, it in found if not source.is_aside],
        found,
    ):
        if wanted:
            wanted.sort(key=lambda it: _rank(*it))
            trees: dict[PurePosixPath, Tree] = {}
            hosts = []
            for source, application in wanted[:MOST_HOSTS]:
                root = tree.root_of(source, start)
                if root not in trees:
                    trees[root] = tree.below(root)
                hosts.append(_host(trees[root], source.place.relative_to(root), application))
            return hosts
    return []


def _meant(tree: Tree, found: list[Found], said: str) -> list[Found]:
    """Return the applications that may be meant by an import path, wherever imports begin.

    What a module only imports, or makes with a function of another one, is sought by what it is called there.
    """
    module, _, name = said.removesuffix("()").partition(":")
    modules = [it for it in tree.sources if it.is_module(module)]

    def named(name: str, among: list[Found]) -> list[Found]:
        return [(source, it) for source, it in among if it.name and it.name.removesuffix("()") == name]

    there = [(source, it) for source, it in found if source in modules]
    if it := named(name, there):
        return it
    naming = [it for it in modules if it.defines(name)]
    there = [(source, it) for source, it in there if source in naming]
    for module, _, name in (it.made_by(name).lstrip(".").rpartition(".") for it in naming):
        if it := named(name, found):
            there += named(name, [at for at in found if at[0].is_module(module)]) or it
    return there or (found if naming else [])


def chosen(hosts: list[Host], said: str, choose: Callable[[str, list[str]], int] | None) -> Host:
    """Return which of some applications is meant: the one whose import path is said, or that a person chooses.

    Else it is the likeliest, with the others that it might have been.
    """
    hosts = [it for it in hosts if said and it.import_path in {said, f"{said}()"}] or hosts
    if choose and len(hosts) > 1:
        return hosts[choose("Which application is it?", [_label(it) for it in hosts])]
    return dataclasses.replace(hosts[0], others=tuple(hosts[1:]))


def run_by(host: Host, python: str, folder: Path) -> Host:
    """Return an application with the interpreter that is named: a program on the path, or its own from a folder.

    Raises:
        UsageError: there is none.
    """
    found = shutil.which(os.path.normpath(folder.absolute() / python) if {"/", os.sep} & {*python} else python)
    if not python or found is None:
        raise UsageError(
            f'There is no interpreter "{python}".', "name one, such as .venv/bin/python", code=Code.ANSWER_REFUSED
        )
    settings = Settings(root=host.root)
    installed = settings.requirements(settings.declared(), Path(found)).litestar_installed
    return dataclasses.replace(host, python=found, litestar_installed=installed)


def _label(host: Host) -> str:
    where = f"{host.application.module}:{host.application.line}"
    return f"{host.import_path}, in {where}" if host.import_path else where


def _rank(source: Source, application: Application) -> tuple[object, ...]:
    stem = source.place.stem
    usual = USUAL.index(stem) if stem in USUAL else len(USUAL)
    return (
        source.is_test,
        list(Kind).index(application.kind),
        usual,
        len(source.place.parts),
        source.place,
        application.line,
    )


def _host(tree: Tree, place: PurePosixPath, made: Application) -> Host:
    """Return what is known of an application in a project."""
    source = next(it for it in tree.sources if it.place == place)
    settings = tree.settings
    declared = settings.declared()
    parts = place.with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    base = _base(tree, source, parts, settings, declared)
    package = ".".join(place.parent.parts[base:])
    folder = place.parent
    name = first(FOLDER_NAMES, _taken(tree, folder))
    ours = folder / name
    tests = _tests(tree, folder, settings)
    in_tests = _taken(tree, tests) | ({name} if tests == folder else set())
    requirements = settings.requirements(declared)
    module = ".".join(parts[base:])
    whole = PurePosixPath(*place.parts[: base + 1]) if package else PurePosixPath()
    is_importable = bool(module) and all(_is_name(it) for it in parts[base:])
    return Host(
        root=tree.top,
        application=dataclasses.replace(made, module=place.as_posix()),
        import_path=f"{module}:{made.name}" if made.name and is_importable else None,
        package=package,
        ws_path=ours.as_posix(),
        ws_import=f"{package}.{name}" if package else name,
        tests_path=(tests / first(FOLDER_NAMES, in_tests)).as_posix(),
        route=first(ROUTES, _routed(tree, ours)),
        relative_imports=settings.relative_imports(tree.top / folder),
        ruff=os.path.relpath(ruff, tree.top) if (ruff := settings.ruff(tree.top / folder)) else None,
        header=header_of(it.content for it in tree.sources if it.place.is_relative_to(whole) and not it.is_aside),
        python=settings.python(),
        litestar=requirements.litestar,
        too_old=requirements.too_old,
        litestar_installed=requirements.litestar_installed,
        lacks=(
            *settings.lacking([*BROUGHT, f"litestar>={WANTED}"]),
            *([] if settings.serves_websockets() else ["websockets"]),
        ),
    )


def _is_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _taken(tree: Tree, folder: PurePosixPath) -> set[str]:
    """Return the names in a folder that are theirs: an empty folder is nobody's, and one with our plugin is ours."""
    taken: set[str] = set()
    try:
        with os.scandir(tree.top / folder) as found:
            for it in found:
                holds = {at.name for at in Path(it.path).iterdir()} if it.is_dir(follow_symlinks=False) else {""}
                if folder / it.name not in tree.ours and holds - {"__pycache__"}:
                    taken.add(re.sub(r"\.(py[ic]?|so)$", "", it.name).lower())
    except OSError:
        pass
    return taken


def _base(tree: Tree, source: Source, parts: tuple[str, ...], settings: Settings, declared: dict[str, str]) -> int:
    """Return how many of the folders above a module stand before its dotted name.

    The host's own absolute imports know it best, and how it is started; then its settings; then its `__init__.py`.
    """
    folders = source.place.parent.parts
    levels = [it.level for it in source.nodes if isinstance(it, ast.ImportFrom)]
    possible = [
        it for it in range(len(folders) - max(levels, default=0) + 1) if all(_is_name(name) for name in folders[it:])
    ]
    if not possible:
        return len(folders)
    marked = len(folders)
    while marked and source.place.parents[len(folders) - marked] / "__init__.py" in tree.files:
        marked -= 1
    foreign = {name.replace("-", "_") for name in declared} | sys.stdlib_module_names
    for votes in _votes(tree, source, parts, foreign):
        if most := max((votes[it] for it in possible), default=0):
            best = [it for it in possible if votes[it] == most]
            return marked if marked in best else best[0]
    said = [len(PurePosixPath(it).parts) for it in settings.import_folders() if _begins(folders, it)]
    if not said and folders and (folders[0] == "src" and len(folders) > 1) and marked > 0:
        said = [1]
    if not said and folders and folders[0] in {"app", "application"}:  # where Litestar looks for them itself
        said = [0]
    wanted = min(max(said), marked) if said else marked
    return wanted if wanted in possible else possible[-1]


def _votes(tree: Tree, source: Source, parts: tuple[str, ...], foreign: set[str]) -> Iterator[Counter[int]]:
    """Yield how often a module is seen to begin after so many folders: the best witness first.

    They are what it imports itself and how it is started, what imports it, and what is imported from beside it.
    """
    launched = "\n".join(text(tree.top / name) for name in LAUNCHERS)
    own, itself, beside = Counter[int](), Counter[int](), Counter[int]()
    imports = [(name.split("."), name, count) for name, count in tree.imports.items()]
    for start in range(len(parts) + 1):
        above = PurePosixPath(*parts[:start])
        is_package = above / "__init__.py" in tree.files
        for heads, name, count in imports:
            if heads[0] in foreign or above.joinpath(*heads) not in tree.modules:
                continue
            if parts[start : start + 1] == (heads[0],):
                itself[start] += count
            elif heads[0] not in NO_MODULES and (len(heads) > 1 or not is_package):
                beside[start] += count
            else:
                continue
            own[start] += source.imports[name]
        if module := ".".join(parts[start:]):
            own[start] += len(re.findall(rf"(?<![\w.]){re.escape(module)}:{STARTED}\b", launched))
    yield own
    yield itself
    yield beside


def _begins(folders: tuple[str, ...], path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and folders[: len(parts)] == parts


def _tests(tree: Tree, folder: PurePosixPath, settings: Settings) -> PurePosixPath:
    """Return the folder of the tests: one that pytest is told of, if it is there and is none of the application's."""
    for said in settings.test_paths():
        pattern = said.removeprefix("./").rstrip("/")
        fitting = [it for it in sorted(tree.folders) if fnmatchcase(it.as_posix(), pattern) and it.parts]
        if found := [it for it in fitting if not folder.is_relative_to(it)]:
            return found[0]
    places = [PurePosixPath(), folder, *folder.parents]
    names = [place / name for place in places for name in ("tests", "test")]
    return next((it for it in names if it in tree.folders), PurePosixPath("tests"))


def _routed(tree: Tree, ours: PurePosixPath) -> set[str]:
    """Return the first parts of the routes that the host has, as far as they are spelled."""
    theirs = (it for it in tree.sources if not it.is_test and not it.place.is_relative_to(ours))
    return {"/" + route.strip("/").partition("/")[0] for source in theirs for route in source.routes}


def plugin_is_added(root: Path, ws_import: str) -> Location | None:
    """Return where our plugin is made in the host's own sources; None where it is nowhere.

    Whether what is made there reaches the application is not followed.
    """
    tree = walked(root.resolve()).below(PurePosixPath())
    wanted = {f"{ws_import}.{PLUGIN}", f"{ws_import}.plugin.{PLUGIN}"}
    inside = tuple(ws_import.split("."))
    for source in tree.sources:
        folders = source.place.parent.parts
        is_ours = any(folders[start : start + len(inside)] == inside for start in range(len(folders)))
        if is_ours or source.is_test or PLUGIN.encode() not in source.content:
            continue
        for node in source.nodes:
            if isinstance(node, ast.Call):
                called = source.dotted(node.func)
                level = len(called) - len(called.lstrip("."))
                if level:  # from here: by its path, whose end is its name
                    called = ".".join((*folders[: len(folders) - level + 1], called[level:]))
                if called in wanted or (level and any(called.endswith(f".{it}") for it in wanted)):
                    return Location(path=source.place.as_posix(), line=node.lineno)
    return None


def line_to_add(host: Host) -> str:
    """Return what is to be added to the host, and where: a line for a person, and below it the import."""
    made = host.application
    here, there = f"in {made.module}:{made.line}", f"in {made.module}:{made.plugins_line}"
    if made.plugins_line:
        said = f"add {PLUGIN}() to {made.plugins} {there}"
    elif made.kind is Kind.BUILDER:
        said = f"{here}, add to the plugins of its AppConfig: {PLUGIN}()"
    else:
        said = f"{here}, add to {made.spelled}(…): plugins=[{PLUGIN}()]"
    return f"{said}\n    from {host.ws_import} import {PLUGIN}"
