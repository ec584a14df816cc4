"""The command as a process of its own: ``ws-scaffold``, or ``python -m ws_scaffold``."""

import gc
import sys

gc.disable()  # a run is over before a collection pays


def run() -> None:
    """Run the command, and exit."""
    try:
        from ws_scaffold.cli import main  # noqa: PLC0415 - importing is what most of a run is, and may be interrupted

        code = main()
    except KeyboardInterrupt:  # before there was anything to interrupt, or while it was said
        code = 1
    gc.freeze()  # or the interpreter looks through everything once more on its way out
    sys.exit(code)


if __name__ == "__main__":
    run()
