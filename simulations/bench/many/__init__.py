"""1,000 lenders of 300 records for 50 rounds by the research engine, as a process of its own.

All of it counts: imports, the invented records, admission, noise calibration, training, evaluation, and the files of
the run. The work is that of `research`. `ratio` is the CPU that is asked for (60 s) over that which the process took.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

LENDERS, RECORDS, ROUNDS = 1_000, 300, 50
ASKED_SECONDS = 60.0


def run(lenders: int = LENDERS, rounds: int = ROUNDS) -> dict[str, Any]:
    """`ratio`, seconds of CPU, and the most memory that the process held, in GB."""
    work = [sys.executable, "-W", "ignore", "-m", f"{__name__}.work", *map(str, (lenders, RECORDS, rounds))]
    return {"lenders": lenders, "rounds": rounds, **rated(work, ASKED_SECONDS)}


def rated(command: list[str], asked: float) -> dict[str, float]:
    """What a process cost, children of its own included: `ratio` of the CPU asked over that taken, seconds, GB.

    Raises:
        RuntimeError: it failed.
    """
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the process failed with {process.returncode}")
    seconds = used.ru_utime + used.ru_stime
    return {"ratio": asked / seconds, "cpu_seconds": seconds, "most_gb": used.ru_maxrss * 1024 / 1e9}
