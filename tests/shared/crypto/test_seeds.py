"""Seeds: shared by two, signed, fresh each epoch, and erased."""

import pytest

from sealscore.shared.crypto.aggregation import SeedsMissing
from sealscore.shared.crypto.sealing import PlanKeys, peer_key
from sealscore.shared.crypto.seeds import OfferError, Seeds, split_offer
from sealscore.shared.fields import pack_fields, unpack_fields

NAMES = ["p0", "p1", "p2"]


@pytest.fixture
def made(members):
    return members.seeds(NAMES, exchanged=False)


def delivery(seeds, recipient):
    return split_offer(seeds.offer)[2][recipient]


def test_two_share_a_key_and_a_third_has_another(members):
    seeds = members.seeds(NAMES)
    assert seeds["p0"].key("p1", b"x") == seeds["p1"].key("p0", b"x")
    keys = {seeds[a].key(b, info) for a, b in (("p0", "p1"), ("p1", "p2"), ("p0", "p2")) for info in (b"", b"x", b"y")}
    assert len(keys) == 9
    assert {len(key) for key in keys} == {32}


def test_all_see_the_same_digests(members):
    seeds = members.seeds(NAMES)
    digests = {name: split_offer(each.offer)[1] for name, each in seeds.items()}
    for each in seeds.values():
        assert each.digests == digests
        assert {name: each.digest(name).hex() for name in NAMES} == digests


def test_seeds_are_fresh_in_every_epoch_and_run(members):
    runs = [members.seeds(NAMES[:2]), members.seeds(NAMES[:2], epoch=2), members.seeds(NAMES[:2], run="other")]
    again = members.seeds(NAMES[:2])
    assert len({seeds["p0"].key("p1", b"x") for seeds in [*runs, again]}) == 4


def test_both_seeds_count(members):
    """Either party's fresh seed makes the key fresh."""
    seeds = members.seeds(NAMES[:2])
    before = seeds["p0"].key("p1", b"x")
    for side in (seeds["p0"]._own, seeds["p0"]._theirs):
        kept = bytes(side["p1"])
        side["p1"][0] ^= 1
        assert seeds["p0"].key("p1", b"x") != before
        side["p1"][:] = kept
    assert seeds["p0"].key("p1", b"x") == before


def test_the_same_delivery_may_come_twice_and_another_may_not(members, made):
    other = members.seeds(NAMES, exchanged=False)["p1"]
    assert made["p0"].accept(delivery(made["p1"], "p0")) == "p1"
    assert made["p0"].accept(delivery(made["p1"], "p0")) == "p1"
    with pytest.raises(OfferError, match="second offer"):
        made["p0"].accept(delivery(other, "p0"))


def test_offers_of_other_runs_and_epochs_are_refused(members, made):
    for changes in ({"epoch": 2}, {"run": "other"}, {"epoch": 0}):
        other = members.seeds(NAMES, exchanged=False, **changes)["p1"]
        with pytest.raises(OfferError, match="another plan, run or epoch"):
            made["p0"].accept(delivery(other, "p0"))


def test_a_delivery_for_another_is_refused(made):
    with pytest.raises(OfferError, match="without the seed for 'p0'"):
        made["p0"].accept(delivery(made["p1"], "p2"))


def test_the_own_offer_and_a_strangers_are_refused(members, made):
    wider = members.seeds([*NAMES, "p3"], exchanged=False)
    for other in (wider["p3"], members.seeds(["p0", "p1"], exchanged=False)["p0"]):
        anyone = next(iter(split_offer(other.offer)[2].values()))
        with pytest.raises(OfferError, match="no peer"):
            made["p0"].accept(anyone)


def test_a_server_cannot_offer_in_a_partys_name(members, made):
    forged = Seeds(members.identities["server"], members.keys["server"], "run", 1, members.cards, members.peers)
    manifest, _, sealed = unpack_fields(delivery(forged, "p0"))
    head, _, listed = unpack_fields(manifest)
    named = pack_fields(head, b"p1", listed)
    for signature in (members.identities["server"].sign("seed offer", named), bytes(64), b""):
        with pytest.raises(OfferError, match="did not sign"):
            made["p0"].accept(pack_fields(named, signature, sealed))


def test_a_seed_that_was_swapped_or_changed_is_refused(made):
    manifest, signature, sealed = unpack_fields(delivery(made["p1"], "p0"))
    others = unpack_fields(delivery(made["p2"], "p0"))[2]
    for changed in (others, sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1]), b""):
        with pytest.raises(OfferError, match="without the seed"):
            made["p0"].accept(pack_fields(manifest, signature, changed))


def test_a_seed_for_other_keys_is_refused(members):
    renewed = PlanKeys.generate(members.identities["p0"], members.keys["p0"].plan)
    peers = {name: members.peers[name] for name in NAMES}
    mine = Seeds(members.identities["p0"], renewed, "run", 1, members.cards, peers)
    theirs = members.seeds(NAMES, exchanged=False)["p1"]
    with pytest.raises(OfferError, match="not sealed to the key"):
        mine.accept(delivery(theirs, "p0"))
    fresh = peers | {"p0": peer_key(renewed.certificate, members.cards["p0"], renewed.plan)}
    again = Seeds(members.identities["p1"], members.keys["p1"], "run", 1, members.cards, fresh)
    assert mine.accept(delivery(again, "p0")) == "p1"


@pytest.mark.parametrize("data", [b"", b"\0\0\0\1", pack_fields(b"", b"", b""), pack_fields(b"a", b"b", b"c")])
def test_rubbish_is_refused(made, data):
    with pytest.raises(OfferError):
        made["p0"].accept(data)
    with pytest.raises(OfferError):
        split_offer(data)


def test_offers_have_one_size(members):
    assert len({len(seeds.offer) for seeds in members.seeds(NAMES, exchanged=False).values()}) == 1


def test_closed_seeds_are_zero_and_of_no_use(members):
    seeds = members.seeds(NAMES)["p0"]
    kept = [*seeds._own.values(), *seeds._theirs.values()]
    assert all(any(seed) for seed in kept)
    offered = delivery(members.seeds(NAMES, exchanged=False)["p1"], "p0")
    seeds.close()
    seeds.close()
    assert len(kept) == 4
    assert not any(any(seed) for seed in kept)
    for use in (lambda: seeds.key("p1", b""), lambda: seeds.digest("p0"), lambda: seeds.accept(offered)):
        with pytest.raises(SeedsMissing, match="erased"):
            use()


def test_no_seed_before_the_peer_has_offered(made):
    with pytest.raises(SeedsMissing, match="no seed of 'p1'"):
        made["p0"].key("p1", b"")
    with pytest.raises(SeedsMissing, match="no offer of 'p1'"):
        made["p0"].digest("p1")


def test_no_seed_is_shown(members):
    seeds = members.seeds(NAMES)["p0"]
    shown = repr(seeds)
    assert shown == "Seeds(name='p0', run='run', epoch=1, parties=['p0', 'p1', 'p2'])"
    assert not any(bytes(seed) in seeds.offer for seed in seeds._own.values())
