"""A program at a real terminal, and a person who presses keys where it waits."""

import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path

ENTER = b"\r"
SECONDS = 60
PATIENCE = 0.1
"""Seconds without output after which a program that takes single keys is taken to wait for one."""


def at_a_terminal(command: Sequence[str | Path], folder: Path, keys: bytes = ENTER, **environment: str) -> str:
    """Run a program in a folder, press the keys wherever it waits, and return all that it shows."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, 250))
    shown, answered = b"", True
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, "TERM": "xterm", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if select.select([ours], [], [], PATIENCE)[0]:
                try:
                    shown += os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
                answered = True
            elif answered and _takes_keys(ours):
                os.write(ours, keys)
                answered = False
        process.kill()
    os.close(ours)
    return shown.decode(errors="replace")


def _takes_keys(terminal: int) -> bool:
    """Tell whether a program has asked the terminal for single keys: one that is still being imported has not."""
    local_modes: int = termios.tcgetattr(terminal)[3]
    return not local_modes & termios.ICANON


def words(shown: str) -> str:
    """Return what a person reads of it, without colours and the like."""
    return " ".join(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", " ", shown).split())
