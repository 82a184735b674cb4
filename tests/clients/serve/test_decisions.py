"""Decisions over real sockets: answers, rights, refusals without a value, policies that come and go, and races."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from deciding_home import approved, check_decisions, deciding_home, loan, offline
from policies import INPUTS, counting, lenient
from scorer_home import ScorerHome, ScorerProcess, application, now, pair_of

from sealscore.clients.decision.register import DecisionError
from sealscore.clients.http.problems import PROBLEM_TYPE
from sealscore.clients.serve.api import RIGHTS

CANARY = "Zx9-canary-77"
WORD = {"outcome": "approve", "reviewer": "staff 17", "reason": "papers were seen in person"}
POOR = INPUTS | {"identity_verified": False}
BAD = INPUTS | {"debt_service": 61_000, "income": 250_000}


@pytest.fixture
def home(tmp_path: Path) -> ScorerHome:
    return deciding_home(tmp_path / "home")


@pytest.fixture
def scorer(home: ScorerHome) -> Iterator[ScorerProcess]:
    made = ScorerProcess(home).ready()
    yield made
    assert made.end() == 0
    assert CANARY not in made.said()


@pytest.fixture
def client(scorer: ScorerProcess) -> Iterator[httpx.Client]:
    with scorer.client(headers=scorer.home.caller()) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ScorerHome, httpx.Client]]:
    """A scorer for what changes nothing."""
    home = deciding_home(tmp_path_factory.mktemp("shared") / "home")
    made = ScorerProcess(home).ready()
    with made.client(headers=home.caller()) as client:
        yield home, client
    assert made.end() == 0
    assert CANARY not in made.said()


def good(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem document, which quotes nothing."""
    assert answer.headers["content-type"] == PROBLEM_TYPE
    assert CANARY not in answer.text
    found = answer.json()
    assert found["status"] == answer.status_code
    return answer.status_code, found["code"]


def test_from_an_application_to_a_loan_that_is_over(client: httpx.Client, home: ScorerHome):
    first = good(client.post("/v1/decisions", json=loan()))
    assert (first["proposal"], first["state"], first["amount"]) == ("approve", "approved", 8000)
    assert good(client.post("/v1/decisions", json=loan())) == first
    place = f"/v1/decisions/{first['decision_id']}"
    assert good(client.get(place)) == first | {"reserved": 8000}
    assert code(client.get(f"{place}/notice")) == (409, "nothing-adverse")
    assert code(client.post("/v1/decisions", json=loan(amount=5000))) == (409, "approved-before")
    opened = {"loan_id": "L-1", "principal": 8000, "decision_id": first["decision_id"]}
    assert code(client.post("/v1/loans", json=opened | {"principal": 8001})) == (409, "too-much")
    assert good(client.post("/v1/loans", json=opened))["state"] == "open"
    assert code(client.post("/v1/loans", json=opened)) == (409, "not-approved")
    assert good(client.get(place))["reserved"] == 0
    other = {"loan_id": "L-2", "principal": 500, "person": "p1"}
    assert good(client.post("/v1/loans", json=other))["principal"] == 500
    assert code(client.post("/v1/loans", json=other)) == (409, "loan")
    assert good(client.post("/v1/loans:close", json={"loan_id": "L-1"}))["state"] == "closed"
    assert code(client.post("/v1/loans:close", json={"loan_id": "L-1"})) == (409, "loan")
    assert check_decisions(home, [first]) == 1


def test_a_review_a_notice_and_a_dispute(client: httpx.Client, home: ScorerHome):
    waits = good(client.post("/v1/decisions", json=loan("p2", inputs=POOR)))
    declined = good(client.post("/v1/decisions", json=loan("p3", inputs=BAD)))
    listed = good(client.get("/v1/reviews"))
    assert [row["decision_id"] for row in listed["waiting"]] == [waits["decision_id"], declined["decision_id"]]
    assert {(row["age_days"], row["overdue"]) for row in listed["waiting"]} == {(0, False)}
    assert listed["queues"] == {"declines": {"waiting": 1, "overdue": 0}, "identity": {"waiting": 1, "overdue": 0}}
    assert len(good(client.get("/v1/reviews?queue=declines"))["waiting"]) == 1
    place = f"/v1/decisions/{declined['decision_id']}"
    assert code(client.get(f"{place}/notice?lang=en")) == (409, "not-decided")
    taken = good(client.post(f"{place}/review", json=WORD | {"outcome": "decline"}))
    assert (taken["outcome"], taken["amount"]) == ("decline", 0)
    assert code(client.post(f"{place}/review", json=WORD)) == (409, "not-waiting")
    english, chinese = (good(client.get(f"{place}/notice?lang={lang}"))["text"] for lang in ("en", "zh"))
    assert "Existing instalments" in english
    assert "还款" in chinese
    assert good(client.get(f"{place}/notice"))["text"] == chinese
    # What was corrected is a new version that a person decides; the objection and it are one commit.
    objection = {"why": "the debt was paid back", "application": loan("p3")}
    assert code(client.post(f"{place}/dispute", json=objection | {"application": loan("p4")})) == (
        422,
        "other-application",
    )
    wrong = objection | {"application": loan("p3", term_months=4711)}
    assert code(client.post(f"{place}/dispute", json=wrong)) == (422, "inputs")
    assert "disputed" not in good(client.get(place))
    disputed = good(client.post(f"{place}/dispute", json=objection))
    assert (disputed["queue"], disputed["late"]) == ("disputes", False)
    again = disputed["decision"]
    assert (again["version"], again["state"], again["queue"]) == (2, "waiting", "disputes")
    assert good(client.get(place))["state"] == "superseded"
    assert code(client.post(f"{place}/dispute", json={"why": "it is all wrong"})) == (409, "superseded")
    above = code(client.post(f"/v1/decisions/{again['decision_id']}/review", json=WORD | {"amount": 10**9}))
    assert above == (409, "above-limit")
    made = good(client.post(f"/v1/decisions/{again['decision_id']}/review", json=WORD))
    assert (made["outcome"], made["amount"], made["reversal"]) == ("approve", 8000, True)
    now = good(client.get(f"/v1/decisions/{again['decision_id']}"))
    assert (now["state"], now["reserved"], now["review"]["outcome"]) == ("approved", 8000, "approve")
    counted = good(client.get("/v1/reviews"))
    assert (counted["taken"], counted["reversals"]) == (2, 1)
    text = client.get("/metrics").text
    for line in (
        'decisions_total{proposal="review",state="waiting"} 1',
        'decisions_total{proposal="decline-proposed",state="waiting"} 1',
        'reviews_total{outcome="approve"} 1',
        "disputes_total 1",
        'reviews_waiting{queue="identity"} 1',
        'reviews_overdue{queue="identity"} 0',
    ):
        assert f"sealscore_scorer_{line}" in text.splitlines()
    assert not {"p2", "p3"} & set(text.replace('"', " ").split())


CALLS: dict[str, list[tuple[str, str, Any]]] = {
    "decide": [("POST", "/v1/decisions", loan("right"))],
    "review": [("GET", "/v1/reviews", None), ("POST", "/v1/decisions/{id}/review", WORD)],
    "notice": [("GET", "/v1/decisions/{id}/notice", None), ("POST", "/v1/decisions/{id}/dispute", {"why": "w" * 20})],
    "loans": [("POST", "/v1/loans", {"loan_id": "L", "principal": 1, "decision_id": "0" * 32}),
              ("POST", "/v1/loans:close", {"loan_id": "L"})],
}  # fmt: skip


def test_who_has_no_right_learns_nothing_of_what_there_is(scorer: ScorerProcess, client: httpx.Client):
    there = good(client.post("/v1/decisions", json=loan("right", inputs=POOR)))["decision_id"]
    headers = {right: scorer.home.caller(f"only-{right}", right) for right in RIGHTS}
    for wanted, calls in CALLS.items():
        for method, path, body in calls:
            for right, header in headers.items():
                if right != wanted:
                    refused = [
                        client.request(method, path.format(id=id), json=body, headers=header)
                        for id in (there, "0" * 32, CANARY)
                    ]
                    assert {code(one) for one in refused} == {(403, "forbidden")}
                    assert len({one.text for one in refused}) == 1
    shown = {right: client.get(f"/v1/decisions/{there}", headers=header) for right, header in headers.items()}
    assert {right for right, answer in shown.items() if answer.status_code == 200} == {"decide", "review"}
    assert {code(one) for one in shown.values() if one.status_code != 200} == {(403, "forbidden")}
    # A correction is scored: who may not have an application decided may not correct one.
    corrected = {"why": "my income was misread", "application": loan("right")}
    answer = client.post(f"/v1/decisions/{there}/dispute", json=corrected, headers=headers["notice"])
    assert code(answer) == (403, "forbidden")
    assert "disputed" not in client.get(f"/v1/decisions/{there}").json()
    for id in ("0" * 32, CANARY, "a" * 500, "%00", "%ff"):
        assert client.get(f"/v1/decisions/{id}").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/decisions", {CANARY: 1}, "product"),
        ("/v1/decisions", loan(CANARY, product=CANARY), "product"),
        ("/v1/decisions", loan(CANARY, amount=CANARY), "inputs"),
        ("/v1/decisions", loan(CANARY, inputs={CANARY: 1}), "inputs"),
        ("/v1/decisions", loan(CANARY, inputs=INPUTS | {"income": CANARY}), "inputs"),
        ("/v1/decisions", loan(CANARY, features={CANARY: 1, "income": 1.0}), "features"),
        ("/v1/decisions", loan(CANARY, **{CANARY: 1}), "malformed"),
        ("/v1/decisions/{id}/review", WORD | {CANARY: CANARY}, "malformed"),
        ("/v1/decisions/{id}/review", WORD | {"reviewer": [CANARY]}, "malformed"),
        ("/v1/decisions/{id}/review", WORD | {"reviewer": "nobody"}, "reviewer"),
        ("/v1/decisions/{id}/review", WORD | {"reason": " " * 20}, "reason"),
        ("/v1/decisions/{id}/review", WORD | {"outcome": CANARY}, "malformed"),
        ("/v1/decisions/{id}/dispute", {"why": CANARY[:3]}, "malformed"),
        ("/v1/decisions/{id}/dispute", {"why": CANARY, "application": [CANARY]}, "malformed"),
        ("/v1/loans", {"loan_id": CANARY, "principal": 1}, "malformed"),
        ("/v1/loans", {"loan_id": CANARY, "principal": 1, "person": CANARY, "decision_id": "0" * 32}, "malformed"),
        ("/v1/loans", {"loan_id": CANARY, "principal": 1, "decision_id": "0" * 32}, "unknown"),
        ("/v1/loans", {"loan_id": " ", "principal": 1, "person": CANARY}, "loan"),
        ("/v1/loans:close", {"loan_id": CANARY}, "loan"),
    ],
)
def test_what_is_wrong_is_named_without_a_value(
    shared: tuple[ScorerHome, httpx.Client], path: str, body: dict[str, Any], expected: str
):
    home, client = shared
    there = good(client.post("/v1/decisions", json=loan("there", inputs=POOR)))
    lines = check_lines(home)
    answer = client.post(path.format(id=there["decision_id"]), json=body)
    assert code(answer)[1] == expected
    assert 400 <= answer.status_code < 500
    assert check_lines(home) == lines


def check_lines(home: ScorerHome) -> int:
    with closing(home.dir.log()) as log:
        return len(list(log.lines()))


def test_what_stands_after_the_question_mark_is_checked(shared: tuple[ScorerHome, httpx.Client]):
    client = shared[1]
    there = good(client.post("/v1/decisions", json=loan("there", inputs=POOR)))["decision_id"]
    for query in (f"lang={CANARY}", "lang=zh&lang=zh", f"{CANARY}=1", "lang=zh&x=1", "&" * 5000, f"queue={CANARY}"):
        assert code(client.get(f"/v1/decisions/{there}/notice?{query}")) == (422, "malformed")
        assert code(client.get(f"/v1/reviews?{query}")) == (422, "malformed")


def test_a_policy_is_used_from_the_next_request_on(client: httpx.Client, home: ScorerHome):
    first = good(client.post("/v1/decisions", json=loan("p1")))
    strict = lenient(revision=2, products__starter__rules__2__above=400)
    approved(home, strict)
    second = good(client.post("/v1/decisions", json=loan("p2")))
    assert (first["policy"]["name"], second["policy"]["name"]) == ("retail 1", "retail 2")
    assert (first["proposal"], second["proposal"]) == ("approve", "decline-proposed")
    described = client.get("/openapi.json").json()["components"]["schemas"]["LoanApplication"]["oneOf"]
    assert {one["properties"]["product"]["const"] for one in described} == set(strict.products)
    approved(home, strict, "retired")
    assert code(client.post("/v1/decisions", json=loan("p3"))) == (503, "no-policy")
    assert client.get("/openapi.json").status_code == 200
    # What was decided before can be seen, reviewed and told; scores go on.
    place = f"/v1/decisions/{second['decision_id']}"
    assert good(client.post(f"{place}/review", json=WORD | {"outcome": "decline"}))["outcome"] == "decline"
    assert good(client.get(f"{place}/notice?lang=en"))["text"]
    assert client.post("/v1/scores", json={k: v for k, v in loan("p4").items() if k not in LOAN}).status_code == 200
    # Also where no release is live any more.
    (live,) = home.approved
    home.withdraw(live)
    assert code(client.post("/v1/decisions", json=loan("p5"))) == (503, "no-release")
    opened = {"loan_id": "L-1", "principal": 8000, "decision_id": first["decision_id"]}
    assert good(client.post("/v1/loans", json=opened))["state"] == "open"
    home.approved[live] = None


LOAN = ("amount", "term_months", "inputs")


def test_who_asks_again_under_another_id_waits_for_a_person(client: httpx.Client, home: ScorerHome):
    approved(home, counting(revision=2))
    states = [good(client.post("/v1/decisions", json=loan("p1", application_id=f"a{n}")))["state"] for n in range(4)]
    assert states == ["approved", "approved", "waiting", "waiting"]
    # Others do not wait for it, and the same body is no further one.
    assert good(client.post("/v1/decisions", json=loan("p2")))["state"] == "approved"
    assert good(client.post("/v1/decisions", json=loan("p1", application_id="a0")))["state"] == "approved"


def test_sixteen_callers_at_once_are_promised_no_more_than_one(
    scorer: ScorerProcess, client: httpx.Client, home: ScorerHome
):
    """The exposure is 80,000: of many applications of one person over 20,000 each four are approved."""
    header, answers = dict(client.headers), list[httpx.Response]()
    asked = {"amount": 20_000, "inputs": INPUTS | {"income": 100_000}}
    begin = threading.Barrier(16)

    def ask(number: int) -> None:
        with scorer.client(headers={"authorization": header["authorization"]}) as one:
            begin.wait()
            for turn in range(3):
                body = loan("same", application_id=f"a{number}-{turn}", **asked)
                answers.append(one.post("/v1/decisions", json=body))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [good(one) for one in answers]
    assert len(made) == 48
    assert sum(one["amount"] for one in made) == 80_000
    assert sum(one["state"] == "approved" for one in made) == 4
    assert check_decisions(home, made) == 48


def _by_command(home: ScorerHome, start: Any, results: Any) -> None:
    with closing(home.dir.log()) as log:
        service, made = offline(home, log), []
        start.wait()
        for turn in range(12):
            for name in (f"command-{turn}", f"both-{turn}"):
                body = loan("same", application_id=name, amount=20_000, inputs=INPUTS | {"income": 100_000})
                try:
                    made.append(service.decide(body, "command of 0", now()))
                except DecisionError:
                    continue
    results.put([(one["decision_id"], one["amount"]) for one in made])


@pytest.mark.slow
def test_commands_and_callers_at_once_do_not_both_reserve(client: httpx.Client, home: ScorerHome):
    context = multiprocessing.get_context("spawn")
    start, results = context.Event(), context.Queue()
    child = context.Process(target=_by_command, args=(home, start, results))
    child.start()
    start.set()
    made = dict[str, int]()
    answers = []
    while child.is_alive() and results.empty():
        turn = len(answers)
        for name in (f"http-{turn}", f"both-{turn}"):
            body = loan("same", application_id=name, amount=20_000, inputs=INPUTS | {"income": 100_000})
            answer = client.post("/v1/decisions", json=body)
            if answer.status_code == 200:
                answers.append(answer.json())
                made[answer.json()["decision_id"]] = answer.json()["amount"]
            else:
                assert code(answer) == (409, "approved-before")
    other = dict(results.get(timeout=120))
    child.join(60)
    # One application that both asked about got one decision.
    assert sum((made | other).values()) == 80_000
    check_decisions(home, answers)


def test_a_locked_record_is_read_by_who_reviews(client: httpx.Client, home: ScorerHome, tmp_path: Path):
    (hash,) = home.approved
    token = pair_of(tmp_path / "pair", home.dir.release(hash)).token("p00001", "k1")
    body = loan("p00001", tokens=application("p00001", token)["tokens"])
    made = good(client.post("/v1/decisions", json=body))
    place = f"/v1/decisions/{made['decision_id']}"
    asking = {right: home.caller(f"only-{right}", right) for right in ("decide", "review")}
    assert {right: good(client.get(place, headers=header)) for right, header in asking.items()} == dict.fromkeys(
        asking, made | {"reserved": made["amount"]}
    )
    with closing(home.dir.log()) as log:
        (handle,) = log._database.execute("SELECT handle FROM handles").fetchone()
        with log.commit() as batch:
            assert batch.withdraw([bytes(handle)], "wallet", str(now()), "2035-01-01") == 1
    assert code(client.post("/v1/decisions", json=body, headers=asking["decide"])) == (409, "withdrawn")
    less = good(client.get(place, headers=asking["decide"]))
    assert less.keys() == {"decision_id", "state", "amount", "valid_until", "due", "reserved", "locked"}
    assert (less["state"], less["amount"]) == (made["state"], made["amount"])
    more = good(client.get(place, headers=asking["review"]))
    assert more == made | {"reserved": made["amount"], "locked": True}
    # Both forms are in the description.
    described = client.get("/openapi.json").json()
    whole, locked = described["components"]["schemas"]["DecisionNow"]["anyOf"]
    assert set(locked["required"]) == less.keys()
    assert set(whole["required"]) | {"locked"} <= more.keys()


def test_what_is_read_does_not_wait_for_who_writes(client: httpx.Client, home: ScorerHome):
    waits = good(client.post("/v1/decisions", json=loan("p2", inputs=POOR)))
    with closing(sqlite3.connect(home.dir.log_file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        # Who waited would wait for the writer, which waits for these.
        for path in (f"/v1/decisions/{waits['decision_id']}", "/v1/reviews", "/metrics"):
            answer = client.get(path, timeout=20.0)
            assert answer.status_code == 200
        assert 'reviews_waiting{queue="identity"} 1' in answer.text
        writer.execute("ROLLBACK")


def test_a_correction_is_one_request(home: ScorerHome):
    scorer = ScorerProcess(home, "--most-a-second", "1").ready()
    deciding, objecting = home.caller("loans", "decide"), home.caller("desk", "notice", "decide")
    lacking = home.caller("lacking", "notice")
    with scorer.client() as client:
        made = good(client.post("/v1/decisions", json=loan("p2", inputs=POOR), headers=deciding))
        place = f"/v1/decisions/{made['decision_id']}/dispute"
        body = {"why": "the papers are mine", "application": loan("p2")}
        assert code(client.post(place, json=body, headers=lacking)) == (403, "forbidden")
        assert good(client.post(place, json=body, headers=objecting))["decision"]["version"] == 2
        assert code(client.post(place, json=body, headers=objecting)) == (429, "too-many")
    assert scorer.end() == 0
