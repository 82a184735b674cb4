"""The commands of docs/decisions.md, as a lender's operators type them, and what they say of bad input."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from deciding import LENDER, decide, decided, policy
from homes import Said
from partners import Partners
from policies import INPUTS
from service_process import ServiceProcess

pytestmark = pytest.mark.slow

RIGHTS = [word for right in ("decide", "review", "loans") for word in ("--right", right)]


def test_from_a_policy_to_a_notice_and_a_dispute(partners: Partners):
    partners.prepared(())
    good = lambda *typed: partners.good(LENDER, *typed)  # noqa: E731
    assert decide(partners, "a").code == 2  # no policy yet
    file = policy(partners)
    assert partners.node(LENDER, "policy", "approve", file, "--yes").code == 0
    assert partners.node(LENDER, "policy", "approve", file, "--yes").code == 2
    changed = policy(partners, "changed.toml", ("share = 0.4", "share = 0.2"))
    assert partners.node(LENDER, "policy", "approve", changed, "--yes").code == 2  # the same revision
    raised = policy(partners, "next.toml", ("share = 0.4", "share = 0.1"), ("revision = 1", "revision = 2"))
    good("policy", "approve", raised, "--yes", "--shadow")
    assert "live" in (listed := good("policy", "list").text)
    assert "shadow" in listed
    assert "share" in good("policy", "diff", file, raised).text

    approved = decided(partners, "a")
    assert (approved["proposal"], approved["amount"]) == ("approve", 8000)
    waits = decided(partners, "b", inputs=INPUTS | {"identity_verified": False})
    declined = decided(partners, "c", inputs=INPUTS | {"debt_service": 70000, "income": 250000})
    rows = [json.loads(line) for line in good("review", "list").out.splitlines() if line.startswith("{")]
    assert [row["decision_id"] for row in rows] == [waits["decision_id"], declined["decision_id"]]
    for options in (("--reviewer", "nobody"), ("--reason", ""), ("--outcome", "perhaps"), ("--amount", "10000000")):
        word = {"--reviewer": "staff 17", "--reason": "seen in person", "--outcome": "approve"}
        typed = [part for pair in (word | dict([options])).items() for part in pair]
        assert partners.node(LENDER, "review", "take", waits["decision_id"], *typed).code == 2
    word = ("--reviewer", "staff 17", "--reason", "seen in person", "--outcome")
    good("review", "take", waits["decision_id"], *word, "approve")
    good("review", "take", declined["decision_id"], *word, "decline")
    assert "还款" in good("notice", declined["decision_id"], "--lang", "zh").out
    assert "Existing instalments" in good("notice", declined["decision_id"], "--lang", "en").out

    data = partners.town.application("c", 0, amount=8000, term_months=12, inputs=INPUTS)
    corrected = partners.town.write("corrected.json", data)
    told = good("dispute", declined["decision_id"], "--why", "the debt was paid back", "--application", corrected)
    again = json.loads(told.out.strip().splitlines()[-1])
    assert (again["version"], again["state"], again["queue"]) == (2, "waiting", "disputes")
    good("review", "take", again["decision_id"], *word, "approve")
    counted = good("review", "list").text
    assert "3 taken" in counted
    assert "1 reversals" in counted

    good("loan", "open", "L1", "--principal", "8000", "--decision", approved["decision_id"])
    good("loan", "close", "L1")
    partners.file("loans.csv").write_text("loan,person,principal\nL9,a,500\n", encoding="utf-8")
    assert "1 new" in good("loan", "read", partners.file("loans.csv")).text
    partners.file("groups.csv").write_text("application_id,group\napp-a,x\napp-b,y\n", encoding="utf-8")
    said = good("policy", "simulate", raised, "--groups", partners.file("groups.csv")).text
    assert "would change" in said
    assert "fewer than 10" in said
    assert "decisions: 4 the same, 0 differ, 0 erased" in good("replay").text
    good("erase", "--person", "a", "--cause", "asked for it")
    assert "decisions: 3 the same, 0 differ, 1 erased" in good("replay").text
    good("policy", "end", json.loads(json.dumps(approved["policy"]["hash"])))
    assert decide(partners, "d").code == 2


def test_a_service_and_commands_decide_by_one_policy_on_one_log(partners: Partners):
    partners.prepared(())
    header = {"authorization": f"Bearer {partners.good(LENDER, 'caller', 'add', 'all', *RIGHTS).out.strip()}"}
    data = partners.town.application("a", 0, amount=8000, term_months=12, inputs=INPUTS)
    service = ServiceProcess("serve", partners.town.folder / LENDER, "--listen", f"unix:{partners.file('s.sock')}")
    service.wait()
    try:
        with service.client(headers=header) as client:
            assert client.post("/v1/decisions", json=data).json()["code"] == "no-policy"
            first = policy(partners)
            partners.good(LENDER, "policy", "approve", first, "--yes")
            answer = client.post("/v1/decisions", json=data).json()
            assert (answer["state"], answer["amount"]) == ("approved", 8000)
            # The command knows what the service decided, and the other way round.
            assert decided(partners, "a") == answer
            waits = decided(partners, "b", inputs=INPUTS | {"identity_verified": False})
            assert client.get("/v1/reviews").json()["waiting"][0]["decision_id"] == waits["decision_id"]
            word = ("--reviewer", "staff 17", "--reason", "seen in person", "--outcome", "approve")
            partners.good(LENDER, "review", "take", waits["decision_id"], *word)
            assert client.get(f"/v1/decisions/{waits['decision_id']}").json()["reserved"] == 8000
            opened = {"loan_id": "L1", "principal": 8000, "decision_id": waits["decision_id"]}
            assert client.post("/v1/loans", json=opened).status_code == 200
            partners.good(LENDER, "loan", "close", "L1")
            raised = policy(partners, "next.toml", ("above = 60000", "above = 400"), ("revision = 1", "revision = 2"))
            partners.good(LENDER, "policy", "approve", raised, "--yes")
            other = client.post("/v1/decisions", json=data | {"application_id": "c", "person": "c"}).json()
            assert (other["policy"]["name"], other["proposal"]) == ("retail 2", "decline-proposed")
    finally:
        assert service.end() == 0
    assert "decisions: 3 the same, 0 differ, 0 erased" in partners.good(LENDER, "replay").text


def test_what_cannot_be_decided_is_refused_without_a_value(partners: Partners, node: Callable[..., Said]):
    partners.prepared(())
    bad = policy(partners, "bad.toml", ("exposure = 80000", "exposure = -1"), ('id = "debt"', 'id = "identity"'))
    said = node("policy", "check", bad)
    assert said.code == 2
    assert ": line " in said.text
    said = partners.node(LENDER, "policy", "approve", bad, "--yes")
    assert said.code == 2
    partners.good(LENDER, "policy", "approve", policy(partners), "--yes")
    for change in (
        {"product": "mortgage"},
        {"amount": 4711.5},
        {"inputs": INPUTS | {"income": "4711"}},
        {"inputs": INPUTS | {"secret-4711": 1}},
        {"term_months": 4711},
    ):
        said = decide(partners, "person-0815", **change)
        assert (said.code, said.out) == (2, ""), change
        assert "0815" not in said.text
        assert "4711" not in said.text.replace("secret-4711", "")
    for typed in (("notice", "0" * 32), ("dispute", "0" * 32, "--why", "it is all wrong"), ("loan", "close", "L1")):
        assert partners.node(LENDER, *typed).code == 2
    assert partners.node("wallet", "decide", partners.file("application.json")).code == 2
    assert "0 the same" in partners.good(LENDER, "replay").text
