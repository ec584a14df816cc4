"""A rendered project's own tests pass: on every Python, with warnings as errors, with what it declares installed."""

from pathlib import Path

import pytest

from conftest import Environment
from projects import FIRSTS, FORMS, HANDLERS, PYTHONS, UV, Handler, render, run, run_own_tests

pytestmark = pytest.mark.slow

ALL_NAMES = {handler["name"] for handler in HANDLERS}
REPEATED = {"guards", "handshake", "limits", "services"}
"""Tests of a project that are repeated for each of its handlers."""


def test_all_handlers_together_pass_their_own_tests(everything: Path, environment: Environment) -> None:
    """The tests that all handlers share, and those of one handler an interface; alone, all pass in test_mutants.py.

    Those that are repeated for each handler are left out: together, they pass for every form below. In a new process:
    what has to be imported is imported here.
    """
    names = {path: path.stem.removeprefix("test_ws_") for path in everything.glob("tests/**/test_*.py")}
    shared = sorted(str(path) for path, name in names.items() if name not in ALL_NAMES | REPEATED)
    own = [f"tests/ws/test_ws_{handler['name']}.py" for handler in FIRSTS]
    done = run_own_tests(environment(PYTHONS[0]), everything, *shared, *own, timeout=600, forked=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", PYTHONS[1:])
def test_every_form_passes_its_own_tests_on_a_later_python(
    template: Path, tmp_path: Path, environment: Environment, version: str
) -> None:
    """In one project for each Python, and in a new process; test_mutants.py has them all on the first one.

    Each Python has every interface, of which the payloads and the kinds of events take turns.
    """
    turn = PYTHONS.index(version) % 2
    handlers = [handler for number, handler in enumerate(FORMS) if (number + number // 2) % 2 == turn]
    assert {handler["interface"] for handler in handlers} == {handler["interface"] for handler in FORMS}
    project = render(template, tmp_path / "forms", {"asyncapi": "yes", "handlers": handlers})
    done = run_own_tests(environment(version), project, timeout=600, forked=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("handler", FIRSTS, ids=lambda handler: handler["interface"])
def test_first_handler_of_a_project_passes_its_own_tests(
    template: Path, tmp_path: Path, environment: Environment, handler: Handler
) -> None:
    """Made as a user would make it; on the last Python, since test_mutants.py has the first one."""
    answers = {"handler_name" if key == "name" else key: value for key, value in handler.items()}
    done = run_own_tests(environment(PYTHONS[-1]), render(template, tmp_path / "project", answers))
    assert done.returncode == 0, done.stdout


def test_project_installed_alone_passes_its_own_tests(template: Path, tmp_path: Path) -> None:
    """As the project's README says it: `uv run` makes the environment from the project's own pyproject.toml."""
    project = render(template, tmp_path / "trading-desk", {"project_name": "Trading Desk"})
    for command in (("pytest", "-q"), ("ruff", "check", "."), ("mypy",)):
        done = run(*UV, "run", "--isolated", *command, cwd=project, timeout=300, env={"VIRTUAL_ENV": ""})
        assert done.returncode == 0, done.stdout
