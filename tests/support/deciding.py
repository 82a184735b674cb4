"""Policies and decisions as the operators of a town's lender type them."""

from __future__ import annotations

import json
from typing import Any

from homes import Said
from partners import Partners
from policies import INPUTS, policy_text

LENDER = "lender-1"
LENIENT = (("champion = { approve = 540, review = 500 }", "champion = { approve = 100, review = 90 }"),
           ("fallback = { approve = 550, review = 510 }", "fallback = { approve = 100, review = 90 }"),
           ('{ name = "basic", start = 500,', '{ name = "basic", start = 90,'))  # fmt: skip


def policy(partners: Partners, name: str = "policy.toml", *changes: tuple[str, str]) -> str:
    """A policy's file: the page's with cut-offs that everybody passes, and other changes."""
    text = policy_text()
    for old, new in (*LENIENT, *changes):
        assert old in text, old
        text = text.replace(old, new, 1)
    partners.file(name).write_text(text, encoding="utf-8")
    return str(partners.file(name))


def decide(partners: Partners, person: str, **changes: Any) -> Said:
    asked = {"amount": 8000, "term_months": 12, "inputs": INPUTS, **changes}
    data = partners.town.application(person, 0, **asked)
    return partners.node(LENDER, "decide", partners.town.write("application.json", data))


def decided(partners: Partners, person: str, **changes: Any) -> dict[str, Any]:
    said = decide(partners, person, **changes)
    assert said.code == 0, said.text
    found: dict[str, Any] = json.loads(said.out.strip().splitlines()[-1])
    return found
