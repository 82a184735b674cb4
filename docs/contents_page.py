"""Write the contents list of each long page of docs/ from its headings: `python docs/contents_page.py`.

A page of more than LONG lines has one in front of its first section, between markers; what stands outside them is left
alone. A test compares the pages with what this writes.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

DOCS = Path(__file__).parent
LONG = 150
START, END = "<!-- contents -->", "<!-- end of contents -->"
_LIST = re.compile(rf"{START}\n.*?{END}\n\n", re.DOTALL)
_FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def anchor(heading: str) -> str:
    """What GitHub calls a heading in an address."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def contents(text: str, word: str) -> str:
    """The list of a page's sections, with a link to each, in lines of 120 characters."""
    headings = re.findall(r"^## (.+)$", _FENCED.sub("", text), re.MULTILINE)
    # A link is never broken, nor parted from the point behind it: its spaces are put in after the lines are.
    links = [f"[{heading}](#{anchor(heading)})".replace(" ", "\0") for heading in headings]
    lines = textwrap.wrap("\0· ".join(links), 118 - len(word), break_long_words=False, break_on_hyphens=False)
    return f"{START}\n{word}: " + "\n".join(lines).replace("\0", " ") + f"\n{END}\n\n"


def refresh(page: Path) -> str:
    """The page's text with its contents list as it should be: none where the page is short."""
    text = _LIST.sub("", page.read_text(encoding="utf-8"))
    if text.count("\n") <= LONG:
        return text
    word = "目录" if page.name.endswith(".zh.md") else "Contents"
    first = re.search(r"^## ", text, re.MULTILINE)
    if first is None:
        raise ValueError(f"{page.name}: a page of more than {LONG} lines needs sections")
    return text[: first.start()] + contents(text, word) + text[first.start() :]


def main() -> None:
    """Write each page again."""
    for page in sorted(DOCS.rglob("*.md")):
        page.write_text(refresh(page), encoding="utf-8")


if __name__ == "__main__":
    main()
