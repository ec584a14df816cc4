"""What an application of somebody else's says about itself in its settings: read as data, whatever is in there.

Nothing of it is imported or run, and nothing in it is believed to be of the type that it should have.
"""

import functools
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LARGEST = 2**20
"""How many bytes a file may have that is read as a whole: no hand has written a larger one."""
LARGEST_LOCK = 2**25
WANTED = "2.23"
"""The first version of Litestar that the generated handlers run with."""
BROUGHT = ("anyio", "msgspec")
"""What Litestar brings, and the handlers import."""

ENVIRONMENTS = (".venv", "venv")
PACKAGES = ("lib/python*/site-packages", "Lib/site-packages")
"""Where an environment has what is installed."""
LITESTAR_LOCKED = re.compile(rb'^name = "litestar"\s+version = "([\w.+!-]+)"', re.MULTILINE)
NAME = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*\(?\s*([^;#@)]*)")
RELATIVE_IMPORTS = "TID252"


def read(path: Path, largest: int = LARGEST) -> bytes | None:
    """Return what a file holds; None where it is no file, is a link, is too large, or cannot be read."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        # What has been replaced by a pipe since then blocks nobody.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode) or about.st_size > largest:
                return None
            content = file.read(largest + 1)
    except (OSError, ValueError):
        return None
    return content if len(content) <= largest else None


def text(path: Path) -> str:
    """Return what a file holds as text; nothing, where it cannot be read."""
    return (read(path) or b"").decode(errors="replace")


def toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds; nothing, where it is none."""
    import tomllib  # noqa: PLC0415 - it takes time to import, and most commands look for no host

    try:
        return tomllib.loads((read(path) or b"").decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return {}


def table(data: Any, *keys: str) -> dict[str, Any]:
    """Return a table in a table: an empty one, where there is something else."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def texts(value: Any) -> list[str]:
    """Return the texts of a list, or the words of one text."""
    if isinstance(value, str):
        return value.split()
    return [it for it in value if isinstance(it, str)] if isinstance(value, list) else []


def outwards(root: Path) -> list[Path]:
    """Return a folder and those above it, up to the repository's: only the folder, where there is no repository."""
    folders = [root, *root.parents]
    depth = next((number for number, folder in enumerate(folders) if os.path.lexists(folder / ".git")), 0)
    return folders[: depth + 1]


def _section(path: Path, name: str) -> dict[str, Any] | None:
    import configparser  # noqa: PLC0415 - the same

    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text(path))
        return dict(parser[name]) if parser.has_section(name) else None
    except configparser.Error:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """What an application says about the Litestar that it runs with."""

    litestar: str
    too_old: bool
    litestar_installed: str | None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings in an application's folder, each read when it is asked for."""

    root: Path

    @functools.cached_property
    def pyproject(self) -> dict[str, Any]:
        """What `pyproject.toml` holds."""
        return toml(self.root / "pyproject.toml")

    @functools.cached_property
    def pytest(self) -> dict[str, Any]:
        """What pytest takes for its settings: the first of its files that has some."""
        said: list[dict[str, Any] | None] = [
            toml(self.root / "pytest.toml").get("pytest"),
            _section(self.root / "pytest.ini", "pytest"),
            _section(self.root / ".pytest.ini", "pytest"),
            table(self.pyproject, "tool", "pytest", "ini_options") or table(self.pyproject, "tool", "pytest"),
            _section(self.root / "tox.ini", "pytest"),
            _section(self.root / "setup.cfg", "tool:pytest"),
        ]
        return next((it for it in said if it and isinstance(it, dict)), {})

    def test_paths(self) -> list[str]:
        """Return where pytest looks for tests, as it is written there: it may not be so."""
        return texts(self.pytest.get("testpaths"))

    def import_folders(self) -> list[str]:
        """Return the folders from which something is imported, as the build and pytest are told."""
        tool = table(self.pyproject, "tool")
        wheel = table(tool, "hatch", "build", "targets", "wheel")
        found = texts(self.pytest.get("pythonpath"))
        found += texts(wheel.get("sources")) or texts(table(tool, "hatch", "build").get("sources"))
        for path in (*texts(wheel.get("packages")), *texts(wheel.get("only-include"))):
            found.append(path.rstrip("/").rpartition("/")[0])
        found += texts(table(tool, "setuptools", "packages", "find").get("where"))
        for name, path in table(tool, "setuptools", "package-dir").items():
            if isinstance(path, str):
                found.append(path.rstrip("/").rpartition("/")[0] if name else path)
        packages = table(tool, "poetry").get("packages")
        for package in packages if isinstance(packages, list) else []:
            found += texts(table(package).get("from"))
        found += texts(table(tool, "uv", "build-backend").get("module-root"))
        found += texts(table(tool, "pdm", "build").get("package-dir"))
        return [folder.removeprefix("./").rstrip("/") for folder in found if folder not in {"", "."}]

    def _grouped(self) -> Iterator[str]:
        """Yield what is needed by extras and groups."""
        groups = table(self.pyproject, "project", "optional-dependencies"), table(self.pyproject, "dependency-groups")
        for group in (*groups[0].values(), *groups[1].values()):
            yield from texts(group) if isinstance(group, list) else []
        yield from texts(table(self.pyproject, "tool", "uv").get("dev-dependencies"))
        for name, group in table(self.pyproject, "tool", "poetry", "group").items():
            yield from _poetry(table(group, "dependencies")) if isinstance(name, str) else []

    def _needed(self) -> Iterator[str]:
        needed = table(self.pyproject, "project").get("dependencies")
        yield from texts(needed) if isinstance(needed, list) else []
        yield from _poetry(table(self.pyproject, "tool", "poetry", "dependencies"))
        yield from (_section(self.root / "setup.cfg", "options") or {}).get("install_requires", "").splitlines()
        yield from self._lines("requirements.txt", set())
        for name in ("requirements/base.txt", "requirements/prod.txt", "requirements/production.txt"):
            yield from self._lines(name, set())

    def _lines(self, name: str, seen: set[str]) -> Iterator[str]:
        """Yield what a file of requirements names, and those that it includes."""
        if name in seen or not _is_inside(self.root, self.root / name):
            return
        seen.add(name)
        for line in text(self.root / name).replace("\\\n", " ").splitlines():
            if included := re.match(r"\s*(?:-r|--requirement)[\s=]*(\S+)", line):
                yield from self._lines((Path(name).parent / included[1]).as_posix(), seen)
            elif not line.lstrip().startswith(("-", "#")):
                yield line.partition(" --")[0]

    def declared(self) -> dict[str, str]:
        """Return the names of what is needed, and the versions that are said to do."""
        return _by_name(self._needed())

    def requirements(self, declared: dict[str, str], python: Path | None = None) -> Requirements:
        """Return what is said about Litestar; where an interpreter is named, by what it imports."""
        said = declared.get("litestar")
        if said is None:
            said = _by_name(self._grouped()).get("litestar")
        return Requirements(
            litestar=said or "",
            too_old=said is not None and not _allows(said, later=True),
            litestar_installed=self._installed(python),
        )

    def lacking(self, wanted: Iterable[str]) -> list[str]:
        """Return which of these requirements are not named, or, if it is Litestar's, let in one that is too old."""
        declared, lacking = self.declared(), []
        for requirement in wanted:
            (name,) = _by_name(iter([requirement]))
            said = declared.get(name)
            if name == "litestar":
                said = self.requirements(declared).litestar
                said = said if said and not _allows(said, later=False) else None
            if said is None:
                lacking.append(requirement)
        return lacking

    def serves_websockets(self) -> bool:
        """Whether nothing is known to lack for it: uvicorn alone serves none, and refuses whoever asks."""
        needed = [*self._needed(), *self._grouped()]
        names = _by_name(iter(needed))
        has_extra = any(re.match(r"\s*(uvicorn|litestar)\s*\[[^]]*\bstandard\b", it, re.IGNORECASE) for it in needed)
        return has_extra or "uvicorn" not in names or not names.keys().isdisjoint({"websockets", "wsproto"})

    def _installed(self, python: Path | None) -> str | None:
        """Return the version that is installed, or locked, where it is too old."""
        found = _litestar_in(python.parent.parent) if python else []
        for folder in outwards(self.root):
            for name in () if python else ENVIRONMENTS:
                found += _litestar_in(folder / name)
            for name in ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"):
                found += [it.decode() for it in LITESTAR_LOCKED.findall(read(folder / name, LARGEST_LOCK) or b"")]
        found += re.findall(
            r"^litestar(?:\[.*?\])?\s*===?\s*([\w.]+)", text(self.root / "requirements.txt"), re.MULTILINE
        )
        return found[0] if found and not _allows(f"=={found[0]}", later=True) else None

    def python(self) -> str | None:
        """Return where the application's interpreter is: a path, which nobody has tried."""
        places = [folder / name for folder in outwards(self.root) for name in ENVIRONMENTS]
        if active := os.environ.get("VIRTUAL_ENV"):
            places.append(Path(active))
        programs = [place / program for place in places for program in ("bin/python", "Scripts/python.exe")]
        return next((str(program) for program in programs if os.path.lexists(program)), None)

    def _ruff(self, folder: Path) -> tuple[Path, dict[str, Any]] | None:
        """Return ruff's settings for one of the application's folders, where there are some, and their file."""
        outermost = outwards(self.root)[-1]
        folders = [it for it in (folder, *folder.parents) if it.is_relative_to(outermost)]
        return next((it for it in map(_ruff_in, folders) if it is not None), None)

    def relative_imports(self, folder: Path) -> bool:
        """Whether ruff lets a module in one of the application's folders import from the folder above it."""
        found = self._ruff(folder)
        return not (found and _forbids_relative_imports(_extended(*found)))

    def first_party(self, folder: Path, name: str) -> list[str]:
        """Return the packages that ruff has to be told are the application's own, if any.

        It takes an import for one of its own where it finds the module; one in a folder that is to be made is not there
        yet. `name` is how that folder is imported.
        """
        found = self._ruff(folder)
        ruff, root = (_extended(*found), found[0].parent) if found else ({}, self.root)
        isort = {**table(ruff, "isort"), **table(ruff, "lint", "isort")}
        known = {key: texts(names) for key, names in isort.items() if key.startswith("known-")}
        top, *_ = name.split(".")
        looked_for = [root.joinpath(it, *name.split(".")) for it in texts(ruff.get("src")) or (".", "src")]
        if folder not in map(Path, map(os.path.normpath, looked_for)) or any(top in names for names in known.values()):
            return []
        return [*known.get("known-first-party", []), top]

    def ruff(self, folder: Path) -> Path | None:
        """Return the file that says that one of the application's folders is formatted with ruff, if one does."""
        if found := self._ruff(folder):
            return found[0]
        if "ruff" in {**_by_name(self._grouped()), **self.declared()}:
            return self.root / ("pyproject.toml" if self.pyproject else "requirements.txt")
        hooks = (it / ".pre-commit-config.yaml" for it in outwards(self.root))
        return next((it for it in hooks if "ruff-pre-commit" in text(it)), None)


def _litestar_in(environment: Path) -> list[str]:
    """Return the versions of Litestar that an environment has."""
    infos = [it for place in PACKAGES for it in _safely(environment.glob(f"{place}/litestar-*.dist-info"))]
    return [it.name.removesuffix(".dist-info").partition("-")[2] for it in infos]


def _is_inside(folder: Path, path: Path) -> bool:
    """Whether a path that the host's settings name stays in a folder, links and all."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def _safely(paths: Iterator[Path]) -> list[Path]:
    try:
        return sorted(paths)
    except OSError:
        return []


def _poetry(needed: dict[str, Any]) -> Iterator[str]:
    """Yield what poetry's tables say in the words of everybody else."""
    for name, said in needed.items():
        version = said.get("version", "") if isinstance(said, dict) else said
        extras = ",".join(texts(said.get("extras"))) if isinstance(said, dict) else ""
        yield f"{name}[{extras}] {version}" if isinstance(version, str) else name


def _by_name(requirements: Iterator[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for requirement in requirements:
        if named := NAME.match(requirement):
            found.setdefault(re.sub(r"[-_.]+", "-", named[1]).lower(), named[2].strip())
    return found


def _plain(said: str) -> str:
    """Return a specifier as pip takes it: poetry has some of its own."""
    plain: list[str] = []
    for part in (it.strip() for it in said.split(",")):
        caret = re.fullmatch(r"([~^])\s*(\d+)(?:\.(\d+))?[\w.]*", part)
        if caret:
            sign, major, minor = caret[1], int(caret[2]), caret[3]
            whole = sign == "^" or minor is None
            plain += [f">={part[1:].strip()}", f"<{major + 1}" if whole else f"<{major}.{int(minor) + 1}"]
        elif part and part != "*":
            plain.append(f"=={part}" if part[0].isdigit() else part)
    return ",".join(plain)


def _allows(said: str, *, later: bool) -> bool:
    """Whether a specifier lets in a Litestar that is new enough, or one that is not; one that is unclear does both."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - it takes time to import
    from packaging.version import Version  # noqa: PLC0415 - the same

    try:
        specifiers, wanted = SpecifierSet(_plain(said), prereleases=True), Version(WANTED)
        named = [Version(it.version.removesuffix(".*")) for it in specifiers if it.operator != "==="]
    except (InvalidSpecifier, ValueError):
        return True
    minor = [Version(f"2.{minor}.{patch}") for minor in range(60) for patch in range(8)]
    known = [*named, *minor, *(Version(f"{major}.{it}") for major in (1, 3, 4) for it in range(10))]
    return any((it >= wanted) == later and specifiers.contains(it) for it in known)


def _ruff_in(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return ruff's settings in a folder, where it has some, and their file."""
    for path in (folder / ".ruff.toml", folder / "ruff.toml"):
        if os.path.lexists(path):
            return path, toml(path)
    path = folder / "pyproject.toml"
    tool = table(toml(path), "tool")
    return (path, table(tool, "ruff")) if "ruff" in tool else None


def _extended(path: Path, ruff: dict[str, Any]) -> dict[str, Any]:
    """Return ruff's settings with what they extend; no further than the repository, and only once."""
    base = ruff.get("extend")
    if not isinstance(base, str):
        return ruff
    outer = Path(os.path.normpath(path.parent / base))
    if not _is_inside(outwards(path.parent)[-1], outer):
        return ruff
    other = toml(outer)
    other = table(other, "tool", "ruff") if outer.name == "pyproject.toml" else other
    both = {**other, **ruff}
    both["lint"] = {**table(other, "lint"), **table(ruff, "lint")}
    return both


def _forbids_relative_imports(ruff: dict[str, Any]) -> bool:
    lint = table(ruff, "lint")

    def nearest(*names: str) -> int:
        codes = [code for name in names for code in (*texts(ruff.get(name)), *texts(lint.get(name)))]
        return max((0 if it == "ALL" else len(it) for it in codes if it == "ALL" or _is_prefix(it)), default=-1)

    ignored = nearest("ignore", "extend-ignore")
    if nearest("select", "extend-select") > ignored:
        return True
    banned = (table(it, "flake8-tidy-imports").get("ban-relative-imports") for it in (ruff, lint))
    return ignored < 0 and "all" in banned


def _is_prefix(code: str) -> bool:
    return bool(code) and RELATIVE_IMPORTS.startswith(code)


def first(names: Sequence[str], taken: set[str]) -> str:
    """Return the first of some names that is free; numbered, where none is."""
    free = next((name for name in names if name not in taken), None)
    if free is not None:
        return free
    number = 2
    while f"{names[-1]}{number}" in taken:
        number += 1
    return f"{names[-1]}{number}"
