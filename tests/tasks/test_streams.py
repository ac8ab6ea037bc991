"""Where the examples of a task come from: each set has a stream of its own, and no other set's."""

import importlib

import pytest
import torch

from companion.tasks import (
    Adding,
    Addition,
    AssociativeRetrieval,
    Catch,
    Copying,
    CopyingTransfer,
    Logic,
    Parity,
    Sort,
    seeded,
)

TASKS = {
    "adding": lambda: Adding(6, held_out_size=9),
    "addition": lambda: Addition(4, 2, held_out_each=9),
    "associative retrieval": lambda: AssociativeRetrieval(3, sizes=(30, 20, 10)),
    "catch": lambda: Catch(5, 2, held_out_size=9),
    "copying": lambda: Copying(3, held_out_size=9),
    "logic": lambda: Logic(6, 3, held_out_each=9),
    "parity": lambda: Parity(6, held_out_size=9),
    "parity of more": lambda: Parity(6, held_out_size=9, most=3),
    "sort": lambda: Sort(12, held_out_each=9),
}
PONDERED = [name for name in TASKS if name in ("addition", "logic", "parity", "parity of more", "sort")]


@pytest.fixture
def streams(monkeypatch):
    """The splits and seeds of the generators that a task has asked for."""

    def watch(task):
        asked = []

        def noted(split, seed):
            asked.append((split, seed))
            return seeded(split, seed)

        monkeypatch.setattr(importlib.import_module(type(task).__module__), "seeded", noted)
        return asked

    return watch


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_held_out_set_is_the_first_of_its_split(name, split, streams):
    task = TASKS[name]()
    asked = streams(task)
    task.held_out(split)
    assert asked == [(split, 0)]


def test_the_fixed_training_set_is_drawn_from_the_training_stream(streams):
    asked = streams(TASKS["associative retrieval"]())
    task = TASKS["associative retrieval"]()
    assert asked == [("train", 0)]
    assert [len(task.held_out(split).targets) for split in ("validation", "test")] == [20, 10]
    assert len(task.answers) == 30


def test_training_draws_from_all_of_the_fixed_set():
    task = AssociativeRetrieval(3, sizes=(30, 20, 10))
    inputs, _ = task.batch(torch.Generator().manual_seed(0), 1000)
    whole = task.encode(task.symbols, task.answers).inputs
    seen = {example.numpy().tobytes() for example in inputs.unbind(1)}
    assert seen == {example.numpy().tobytes() for example in whole.unbind(1)}


@pytest.mark.parametrize("name", PONDERED)
def test_what_else_is_recorded_is_of_the_test_split_and_not_the_test_set_again(name, streams):
    """A thousand examples each: a share is off by 1.6 % at most, one standard deviation."""
    task = TASKS[name]()
    asked, sizes = streams(task), []

    def evaluate(batch):
        sizes.append(batch.inputs.shape[1])
        return {"error": 0.5, "position_error": 0.5, "ponder_steps": 2.0}

    task.details(evaluate)
    assert set(sizes) == {1000}
    (stream,) = asked
    assert stream[0] == "test"
    assert stream[1] > 0


def test_other_delays_are_tested_on_test_sets_of_their_own(streams):
    task, sizes = CopyingTransfer(3, [5, 7], test_size=11), []
    asked = streams(task)

    def evaluate(batch, chunk):
        sizes.append(tuple(batch.inputs.shape[:2]))
        return {"accuracy": 0.5}

    task.details(evaluate)
    assert asked == [("test", 0), ("test", 0)]
    assert sizes == [(25, 11), (27, 11)]


@pytest.mark.parametrize("name", ["addition", "sort"])
def test_n_is_followed_along_examples_of_a_third_stream(name, streams):
    task = TASKS[name]()
    asked, shapes = streams(task), []

    def follow(batch):
        shapes.append(tuple(batch.inputs.shape[:2]))
        return None, torch.ones(shapes[-1])

    task.details(lambda batch: {"error": 0.5})
    task.along(follow)
    (other, mine) = asked
    assert mine[0] == "test"
    assert mine[1] not in (0, other[1])
    expected = [(4, 3)] if name == "addition" else [(2 * length, 1000) for length in (5, 10, 12)]
    assert shapes == expected


def test_details_are_of_the_lengths_that_they_say():
    """Three numbers, or as many as there are; five steps, or as many as there are."""
    lengths = []

    def evaluate(batch):
        lengths.append(len(batch.inputs))
        return {"error": 0.5}

    for task in (Addition(4, 2), Addition(2, 2), Logic(7, 2), Logic(3, 2)):
        task.details(evaluate)
    assert lengths == [3, 3, 2, 2, 5, 5, 3, 3]
