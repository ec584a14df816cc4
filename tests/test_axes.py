"""What the kinds of messages, work, and what is sent make of every form of handler: pairwise."""

import sys
from pathlib import Path

import pytest

from conftest import Environment
from projects import DIRECTED, PYTHONS, VARIED, Handler, render, run, run_own_tests
from test_render import assert_formatted
from trees import contents
from ws_scaffold.project import load_state
from ws_scaffold.render import Rendering
from ws_scaffold.template import Template

SETS = {"kinds and work": VARIED, "what is sent": DIRECTED}


@pytest.fixture(scope="module", params=SETS)
def handlers(request: pytest.FixtureRequest) -> list[Handler]:
    """Return handlers, every two of which differ in something that is asked."""
    return SETS[request.param]


@pytest.fixture(scope="module")
def varied(plain_template: Path, tmp_path_factory: pytest.TempPathFactory, handlers: list[Handler]) -> Path:
    """Return a project with all of them, made by Copier."""
    answers = {"project_name": "Varied", "asyncapi": "yes", "handlers": handlers}
    return render(plain_template, tmp_path_factory.mktemp("varied"), answers)


def test_what_is_rendered_is_what_copier_writes(plain_template: Path, varied: Path) -> None:
    rendered = Rendering(Template(plain_template), load_state(varied)).render()
    written = contents(varied)
    assert {path: it.content for path, it in rendered.items()} == written


@pytest.mark.slow
def test_all_are_formatted_and_typed(varied: Path) -> None:
    assert_formatted(varied)
    for checker in (("mypy", "--no-error-summary"), ("basedpyright", "--pythonpath", sys.executable)):
        done = run(sys.executable, "-m", *checker, cwd=varied, timeout=300)
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
def test_all_pass_their_own_tests(
    varied: Path, handlers: list[Handler], environment: Environment, version: str
) -> None:
    """Each on one of the Pythons, and all that is shared on every one."""
    others = [it for number, it in enumerate(handlers) if number % len(PYTHONS) != PYTHONS.index(version)]
    chosen = [f"--ignore=tests/ws/test_ws_{it['name']}.py" for it in others]
    done = run_own_tests(environment(version), varied, *chosen, timeout=300)
    assert done.returncode == 0, done.stdout
