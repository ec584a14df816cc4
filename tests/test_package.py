"""A release: the wheel ships the guide and the templates, whole, and its projects can be updated by both tools."""

import subprocess
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
    """Return the programs of a fresh environment that holds the wheel, and what it needs."""
    (wheel,) = built.glob("*.whl")
    folder = tmp_path_factory.mktemp("installed")
    for command in (("venv", "--quiet", folder), ("pip", "install", "--quiet", "--python", folder, wheel)):
        done = run(*UV, *command, cwd=folder, timeout=300)
        assert done.returncode == 0, done.stdout
    return folder / "bin"


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
    template: Path, installed: Path, tmp_path: Path
) -> None:
    """The public address stands for a repository on this machine, which has the tag of this version and a later one."""
    released, later = tmp_path / "released", "v99.0.0"
    run("git", "clone", "--quiet", template, released, cwd=tmp_path)
    run("git", "tag", releases.OWN, cwd=released)
    for path in (released / "template/interfaces").rglob("*.jinja"):
        path.write_text(f"{path.read_text()}\n\n# A fix.\n")
    changelog = released / "CHANGELOG.md"
    entry = f"# Changelog\n\n## {later[1:]}\n\n### In your project\n\n- A fix.\n\n"
    changelog.write_text(changelog.read_text().replace("# Changelog\n\n", entry, 1))
    commit(released, "A fix")
    run("git", "tag", later, cwd=released)

    settings = tmp_path / "gitconfig"
    settings.write_text(f'[url "{released}"]\n\tinsteadOf = {ADDRESS}\n')
    environment = {
        "PYTHONPATH": "",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "GIT_CONFIG_GLOBAL": str(settings),
    }
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
    assert run(ours, "update", "--check", cwd=tmp_path / "ours/desk", env=environment).returncode == 2
    done = run(ours, "update", cwd=tmp_path / "ours/desk", env=environment)
    assert done.returncode == 0, done.stdout
    assert "99.0.0 brings:\n- A fix.\n" in done.stdout

    assert contents(tmp_path / "ours/desk") == contents(theirs)
    for name in ("chat", "feed"):
        assert (theirs / f"src/desk/ws/{name}/handler.py").read_text().endswith("\n# A fix.\n")
    assert (theirs / "src/desk/ws/feed/service.py").read_text().endswith("# mine\n")
