"""What a package and a handler may be called: what is refused would break something, and what is not refused works."""

import ast
import sys
from pathlib import Path, PurePosixPath

import pytest

from conftest import Environment
from projects import HANDLERS, PYTHONS, REPOSITORY, WORKERS, questions, render, run, run_own_tests
from test_render import assert_formatted
from ws_scaffold.render import Rendering
from ws_scaffold.template import Template

ODD = (
    *("anyio", "asyncio", "calendar", "conftest", "desk", "email", "handler", "litestar", "msgspec", "profile"),
    *("queue", "redis", "service", "session", "signal", "tests", "test", "test_feed", "testbed", "testimonials"),
    *("time", "token", "trace", "typing"),
)
"""Words that one would use for a handler, and that modules, packages or tests have, too."""


def listed(name: str) -> set[str]:
    """Return the words of a list in `copier.yml`."""
    return set(questions()[name]["default"])


def rendered(backend: str) -> dict[PurePosixPath, str]:
    """Return all files of a project with every valid handler, by their paths."""
    about = {"project_name": "demo", "package_name": "demo", "asyncapi": "yes"}
    about |= {"channels_backend": backend, "channels_history": "0"}
    state = {"_src_path": str(REPOSITORY), **about, "handlers": [*HANDLERS, *WORKERS]}
    files = Rendering(Template(REPOSITORY), state).render()
    return {PurePosixPath(path): file.content.decode() for path, file in files.items()}


BACKENDS = Template(REPOSITORY).values("channels_backend")


def test_every_standard_module_is_a_taken_package() -> None:
    standard = {name for name in sys.stdlib_module_names if name.islower() and not name.startswith("_")}
    assert standard <= listed("taken_packages")


@pytest.mark.parametrize("backend", BACKENDS)
def test_everything_that_a_project_imports_is_a_taken_package(backend: str) -> None:
    imported: set[str] = set()
    for path, text in rendered(backend).items():
        for node in ast.walk(ast.parse(text)) if path.suffix == ".py" else ():
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module))
    assert imported >= {"litestar", "msgspec"}
    assert {name.partition(".")[0] for name in imported} - {"demo", "__future__"} <= listed("taken_packages")


@pytest.mark.slow
def test_everything_in_the_environment_of_a_project_is_a_taken_package(environment: Environment) -> None:
    script = "import importlib.metadata; print(*importlib.metadata.packages_distributions(), sep='\\n')"
    installed = run(environment(PYTHONS[0]), "-c", script, cwd=REPOSITORY).stdout.split()
    modules = {name for name in installed if name.isidentifier() and name.islower() and not name.startswith("_")}
    assert "litestar" in modules
    assert modules <= listed("taken_packages")


def test_handlers_are_not_called_as_what_stands_beside_them() -> None:
    """Two files of one path would be one, and the project's own would be lost."""
    handlers = {handler["name"] for handler in (*HANDLERS, *WORKERS)}
    beside: set[str] = set()
    for path in (path for backend in BACKENDS for path in rendered(backend)):
        if path.parent == PurePosixPath("src/demo/ws"):
            beside.add(path.stem)
        elif path.parent == PurePosixPath("tests/ws") and path.name.startswith("test_ws_"):
            beside.add(path.stem.removeprefix("test_ws_"))
    assert beside - handlers - {"__init__"} - listed("reserved") == listed("neighbours") - {"application"}


def test_devices_of_windows_are_refused() -> None:
    numbered = {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
    assert listed("devices") == {"con", "prn", "aux", "nul"} | numbered


@pytest.mark.slow
def test_handlers_of_odd_names_pass_their_own_tests(template: Path, tmp_path: Path, environment: Environment) -> None:
    forms = HANDLERS[:: len(HANDLERS) // len(ODD)]
    handlers = [form | {"name": name} for form, name in zip(forms, ODD, strict=False)]
    assert len(handlers) == len(ODD)
    project = render(template, tmp_path / "demo", {"asyncapi": "yes", "handlers": handlers})
    assert_formatted(project)
    done = run(sys.executable, "-m", "mypy", "--no-error-summary", cwd=project, timeout=300)
    assert done.returncode == 0, done.stdout
    done = run_own_tests(environment(PYTHONS[0]), project, timeout=400)
    assert done.returncode == 0, done.stdout
