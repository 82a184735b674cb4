"""A process that asks for tokens at its desk, with others on the same files: `charging_child.py FOLDER SEED`.

It begins when the file `go` is there, and prints of each consent its place and its token, or the code of the refusal.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from platform_desk import Desk
from serving_child import pair_at
from small_release import known_at, request

from sealscore.clients.scoring.tokens import NoToken

CONSENTS, PERSONS, KEYS = 80, 4, 12


def main(folder: Path, seed: int) -> None:
    """See the module."""
    desk, chosen = Desk(pair_at(folder)), random.Random(seed)
    print("ready", flush=True)
    while not (folder / "go").exists():
        time.sleep(0.001)
    for _ in range(CONSENTS):
        # Few persons and keys, so that processes meet at most of them; a key stands for one consent.
        key, lender = chosen.randrange(KEYS), f"lender-{chosen.randrange(1, 3)}"
        person = known_at()[key % PERSONS]
        kinds = frozenset({"signal"} | ({"capacity"} if key % 2 else set()))
        asked = request(person, f"key-{key}", lender, kinds=kinds)
        try:
            token = desk.do(lambda asked=asked: desk.of.consent(desk.pair.release.hash, asked).token)
            print("token", lender, f"key-{key}", hashlib.sha256(token).hexdigest())
        except NoToken as error:
            print("refused", lender, f"key-{key}", error.code)
    desk.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
