"""A generated test fails when what it is there for is broken."""

from pathlib import Path

import pytest

from conftest import Environment
from laboratory import Laboratory, covered_interfaces, covering_runs
from mutants import CONTROLS, MUTANTS, Mutant
from projects import HANDLERS, PYTHONS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def laboratory(template: Path, environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """Return where handlers and mutants of them are tried, on the first Python."""
    return Laboratory(template, environment(PYTHONS[0]), tmp_path_factory.mktemp("laboratory"))


def test_every_handler_alone_passes_its_own_tests(laboratory: Laboratory) -> None:
    """On the first Python; to be known to be sound is to have passed them."""
    laboratory.prepare(HANDLERS)


def test_covering_set_has_every_mutant_every_interface_and_every_handler() -> None:
    runs = covering_runs()
    assert {mutant for mutant, _ in runs} == set(MUTANTS)
    assert {handler["name"] for _, handler in runs} == {handler["name"] for handler in HANDLERS}
    for mutant in MUTANTS:
        tried = [handler["interface"] for it, handler in runs if it is mutant]
        assert len(tried) == len(set(tried)) == len(covered_interfaces(mutant))
        assert "{name}" not in mutant.file or not mutant.everywhere or set(tried) == set(covered_interfaces(mutant))


def test_generated_tests_notice_every_mutant(laboratory: Laboratory) -> None:
    laboratory.prepare(handler for _, handler in covering_runs())
    assert not list(laboratory.survivors(covering_runs()))


def test_generated_tests_notice_nothing_where_nothing_is_broken(laboratory: Laboratory) -> None:
    laboratory.prepare([HANDLERS[-1]])
    runs = [(control, HANDLERS[-1]) for control in CONTROLS]
    assert len(list(laboratory.survivors(runs))) == len(CONTROLS)


def test_mutant_that_finds_no_place_is_an_error(laboratory: Laboratory) -> None:
    laboratory.prepare([HANDLERS[0]])
    lost = Mutant("lost", CONTROLS[0].file, "not in the file", "")
    with pytest.raises(LookupError, match=f"mutant 'lost' finds no place in .*/{HANDLERS[0]['name']}/handler.py"):
        list(laboratory.survivors([(lost, HANDLERS[0])]))
