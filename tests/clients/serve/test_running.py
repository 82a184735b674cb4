"""What happens while the scorer runs: releases come and go, the disk is full, the clock goes back, it is killed."""

from __future__ import annotations

import random
import re
import resource
import signal
import time
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest
from certificates import Authority
from deciding_home import DecidingCallers, check_decisions, deciding_home
from scorer_callers import ScorerCallers, whole
from scorer_home import LENDER, ScorerHome, ScorerProcess, application, new_home, release_folder
from service_process import PATIENCE

from sealscore.clients.http.problems import HttpProblem
from sealscore.clients.serve.faults import clock_ahead, clock_behind
from sealscore.clients.serve.live import ServiceClock


def kills(tmp_path: Path, count: int, seed: int) -> None:
    """kill -9 at random moments under load, again and again on one log."""
    chosen, home = random.Random(seed), deciding_home(tmp_path / "home")
    header, answered, decided, loans = home.caller(), [], [], []
    for number in range(count):
        scorer = ScorerProcess(home).ready()
        callers = DecidingCallers(scorer, header, 4, f"kill-{number}")
        callers.wait(chosen.randrange(1, 40))
        time.sleep(chosen.random() * 0.02)
        scorer.kill()
        callers.stop()
        assert callers.refused == []
        answered += callers.answers
        decided += callers.decisions
        loans += callers.loans
        assert whole(home, callers.answers) >= len(answered) + len(decided)
        assert check_decisions(home, callers.decisions, callers.loans) >= len(decided)
    whole(home, answered)
    check_decisions(home, decided, loans)
    assert decided
    assert loans


@pytest.mark.slow
def test_killed_under_load_nothing_that_was_answered_is_lost(tmp_path: Path):
    kills(tmp_path, 4, seed=1)


@pytest.mark.long
def test_killed_two_hundred_times_under_load(tmp_path: Path):
    kills(tmp_path, 200, seed=2)


def test_it_ends_when_all_is_answered_and_begins_where_it_was(home: ScorerHome):
    header = home.caller()
    for number in (signal.SIGTERM, signal.SIGINT):
        scorer = ScorerProcess(home).ready()
        callers = ScorerCallers(scorer, header, 4, f"end-{number}")
        callers.wait(20)
        assert scorer.end(number) == 0
        callers.stop()
        assert {answer.json()["code"] for answer in callers.refused} <= {"stopping"}
        whole(home, callers.answers)
    again = ScorerProcess(home).ready()
    with again.client(headers=header) as client:
        repeated = client.post(
            "/v1/scores", json=application(callers.answers[0]["application_id"].removeprefix("app-"))
        )
        assert repeated.json() == callers.answers[0]
    assert again.end() == 0


def test_a_release_is_used_and_rolled_back_without_a_lost_or_mixed_answer(scorer: ScorerProcess, home: ScorerHome):
    first = home.dir.pointer.live
    second = home.approve(release_folder(seed=1, name="second"))
    callers = ScorerCallers(scorer, home.caller(), 4)
    seen = [first]
    for turn in range(6):
        callers.wait(10)
        if turn % 2:
            home.rollback()
        else:
            home.use(second)
        wanted = home.dir.pointer.live
        before = len(callers.answers)
        callers.wait(20)
        # Those that were under way when it changed may be of the one before; then all are of the new one.
        assert {answer["model"]["release"] for answer in callers.answers[before + 8 :][:8]} == {wanted}
        seen.append(wanted)
    callers.stop()
    assert callers.refused == []
    assert set(seen) == {first, second}
    whole(home, callers.answers)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_without_a_release_it_says_so_until_there_is_one(scorer: ScorerProcess, home: ScorerHome):
    live = home.dir.pointer.live
    assert live is not None
    with scorer.client(headers=home.caller()) as client:
        home.withdraw(live)
        assert code(client.post("/v1/scores", json=application("a"))) == (503, "no-release")
        assert code(client.get("/readyz")) == (503, "no-release")
        assert client.get("/healthz").status_code == 200
        home.use(home.approve(release_folder(name="ended", ended=True)))
        assert code(client.post("/v1/scores", json=application("a"))) == (503, "release-expired")
        next_one = home.approve(release_folder(seed=1, name="next"))
        home.use(next_one)
        assert client.post("/v1/scores", json=application("a")).json()["model"]["release"] == next_one
        # One that was altered is not used, whatever the pointer says.
        other = home.approve(release_folder(seed=2, name="other"))
        (home.dir.release_folder(other) / "model" / "card.json").write_text("{}")
        home.use(other)
        assert code(client.post("/v1/scores", json=application("b"))) == (503, "no-release")
        home.rollback()
        assert client.post("/v1/scores", json=application("b")).status_code == 200
    assert "was altered" in scorer.said()
    del home.approved[other]
    home.approved[live] = None


def test_a_full_disk_refuses_and_loses_nothing(scorer: ScorerProcess, home: ScorerHome):
    with scorer.client(headers=home.caller()) as client:
        answers = [client.post("/v1/scores", json=application(f"a{n}")).json() for n in range(3)]
        _, most = resource.prlimit(scorer.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(scorer.process.pid, resource.RLIMIT_FSIZE, (4096, most))
        refused = [client.post("/v1/scores", json=application(f"b{n}")) for n in range(3)]
        assert {code(answer) for answer in refused} == {(503, "log")}
        assert refused[0].headers["retry-after"]
        # A batch is refused in the same way.
        batch = {"applications": [application("b0"), application("b1")]}
        assert code(client.post("/v1/scores:batch", json=batch)) == (503, "log")
        resource.prlimit(scorer.process.pid, resource.RLIMIT_FSIZE, (most, most))
        later = [client.post("/v1/scores", json=application(f"b{n}")).json() for n in range(3)]
    assert [one["version"] for one in later] == [1, 1, 1]
    assert whole(home, answers + later) == 6


def test_a_disk_that_fills_and_is_emptied_under_load_loses_nothing(scorer: ScorerProcess, home: ScorerHome):
    callers = ScorerCallers(scorer, home.caller(), 4, "disk")
    callers.wait(40)
    _, most = resource.prlimit(scorer.process.pid, resource.RLIMIT_FSIZE)
    for _ in range(3):
        resource.prlimit(scorer.process.pid, resource.RLIMIT_FSIZE, (4096, most))
        refused, end = len(callers.refused), time.monotonic() + PATIENCE
        while len(callers.refused) < refused + 10 and time.monotonic() < end:
            time.sleep(0.002)
        resource.prlimit(scorer.process.pid, resource.RLIMIT_FSIZE, (most, most))
        callers.wait(40)
    callers.stop()
    assert len(callers.refused) >= 30
    assert {code(answer) for answer in callers.refused} == {(503, "log")}
    # What was refused is nowhere: the log has the answers and no other line.
    assert whole(home, callers.answers) == len(callers.answers)


def test_two_on_one_log_or_one_port_are_refused(scorer: ScorerProcess, home: ScorerHome, tmp_path: Path):
    second = ScorerProcess(home)
    assert second.process.wait(PATIENCE) == 1
    other = ScorerProcess(new_home(tmp_path / "other"), listen=f"127.0.0.1:{scorer.port}")
    assert other.process.wait(PATIENCE) == 2
    assert str(scorer.port) in other.said()
    with scorer.client(headers=home.caller()) as client:
        assert client.post("/v1/scores", json=application()).status_code == 200


def test_a_clock_that_goes_back_is_refused_and_a_corrected_one_is_not():
    now = [1_900_000_000.0]
    clock = ServiceClock(now[0], clock=lambda: now[0], passed=lambda: now[0])
    day = clock.today()
    now[0] -= 240
    assert clock.today() == day
    now[0] -= 61
    with pytest.raises(HttpProblem) as refused:
        clock.today()
    assert refused.value.code == clock_behind().code
    now[0] += 86_400
    assert (clock.today() - day).days == 1


def test_a_reading_ahead_of_the_time_that_passed_is_refused_and_not_kept():
    now, passed, warned = [1_900_000_000.0], [50.0], list[str]()
    clock = ServiceClock(0.0, lambda: now[0], lambda: passed[0], warned.append)
    day = clock.today()
    now[0] += 7 * 86_400
    for _ in range(2):
        with pytest.raises(HttpProblem) as refused:
            clock.today()
        assert refused.value.code == clock_ahead().code
    # Once, with the time that it says and the one that it should say.
    (line,) = warned
    assert re.findall(r"20\d\d-\d\d-\d\d", line) == [str(day + timedelta(days=7)), str(day)]
    now[0] -= 7 * 86_400
    assert clock.today() == day
    # A step that NTP makes, a week that passed, and a second bad reading, of which a word is said again.
    now[0] += 299
    assert clock.today() == day
    now[0] += 7 * 86_400
    passed[0] += 7 * 86_400
    assert (clock.today() - day).days == 7
    now[0] = 1e18
    with pytest.raises(HttpProblem):
        clock.today()
    assert len(warned) == 2


def test_a_log_from_later_is_not_written_by_a_clock_that_is_behind(home: ScorerHome):
    """The process begins with the time of the log's last line."""
    log = home.dir.log()
    with log.commit() as batch:
        batch.write({"score_id": "x"}, "a", "p", 1, b"d")
    later = "2999-01-01T00:00:00Z"
    log._database.executescript("DROP TRIGGER lines_stay")
    log._database.execute("UPDATE lines SET at = ?", (later,))
    assert log.last_at == later
    log.close()
    scorer = ScorerProcess(home).ready()
    with scorer.client(headers=home.caller()) as client:
        answer = client.post("/v1/scores", json=application())
        assert code(answer) == (503, "log-ahead")
        assert int(answer.headers["retry-after"]) > 900 * 365 * 86_400
        assert code(client.get("/readyz")) == (503, "log-ahead")
    assert scorer.end() == 0


def test_a_clock_that_was_ahead_and_is_right_again_goes_on_when_the_logs_last_line_has_come():
    line, warned = 1_900_000_000.0, list[str]()
    now = [line - 86_400]
    clock = ServiceClock(line, lambda: now[0], lambda: now[0], warned.append)
    with pytest.raises(HttpProblem) as refused:
        clock.today()
    assert (refused.value.code, refused.value.headers) == ("log-ahead", {"retry-after": str(86_400 - 300)})
    now[0] += 86_400 - 300
    clock.today()
    assert len(warned) == 1


def test_a_caller_that_sends_too_much_is_told_when_to_come_again_and_holds_up_nobody(home: ScorerHome):
    """What is refused is nowhere in the log."""
    scorer = ScorerProcess(home, "--most-a-second", "2").ready()
    wild, other = home.caller("wild"), home.caller("other")
    with scorer.client() as client:
        batch = {"applications": [application(f"p{at}", application_id=f"B-{at}") for at in range(40)]}
        assert client.post("/v1/scores:batch", json=batch, headers=wild).status_code == 200
        for path, body in (("/v1/scores", application()), ("/v1/scores:batch", batch), ("/v1/features", {})):
            refused = client.post(path, json=body, headers=wild)
            assert code(refused) == (429, "too-many")
            assert 10 < int(refused.headers["retry-after"]) <= 20
        assert code(client.post(f"/v1/replay/{'0' * 32}", headers=wild)) == (429, "too-many")
        assert client.post("/v1/scores", json=application(), headers=other).status_code == 200
        # What cannot be read is counted, too.
        broken = home.caller("broken")
        answers = [client.post("/v1/scores:batch", json={"nonsense": 1}, headers=broken) for _ in range(3)]
        assert [code(one) for one in answers] == [(400, "malformed")] * 2 + [(429, "too-many")]
    assert scorer.end() == 0
    log = home.dir.log()
    assert len(list(log.lines())) == 41
    log.close()


# The thread that answers meets what no handler of Exception catches.
PANICS = """
import sys
from sealscore.clients.serve.committer import _Worker
from sealscore.clients.cli import main

class Panic(BaseException):
    pass

def answer(self, group):
    raise Panic

_Worker.answer = answer
sys.argv = ["sealscore-node", *sys.argv[1:]]
main()
"""


def test_a_scorer_that_cannot_answer_any_more_says_so_and_ends_with_one(home: ScorerHome):
    scorer = ScorerProcess(home, program=("-c", PANICS)).ready()
    with scorer.client(headers=home.caller()) as client:
        assert code(client.post("/v1/scores", json=application())) == (500, "internal")
    assert scorer.process.wait(PATIENCE) == 1
    assert "Panic" in scorer.said()
    assert scorer.end() == 1


def test_by_certificate_over_tls_and_on_a_socket(home: ScorerHome, tmp_path: Path):
    from sealscore.clients.serve.process import caller_file

    authority = Authority(tmp_path / "tls")
    files = authority.files()
    options = ["--certificate", files.certificate, "--key", files.key, "--callers-ca", files.callers]
    caller_file(home.dir).add("loans", ["score"], subject="CN=loans")
    scorer = ScorerProcess(home, *map(str, options)).ready()
    with httpx.Client(base_url=scorer.place, verify=authority.client("loans"), trust_env=False) as client:
        assert client.post("/v1/scores", json=application()).status_code == 200
        assert client.get("/metrics").status_code == 403
    with httpx.Client(base_url=scorer.place, verify=authority.client("other"), trust_env=False) as client:
        assert client.post("/v1/scores", json=application()).status_code == 401
    assert scorer.end() == 0
    socket = tmp_path / "s.sock"
    scorer = ScorerProcess(home, listen=f"unix:{socket}").ready()
    with httpx.Client(base_url="http://scorer", transport=httpx.HTTPTransport(uds=str(socket))) as client:
        assert client.post("/v1/scores", json=application(), headers=home.caller("s")).status_code == 200
    assert scorer.end() == 0
    assert not socket.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("each", "most"), [(120, 3), pytest.param(400, 6, marks=pytest.mark.long)])
def test_memory_is_flat(scorer: ScorerProcess, home: ScorerHome, each: int, most: int):
    """`each` good requests and as many bad ones a block grow it by less than `most` MiB."""
    process = psutil.Process(scorer.process.pid)
    with scorer.client(headers=home.caller()) as client:
        used = []
        for block in range(5):
            for number in range(each):
                client.post("/v1/scores", json=application(f"m-{block}-{number}"))
                client.post("/v1/scores", json={"nonsense": "x" * 1000})
            used.append(process.memory_info().rss)
    # The first block fills caches.
    assert used[-1] - used[0] < most * 2**20


def test_withdrawals_and_erasures_by_commands_take_effect_while_it_runs(scorer: ScorerProcess, home: ScorerHome):
    with scorer.client(headers=home.caller()) as client:
        first = client.post("/v1/scores", json=application("ann")).json()
        log = home.dir.log()
        with log.commit() as batch:
            assert batch.erase("ann", "asked for it")
        log.close()
        assert client.post(f"/v1/replay/{first['score_id']}").json()["result"] == "erased"
        assert code(client.post("/v1/scores", json=application("ann"))) == (409, "withdrawn")
        assert client.post("/v1/scores", json=application("ann", product="other")).json()["version"] == 2
    assert LENDER not in scorer.said()
