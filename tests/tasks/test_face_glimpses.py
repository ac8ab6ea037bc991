"""Faces in glimpses: nobody is in two splits, every fold tests other people, and the oracles of unbalanced classes."""

import math

import pytest
import torch

from companion.tasks import FaceGlimpses
from companion.tasks.face_glimpses import by_person
from companion.tasks.glimpses import glimpses

pytestmark = pytest.mark.usefixtures("made_up_faces")


@pytest.mark.parametrize("count", [4, 20, 102])
@pytest.mark.parametrize("folds", [2, 3])
def test_nobody_is_in_two_splits_and_everybody_is_tested_once(count, folds):
    people = torch.arange(count).repeat(3) + 7
    tested = []
    for fold in range(1, folds + 1):
        masks = by_person(people, fold, folds)
        whose = {split: set(people[mask].tolist()) for split, mask in masks.items()}
        assert torch.equal(sum(mask.int() for mask in masks.values()), torch.ones(3 * count, dtype=torch.int32))
        assert sum(len(group) for group in whose.values()) == count
        assert all(whose.values())
        assert abs(len(whose["test"]) - count / folds) < 1
        tested += whose["test"]
    assert sorted(tested) == list(range(7, count + 7))


def test_the_folds_are_the_same_in_every_run_and_are_shuffled():
    people = torch.arange(60)
    first = by_person(people, 1, 3)
    torch.rand(3)
    again = by_person(people, 1, 3)
    assert all(torch.equal(first[split], again[split]) for split in first)
    assert people[first["test"]].tolist() != list(range(0, 60, 3))


def test_the_splits_hold_the_glimpses_of_their_people(made_up_faces):
    pictures, classes, people, _ = made_up_faces
    task = FaceGlimpses("london", fold=2, folds=3)
    mask = by_person(people, 2, 3)["test"]
    assert torch.equal(task.held_out("test").inputs, glimpses(pictures[mask]))
    assert torch.equal(task.held_out("test").targets, classes[mask])
    assert (task.input_size, task.output_size) == (144, 3)
    assert task.people == {"train": 6, "test": 4, "validation": 2}
    assert "London" in task.set_name


def test_the_blind_guess_names_the_most_frequent_class(made_up_faces):
    task = FaceGlimpses("london", fold=1, folds=3)
    targets = task.held_out("test").targets
    most = torch.bincount(task.splits["train"].targets).argmax()
    assert most == 0
    assert task.blind_guess["accuracy"] == pytest.approx((targets == most).double().mean().item())
    assert task.chance == pytest.approx({"accuracy": 1 / 3, "loss": math.log(3)})
    assert FaceGlimpses.chance_of("multi-pie") == {"accuracy": 1 / 6, "loss": math.log(6)}


@pytest.mark.parametrize("arguments", [{"folds": 1}, {"folds": 13}, {"fold": 0}, {"fold": 4}])
def test_bad_folds_are_refused_in_one_sentence(arguments):
    with pytest.raises(ValueError, match=rf"^{next(iter(arguments))} is .*; it must [^.]*\.$"):
        FaceGlimpses(**arguments)
