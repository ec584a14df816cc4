"""A crowd that does all that clients do, in any order, leaves nothing behind. `python -m chaos` is the long run."""

import os
import secrets
from pathlib import Path

import pytest

from brokers import broker
from chaos.crowd import run
from projects import HANDLERS, render

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("kind", "channels"), [("uvicorn", "valkey"), ("granian", "memory")])
def test_crowd_leaves_nothing_behind(template: Path, tmp_path: Path, kind: str, channels: str) -> None:
    seed = int(os.environ.get("CHAOS_SEED", secrets.randbelow(10**6)))  # a failure names it
    with broker(channels) as running:
        answers = {"project_name": "Everything", "channels_backend": running.backend, "handlers": HANDLERS}
        project = render(template, tmp_path / "project", answers)
        report = run(kind, project, tmp_path / "output", running, seed=seed, connections=300, waves=2)
    assert report.totals["connections"] >= 300
