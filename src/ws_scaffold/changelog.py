"""What a version of the template brings to a project, in the words of its changelog."""

import re
from dataclasses import dataclass
from pathlib import Path

from ws_scaffold.paths import inside
from ws_scaffold.releases import rank

FILE = "CHANGELOG.md"
HEADING = "In your project"


@dataclass(frozen=True)
class News:
    """What one version brings."""

    version: str
    items: list[str]


def news(template: Path, old: str, new: str) -> list[News]:
    """Return what all versions after the old one bring, up to the new one, the latest first; nothing without a log."""
    try:
        text = inside(template, template / FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return []
    first, last = rank(old), rank(new)
    found: list[News] = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        version = title.split()[0].strip("[]") if title.split() else ""
        there = rank(version)
        if there is None or last is None or there > last or (first is not None and there <= first):
            continue
        for part in re.split(r"^### ", body, flags=re.MULTILINE)[1:]:
            heading, _, listed = part.partition("\n")
            if heading.strip() == HEADING:
                items = [" ".join(item.split()) for item in re.split(r"^- ", listed, flags=re.MULTILINE)[1:]]
                found.append(News(version, items))
    return found
