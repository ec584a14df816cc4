"""Three versions of a text, merged line by line as git does it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

OURS, MIDDLE, THEIRS = b"<<<<<<< ours", b"=======", b">>>>>>> theirs"

MARKER = re.compile(rb"^(?:<{7}|>{7}) ", re.MULTILINE)

Lines = Sequence[bytes]


def holds_markers(text: bytes) -> bool:
    """Whether a text holds a conflict that a merge has left in it."""
    return (b"<<<<<<< " in text or b">>>>>>> " in text) and MARKER.search(text) is not None


@dataclass(frozen=True)
class Merged:
    """The result of a merge."""

    content: bytes
    conflicts: int
    """How many places hold both versions, between conflict markers."""


@dataclass(frozen=True)
class _Change:
    """A run of lines of the base, and what one side has in its place."""

    start: int
    end: int
    lines: Lines


def _changes(base: Lines, side: Lines) -> list[_Change]:
    matcher = SequenceMatcher(None, base, side, autojunk=False)
    return [
        _Change(start, end, side[side_start:side_end])
        for tag, start, end, side_start, side_end in matcher.get_opcodes()
        if tag != "equal"
    ]


def _touch(one: _Change, other: _Change) -> bool:
    """Whether two sides' changes touch one another: beside what is only taken away, there is no doubt."""
    if one.lines and other.lines:
        return one.start <= other.end and other.start <= one.end
    return one.start < other.end and other.start < one.end


def _touches(change: _Change, others: Sequence[_Change]) -> bool:
    return any(_touch(change, other) for other in others)


def _slid(changes: list[_Change], base: Lines, others: Sequence[_Change]) -> list[_Change]:
    """Return the changes of a side, away from the other side's where they may as well be elsewhere.

    A method that is put before a blank line, or taken from there, is the same with the blank line on its other side.
    """
    slid: list[_Change] = []
    for number, change in enumerate(changes):
        after = changes[number + 1].start if number + 1 < len(changes) else len(base) + 1
        before = slid[-1].end if slid else -1
        slid.append(next((it for it in _places(change, base, before, after) if not _touches(it, others)), change))
    return slid


def _places(change: _Change, base: Lines, before: int, after: int) -> Iterator[_Change]:
    """Yield an insertion or a deletion at every place where it leads to the same text, between two other changes."""
    yield change
    if change.lines and change.start != change.end:
        return
    for step in (1, -1):
        start, end, lines = change.start, change.end, list(change.lines)
        while before < start + min(step, 0) and end + max(step, 0) < after and end + max(step, 0) <= len(base):
            moved = [*base[start:end], *lines]  # what is inserted there, or deleted
            at = end if step > 0 else start - 1
            if base[at] != moved[0 if step > 0 else -1]:
                break
            lines = [*lines[step:], *lines[:step]]
            start, end = start + step, end + step
            yield _Change(start, end, lines)


def _apply(changes: Sequence[_Change], base: Lines, start: int, end: int) -> list[bytes]:
    """Return a run of the base with one side's changes to it."""
    lines: list[bytes] = []
    for change in changes:
        lines += [*base[start : change.start], *change.lines]
        start = change.end
    return [*lines, *base[start:end]]


def _regions(ours: list[_Change], theirs: list[_Change]) -> Iterator[tuple[list[_Change], list[_Change]]]:
    """Yield the changes of both sides, those together that touch one another."""
    ordered = sorted([*((it, 0) for it in ours), *((it, 1) for it in theirs)], key=lambda it: (it[0].start, it[0].end))
    region: tuple[list[_Change], list[_Change]] = ([], [])
    for change, side in ordered:
        if (region[0] or region[1]) and not _touches(change, region[1 - side]):
            yield region
            region = ([], [])
        region[side].append(change)
    if ordered:
        yield region


def _lines(text: bytes, newline: bytes) -> list[bytes]:
    """Return the lines of a text, each with its end."""
    if newline == b"\r\n":
        text = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if text and not text.endswith(b"\n"):
        text += newline
    return [line + b"\n" for line in text.split(b"\n")[:-1]]


def merge(base: bytes, ours: bytes, theirs: bytes) -> Merged:
    """Return ours with the changes that lead from base to theirs.

    Where all lines of ours end in CRLF, so do those that come from theirs; and where the last one has no end, it stays
    so.
    """
    newline = b"\r\n" if b"\r\n" in ours and ours.count(b"\r\n") == ours.count(b"\n") else b"\n"
    our_lines = _lines(ours, newline)
    merged, conflicts = _merge_lines(_lines(base, newline), our_lines, _lines(theirs, newline), newline)
    content = b"".join(merged)
    if ours and not ours.endswith(b"\n") and merged[-1:] == our_lines[-1:]:
        content = content.removesuffix(newline)
    return Merged(content, conflicts)


def _are_items(changes: Sequence[_Change], lines: Lines) -> bool:
    """Whether one side only adds what has a place beside whatever the other adds: items of a list, or cases.

    Each has lines of its own, which say where it ends.
    """
    if any(change.start != change.end for change in changes):
        return False
    bare = [line.rstrip() for line in lines]
    indents = [len(line) - len(line.lstrip()) for line in bare]
    items = all(line.endswith(b",") for line in bare) and len(set(indents)) == 1 and indents[0] > 0
    first = bare[0].lstrip()
    cases = first.startswith(b"case ") and first.endswith(b":") and all(it >= indents[0] for it in indents)
    return items or (cases and len(bare) > 1)


def _differing(ours: list[bytes], theirs: list[bytes]) -> tuple[int, int]:
    """Return how many lines two versions have in common, at their start and at their end."""
    shorter = min(len(ours), len(theirs))
    head = next((at for at in range(shorter) if ours[at] != theirs[at]), shorter)
    tail = next((at for at in range(shorter - head) if ours[-1 - at] != theirs[-1 - at]), shorter - head)
    return head, tail


def _merge_lines(base: Lines, ours: Lines, theirs: Lines, newline: bytes) -> tuple[list[bytes], int]:
    merged: list[bytes] = []
    conflicts = position = 0
    our_side = _changes(base, ours)
    for our_changes, their_changes in _regions(our_side, _slid(_changes(base, theirs), base, our_side)):
        both = [*our_changes, *their_changes]
        start, end = min(change.start for change in both), max(change.end for change in both)
        merged += base[position:start]
        position = end
        our_lines, their_lines = _apply(our_changes, base, start, end), _apply(their_changes, base, start, end)
        if not their_changes or our_lines == their_lines:
            merged += our_lines
        elif not our_changes:
            merged += their_lines
        elif _are_items(our_changes, our_lines) and _are_items(their_changes, their_lines):
            merged += [*our_lines, *their_lines]
        else:
            conflicts += 1
            head, tail = _differing(our_lines, their_lines)
            merged += our_lines[:head]
            merged += [OURS + newline, *our_lines[head : len(our_lines) - tail], MIDDLE + newline]
            merged += [*their_lines[head : len(their_lines) - tail], THEIRS + newline]
            merged += our_lines[len(our_lines) - tail :]
    return [*merged, *base[position:]], conflicts
