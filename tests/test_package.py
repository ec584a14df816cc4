"""The wheel ships the guide and the templates, whole."""

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from projects import UV, run

pytestmark = pytest.mark.slow


def test_wheel_and_sdist_ship_the_template(template: Path, tmp_path: Path) -> None:
    done = run(*UV, "build", "--quiet", "--out-dir", tmp_path, cwd=template, timeout=300)
    assert done.returncode == 0, done.stdout

    listed = subprocess.run(["git", "ls-files", "-z"], cwd=template, check=True, capture_output=True, text=True)
    tracked = listed.stdout.split("\0")
    shipped = {name: (template / name).read_bytes() for name in tracked if name.startswith(("template/", "copier.yml"))}
    assert len(shipped) > 30

    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        prefix = "ws_scaffold/_template/"
        packed = {
            name.removeprefix(prefix): archive.read(name) for name in archive.namelist() if name.startswith(prefix)
        }
    assert packed == shipped

    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert set(shipped) <= names
    assert {"README.md", "LICENSE", "CHANGELOG.md", "src/ws_scaffold/__init__.py"} <= names
