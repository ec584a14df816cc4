"""The wheel ships the guide and the templates, whole, and needs nothing else."""

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from projects import UV, render, run
from trees import contents

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("built")
    done = run(*UV, "build", "--quiet", "--out-dir", folder, cwd=template, timeout=300)
    assert done.returncode == 0, done.stdout
    return folder


def test_wheel_and_sdist_ship_the_template(template: Path, built: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=template, check=True, capture_output=True, text=True)
    tracked = listed.stdout.split("\0")
    shipped = {name: (template / name).read_bytes() for name in tracked if name.startswith(("template/", "copier.yml"))}
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


def test_wheel_alone_makes_the_project_that_copier_makes(template: Path, built: Path, tmp_path: Path) -> None:
    """Installed elsewhere, with no checkout in reach."""
    (wheel,) = built.glob("*.whl")
    installed = tmp_path / "installed"
    for command in (("venv", "--quiet", installed), ("pip", "install", "--quiet", "--python", installed, wheel)):
        done = run(*UV, *command, cwd=tmp_path, timeout=300)
        assert done.returncode == 0, done.stdout

    environment = {"PYTHONPATH": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    ours = installed / "bin" / "ws-scaffold"
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
