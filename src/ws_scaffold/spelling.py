"""Names of the user's choice: where the template has rendered them, and how they are spelled there.

A state is rendered once more, with names that nobody has. Where such a name stands in a line, the line was made of a
name; a word that only looks like one was not.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property, partial

from ws_scaffold import kinds
from ws_scaffold.render import Files, Rendering

HANDLER, PACKAGE, KIND = "zqh_zqj", "zqp_zqk", "zqm_zqn"
"""What stands in for the name of a handler, of the package, and of a kind of messages: two words, so that a spelling
shows."""

PACKAGE_NAME = "package_name"
"""The question whose answer is the name of the package."""

Edit = tuple[int, int, str]
"""Where a piece of text begins and ends, and what is to stand there."""


def text_of(content: bytes) -> tuple[str, str]:
    """Return a file as text, and the encoding that brings it back byte for byte."""
    try:
        return content.decode(), "utf-8"
    except UnicodeDecodeError:
        return content.decode("latin-1"), "latin-1"


def edited(text: str, edits: Sequence[Edit]) -> str:
    """Return a text with edits; of two that touch the same piece, the first one counts."""
    taken: list[Edit] = []
    for edit in edits:
        if all(edit[1] <= start or edit[0] >= end for start, end, _ in taken):
            taken.append(edit)
    for start, end, new in sorted(taken, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _cased(word: str, like: str) -> str:
    return word.upper() if like.isupper() else word.capitalize() if like.istitle() else word


@dataclass(frozen=True)
class Renamed:
    """A name, another one, and what stands in for both."""

    old: str
    new: str
    stand_in: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What finds the stand-in, however it is spelled: its first word, what joins the words, and its second."""
        first, second = (f"({word}|{word.capitalize()}|{word.upper()})" for word in self.stand_in.split("_"))
        return re.compile(f"{first}([_ -]?){second}")

    def spelled(self, name: str, found: re.Match[str]) -> str:
        """Return a name in the spelling in which the stand-in was found."""
        first, *others = name.split("_")
        return found[2].join([_cased(first, found[1]), *(_cased(word, found[3]) for word in others)])


class Spelling:
    """Names that are others now, and every place where the template has rendered them."""

    def __init__(self, renamed: Sequence[Renamed], marked: Callable[[], Files]) -> None:
        """Take what returns the files of the old state, with the stand-ins in the place of the names."""
        self._renamed = renamed
        self._marked = marked

    @cached_property
    def _files(self) -> dict[tuple[str, str | None], str]:
        owners: dict[str | None, str] = {it.stand_in: it.old for it in self._renamed}
        files = self._marked().values()
        return {(it.source, owners.get(it.owner, it.owner)): text_of(it.content)[0] for it in files}

    def _filled(self, marked: str, *, new: bool) -> str:
        for name in self._renamed:
            spelled = partial(name.spelled, name.new if new else name.old)
            marked = name.pattern.sub(spelled, marked)
        return marked

    def _holds(self, text: str) -> bool:
        return any(name.pattern.search(text) for name in self._renamed)

    def lines(self, source: str, owner: str | None) -> dict[str, str]:
        """Return the lines of a file that hold a name, as they were rendered, each with the same line marked."""
        lines = self._files.get((source, owner), "").split("\n")
        plain = {line for line in lines if not self._holds(line)}
        filled = {self._filled(line, new=False): line for line in lines if line not in plain}
        return {line: marked for line, marked in filled.items() if line not in plain}

    def spans(self, marked: str) -> list[Edit]:
        """Return what respells a rendered line, given the same line marked."""
        found = sorted(((it, name) for name in self._renamed for it in name.pattern.finditer(marked)), key=_start)
        spans: list[Edit] = []
        shift = 0
        for match, name in found:
            old, new = (name.spelled(it, match) for it in (name.old, name.new))
            start = match.start() + shift
            spans.append((start, start + len(old), new))
            shift += len(old) - len(match[0])
        return spans

    def identifiers(self, owner: str) -> dict[str, str]:
        """Return the identifiers that the template has made of a handler's name, or of a kind's, old to new.

        One that it spells the same without the name is left out, and so is the bare name, which may be any word. In
        capitals it is a constant.
        """
        import io  # noqa: PLC0415 - to read Python takes long to import, and most runs rename nothing
        import keyword  # noqa: PLC0415 - the same
        import tokenize  # noqa: PLC0415 - the same

        renamed = next(it for it in self._renamed if it.stand_in != PACKAGE)
        words = {
            token.string
            for (source, of), text in self._files.items()
            if of == owner and ".py" in source
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.NAME
        }
        made = {
            word for word in words if (found := renamed.pattern.search(word)) and (found[0] != word or word.isupper())
        }
        own = {word for word in words if not renamed.pattern.search(word)}
        spelled = {self._filled(word, new=False): self._filled(word, new=True) for word in made}
        return {old: new for old, new in spelled.items() if old not in own and not keyword.iskeyword(old)}

    def edits(self, base: str, ours: str, marked: Mapping[str, str]) -> list[Edit]:
        """Return what respells ours: names in lines that are as in base, or that were edited beside the names."""
        base_lines, our_lines = ([line.rstrip("\r") for line in text.split("\n")] for text in (base, ours))
        starts = [0]
        for line in ours.split("\n"):
            starts.append(starts[-1] + len(line) + 1)
        edits: list[Edit] = []
        for at, spans in self._kept(base_lines, our_lines, marked):
            edits += [(starts[at] + start, starts[at] + end, new) for start, end, new in spans]
        return edits

    def _kept(
        self, base: Sequence[str], ours: Sequence[str], marked: Mapping[str, str]
    ) -> Iterator[tuple[int, list[Edit]]]:
        """Yield the lines of ours that hold a name of the template's, and what respells them."""
        matcher = SequenceMatcher(None, base, ours, autojunk=False)
        for tag, start, end, our_start, our_end in matcher.get_opcodes():
            if tag == "equal":
                for offset in range(end - start):
                    if line := marked.get(base[start + offset]):
                        yield our_start + offset, self.spans(line)
            elif tag == "replace":
                at = start
                for number in range(our_start, our_end):
                    for candidate in range(at, end):
                        line = marked.get(base[candidate])
                        if line and (spans := _untouched(base[candidate], ours[number], self.spans(line))):
                            yield number, spans
                            at = candidate + 1
                            break


def spelling_of(
    old: Rendering, new: Rendering, renamed: Mapping[str, str], kind: tuple[str, str, str] | None = None
) -> Spelling | None:
    """Return where the old state has names that are others in the new one; None where there are none.

    One handler may be renamed, or one kind of its messages, and the package.
    """
    names = [Renamed(one, other, HANDLER) for one, other in renamed.items()]
    entries = [{**it, "name": HANDLER} if it["name"] in renamed else it for it in old.entries]
    if kind:
        owner, one, other = kind
        names.append(Renamed(one, other, KIND))
        entries = [{**it, **kinds.renamed(it, one, KIND)} if it["name"] == owner else it for it in entries]
    state = {**old.state, "handlers": entries}
    package, new_package = (rendering.about.get(PACKAGE_NAME) for rendering in (old, new))
    if package and new_package and package != new_package:
        names.append(Renamed(package, new_package, PACKAGE))
        state[PACKAGE_NAME] = PACKAGE
    return Spelling(names, lambda: Rendering(old.template, state).render()) if names else None


def _start(found: tuple[re.Match[str], Renamed]) -> int:
    return found[0].start()


def _untouched(base: str, ours: str, spans: list[Edit]) -> list[Edit]:
    """Return what respells a line that was edited in one place: the names before that, and those after it.

    Nothing, if it has less than half of the line in common: then it is another one.
    """
    shorter = min(len(base), len(ours))
    head = next((at for at in range(shorter) if base[at] != ours[at]), shorter)
    tail = next((at for at in range(shorter - head) if base[-1 - at] != ours[-1 - at]), shorter - head)
    indentation = len(base) - len(base.lstrip())
    if 2 * (max(head - indentation, 0) + tail) < len(base) - indentation:
        return []
    longer = len(ours) - len(base)
    kept: list[Edit] = []
    for start, end, new in spans:
        # What stands beside it belongs to it: by an edit there it may be another name, `chatter` or `/chat/mine`.
        word_start, word_end = start, end
        while word_start and _is_word(base[word_start - 1]):
            word_start -= 1
        while word_end < len(base) and _is_word(base[word_end]):
            word_end += 1
        if word_end < head or (word_end == head and not _goes_on(ours[head : head + 1])):
            kept.append((start, end, new))
        elif word_start > len(base) - tail or (
            word_start == len(base) - tail and not _goes_on(ours[: word_start + longer][-1:])
        ):
            kept.append((start + longer, end + longer, new))
    return kept


def _goes_on(letter: str) -> bool:
    """Whether a letter beside a name makes it part of another one."""
    return _is_word(letter) or letter in {"-", "/", "."}


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"
