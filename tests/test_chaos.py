"""A crowd that does all that clients do, in any order, leaves nothing behind. `python -m chaos` is the long run."""

import os
import secrets
from pathlib import Path

import pytest

from chaos.crowd import run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["uvicorn", "granian"])
def test_crowd_leaves_nothing_behind(everything: Path, tmp_path: Path, kind: str) -> None:
    seed = int(os.environ.get("CHAOS_SEED", secrets.randbelow(10**6)))  # a failure names it
    report = run(kind, everything, tmp_path / "output", seed=seed, connections=300, waves=2)
    assert report.totals["connections"] >= 300
