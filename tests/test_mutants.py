"""A generated test fails when what it is there for is broken."""

from pathlib import Path

import pytest

from conftest import Environment
from laboratory import TRIED, Laboratory, covered_interfaces, covering_runs
from mutants import CONTROLS, MUTANTS, Mutant
from projects import HANDLERS, PYTHONS, Handler

pytestmark = pytest.mark.slow


@pytest.fixture
def laboratory(template: Path, environment: Environment, tmp_path: Path) -> Laboratory:
    """Return where handlers and mutants of them are tried, on the first Python."""
    return Laboratory(template, environment(PYTHONS[0]), tmp_path)


def test_covering_set_has_every_mutant_every_interface_and_every_handler() -> None:
    runs = covering_runs()
    assert {mutant for mutant, _ in runs} == set(MUTANTS)
    assert {handler["name"] for _, handler in runs} == {handler["name"] for handler in TRIED}
    for mutant in MUTANTS:
        tried = [handler["interface"] for it, handler in runs if it is mutant]
        assert len(tried) == len(set(tried)) == len(covered_interfaces(mutant))
        assert "{name}" not in mutant.file or not mutant.everywhere or set(tried) == set(covered_interfaces(mutant))


@pytest.mark.parametrize("handler", TRIED, ids=lambda handler: handler["name"])
def test_handler_alone_passes_its_own_tests_and_they_notice_every_mutant(
    laboratory: Laboratory, handler: Handler
) -> None:
    """On the first Python; of the mutants, those that the covering set tries with this handler."""
    mutants = [mutant for mutant, tried in covering_runs() if tried is handler]
    assert not laboratory.survivors(handler, mutants)


def test_generated_tests_notice_nothing_where_nothing_is_broken(laboratory: Laboratory) -> None:
    assert len(laboratory.survivors(HANDLERS[-1], CONTROLS)) == len(CONTROLS)


def test_mutant_that_finds_no_place_is_an_error(laboratory: Laboratory) -> None:
    lost = Mutant("lost", CONTROLS[0].file, "not in the file", "")
    with pytest.raises(LookupError, match=f"mutant 'lost' finds no place in .*/{HANDLERS[0]['name']}/handler.py"):
        laboratory.survivors(HANDLERS[0], [lost])
