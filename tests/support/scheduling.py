"""Which tests run beside one another under `pytest -n`: files stay whole, and one group of files runs alone."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

# Files of live federations, each of many processes that must answer in time: at most one of them runs at a time.
# They wait more than they compute, so they begin first, and the other worker has the cores to itself.
FEDERATIONS = (
    "tests/deploy/test_flower_deployment.py",
    "tests/deploy/test_partner_page.py",
    "tests/deploy/test_scoring_live.py",
    "tests/deploy/test_survival.py",
    "tests/deploy/test_survival_server.py",
    "tests/deploy/test_whole_product.py",
    "tests/simulations/engine/test_flower_engine.py",
    "tests/simulations/sweep/test_cluster.py",
)


def group_of(nodeid: str) -> str:
    """What a test shares with those that run on the same worker as it: `federations`, or the path of its file."""
    file = nodeid.split("::", 1)[0]
    return "federations" if file in FEDERATIONS else file


class Scheduling(LoadFileScheduling):
    """Hands out groups; a file's module-scoped fixtures are made once."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
