"""Who saw what follows from the plan's phases and from what the record says of masks and seals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sealscore.compliance.run_figures.disclosure import crossed, nobody, phase_title, sights
from sealscore.compliance.run_figures.record import RunFolder
from sealscore.shared.phases.order import phases

PROTECTED = {"sums": "masked", "payloads": "sealed", "alignment": "psi"}


def test_a_row_for_each_phase_in_order(vertical: Path, horizontal: Path):
    for folder in (vertical, horizontal):
        run = RunFolder.load(folder)
        rows = sights(run, {})
        assert [row.phase for row in rows] == [phase_title(run.plan, phase) for phase in phases(run.plan)]
        assert all(all((row.server, row.lenders, row.platforms, row.bound)) for row in rows)


def test_groups_are_named_where_there_are_several(vertical: Path, horizontal: Path):
    assert sights(RunFolder.load(vertical), {})[0].phase == "Align persons (video)"
    assert sights(RunFolder.load(horizontal), {})[0].phase == "Cut features into bins"


def test_what_platforms_and_lenders_learn(vertical: Path):
    rows = {row.phase: row for row in sights(RunFolder.load(vertical), {"train_tower:video": 1.2345})}
    labels = rows["Release noisy labels (video)"]
    assert "flipped with probability 27" in labels.platforms
    assert labels.lenders == "nothing"
    assert labels.bound == "label epsilon 1, drawn once"
    signal = rows["Disclose the signal (wallet)"]
    assert signal.lenders == "one of 5 levels for each of its own consented, aligned applicants"
    assert (signal.platforms, signal.bound) == ("nothing", "3 bits a person, without epsilon")
    groups = rows["Disclose groups of test persons (wallet)"]
    assert "the bands of region of aligned test persons; of training persons never" in groups.lenders
    assert groups.bound == "2 bits a test person, without epsilon"
    assert "Disclose groups of test persons (video)" not in rows
    train = rows["Train the tower (video)"]
    assert (train.lenders, train.platforms) == ("nothing", "the weights of every round")
    assert train.bound.endswith("times the clip norm 1: epsilon 1.23 by itself")
    assert rows["Train the tower (lender)"].platforms == "nothing"
    assert rows["Evaluate (lender)"].server.startswith("counts of test persons by score and label, all and by age and")


def test_a_server_saw_what_was_not_masked_or_sealed(vertical: Path, copy_of: Callable[..., Path]):
    bare = {row.phase: row for row in sights(RunFolder.load(copy_of(vertical, protection={})), {})}
    closed = {row.phase: row for row in sights(RunFolder.load(copy_of(vertical, protection=PROTECTED)), {})}
    train, alone, align = "Train the tower (video)", "Train the tower (wallet)", "Align persons (video)"
    assert "from each of 2 parties with its own part of the noise" in bare[train].server
    assert "summed over 2 parties; no single contribution" in closed[train].server
    assert bare[alone].server == closed[alone].server
    assert bare[alone].server.endswith("from the one party of the group with all of the noise")
    assert "not sealed" in bare[align].server
    assert "can open none" in closed[align].server
    assert "salted digests" in bare[align].platforms
    assert "salted digests" not in closed[align].platforms


def test_true_labels_are_said_to_be_true(copy_of: Callable[..., Path], vertical: Path):
    run = RunFolder.load(vertical)
    quiet = run.plan.replace(privacy__noise="none", privacy__label_epsilon=None)
    rows = {row.phase: row for row in sights(RunFolder(**{**vars(run), "plan": quiet}), {})}
    labels = rows["Release noisy labels (video)"]
    assert (labels.platforms, labels.bound) == (
        "the labels of aligned training persons",
        "no noise: simulation only",
    )
    assert rows["Train the tower (video)"].bound == "no noise"


def test_bytes_that_crossed(vertical: Path, horizontal: Path):
    run = RunFolder.load(vertical)
    found = crossed(run)
    lenders, platforms = {"lender-1", "lender-2"}, {"video-1", "video-2", "wallet"}
    assert {(sender, recipient) for sender, recipient, *_ in found} == {
        pair for a in lenders for b in platforms for pair in ((a, b), (b, a))
    }
    first = next(entry for entry in run.record["payloads"] if (entry["from"], entry["to"]) == ("lender-1", "wallet"))
    shown = next(row for row in found if row[:2] == ("lender-1", "wallet"))
    # 500 nominal records, a quarter of them for tests.
    assert float(shown[3].removesuffix(" bytes")) == round(first["bytes"] / 375, 1)
    assert crossed(RunFolder.load(horizontal)) == []


def test_nobody(vertical: Path, horizontal: Path):
    assert len(nobody(RunFolder.load(vertical).plan)) > len(nobody(RunFolder.load(horizontal).plan)) >= 2
