"""Three-way merges of lines: what is the same as another tool's, and what is more."""

import random
import subprocess
from pathlib import Path

import pytest

from ws_scaffold.diff3 import Merged, _changes, _merge_lines, _places, merge

SERVICE = (
    "class Room:\n    def say(self):\n        return 1\n\n    def typing(self):\n        return 2\n\n\nclass Service:\n"
)


def merged(base: str, ours: str, theirs: str) -> Merged:
    """Return what a merge of texts gives."""
    return merge(base.encode(), ours.encode(), theirs.encode())


def lines(rng: random.Random, length: int) -> list[bytes]:
    """Return lines of which some are the same."""
    return [rng.choice([b"\n", b"one\n", b"two\n", b"three,\n", b"four\n"]) for _ in range(rng.randint(0, length))]


def varied(rng: random.Random, base: list[bytes]) -> list[bytes]:
    """Return lines with some runs of them replaced, taken away, or with others between them."""
    changed = list(base)
    for _ in range(rng.randint(0, 3)):
        at = rng.randint(0, len(changed))
        changed[at : at + rng.randint(0, 3)] = lines(rng, 3)
    return changed


@pytest.mark.parametrize("seed", range(200))
def test_change_leads_to_the_same_text_wherever_it_may_be(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - no secret
    base = lines(rng, 12)
    side = varied(rng, base)
    changes = _changes(base, side)
    for number, change in enumerate(changes):
        before = changes[number - 1].end if number else -1
        after = changes[number + 1].start if number + 1 < len(changes) else len(base) + 1
        for place in _places(change, base, before, after):
            moved = [*changes[:number], place, *changes[number + 1 :]]
            text: list[bytes] = []
            at = 0
            for it in moved:
                text += [*base[at : it.start], *it.lines]
                at = it.end
            assert [*text, *base[at:]] == side


@pytest.mark.parametrize("seed", range(300))
def test_what_git_merges_is_merged_to_the_same(tmp_path: Path, seed: int) -> None:
    """Where git sees a conflict, there may be none here: whatever ours has added is there then."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    base = [b"line %d\n" % number if rng.random() < 0.7 else b"\n" for number in range(rng.randint(0, 15))]
    ours, theirs = varied(rng, base), varied(rng, base)
    for name, content in (("base", base), ("ours", ours), ("theirs", theirs)):
        (tmp_path / name).write_bytes(b"".join(content))
    command = ["git", "merge-file", "-p", "--diff-algorithm=myers", "ours", "base", "theirs"]
    git = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    result, conflicts = _merge_lines(base, ours, theirs, b"\n")
    if not conflicts and git.returncode == 0 and b"".join(result) != git.stdout:
        assert sorted(result) == sorted(git.stdout.splitlines(keepends=True))
    if not conflicts:
        added = [line for line in set(ours) if ours.count(line) > base.count(line)]
        assert all(result.count(line) >= 1 for line in added)


def test_both_add_a_method_in_the_same_place() -> None:
    for at in ("        return 2\n", "        return 2\n\n"):
        ours = SERVICE.replace(
            at,
            at
            + ("\n    def mine(self):\n        pass\n" if at[-2] != "\n" else "    def mine(self):\n        pass\n\n"),
        )
        theirs = SERVICE.replace("return 2\n", "return 2\n\n    def read(self):\n        return 3\n")
        result = merged(SERVICE, ours, theirs)
        assert result.conflicts == 0
        text = result.content.decode()
        assert (
            "    def mine(self):\n        pass\n\n    def read(self):\n        return 3\n\n\nclass Service:\n" in text
            or (
                "    def read(self):\n        return 3\n\n    def mine(self):\n        pass\n\n\nclass Service:\n"
                in text
            )
        )


@pytest.mark.parametrize(
    ("base", "mine", "new"),
    [
        ("KINDS = [\n    Say,\n]\n", "    Mine,\n", "    Read,\n"),
        (
            "match it:\n    case Say():\n        say()\n\n\nx = 1\n",
            "    case Mine():\n        mine()\n",
            "    case Read():\n        read()\n",
        ),
    ],
)
def test_both_add_an_item_or_a_case_in_the_same_place(base: str, mine: str, new: str) -> None:
    last = "    Say,\n" if "Say," in base else "        say()\n"
    result = merged(base, base.replace(last, last + mine), base.replace(last, last + new))
    assert result == Merged(base.replace(last, last + mine + new).encode(), 0)


@pytest.mark.parametrize(
    ("mine", "new"),
    [("    Mine,\n", "    read()\n"), ("mine = 1\n", "read = 2\n"), ("    case Mine():\n", "    case Read():\n")],
)
def test_what_may_depend_on_its_order_is_a_conflict(mine: str, new: str) -> None:
    base = "one = [\n    1,\n]\n"
    result = merged(base, base.replace("    1,\n", f"    1,\n{mine}"), base.replace("    1,\n", f"    1,\n{new}"))
    assert result.conflicts == 1


def test_what_goes_takes_nothing_along_that_stands_beside_it() -> None:
    ours = SERVICE.replace("return 1\n", "return 'mine'\n").replace(
        "return 2\n", "return 2\n\n    def mine(self):\n        pass\n"
    )
    theirs = SERVICE.replace("    def typing(self):\n        return 2\n\n", "").replace(
        "return 1\n\n\n", "return 1\n\n"
    )
    result = merged(SERVICE, ours, theirs)
    assert result.conflicts == 0
    text = result.content.decode()
    assert "typing" not in text
    assert "return 'mine'\n" in text
    assert "    def mine(self):\n        pass\n" in text


def test_edit_in_what_goes_is_a_conflict() -> None:
    theirs = SERVICE.replace("    def typing(self):\n        return 2\n\n", "")
    assert merged(SERVICE, SERVICE.replace("return 2", "return 'mine'"), theirs).conflicts == 1
