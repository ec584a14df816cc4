"""Try mutants of generated handlers, and say which of them the generated tests do not notice.

``python tests/laboratory.py`` tries every mutant on every handler. ``python tests/laboratory.py covering`` tries every
mutant once on every interface that it applies to and that may make a difference, and every handler at least once.
"""

import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutants import FIRST, IMPORTS, MUTANTS, Mutant
from projects import (
    HANDLERS,
    PYTHONS,
    Handler,
    build_environment,
    copy_of_the_working_tree,
    find_python,
    questions,
    render,
    run_own_tests,
)

TIMEOUT = 60.0
"""Seconds that a mutant's tests may take; the project's own limit for a blocked event loop is 10."""


def all_runs() -> list[tuple[Mutant, Handler]]:
    """Return every mutant with every handler that it applies to."""
    return [(mutant, handler) for handler in HANDLERS for mutant in MUTANTS if mutant.applies(handler)]


def _direction(interface: str) -> str:
    direction: str = questions()["interfaces"]["default"][interface]["direction"]
    return direction


def covered_interfaces(mutant: Mutant, number: int = 0) -> list[str]:
    """Return the interfaces that the covering set tries a mutant with.

    That is every one that may make a difference; of a file that all handlers share, one for each direction.
    """
    interfaces = list(dict.fromkeys(handler["interface"] for handler in HANDLERS if mutant.applies(handler)))
    if not mutant.everywhere:
        return [interfaces[number % len(interfaces)]]
    if "{name}" in mutant.file:
        return interfaces
    directions: dict[str, list[str]] = {}
    for interface in interfaces:
        directions.setdefault(_direction(interface), []).append(interface)
    return [of_one[number % len(of_one)] for of_one in directions.values()]


def covering_runs() -> list[tuple[Mutant, Handler]]:
    """Return every mutant once with every interface that may make a difference; the forms of handlers take turns."""
    chosen: list[tuple[Mutant, Handler]] = []
    uses: Counter[str] = Counter()
    for number, mutant in enumerate(MUTANTS):
        for interface in covered_interfaces(mutant, number):
            fitting = (it for it in HANDLERS if it["interface"] == interface and mutant.applies(it))
            handler = min(fitting, key=lambda it: uses[it["name"]])
            uses[handler["name"]] += 1
            chosen.append((mutant, handler))
    return chosen


class Laboratory:
    """Projects of one handler each, known to be sound, and an environment to try mutants in."""

    def __init__(self, template: Path, python: Path, folder: Path) -> None:
        self._template = template
        self._python = python
        self._folder = folder
        self._prepared: set[str] = set()

    def _sound(self, handler: Handler) -> Path:
        project = self._folder / handler["name"]
        answers = {
            "project_name": "Demo",
            "package_name": "demo",
            "asyncapi": "yes",
            "channels_history": "20",
            "handlers": [handler],
        }
        render(self._template, project, answers)
        done = run_own_tests(self._python, project)
        assert done.returncode == 0, f"{handler['name']} fails untouched:\n{done.stdout}"
        return project

    def prepare(self, handlers: Iterable[Handler]) -> None:
        """Make a project for each of the handlers, and check that it passes its tests as it is; each once."""
        new = {it["name"]: it for it in handlers if it["name"] not in self._prepared}
        with ThreadPoolExecutor(2) as pool:
            for _ in pool.map(self._sound, new.values()):
                pass
        self._prepared |= new.keys()

    def _survives(self, run: tuple[Mutant, Handler]) -> str | None:
        """Return what survived, or None if the generated tests have noticed."""
        mutant, handler = run
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            project = Path(folder) / "project"
            shutil.copytree(self._folder / handler["name"], project, ignore=shutil.ignore_patterns("__pycache__"))
            mutant.apply(project, handler)
            path = project / mutant.file.format(name=handler["name"])
            path.write_text(re.sub(r"(?m)^(?=(from|import) )", IMPORTS, path.read_text(), count=1))
            first = FIRST.get(mutant.file, f"tests/ws/test_{handler['name']}.py")
            first = first if (project / first).is_file() else "tests"
            done = run_own_tests(self._python, project, "-x", first, "tests", timeout=TIMEOUT)
        if done.returncode == 1:
            return None
        if done.returncode == 0:
            return f"{handler['name']}: {mutant.name!r} survives"
        raise RuntimeError(f"{handler['name']}: {mutant.name!r} did not even run:\n{done.stdout}")

    def survivors(self, runs: Iterable[tuple[Mutant, Handler]]) -> Iterator[str]:
        """Yield what the generated tests did not notice; raise `LookupError` for a mutant that finds no place."""
        with ThreadPoolExecutor(2) as pool:
            yield from filter(None, pool.map(self._survives, runs))


def main(choice: str = "all") -> int:
    """Try the mutants, print what survived, and return how many did."""
    runs = {"all": all_runs, "covering": covering_runs}[choice]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        template = copy_of_the_working_tree(folder / "template")
        sample = render(template, folder / "sample", {"project_name": "Demo"})
        python = build_environment(folder / "environment", sample, find_python(PYTHONS[0]) or sys.executable)
        laboratory = Laboratory(template, python, folder)
        laboratory.prepare({handler["name"]: handler for _, handler in runs}.values())
        survived = 0
        for survivor in laboratory.survivors(runs):
            survived += 1
            sys.stdout.write(f"{survivor}\n")
    sys.stdout.write(f"{len(runs) - survived} of {len(runs)} mutants killed\n")
    return survived


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
