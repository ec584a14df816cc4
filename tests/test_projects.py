"""A rendered project's own tests pass: on every Python, with warnings as errors, with what it declares installed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import Environment
from projects import HANDLERS, PYTHONS, UV, Handler, render, run, run_own_tests

pytestmark = pytest.mark.slow

ALL_NAMES = {handler["name"] for handler in HANDLERS}


@pytest.mark.parametrize("version", PYTHONS)
def test_all_handlers_together_pass_their_own_tests(everything: Path, environment: Environment, version: str) -> None:
    """The tests that all handlers share, and those of one handler an interface; alone, all pass in test_mutants.py.

    In a new process: what has to be imported is imported here.
    """
    first = {handler["interface"]: handler["name"] for handler in reversed(HANDLERS)}
    shared = sorted(str(path) for path in everything.glob("tests/**/test_*.py") if path.stem[5:] not in ALL_NAMES)
    own = [f"tests/ws/test_{name}.py" for name in first.values()]
    done = run_own_tests(environment(version), everything, *shared, *own, timeout=240, forked=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", PYTHONS[1:])
def test_first_handler_of_every_form_passes_its_own_tests_on_later_pythons(
    template: Path, tmp_path: Path, environment: Environment, version: str
) -> None:
    """Of every interface each payload, and with what else there is to choose in turn; made as a user would make it."""
    python = environment(version)
    forms: dict[tuple[str, str, str | None], list[Handler]] = {}
    for handler in HANDLERS:
        forms.setdefault((handler["interface"], handler["payload"], handler.get("events")), []).append(handler)
    chosen = [handlers[number % len(handlers)] for number, handlers in enumerate(forms.values())]

    def own_tests(handler: Handler) -> str:
        """Make a project with that first handler, and return what its tests print if they fail."""
        answers = {"handler_name" if key == "name" else key: value for key, value in handler.items()}
        project = render(template, tmp_path / handler["name"], answers)
        done = run_own_tests(python, project)
        return "" if done.returncode == 0 else done.stdout

    with ThreadPoolExecutor(2) as pool:
        failures = list(filter(None, pool.map(own_tests, chosen)))
    assert not failures, "\n\n".join(failures)


def test_project_installed_alone_passes_its_own_tests(template: Path, tmp_path: Path) -> None:
    """As the project's README says it: `uv run` makes the environment from the project's own pyproject.toml."""
    project = render(template, tmp_path / "trading-desk", {"project_name": "Trading Desk"})
    for command in (("pytest", "-q"), ("ruff", "check", "."), ("mypy",)):
        done = run(*UV, "run", "--isolated", *command, cwd=project, timeout=300, env={"VIRTUAL_ENV": ""})
        assert done.returncode == 0, done.stdout
