"""Try mutants of generated handlers, and say which of them the generated tests do not notice.

``python tests/laboratory.py`` tries every mutant on every handler. ``python tests/laboratory.py covering`` tries every
mutant once on every interface that it applies to and that may make a difference, and every handler at least once.
"""

import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from mutants import FIRST, IMPORTS, MUTANTS, OWN, Mutant
from projects import (
    FORMS,
    HANDLERS,
    PATHED,
    PYTHONS,
    SHAPES,
    WORKERS,
    Handler,
    build_environment,
    copy_of_the_working_tree,
    find_python,
    questions,
    render,
    run_own_tests,
)
from ws_scaffold.render import Rendering
from ws_scaffold.template import Template
from ws_scaffold.tree import Tree

TRIED = [*HANDLERS, *WORKERS, *SHAPES, *PATHED]
TIMEOUT = 60.0
"""Seconds that a mutant's tests may take; the project's own limit for a blocked event loop is 10."""
ABOUT_NO_HANDLER = (
    *("tests/test_main.py", "tests/test_server.py"),
    *("tests/ws/test_ws_settings.py", "tests/ws/test_ws_socket.py"),
)
"""Tests that are the same whatever the handler is: test_projects.py has passed them."""
ABOUT_EVERY_FORM = ("tests/test_app.py", "tests/ws/test_ws_asyncapi.py", "tests/ws/test_ws_handshake.py")
"""Tests of which the other answers about a handler change nothing: they pass for one handler of each form."""
KINDS = {"messages": "say text:str, typing, read up_to:int"}
"""What a handler of typed messages receives here: a mutant may take one kind for another."""
HASTE = ("-o", "faulthandler_timeout=3")
"""Ends a test in which a mutant blocks the event loop, sooner than the project's own limit does."""
LANES = 2
"""Runs at a time, for each worker: they wait more than they compute."""


def all_runs() -> tuple[tuple[Mutant, Handler], ...]:
    """Return every mutant with every handler that it applies to."""
    return tuple((mutant, handler) for handler in TRIED for mutant in MUTANTS if mutant.fits(handler))


def _direction(interface: str) -> str:
    direction: str = questions()["interfaces"]["default"][interface]["direction"]
    return direction


def covered_interfaces(mutant: Mutant, number: int = 0) -> list[str]:
    """Return the interfaces that the covering set tries a mutant with.

    That is every one that may make a difference; of a file that all handlers share, one for each direction.
    """
    interfaces = list(dict.fromkeys(handler["interface"] for handler in TRIED if mutant.fits(handler)))
    if not mutant.everywhere:
        return [interfaces[number % len(interfaces)]]
    if "{name}" in mutant.file:
        return interfaces
    directions: dict[str, list[str]] = {}
    for interface in interfaces:
        directions.setdefault(_direction(interface), []).append(interface)
    return [of_one[number % len(of_one)] for of_one in directions.values()]


@cache
def covering_runs() -> tuple[tuple[Mutant, Handler], ...]:
    """Return every mutant once with every interface that may make a difference; the forms of handlers take turns."""
    chosen: list[tuple[Mutant, Handler]] = []
    uses: Counter[str] = Counter()
    for number, mutant in enumerate(MUTANTS):
        for interface in covered_interfaces(mutant, number):
            fitting = (it for it in TRIED if it["interface"] == interface and mutant.fits(it))
            handler = min(fitting, key=lambda it: uses[it["name"]])
            uses[handler["name"]] += 1
            chosen.append((mutant, handler))
    return tuple(chosen)


class Laboratory:
    """Where mutants of handlers are tried, each in a project of one handler that is known to be sound."""

    def __init__(self, template: Path, python: Path, folder: Path, answers: Mapping[str, str] | None = None) -> None:
        self._template = template
        self._python = python
        self._folder = folder
        self._answers = {"channels_history": "20", **(answers or {})}

    def survivors(self, handler: Handler, mutants: Iterable[Mutant]) -> list[str]:
        """Return which mutants of a handler its generated tests do not notice; they must pass where it is as it is.

        Raises:
            LookupError: a mutant finds no place.
            RuntimeError: a mutant did not even run.
        """
        tried, project = list(mutants), self._project(handler)
        ignored = ABOUT_NO_HANDLER if handler in FORMS else (*ABOUT_NO_HANDLER, *ABOUT_EVERY_FORM)
        done = run_own_tests(self._python, project, *(f"--ignore={it}" for it in ignored))
        assert done.returncode == 0, f"{handler['name']} fails untouched:\n{done.stdout}"
        with ThreadPoolExecutor(LANES) as pool:
            survive = pool.map(lambda mutant: self._survives(project, handler, mutant), tried)
            return [
                f"{handler['name']}: {it.name!r} survives" for it, lives in zip(tried, survive, strict=True) if lives
            ]

    def _project(self, handler: Handler) -> Path:
        """Return a project with that handler, made by our renderer, which is held against Copier's elsewhere."""
        project = self._folder / handler["name"]
        state = {
            "_src_path": str(self._template),
            "project_name": "Demo",
            "package_name": "demo",
            "layout": "project",
            "asyncapi": "yes",
            **self._answers,
            "handlers": [handler | (KINDS if "messages" in handler else {})],
        }
        for path, file in Rendering(Template(self._template), state).render().items():
            Tree(project).write(path, file.content)
        return project

    def _survives(self, original: Path, handler: Handler, mutant: Mutant) -> bool:
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            project = Path(folder) / "project"
            shutil.copytree(original, project)  # with what the sound one has compiled
            mutant.apply(project, handler)
            path = project / mutant.file.format(name=handler["name"])
            for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):  # it may look as old as what is written now
                compiled.unlink()
            path.write_text(re.sub(r"(?m)^(?=(from|import) )", IMPORTS, path.read_text(), count=1))
            first = (FIRST.get(mutant.name) or FIRST.get(mutant.file) or OWN).format(name=handler["name"])
            chosen = [first] if (project / first).is_file() else []
            # Most are noticed by the first.
            for tests in filter(None, (chosen, ["tests/ws"], ["tests", "--ignore=tests/ws"])):
                done = run_own_tests(self._python, project, *HASTE, "-x", *tests, timeout=TIMEOUT)
                if done.returncode == 1:  # a file that cannot be collected is a failure only among others
                    break
        if done.returncode in {0, 1}:
            return done.returncode == 0
        raise RuntimeError(f"{handler['name']}: {mutant.name!r} did not even run:\n{done.stdout}")


def main(choice: str = "all") -> int:
    """Try the mutants, print what survived, and return how many did."""
    runs = covering_runs() if choice == "covering" else all_runs()
    mutants: dict[str, list[Mutant]] = {handler["name"]: [] for handler in TRIED}
    for mutant, handler in runs:
        mutants[handler["name"]].append(mutant)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        template = copy_of_the_working_tree(folder / "template")
        sample = render(template, folder / "sample", {"project_name": "Demo"})
        python = build_environment(folder / "environment", sample, python=find_python(PYTHONS[0]) or sys.executable)
        laboratory = Laboratory(template, python, folder / "laboratory")
        survived = 0
        for survivors in (laboratory.survivors(handler, mutants[handler["name"]]) for handler in TRIED):
            survived += len(survivors)
            sys.stdout.writelines(f"{survivor}\n" for survivor in survivors)
    sys.stdout.write(f"{len(runs) - survived} of {len(runs)} mutants killed\n")
    return survived


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
