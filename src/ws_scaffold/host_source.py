"""Python of somebody else's, as it lies on disk, and the Litestar applications that are made in it."""

import ast
import functools
import os
import re
import sys
import warnings
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from ws_scaffold.host_config import Settings, read, table, text, toml
from ws_scaffold.project import is_believed

PLUGIN = "WebsocketPlugin"
MADE_BY_US = f"class {PLUGIN}(".encode()

NOT_THEIRS = frozenset({"node_modules", "__pycache__", "site-packages", "__pypackages__"})
BUILT = frozenset({"build", "dist"})
TESTS = frozenset({"tests", "test"})
ASIDE = TESTS | {"docs", "doc", "examples", "example", "demo", "demos", "samples", "benchmarks", "scripts"}
SIGNS = frozenset({"pyproject.toml", "requirements.txt"})
ENVIRONMENTS = frozenset({"pyvenv.cfg", "conda-meta"})

MOST_FILES = 20_000
MOST_BYTES = 2**27

IMPORTS = re.compile(r"^[ \t]*(?:from|import)[ \t]+([^\W\d][\w.]*)", re.MULTILINE)
LONGEST_IMPORT = 200
BASES = re.compile(rb"^[ \t]*class[ \t]+\w+[^(\n]*\(([^)]*)", re.MULTILINE)
ROUTED = re.compile(rb"""["']/?(ws|live)""")
ROUTERS = frozenset({"Router", "WebsocketRouteHandler", "websocket", "websocket_listener", "websocket_stream"})
PATH_NAME = re.compile(r"(?:\w+_)?(?:path|prefix|route|url)|[A-Z][A-Z0-9_]*")
METHODS = frozenset({"get", "post", "put", "patch", "delete", "head", "route", "asgi", "handler"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Kind(StrEnum):
    """How an application is made."""

    MODULE = "module"
    FACTORY = "factory"
    BUILDER = "builder"
    """From an `AppConfig`: what is added, is added there."""
    FACTORY_WITH_ARGUMENTS = "factory-with-arguments"
    METHOD = "method"
    EXPRESSION = "expression"
    """In a place that nobody else can reach: as an argument, or in a function that does not return it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Application:
    """Where an application is made, and how."""

    module: str
    """The file, from the host's root."""
    line: int
    kind: Kind
    spelled: str
    """What is called there: `Litestar`, or what the host has made of it."""
    name: str | None
    """What another module takes it by, such as `app` or `create_app()`."""
    plugins_line: int | None
    plugins: str
    """What it is given as plugins, in short."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A file with Python, by its place below the folder that is searched."""

    place: PurePosixPath
    content: bytes

    @functools.cached_property
    def tree(self) -> ast.Module:
        """What is in it: nothing, where it is no Python."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return ast.parse(self.content)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return ast.Module(body=[], type_ignores=[])

    @functools.cached_property
    def nodes(self) -> list[ast.AST]:
        """All that it consists of."""
        return list(ast.walk(self.tree))

    @functools.cached_property
    def imports(self) -> Counter[str]:
        """Which modules it imports by their whole names, and how often: as far as can be seen without reading it."""
        found = Counter(IMPORTS.findall(self.content.decode(errors="replace")))
        return Counter({name: count for name, count in found.items() if len(name) < LONGEST_IMPORT})

    @functools.cached_property
    def routes(self) -> list[str]:
        """The texts that it routes, or gives a name that it may route, if one of them may be in our way."""
        return list(_routes(self)) if ROUTED.search(self.content) else []

    @functools.cached_property
    def names(self) -> dict[str, str]:
        """What imported names stand for; a module that is imported from here begins with dots."""
        found: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    found[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                for alias in node.names:
                    name = "Litestar" if alias.name == "*" and module == "litestar" else alias.name
                    found[alias.asname or name] = f"{module}.{name}" if module.strip(".") else module + name
        return found

    def dotted(self, node: ast.expr) -> str:
        """Return what a dotted name stands for; "" where it is something else."""
        top, *parts = _spelled(node)
        return ".".join((self.names.get(top, top), *parts)) if top else ""

    def is_module(self, dotted: str) -> bool:
        """Whether it can be what is imported by a dotted name, wherever imports begin."""
        place = self.place.parent if self.place.name == "__init__.py" else self.place.with_suffix("")
        parts = tuple(dotted.split("."))
        return place.parts[-len(parts) :] == parts

    def made_by(self, name: str) -> str:
        """Return what a name in it stands for: what is imported by it, or what the function is called that made it."""
        for node in self.tree.body:
            value = getattr(node, "value", None)
            if isinstance(value, ast.Call) and _target(node, value) == name:
                return self.dotted(value.func)
        return self.names.get(name, "")

    def defines(self, name: str) -> bool:
        """Whether something in it gives a name to something."""
        return name in self.names or any(
            (it.id == name and isinstance(it.ctx, ast.Store)) if isinstance(it, ast.Name) else it.name == name
            for it in self.nodes
            if isinstance(it, (ast.Name, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        )

    def below(self, root: PurePosixPath) -> "Source":
        """Return it by its place in a folder."""
        return self if not root.parts else Source(place=self.place.relative_to(root), content=self.content)

    @property
    def is_test(self) -> bool:
        """Whether it belongs to the tests."""
        name = self.place.name
        aside = name == "conftest.py" or name.startswith("test_") or name.endswith("_test.py")
        return aside or not TESTS.isdisjoint(self.place.parts[:-1])

    @property
    def is_aside(self) -> bool:
        """Whether an application in it is hardly the one that is meant."""
        return self.is_test or not ASIDE.isdisjoint(self.place.parts[:-1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """What is below a folder, without what is not the host's."""

    top: Path
    sources: tuple[Source, ...]
    folders: frozenset[PurePosixPath]
    files: frozenset[PurePosixPath]
    """All files of Python, and those that say what a folder is."""

    @functools.cached_property
    def imports(self) -> Counter[str]:
        """Which modules are imported by their whole names, and how often."""
        found: Counter[str] = Counter()
        for source in self.sources:
            found.update(source.imports)
        return found

    @functools.cached_property
    def ours(self) -> frozenset[PurePosixPath]:
        """The folders that we have made: those with our plugin."""
        found = {it.place for it in self.sources if it.place.name == "plugin.py" and MADE_BY_US in it.content}
        return frozenset(it.parent for it in found if it.with_name("socket.py") in self.files)

    @functools.cached_property
    def settings(self) -> Settings:
        """What the settings in its folder say."""
        return Settings(root=self.top)

    @functools.cached_property
    def modules(self) -> frozenset[PurePosixPath]:
        """The paths by which something can be imported."""
        return self.folders | {it.with_suffix("") for it in self.files if it.suffix == ".py"}

    def root_of(self, source: Source, start: PurePosixPath) -> PurePosixPath:
        """Return the folder of the project that a source is in."""
        above = list(source.place.parents)
        projects = [it for it in above if it / "pyproject.toml" in self.files]
        wanted = [it for it in above if it / "requirements.txt" in self.files]
        if projects:
            said = toml(self.top / projects[0] / "pyproject.toml")
            is_project = bool(table(said, "project") or table(said, "build-system") or table(said, "tool", "poetry"))
            # One that only sets up tools stands above whole projects.
            nearer = [it for it in wanted if it != projects[0] and it.is_relative_to(projects[0])]
            return nearer[0] if nearer and not is_project else projects[0]
        scripts = (it for it in above if it / "setup.py" in self.files and "setup(" in text(self.top / it / "setup.py"))
        chosen = next(iter(wanted), None) or next(scripts, None)
        return chosen or (start if source.place.is_relative_to(start) else PurePosixPath())

    def below(self, root: PurePosixPath) -> "Tree":
        """Return what belongs to one project: not what belongs to one inside it."""
        inner = {it.parent for it in self.files if it.name == "pyproject.toml"} - {root, *root.parents}

        def belongs(place: PurePosixPath) -> bool:
            return place.is_relative_to(root) and inner.isdisjoint((place, *place.parents))

        return Tree(
            top=self.top / root,
            sources=tuple(it.below(root) for it in self.sources if belongs(it.place)),
            folders=frozenset(it.relative_to(root) for it in self.folders if belongs(it)),
            files=frozenset(it.relative_to(root) for it in self.files if belongs(it)),
        )


def walked(top: Path) -> Tree:
    """Return what is below a folder; links are not followed, and what is no plain file is not opened."""
    sources: list[Source] = []
    folders, files = {PurePosixPath()}, set[PurePosixPath]()
    size, waiting = 0, deque([PurePosixPath()])
    while waiting and len(files) < MOST_FILES and len(folders) < MOST_FILES:
        folder = waiting.popleft()
        inner, names = _listed(top / folder)
        if folder.parts and not ENVIRONMENTS.isdisjoint((*inner, *names)):
            folders.discard(folder)
            continue
        for place in (folder / name for name in inner):
            if place.name not in BUILT or "__init__.py" in _listed(top / place)[1]:
                waiting.append(place)
                folders.add(place)
        for place in (folder / name for name in names):
            if place.suffix == ".py":
                content = read(top / place) if size < MOST_BYTES else None
                size += len(content or b"")
                sources.append(Source(place=place, content=content or b""))
            if place.suffix == ".py" or place.name in SIGNS:
                files.add(place)
    return Tree(top=top, sources=tuple(sources), folders=frozenset(folders), files=frozenset(files))


def _listed(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the folders and files in a folder: nothing hidden, and nothing that a terminal may obey."""
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as found:
            for entry in sorted(found, key=lambda it: it.name):
                if entry.name.startswith(".") or entry.name in NOT_THEIRS or not entry.name.isprintable():
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    files.append(entry.name)
    except OSError:
        return [], []
    return folders, files


def top_of(folder: Path) -> Path:
    """Return the folder of the project that a folder is in: nobody else's word is taken for a folder below."""
    try:
        for above in (folder, *folder.parents):
            markers = [it for it in (above / "pyproject.toml", above / ".git") if it.exists()]
            if markers and is_believed(above, folder):
                return above
    except OSError:
        pass
    return folder


def applications(tree: Tree) -> dict[Source, list[Application]]:
    """Return where applications are made: by Litestar itself, or by what the host has derived from it.

    Those that our own files make, for tests, are none of the host's.
    """
    theirs = [it for it in tree.sources if tree.ours.isdisjoint(it.place.parents)]
    known = {"Litestar"}
    searched = {it for it in theirs if b"Litestar" in it.content}
    while True:  # what is derived may be derived from again, elsewhere
        derived = {
            node.name
            for source in searched
            if _may_derive(source, known)
            for node in source.nodes
            if isinstance(node, ast.ClassDef) and any(_makes(source, base, known) for base in node.bases)
        }
        if derived <= known:
            break
        known |= derived
        searched |= {it for it in theirs if any(name.encode() in it.content for name in derived)}
    hints = tuple(f"{name}{then}".encode() for name in known for then in ("(", ".from_config", " as "))
    found = {it: _made_in(it, known) for it in theirs if any(hint in it.content for hint in hints)}
    if any(made and not it.is_aside for it, made in found.items()):
        return found
    configs = {it: _configured(it) for it in theirs if b"AppConfig(" in it.content and b"litestar" in it.content}
    return {it: [*found.get(it, []), *configs.get(it, [])] for it in found | configs}


def _may_derive(source: Source, known: Iterable[str]) -> bool:
    """Whether it is worth while to parse a file: most have a class, and few one of these."""
    names = [name.encode() for name in known]
    bases = b" ".join(BASES.findall(source.content))
    return bool(bases) and any(name in bases or name + b" as " in source.content for name in names)


def _makes(source: Source, called: ast.expr, known: Iterable[str]) -> bool:
    dotted = source.dotted(called).removesuffix(".from_config")
    module, _, name = dotted.rpartition(".")
    if name not in known:
        return False
    if not module:
        return any(isinstance(it, ast.ClassDef) and it.name == name for it in source.tree.body)
    return module.partition(".")[0] not in sys.stdlib_module_names


def _configured(source: Source) -> list[Application]:
    """Return the `AppConfig`s that something else makes applications of."""
    return [
        _application(source, it, Kind.BUILDER, None)
        for it in source.nodes
        if isinstance(it, ast.Call)
        and source.dotted(it.func) in {"litestar.config.app.AppConfig", "litestar.config.AppConfig"}
    ]


def _made_in(source: Source, known: Iterable[str]) -> list[Application]:
    calls = [it for it in source.nodes if isinstance(it, ast.Call) and _makes(source, it.func, known)]
    parents = {child: node for node in source.nodes if calls for child in ast.iter_child_nodes(node)}
    found: dict[object, Application] = {}
    for call in calls:
        kind, name, scope = _place(source, call, parents)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "from_config":
            kind = Kind.BUILDER
        found.setdefault(scope or call, _application(source, call, kind, name))
    return list(found.values())


def _application(source: Source, call: ast.Call, kind: Kind, name: str | None) -> Application:
    told = call
    if kind is Kind.BUILDER and source.dotted(call.func).rpartition(".")[2] != "AppConfig":
        configs = (it for it in source.nodes if isinstance(it, ast.Call))
        told = next((it for it in configs if source.dotted(it.func).endswith(".AppConfig")), call)
    given = next((it for it in told.keywords if it.arg == "plugins"), None)
    value = given.value if given else None
    return Application(
        module=source.place.as_posix(),
        line=call.lineno,
        kind=kind,
        spelled=".".join(_spelled(call.func)),
        name=name,
        plugins_line=given.lineno if given else None,
        plugins=f"plugins={value.id}" if isinstance(value, ast.Name) else "plugins=[…]",
    )


def _spelled(node: ast.expr) -> list[str]:
    """Return the parts of a dotted name; one that is empty, where it is something else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else [""]


def _routes(source: Source) -> Iterator[str]:
    for node in source.nodes:
        values: list[ast.expr | None] = []
        is_route = False  # else it has to look like one: `data.get("ws")` is none
        if isinstance(node, ast.Call):
            called = source.dotted(node.func).rpartition(".")[2]
            is_route = called in ROUTERS
            values += node.args[:1] if is_route or called in METHODS else []
            values += [it.value for it in node.keywords if it.arg and PATH_NAME.fullmatch(it.arg)]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and PATH_NAME.fullmatch(target.id):
                values = [node.value]
        for value in values:
            for it in value.elts if isinstance(value, (ast.List, ast.Tuple, ast.Set)) else [value]:
                route = it.value if isinstance(it, ast.Constant) else None
                if isinstance(route, str) and (is_route or route.startswith("/")):
                    yield route


def _place(source: Source, call: ast.Call, parents: dict[ast.AST, ast.AST]) -> tuple[Kind, str | None, object]:
    """Return how what a call makes is reached: what it is, its name, and the function that it is made in."""
    above = [parents[call]]
    while above[-1] in parents:
        above.append(parents[above[-1]])
    target = _target(above[0], call)
    scopes = [it for it in above if isinstance(it, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef))]
    if not scopes:
        is_named = target is not None and not any(_runs_only_as_a_script(it) for it in above)
        return (Kind.MODULE, target, None) if is_named else (Kind.EXPRESSION, None, None)
    function = scopes[0]
    if len(scopes) > 1 and isinstance(scopes[1], ast.ClassDef):
        return Kind.METHOD, None, function
    if not isinstance(function, Function) or len(scopes) > 1 or not _returns(source, function, call, target):
        return Kind.EXPRESSION, None, None
    given = function.args
    positional = len(given.posonlyargs) + len(given.args) - len(given.defaults)
    needs = positional > 0 or any(it is None for it in given.kw_defaults)
    kind = Kind.FACTORY_WITH_ARGUMENTS if needs else Kind.FACTORY
    # A module that makes it when it is imported makes it once: a second one may be refused what the first one holds.
    for node in source.tree.body:
        value = getattr(node, "value", None)
        if isinstance(value, ast.Call) and source.dotted(value.func) == function.name and (it := _target(node, value)):
            return kind, it, function
    callable_at_once = kind is Kind.FACTORY and isinstance(function, ast.FunctionDef)
    return kind, f"{function.name}()" if callable_at_once else None, function


def _target(node: ast.AST, value: ast.expr) -> str | None:
    """Return the name that a statement gives to a value."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if getattr(node, "value", None) is not value:
        return None
    return next((it.id for it in targets if isinstance(it, ast.Name)), None)


def _runs_only_as_a_script(node: ast.AST) -> bool:
    tested = node.test if isinstance(node, ast.If) else None
    return isinstance(tested, ast.Compare) and isinstance(tested.left, ast.Name) and tested.left.id == "__name__"


def _returns(source: Source, function: Function, call: ast.Call, target: str | None) -> bool:
    inside = list(ast.walk(function))
    if any(isinstance(it, (ast.Yield, ast.YieldFrom)) for it in inside):
        return False
    returned = [it.value for it in inside if isinstance(it, ast.Return)]
    if any(it is call or (isinstance(it, ast.Name) and it.id == target) for it in returned):
        return True
    said = function.returns
    name = said.value if isinstance(said, ast.Constant) else source.dotted(said) if said else ""
    return isinstance(name, str) and name.rpartition(".")[2] == "Litestar"
