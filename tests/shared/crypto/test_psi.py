"""The private way: what the library finds, fresh keys, nothing in clear, no gain for a platform that deviates."""

import private_set_intersection.python as psi
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sealscore.shared.crypto.alignment import AlignmentError
from sealscore.shared.crypto.psi import POINT_BYTES, PrivateMatching
from sealscore.shared.randomness.streams import Purpose, StreamSource

SIZE, OTHERS = 16, 32
HEAD = 32


def stream(party, purpose=Purpose.FILLER):
    return StreamSource.seeded(1, party).stream("run", "align", 1, 0, party, purpose)


def points(data):
    return [data[at : at + POINT_BYTES] for at in range(0, len(data), POINT_BYTES)]


def numbers(message):
    return [int.from_bytes(message[at : at + 4], "big") for at in range(0, len(message), 20)]


@pytest.fixture
def matching():
    return PrivateMatching("exact", SIZE, OTHERS)


@pytest.fixture
def sides(matching):
    asking = matching.ask(["a", "b", "c"], stream("lender"))
    return asking, matching.answer(asking.request, ["b", "c", "d"], stream("platform"))


def test_it_finds_what_the_library_finds():
    client, server = psi.client.CreateWithNewKey(True), psi.server.CreateWithNewKey(True)
    mine, theirs = [f"person {n}" for n in range(60)], [f"person {n}" for n in range(40, 140)]
    request = client.CreateRequest(mine)
    setup = server.CreateSetupMessage(1e-9, len(mine), theirs, psi.DataStructure.RAW)
    found = client.GetIntersection(setup, server.ProcessRequest(request))
    matching = PrivateMatching("exact", 64, 128)
    asking = matching.ask([str(n) for n in range(60)], stream("lender"))
    answering = matching.answer(asking.request, [str(n) for n in range(40, 140)], stream("platform"))
    _, aligned = asking.handles(answering.response, stream("lender", Purpose.HANDLES))
    assert {f"person {person}" for person in aligned.persons} == {mine[index] for index in found}
    # The list in the response is the library's own raw set-up message, under the same key.
    again = psi.client.CreateFromKey(server.GetPrivateKeyBytes(), True).CreateRequest(theirs)
    assert sorted(again.encrypted_elements) == list(setup.raw.encrypted_elements)


def test_keys_are_fresh_each_time(matching):
    requests = [matching.ask(["a", "b"], stream("lender")).request for _ in range(2)]
    assert not set(points(requests[0][HEAD:])) & set(points(requests[1][HEAD:]))
    responses = [matching.answer(requests[0], ["a", "b"], stream("platform")).response for _ in range(2)]
    assert not set(points(responses[0])) & set(points(responses[1]))


def test_places_in_a_request_say_nothing_of_the_order_of_persons(matching):
    persons = [str(n) for n in range(4)]
    firsts = set()
    for number in range(12):
        filler = StreamSource.seeded(number, "lender").stream("run", "align", 1, 0, "lender", Purpose.FILLER)
        firsts.add(tuple(matching.ask(persons, filler)._persons))
    assert len(firsts) == 12


def test_no_message_holds_a_person(matching):
    person = "long identifier of a person"
    asking = matching.ask([person], stream("lender"))
    answering = matching.answer(asking.request, [person], stream("platform"))
    message, _ = asking.handles(answering.response, stream("lender", Purpose.HANDLES))
    for data in (asking.request, answering.response, message):
        assert person.encode() not in data
        assert person.encode().hex().encode() not in data


def test_the_lenders_handles_do_not_depend_on_keys(matching):
    """So that a run can be repeated: handles follow from the stream and the persons alone."""
    found = []
    for _ in range(2):
        asking = matching.ask(["a", "b", "c"], stream("lender"))
        answering = matching.answer(asking.request, ["c", "b", "x"], stream("platform"))
        found.append(asking.handles(answering.response, stream("lender", Purpose.HANDLES))[1])
    assert found[0] == found[1]


def test_the_response_is_sorted_and_padded(matching, sides):
    theirs = points(sides[1].response)[SIZE:]
    assert theirs == sorted(theirs)
    assert len(set(theirs)) == OTHERS
    none = matching.answer(sides[0].request, [], stream("platform")).response
    assert len(none) == len(sides[1].response)


def test_a_platform_with_too_many_persons_is_told(matching, sides):
    with pytest.raises(AlignmentError, match="33 persons do not fit"):
        matching.answer(sides[0].request, [str(n) for n in range(33)], stream("platform"))


@pytest.mark.parametrize("wrong", [b"\2" + b"\xff" * 32, bytes(33), b"\4" + bytes(32), b"\2" + bytes(31) + b"\1"])
def test_entries_that_are_no_points_are_refused(matching, sides, wrong):
    asking, answering = sides
    with pytest.raises(AlignmentError, match="no points"):
        matching.answer(asking.request[:-POINT_BYTES] + wrong, ["a"], stream("platform"))
    with pytest.raises(AlignmentError, match="no points"):
        asking.handles(wrong + answering.response[POINT_BYTES:], stream("lender"))


def test_a_request_with_an_entry_twice_is_refused(matching, sides):
    request = sides[0].request
    with pytest.raises(AlignmentError, match="twice"):
        matching.answer(request[:-POINT_BYTES] + request[HEAD : HEAD + POINT_BYTES], ["a"], stream("platform"))


def test_one_match_cannot_be_made_to_stand_for_all(matching):
    """A platform that knows one person repeats its entry, so that the lender would name everybody to it."""
    asking = matching.ask([str(n) for n in range(SIZE)], stream("lender"))
    honest = matching.answer(asking.request, ["3"], stream("platform"))
    place = asking._persons.index("3")
    known = points(honest.response)[place]
    message, aligned = asking.handles(known * SIZE + honest.response[SIZE * POINT_BYTES :], stream("lender"))
    assert "one of its persons for two" in aligned.fault
    assert aligned.persons == ()
    assert all(place >= OTHERS for place in numbers(message))


def test_a_platform_that_swaps_entries_learns_no_stranger(matching):
    """The lender then says which of the platform's own persons it found, and nothing of its own."""
    asking = matching.ask([str(n) for n in range(SIZE)], stream("lender"))
    answering = matching.answer(asking.request, ["3", "4", "x"], stream("platform"))
    entries, at, other = points(answering.response), asking._persons.index("3"), asking._persons.index("9")
    entries[at], entries[other] = entries[other], entries[at]
    message, at_lender = asking.handles(b"".join(entries), stream("lender", Purpose.HANDLES))
    assert set(at_lender.persons) == {"9", "4"}
    assert set(answering.accept(message).persons) == {"3", "4"}


def test_a_claim_of_filling_makes_a_pair_of_nobody(matching):
    """Were it refused, the platform could read from that how many persons a request holds."""
    asking = matching.ask(["a"], stream("lender"))
    answering = matching.answer(asking.request, ["a"], stream("platform"))
    entries, at = points(answering.response), asking._persons.index("a")
    other = (at + 1) % SIZE
    entries[at], entries[other] = entries[other], entries[at]
    message, aligned = asking.handles(b"".join(entries), stream("lender"))
    assert "filling" in aligned.fault
    assert aligned.persons == ()
    assert len(message) == matching.handles_bytes
    assert set(answering.accept(message).persons) == set()


def test_a_list_with_a_person_twice_is_refused(sides):
    asking, answering = sides
    response = answering.response[:-POINT_BYTES] + answering.response[-2 * POINT_BYTES : -POINT_BYTES]
    with pytest.raises(AlignmentError, match="twice"):
        asking.handles(response, stream("lender"))


def test_a_lender_cannot_name_filling_or_places_that_are_none(sides):
    asking, answering = sides
    message, _ = asking.handles(answering.response, stream("lender", Purpose.HANDLES))
    named = [place for place in numbers(message) if place < OTHERS]
    assert len(named) == 2
    filling = next(place for place, person in enumerate(answering._persons) if person is None)
    for place in (OTHERS, 2**32 - 2):
        with pytest.raises(AlignmentError, match="no place"):
            answering.accept(place.to_bytes(4, "big") + message[4:])
    spare = next(at for at, place in enumerate(numbers(message)) if place >= OTHERS)
    twice = message[: 20 * spare] + named[0].to_bytes(4, "big") + message[20 * spare + 4 :]
    with pytest.raises(AlignmentError, match="two"):
        answering.accept(twice)
    # Whether a place is one of filling depends on whom the platform knows: nobody is told, and nobody is named.
    probe = message[: 20 * spare] + filling.to_bytes(4, "big") + message[20 * spare + 4 :]
    aligned = answering.accept(probe)
    assert "filling" in aligned.fault
    assert aligned.persons == ("",) * 3
    assert answering.accept(message).fault == ""


def test_progress_rises_to_the_end():
    told = []
    matching = PrivateMatching("exact", 2_048, 64, lambda done, total: told.append((done, total)))
    asking = matching.ask(["a"], stream("lender"))
    answering = matching.answer(asking.request, ["a"], stream("platform"))
    asking.handles(answering.response, stream("lender"))
    assert told == [(1_024, 2_048), (2_048, 2_048), (1_088, 2_112), (2_112, 2_112), (1_024, 2_048), (2_048, 2_048)]


def test_the_key_is_taken_off_on_the_curve_of_the_library(sides):
    """The order that inverts keys is that of the curve: its multiples of the base point wrap there."""
    from sealscore.shared.crypto.psi import _ORDER

    one, last = (ec.derive_private_key(k, ec.SECP256R1()).public_key().public_numbers() for k in (1, _ORDER - 1))
    assert one.x == last.x
    assert one.y != last.y


def test_every_release_of_the_library_encrypts_alike():
    """Two parties may run two Pythons, whose releases of the library differ: these points are those of each."""
    client = psi.client.CreateFromKey(bytes(range(1, 33)), True)
    found = client.CreateRequest(["creator-0", "creator-1"]).encrypted_elements
    assert [point.hex() for point in found] == [
        "036a271e5a96d29ef587d9cb17d8cb1578e980d43e135ca0f189f4b7f9c5643c2f",
        "03efeee1363b6ee5a39251b2dc3253a60592408c356d9136c2fb59df3211f378c5",
    ]


@pytest.mark.parametrize(
    ("bound", "most", "persons"),
    [(1_024, 8_192, 600), pytest.param(16_384, 131_072, 10_000, marks=pytest.mark.long)],
)
def test_many_find_each_other_among_ten_times_as_many(bound: int, most: int, persons: int):
    matching = PrivateMatching("exact", bound, most)
    first = 7 * persons // 10
    asking = matching.ask([str(n) for n in range(persons)], stream("lender"))
    answering = matching.answer(
        asking.request, [str(n) for n in range(first, first + 10 * persons)], stream("platform")
    )
    message, at_lender = asking.handles(answering.response, stream("lender", Purpose.HANDLES))
    assert sorted(map(int, at_lender.persons)) == list(range(first, persons))
    assert answering.accept(message) == at_lender
