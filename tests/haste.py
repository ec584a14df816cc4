"""What makes the tests faster and changes nothing that they see."""

import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from copier import _main as copier_main

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system, in which a folder of our own is made
ROOM = 6 * 1024**3
"""Bytes that have to be free there: the environments of projects take most of it."""
KEPT = 8192
"""How much Copier keeps of a kind, at most; then all of it is forgotten."""


def keep_files_in_memory() -> None:
    """Have temporary files in memory, here and in what is started, where there is room and nobody has said where."""
    if "TMPDIR" in os.environ or not IN_MEMORY.is_dir():
        return
    executable = not os.statvfs(IN_MEMORY).f_flag & os.ST_NOEXEC
    if executable and min(shutil.disk_usage(IN_MEMORY).free, _free_memory() // 2) > ROOM:
        os.environ["TMPDIR"] = str(IN_MEMORY)
        tempfile.tempdir = None  # which is looked up once, and has been


def _free_memory() -> int:
    """Return how many bytes of memory are free, or become free when they are asked for."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else 0


def hurry_copier(patch: pytest.MonkeyPatch) -> None:
    """Have Copier do once what it does again and again with the same result, for as long as the patch lasts.

    For each run it compiles every template and expression anew, reads the same YAML, and asks git about every file that
    it has written. Where it is started as a program it is as it is.
    """
    patch.setattr(jinja2.Environment, "compile", _compiling_once(jinja2.Environment.compile))
    patch.setattr(yaml, "safe_load", _reading_once(yaml.safe_load))
    # It is about file systems without executable files: elsewhere it finds out, with git, that it has nothing to do.
    patch.setattr(copier_main.Worker, "_sync_git_index_executable_bit", lambda *_arguments: None)


def _compiling_once(compile_: Callable[..., Any]) -> Callable[..., Any]:
    kept: dict[Any, Any] = {}

    def compile_once(self: jinja2.Environment, source: Any, *named: Any, **how: Any) -> Any:
        if how.get("raw") or not isinstance(source, str):
            return compile_(self, source, *named, **how)
        read = (type(self), *self.extensions, self.lexer, self.optimized, self.autoescape)
        key = (*read, source, *named, *how.items())
        if key in kept:
            self.preprocess(source)  # extensions notice that there is another template
            return kept[key]
        if len(kept) >= KEPT:
            kept.clear()
        kept[key] = compile_(self, source, *named, **how)
        return kept[key]

    return compile_once


def _reading_once(load: Callable[[Any], Any]) -> Callable[[Any], Any]:
    kept: dict[str, bytes] = {}

    def load_once(stream: Any) -> Any:
        if not isinstance(stream, str):
            return load(stream)
        if stream not in kept:
            if len(kept) >= KEPT:
                kept.clear()
            kept[stream] = pickle.dumps(load(stream))
        return pickle.loads(kept[stream])  # noqa: S301 - written above

    return load_once
