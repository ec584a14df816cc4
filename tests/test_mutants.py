"""A generated test fails when what it is there for is broken."""

import pytest

from mutants import CONTROLS, MUTANTS, Laboratory, Mutant, covered_interfaces, covering_runs
from projects import HANDLERS

pytestmark = pytest.mark.slow


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
