"""Update the Chinese catalogue from the texts in the code, and compile it: `.venv/bin/python docs/catalogue.py`.

New texts are put into `sealscore.po` with an empty translation, to be filled in there; unused ones are removed. Run it
again after that: it writes `sealscore.mo`, which programs read. What is amiss is said by
`tests/shared/text/test_catalogue.py`.
"""

from __future__ import annotations

from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from sealscore.shared.text.catalogue import DOMAIN, FOLDER

ROOT = Path(__file__).resolve().parents[1]
HOUSES = ("clients", "compliance", "shared")
KEYWORDS = {"tr": None, "trn": (1, 2), "marked": None}


def main() -> None:
    """Update and compile the catalogue of each language."""
    for po in sorted(FOLDER.glob(f"*/LC_MESSAGES/{DOMAIN}.po")):
        known = read_po(po.open("rb"))
        updated = Catalog(locale=po.parts[-3], project="sealscore", fuzzy=False, header_comment="# Texts of Sealscore.")
        for house in HOUSES:
            found = extract_from_dir(ROOT / house, method_map=[("**.py", "python")], keywords=KEYWORDS)
            for _, _, message, _, _ in found:
                one = known.get(message[0] if isinstance(message, tuple) else message)
                updated.add(message, one.string if one else ("",) if isinstance(message, tuple) else "")
        updated.msgid_bugs_address = updated.last_translator = updated.language_team = ""
        updated.creation_date = updated.revision_date = known.creation_date
        with po.open("wb") as file:
            write_po(file, updated, width=0, no_location=True, sort_output=True)
        with po.with_suffix(".mo").open("wb") as file:
            write_mo(file, updated)
        empty = sum(not any(one.string) for one in updated if one.id)
        print(f"{po.relative_to(ROOT)}: {len(updated)} texts, {empty} without a translation")


if __name__ == "__main__":
    main()
