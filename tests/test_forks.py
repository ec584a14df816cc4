"""A fork that runs a project's tests says what a new process would have said."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forks import run_pytest
from projects import run

PYTHON = Path(sys.executable)
OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:faker")
OWN = {"PYTHONPATH": "src", "PYTHONDONTWRITEBYTECODE": "", "OF_THIS_RUN": "yes"}

SHOWS_ALL = """
import json, os, sys, warnings

def test_shown():
    main = sys.modules["__main__"]
    environment = {name: value for name, value in os.environ.items() if name not in {"_", "PYTEST_CURRENT_TEST"}}
    print(os.getcwd(), sys.path, sys.argv, sys.warnoptions, sys.flags, sys.dont_write_bytecode, sys.executable)
    print(warnings.filters, main.__name__, main.__spec__.name, sys.stdin.read(), sys.stdout.encoding)
    print(json.dumps(environment, sort_keys=True))
    assert False
"""

PROJECTS = {
    "passes": (0, {"src/own/__init__.py": "", "test_it.py": "import own\n\ndef test_it():\n    assert own\n"}),
    "runs asynchronous tests": (
        0,
        {
            "pyproject.toml": "[tool.pytest.ini_options]\nanyio_mode = 'auto'\n",
            "conftest.py": "import pytest\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n",
            "test_it.py": "import anyio, litestar.testing\n\nasync def test_it():\n    await anyio.sleep(0)\n",
        },
    ),
    "says good-bye": (0, {"test_it.py": "import atexit\n\ndef test_it():\n    atexit.register(print, 'good-bye')\n"}),
    "leaves a thread": (
        0,
        {
            "test_it.py": "import threading, time\n\ndef late():\n    time.sleep(0.5)\n    print('late')\n\n"
            "def test_it():\n    threading.Thread(target=late).start()\n"
        },
    ),
    "fails": (1, {"test_it.py": "def test_it():\n    here = {'a': [1, 2]}\n    assert here == {'a': [1, 3]}\n"}),
    "is shown where it runs": (1, {"test_it.py": SHOWS_ALL}),
    "warns in a test": (1, {"test_it.py": "import warnings\n\ndef test_it():\n    warnings.warn('once')\n"}),
    "warns of a coroutine": (
        1,
        {"test_it.py": "async def nothing():\n    pass\n\ndef test_it():\n    nothing()\n    assert False\n"},
    ),
    "lacks an import": (1, {"test_it.py": "def test_it():\n    litestar.Litestar()\n"}),
    "lacks a fixture": (1, {"test_it.py": "def test_it(no_such_fixture):\n    pass\n"}),
    "blocks": (
        1,
        {
            "pyproject.toml": "[tool.pytest.ini_options]\nfaulthandler_timeout = 0.2\n"
            "faulthandler_exit_on_timeout = true\n",
            "test_it.py": "import time\n\ndef test_it():\n    time.sleep(60)\n",
        },
    ),
    "warns when it is imported": (
        2,
        {
            "src/own.py": "import warnings\nwarnings.warn('old', DeprecationWarning)\n",
            "test_it.py": "import own\n\ndef test_it():\n    pass\n",
        },
    ),
    "warns when it is compiled": (2, {"src/own.py": "A = '\\d'\n", "test_it.py": "import own\n"}),
    "lacks a package": (2, {"test_it.py": "import no_such_package\n"}),
    "lacks a name": (2, {"test_it.py": "from litestar import no_such_name\n"}),
    "has settings that are wrong": (
        4,
        {"pyproject.toml": "[tool.pytest.ini_options]\nno_such_setting = 1\naddopts = ['--strict-config']\n"},
    ),
    "has no tests": (5, {"readme.txt": ""}),
    "ends at once": (7, {"test_it.py": "import os\n\ndef test_it():\n    os._exit(7)\n"}),
    "is killed": (
        -signal.SIGKILL,
        {"test_it.py": "import os, signal\n\ndef test_it():\n    os.kill(os.getpid(), signal.SIGKILL)\n"},
    ),
}
"""What a run ends with, and the files that make it."""


def written(folder: Path, files: dict[str, str]) -> Path:
    """Write the files of a project, and return it."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def told(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    """Return what a run says, but for what no two runs have in common."""
    text = re.sub(r"0x[0-9a-f]+|\d+\.\d+s", "…", done.stdout)
    return done.returncode, re.sub(r"(?m)^(  File .*|Thread .*|Current thread .*)\n", "", text)


@pytest.fixture(autouse=True, scope="module")
def _have_everything_imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Have the forks of this file import nothing more, as those of most projects."""
    project = written(tmp_path_factory.mktemp("imports"), {"test_it.py": "import litestar.testing, uvicorn, redis\n"})
    run_pytest(PYTHON, project, *OPTIONS, timeout=60, env=OWN)


@pytest.mark.parametrize(("code", "files"), PROJECTS.values(), ids=PROJECTS)
def test_a_fork_ends_and_prints_as_a_new_process_does(tmp_path: Path, code: int, files: dict[str, str]) -> None:
    project = written(tmp_path / "project", files)
    new = run(PYTHON, "-W", "error", "-m", "pytest", *OPTIONS, cwd=project, env=OWN)
    assert new.returncode == code, new.stdout
    assert told(run_pytest(PYTHON, project, *OPTIONS, timeout=60, env=OWN)) == told(new)


def test_nothing_of_a_run_is_left_to_the_next(tmp_path: Path) -> None:
    files = {
        "src/own.py": "",
        "test_it.py": "import own, os, sys, warnings\n\ndef test_it():\n    assert not hasattr(sys, 'left')\n"
        "    sys.left = os.environ['LEFT'] = 'yes'\n    warnings.filters.clear()\n",
    }
    other = "import os, sys, pytest\n\ndef test_it():\n    assert not {'own', 'conftest'} & {*sys.modules}\n"
    other += "    assert 'LEFT' not in os.environ\n    with pytest.raises(ImportError):\n        import own\n"
    for project in (
        written(tmp_path / "one", files),
        written(tmp_path / "one", files),
        written(tmp_path / "two", {"test_it.py": other}),
    ):
        done = run_pytest(PYTHON, project, *OPTIONS, timeout=60, env=OWN)
        assert done.returncode == 0, done.stdout


def test_run_that_takes_too_long_is_killed_with_all_that_it_has_started(tmp_path: Path) -> None:
    text = (
        "import subprocess\n\ndef test_it():\n    with subprocess.Popen(['sleep', '60']) as started:\n"
        "        open('started', 'w').write(str(started.pid))\n"
    )
    project = written(tmp_path, {"test_it.py": text})
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        run_pytest(PYTHON, project, *OPTIONS, "-s", timeout=3, env=OWN)
    assert time.monotonic() - began < 30
    started = int((project / "started").read_text())
    for _ in range(100):
        if not Path(f"/proc/{started}/stat").exists() or " Z " in Path(f"/proc/{started}/stat").read_text():
            break
        time.sleep(0.05)
    else:
        os.kill(started, signal.SIGKILL)
        pytest.fail("what the run has started goes on")
