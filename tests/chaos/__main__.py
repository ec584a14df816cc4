"""``PYTHONPATH=tests python -m chaos``: the long run, on each server, with the seed that it prints, or a given one."""

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

from brokers import KINDS, broker
from projects import HANDLERS, copy_of_the_working_tree, render

from .crowd import run

LEVEL = 0.02
"""By how much memory may grow in the last quarter."""


def main() -> int:
    """Run, and return how many servers have failed."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--waves", type=int, default=40, help="after each, nothing may be left, and memory is measured")
    parser.add_argument("--at-once", type=int, default=100, help="how many visitors there are at the same time")
    parser.add_argument("--server", choices=["uvicorn", "granian"], action="append")
    parser.add_argument("--broker", choices=["memory", *KINDS], default="valkey", help="which goes away now and then")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as name, broker(options.broker) as channels:
        folder = Path(name)
        template = copy_of_the_working_tree(folder / "template")
        answers = {"project_name": "Everything", "channels_backend": channels.backend, "handlers": HANDLERS}
        project = render(template, folder / "project", answers)
        for kind in options.server or ["uvicorn", "granian"]:
            sys.stdout.write(f"{kind}: --seed {options.seed}\n")
            sys.stdout.flush()
            begun = time.monotonic()
            report = run(
                kind,
                project,
                folder / kind,
                channels,
                seed=options.seed,
                connections=options.connections,
                waves=options.waves,
                at_once=options.at_once,
            )
            level = report.growth < LEVEL
            failed += not level
            sys.stdout.write(
                f"{report}: {'level' if level else 'NOT LEVEL'}\n{time.monotonic() - begun:.0f} seconds\n\n"
            )
            sys.stdout.flush()
    return failed


if __name__ == "__main__":
    sys.exit(main())
