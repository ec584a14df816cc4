"""Run ``python -W error -m pytest``, again and again, in forks of a process that has imported what such runs import.

`forks` starts this in the environment of generated projects, as ``python -W error fork_server.py``, and sends a line
for each run. A fork is given the folder, arguments, environment and path of a new process, and ends as one ends. What
it has imported from its environment, the next ones have already; nothing of a project is imported here.
"""

import contextlib
import gc
import json
import os
import runpy
import select
import signal
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import pytest

ENVIRONMENT = tuple(os.path.realpath(prefix) + os.sep for prefix in {sys.prefix, sys.base_prefix})


def main() -> None:
    """Answer each line of standard input with a line; in the fork that a line asks for, become what it asks for."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nothing, stream)
    del sys.path[0]  # the folder of this file
    with tempfile.TemporaryDirectory() as empty:  # plugins of pytest are imported by pytest, which rewrites them
        pytest.main(["-p", "no:cacheprovider", "--rootdir", empty, empty])
    sys.stdout.flush()
    tried: set[str] = set()
    while line := requests.readline():
        request = json.loads(line)
        gc.collect()
        gc.freeze()  # what is here stays: a collection in a fork need not look at it
        output, printing = os.pipe()
        imported, importing = os.pipe()
        child = os.fork()
        if child == 0:
            for descriptor in (requests, answers):
                descriptor.close()
            os.close(output)
            os.close(imported)
            _become(request, printing, importing)
            return
        os.close(printing)
        os.close(importing)
        answer = _watch(child, output, request["timeout"])
        with os.fdopen(imported, "rb") as names:
            for name in names.read().decode().split():
                if name not in tried:
                    tried.add(name)
                    with contextlib.suppress(Exception):  # not everything can be imported by itself
                        import_module(name)
        _say(answers, answer)
    requests.close()
    answers.close()


def _become(request: dict[str, Any], printing: int, importing: int) -> None:
    """Run pytest in this process as if it had been started for that, and let the interpreter end."""
    os.setpgid(0, 0)
    for stream in (1, 2):
        os.dup2(printing, stream)
    os.close(printing)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    places = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:0] = [request["folder"], *(str(Path(request["folder"], place)) for place in places)]
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.argv = ["pytest", *request["arguments"]]
    before = set(sys.modules)
    try:
        runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    finally:
        new = (name for name in list(sys.modules) if name not in before and _is_of_the_environment(name))
        with os.fdopen(importing, "wb") as names:
            names.write("\n".join(new).encode())


def _is_of_the_environment(name: str) -> bool:
    """Tell whether a module is of the standard library or installed, and no project's."""
    origin = getattr(getattr(sys.modules.get(name), "__spec__", None), "origin", None)
    return origin in {"built-in", "frozen"} or os.path.realpath(origin or "").startswith(ENVIRONMENT)


def _watch(child: int, output: int, timeout: float) -> dict[str, Any]:
    """Return what a fork has printed when all who can print have ended, and its exit code; kill it when time is up."""
    printed, deadline, in_time = b"", time.monotonic() + timeout, True
    while True:
        if not select.select([output], [], [], max(0, deadline - time.monotonic()) if in_time else None)[0]:
            in_time = False
            os.killpg(child, signal.SIGKILL)
        elif more := os.read(output, 65536):
            printed += more
        else:
            break
    os.close(output)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status) if in_time else None
    return {"code": code, "output": printed.decode(errors="replace")}


def _say(answers: BinaryIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
