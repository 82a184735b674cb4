"""The digest of the feature dictionary: what a plan pins so that all parties compute the same features.

It changes with every entry, check, kind of table, model and constant that a value follows from, as far as they are data
in this release; the code itself is reviewed with the release. The sentences of reasons are outside it: no value follows
from them, and a better wording must not make a plan's features those of another dictionary.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache

from sealscore.clients.features import detector, papers, sentiment, traffic
from sealscore.clients.features.complaints import COMPLAINTS
from sealscore.clients.features.dictionary.dictionary import KINDS, entries

DIGEST = "sealscore.dictionary"
"""The key of the digest in the metadata of a table of features."""


def canonical() -> bytes:
    """The bytes that are hashed: sorted-key JSON without white space, ASCII."""
    content = {
        "entries": {kind: [found.value_keys for found in entries(kind)] for kind in KINDS},
        "checks": [{"code": check.code, "paper": check.paper, "outside": check.outside} for check in papers.CHECKS],
        "traffic": {"detector": detector.digest(), "flagged": traffic.FLAGGED},
        "sentiment": sentiment.constants(),
        "complaints": COMPLAINTS,
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


@cache
def dictionary_digest() -> str:
    """SHA-256 of `canonical()`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical()).hexdigest()
