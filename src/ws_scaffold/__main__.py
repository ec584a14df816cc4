"""The command as a process of its own: ``ws-scaffold``, or ``python -m ws_scaffold``."""

import gc
import sys

gc.disable()  # a run is over before a collection pays

from ws_scaffold.cli import main  # noqa: E402 - importing is what most of a run is


def run() -> None:
    """Run the command, and exit."""
    code = main()
    gc.freeze()  # or the interpreter looks through everything once more on its way out
    sys.exit(code)


if __name__ == "__main__":
    run()
