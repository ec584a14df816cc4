"""Kinds of messages, as the answers `messages` and `sends` say them, and what the user has made of them.

`say text:str to:int?, typing` are two: the template knows what may be said, and here it has said yes already.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ws_scaffold.template import Answers

if TYPE_CHECKING:
    from ws_scaffold.render import Files

KINDS = {"messages": "Message", "sends": "Event"}
"""The answers that say kinds, and what the names of their classes end in."""


def named(said: str) -> dict[str, str]:
    """Return kinds by their names, each as it is said."""
    words = (part.split() for part in said.split(","))
    return {it[0]: " ".join(it) for it in words if it}


def with_fields(given: Answers, entry: Answers) -> Answers:
    """Return answers in which a kind that only is named has the fields that it has in an entry of `handlers`."""
    kept = dict(given)
    for answer in KINDS.keys() & given.keys() & entry.keys():
        old = named(entry[answer])
        kept[answer] = ", ".join(said if " " in said else old.get(said, said) for said in named(given[answer]).values())
    return kept


def renamed(entry: Answers, old: str, new: str) -> Answers:
    """Return the answers of an entry in which a kind has another name."""
    answers = {}
    for answer in KINDS.keys() & entry.keys():
        kinds = [f"{new}{said[len(old) :]}" if it == old else said for it, said in named(entry[answer]).items()]
        answers[answer] = ", ".join(kinds)
    return answers


def kept(
    entry: Answers, answers: Answers, files: "Files", read: Callable[[str], bytes | None]
) -> Iterator[tuple[str, str, str]]:
    """Yield the kinds that go, and that the user has made something of: the answer, the name, and the file.

    `files` are those of the handler as they were generated, and `read` returns what there is now.
    """
    texts = {path: (file.content, read(path)) for path, file in files.items() if path.endswith(".py")}
    for answer in [it for it in KINDS if it in entry and it in answers]:
        for name in named(entry[answer]).keys() - named(answers[answer]).keys():
            for path, (base, ours) in texts.items():
                if ours is not None and ours != base and _is_edited(name, KINDS[answer], base, ours):
                    yield answer, name, path
                    break


def put_back(said: str, old: str, name: str) -> str:
    """Return kinds with one that they had once, in its place among them."""
    kinds, once = list(named(said).values()), named(old)
    before = list(once)[: list(once).index(name)]
    at = max((number for number, it in enumerate(named(said), 1) if it in before), default=0)
    return ", ".join([*kinds[:at], once[name], *kinds[at:]])


def _is_edited(name: str, end: str, base: bytes, ours: bytes) -> bool:
    """Whether what a file says of a kind is not as it was generated, or more of the user's lines rely on it."""
    wanted = "".join(word.capitalize() for word in name.split("_")) + end
    was, found = _definitions(base), _definitions(ours)
    if found is None or was is None:  # no Python: nobody knows
        return wanted.encode() in ours
    method = {name} if end == KINDS["messages"] else set()
    about = {it for it in was if it in {wanted, *method} or it.startswith(f"test_{name}_")}
    if any(it in found and found[it] != was[it] for it in about):
        return True
    return _times(wanted, ours) > _times(wanted, base)


def _definitions(content: bytes) -> Mapping[str, tuple[str, ...]] | None:
    """Return the classes and functions of a text: what each says, however it is formatted; None if it is no Python."""
    import ast  # noqa: PLC0415 - to read Python takes long to import, and few runs take a kind away
    import tokenize  # noqa: PLC0415 - the same

    try:
        text = content.decode()
        tree = ast.parse(text)
        tokens = list(tokenize.generate_tokens(iter(text.splitlines(keepends=True)).__next__))
    except (SyntaxError, ValueError, RecursionError, tokenize.TokenError):
        return None
    comments = [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    found: dict[str, tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            lines = range(node.lineno, _end(node.end_lineno or node.lineno, node.col_offset, text.splitlines()))
            found.setdefault(node.name, (ast.dump(node), *(it for line, it in comments if line in lines)))
    return found


def _end(line: int, indent: int, lines: Sequence[str]) -> int:
    """Return the number of the line behind a definition, and behind the comments at its end."""
    while line < len(lines) and lines[line][: indent + 1].isspace() and lines[line].lstrip().startswith("#"):
        line += 1
    return line + 1


def _times(word: str, content: bytes) -> int:
    return len(re.findall(rf"\b{word}\b".encode(), content))
