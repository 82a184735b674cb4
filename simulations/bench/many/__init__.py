"""1,000 lenders of 300 records for 50 rounds by the research engine, as a process of its own.

All of it counts: imports, the invented records, admission, noise calibration, training, evaluation, and the files of
the run. The work is that of `research`. `ratio` is the CPU that is asked for (60 s) over that which the process took.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

LENDERS, RECORDS, ROUNDS = 1_000, 300, 50
ASKED_SECONDS = 60.0
# By a small process between: Linux counts the memory of who starts a process as that process's own.
_RATE = """
import json, os, sys
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, 1, 0)])
_, status, used = os.wait4(pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


def run(lenders: int = LENDERS, rounds: int = ROUNDS) -> dict[str, Any]:
    """`ratio`, seconds of CPU, and the most memory that the process held, in GB."""
    work = [sys.executable, "-W", "ignore", "-m", f"{__name__}.work", *map(str, (lenders, RECORDS, rounds))]
    return {"lenders": lenders, "rounds": rounds, **rated(work, ASKED_SECONDS)}


def rated(command: list[str], asked: float) -> dict[str, float]:
    """What a process cost, children of its own included: `ratio` of the CPU asked over that taken, seconds, GB.

    Raises:
        RuntimeError: it failed.
    """
    said = subprocess.run([sys.executable, "-S", "-c", _RATE, *command], stdout=subprocess.PIPE, check=True).stdout
    code, seconds, most = json.loads(said)
    if code:
        raise RuntimeError(f"the process failed with {code}")
    return {"ratio": asked / seconds, "cpu_seconds": seconds, "most_gb": most * 1024 / 1e9}
