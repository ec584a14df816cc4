"""A release: the wheel ships the guide and the templates, whole, and its projects can be updated by both tools."""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from projects import REPOSITORY, UV, commit, render, run
from trees import contents
from ws_scaffold import __version__, releases

pytestmark = pytest.mark.slow

SHIPPED = ("template/", "copier.yml", "CHANGELOG.md")
LIMITS = "template/project/{{ ws_path }}/limits.py"
LATER = "99.0.0"
ADDRESS = "https://github.com/org/ws-scaffold.git"


@pytest.fixture(scope="module")
def built(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("built")
    done = run(*UV, "build", "--quiet", "--out-dir", folder, cwd=template, timeout=300)
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of a fresh environment in which pip has put the wheel, and what it needs."""
    (wheel,) = built.glob("*.whl")
    return installed_by_pip(tmp_path_factory.mktemp("installed"), wheel)


def installed_by_pip(folder: Path, *arguments: str | Path) -> Path:
    """Make an environment, install something there as most people do, and return its programs."""
    for command in ((sys.executable, "-m", "venv", folder), (folder / "bin/pip", "install", "--quiet", *arguments)):
        done = run(*command, cwd=folder, timeout=300)
        assert done.returncode == 0, done.stdout
    return folder / "bin"


@pytest.fixture(scope="module")
def released(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with two releases: this version, and one that mends something in each handler."""
    folder = tmp_path_factory.mktemp("released") / "template"
    run("git", "clone", "--quiet", template, folder, cwd=template)
    run("git", "tag", releases.OWN, cwd=folder)
    for path in (*(folder / "template/project").rglob("handler.py.jinja"), folder / LIMITS):
        path.write_text(f"{path.read_text()}\n\n# A fix.\n")
    changelog = folder / "CHANGELOG.md"
    entry = f"# Changelog\n\n## {LATER}\n\n### In your project\n\n- A fix.\n\n"
    changelog.write_text(changelog.read_text().replace("# Changelog\n\n", entry, 1))
    version = folder / "src/ws_scaffold/__init__.py"
    version.write_text(version.read_text().replace(__version__, LATER))
    commit(folder, "A fix")
    run("git", "tag", f"v{LATER}", cwd=folder)
    return folder


@pytest.fixture
def environment(released: Path, tmp_path: Path) -> dict[str, str]:
    """Return an environment in which the public address stands for a repository on this machine."""
    settings = tmp_path / "gitconfig"
    settings.write_text(f'[url "{released}"]\n\tinsteadOf = {ADDRESS}\n')
    folders = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_STATE_HOME": str(tmp_path / "state")}
    return {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "", "GIT_CONFIG_GLOBAL": str(settings), **folders}


def test_wheel_and_sdist_ship_the_template(template: Path, built: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=template, check=True, capture_output=True, text=True)
    tracked = listed.stdout.split("\0")
    shipped = {name: (template / name).read_bytes() for name in tracked if name.startswith(SHIPPED)}
    assert len(shipped) > 30

    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        prefix = "ws_scaffold/_template/"
        packed = {
            name.removeprefix(prefix): archive.read(name) for name in archive.namelist() if name.startswith(prefix)
        }
    assert packed == shipped

    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert set(shipped) <= names
    assert {"README.md", "LICENSE", "CHANGELOG.md", "src/ws_scaffold/__init__.py"} <= names


def test_version_is_one_number_and_comes_from_one_place(built: Path, installed: Path) -> None:
    assert [path.name for path in built.glob("*.whl")] == [f"ws_scaffold-{__version__}-py3-none-any.whl"]
    assert [path.name for path in built.glob("*.tar.gz")] == [f"ws_scaffold-{__version__}.tar.gz"]
    shown = run(installed / "ws-scaffold", "--version", cwd=installed, env={"PYTHONPATH": ""})
    assert shown.stdout == f"ws-scaffold {__version__}\n"
    assert f"v{__version__}" == releases.OWN
    named = run(
        "git", "grep", "--files-with-matches", "--fixed-strings", f'"{__version__}"', "--", "src", cwd=REPOSITORY
    )
    assert named.stdout == "src/ws_scaffold/__init__.py\n"


def test_changelog_says_what_this_version_brings() -> None:
    assert f"\n## {__version__}\n\n### In your project\n" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_lock_is_of_what_is_declared_and_names_public_places_only() -> None:
    """Where another index is set, uv follows it, and rewrites the file: that is not to be committed."""
    locked = tomllib.loads((REPOSITORY / "uv.lock").read_text())["package"]
    own = next(package for package in locked if package["name"] == "ws-scaffold")
    assert {str(package["source"]) for package in locked if package is not own} == {
        str({"registry": "https://pypi.org/simple"})
    }
    files = [file["url"] for package in locked for file in (*package.get("wheels", ()), package.get("sdist")) if file]
    assert {url.split("/")[2] for url in files} == {"files.pythonhosted.org"}

    def locked_as(listed: list[dict[str, Any]]) -> set[tuple[str, SpecifierSet]]:
        return {(it["name"], SpecifierSet(it.get("specifier", ""))) for it in listed}

    def declared_as(listed: list[str]) -> set[tuple[str, SpecifierSet]]:
        return {(it.name, it.specifier) for it in map(Requirement, listed)}

    declared, metadata = tomllib.loads((REPOSITORY / "pyproject.toml").read_text()), own["metadata"]
    assert locked_as(metadata["requires-dist"]) == declared_as(declared["project"]["dependencies"])
    for group, listed in declared["dependency-groups"].items():
        assert locked_as(metadata["requires-dev"][group]) == declared_as(listed)


def test_wheel_alone_makes_the_project_that_copier_makes(template: Path, installed: Path, tmp_path: Path) -> None:
    """Installed elsewhere, with no checkout in reach."""
    environment = {"PYTHONPATH": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    ours = installed / "ws-scaffold"
    done = run(ours, "new", "project", "desk", "--interface", "duplex-websocket", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout

    def files(project: Path) -> dict[str, bytes]:
        return {path: content for path, content in contents(project).items() if path != ".copier-answers.yml"}

    assert files(tmp_path / "desk") == files(
        render(template, tmp_path / "copied", {"project_name": "desk", "interface": "duplex-websocket"})
    )
    done = run(ours, "new", "handler", "feed", cwd=tmp_path / "desk", env=environment)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "desk/src/desk/ws/feed/handler.py").is_file()


def test_project_of_the_wheel_is_updated_by_both_tools_from_the_released_repository(
    installed: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    ours = installed / "ws-scaffold"
    for name in ("theirs", "ours"):
        project = tmp_path / name / "desk"
        project.parent.mkdir()
        for arguments in (
            ("new", "project", "desk", "--defaults"),
            ("-C", "desk", "new", "handler", "feed", "--defaults"),
        ):
            done = run(ours, *arguments, cwd=project.parent, env=environment)
            assert done.returncode == 0, done.stdout
        with (project / "src/desk/ws/feed/service.py").open("a") as file:
            file.write("# mine\n")

    theirs = tmp_path / "theirs/desk"
    commit(theirs)
    done = run(installed / "copier", "update", "--defaults", cwd=theirs, env=environment)
    assert done.returncode == 0, done.stdout
    assert run(ours, "update", "--check", cwd=tmp_path / "ours/desk", env=environment).returncode == 3
    done = run(ours, "update", cwd=tmp_path / "ours/desk", env=environment)
    assert done.returncode == 0, done.stdout
    assert "99.0.0 brings:\n- A fix.\n" in done.stdout

    assert contents(tmp_path / "ours/desk") == contents(theirs)
    for name in ("chat", "feed"):
        assert (theirs / f"src/desk/ws/{name}/handler.py").read_text().endswith("\n# A fix.\n")
    assert (theirs / "src/desk/ws/feed/service.py").read_text().endswith("# mine\n")


def compiled(folder: Path) -> list[Path]:
    """Return what Python has left below a folder."""
    return [path for path in folder.rglob("*") if path.suffix == ".pyc" or path.name == "__pycache__"]


def test_what_pip_has_compiled_reaches_no_project(
    released: Path,
    installed: Path,
    environment: dict[str, str],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Pip compiles all that it installs, and that are the Python files of the template, too: for either version."""
    build = run(*UV, "build", "--quiet", "--wheel", "--out-dir", tmp_path / "built", cwd=released, timeout=300)
    assert build.returncode == 0, build.stdout
    (wheel,) = (tmp_path / "built").glob("*.whl")
    (packages,) = installed.parent.glob("lib/*/site-packages")
    later = installed_by_pip(tmp_path_factory.mktemp("later"), "--no-deps", wheel)
    (its_packages,) = later.parent.glob("lib/*/site-packages")
    (its_packages / "the_same_needs.pth").write_text(f"{packages}\n")
    for place in (packages, its_packages):
        assert compiled(place / "ws_scaffold/_template"), "pip does not compile any more"

    project = tmp_path / "desk"
    project.mkdir()

    def run_by(programs: Path, *arguments: str) -> None:
        done = run(programs / "ws-scaffold", *arguments, cwd=project, env=environment)
        assert done.returncode == 0, done.stdout
        assert "pyc" not in done.stdout

    run_by(installed, "-C", "..", "new", "project", "desk", "--defaults")
    run_by(installed, "new", "handler", "feed", "--defaults")
    run_by(installed, "change", "project", "--package-name", "trading")
    assert not compiled(project)
    assert run(installed / "python", "-m", "compileall", "-q", ".", cwd=project).returncode == 0
    left = compiled(project)
    assert left, "its tests would leave some"
    run_by(later, "update", "--to", f"v{LATER}", "--defaults")
    run_by(later, "new", "handler", "news", "--defaults")
    assert compiled(project) == left
    assert (project / "src/trading/ws/limits.py").read_text().endswith("# A fix.\n")
