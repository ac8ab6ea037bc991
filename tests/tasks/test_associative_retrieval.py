"""Associative retrieval: the drawn example, and the best guess of one who cannot tell the keys apart."""

import math
import re

import pytest
import torch

from companion.tasks import AssociativeRetrieval
from companion.tasks.associative_retrieval import key_blind

SMALL = (500, 50, 50)


def as_text(batch):
    return [AssociativeRetrieval.spell(symbols) for symbols in batch.inputs.argmax(2).T]


@pytest.mark.parametrize("pairs", [1, 4, 26])
def test_an_example_is_as_drawn(pairs):
    task = AssociativeRetrieval(pairs, SMALL)
    batch = task.batch(torch.Generator().manual_seed(0), 100)
    assert (batch.inputs.sum(2) == 1).all()
    for text, answer in zip(as_text(batch), batch.targets.tolist(), strict=True):
        assert re.fullmatch(rf"([a-z][0-9]){{{pairs}}}\?\?[a-z]", text)
        shown = re.findall("([a-z])([0-9])", text)
        assert len(dict(shown)) == pairs  # no key twice
        assert dict(shown)[text[-1]] == str(answer)


def test_digits_may_repeat_and_every_place_is_asked():
    task = AssociativeRetrieval(4, (4000, 10, 10))
    texts = as_text(task.encode(task.symbols, task.answers))
    repeats = sum(len(set(text[1:8:2])) < 4 for text in texts) / 4000
    assert repeats == pytest.approx(1 - 10 * 9 * 8 * 7 / 10**4, abs=5 * 0.5 / math.sqrt(4000))
    places = torch.tensor([text.index(text[-1]) // 2 for text in texts]).bincount(minlength=4) / 4000
    assert (places - 1 / 4).abs().max() < 5 * math.sqrt(3 / 16 / 4000)
    keys = torch.tensor([ord(text[0]) - 97 for text in texts]).bincount(minlength=26) / 4000
    assert (keys - 1 / 26).abs().max() < 5 * math.sqrt(1 / 26 / 4000)


def test_a_batch_is_drawn_from_the_fixed_training_set():
    task = AssociativeRetrieval(4, (30, 10, 10))
    training = set(as_text(task.encode(task.symbols, task.answers)))
    drawn = set(as_text(task.batch(torch.Generator().manual_seed(9), 400)))
    assert drawn == training
    assert [len(task.held_out(split).targets) for split in ("validation", "test")] == [10, 10]


@pytest.mark.parametrize(
    ("pairs", "error", "loss"),
    [
        (1, 0, 0),
        (2, 45.0, 0.624),
        (3, 57.0, 0.963),
        (4, 61.65, 1.187),
        (5, 64.2, 1.349),
        (6, 66.3, 1.472),
        (8, 70.0, 1.649),
    ],
)
def test_the_best_blind_guess_is_the_known_number(pairs, error, loss):
    mine = key_blind(pairs)
    assert 100 * mine[0] == pytest.approx(error, abs=0.06)
    assert mine[1] == pytest.approx(loss, abs=6e-4)


@pytest.mark.parametrize("pairs", [2, 4, 8])
def test_one_who_only_counts_the_digits_scores_the_blind_guess(pairs):
    size = 20_000
    task = AssociativeRetrieval(pairs, (size, 10, 10))
    inputs, targets = task.encode(task.symbols, task.answers)
    shares = inputs.sum(0)[:, 26:36] / pairs
    for name, values in task.metrics(shares.log(), targets).items():
        assert values.mean().item() == pytest.approx(
            task.blind_guess[name], abs=5 * values.std().item() / math.sqrt(size)
        )
    for name, values in task.metrics(1e-3 * torch.randn(size, 10), targets).items():
        assert values.mean().item() == pytest.approx(task.chance[name], abs=5 * 0.3 / math.sqrt(size))
    assert all(task.blind_guess[name] < task.chance[name] for name in task.chance)


def test_the_paper_s_own_examples_are_spelt_as_printed():
    symbols = torch.tensor([2, 35, 10, 34, 9, 29, 5, 27, 36, 36, 2])
    assert AssociativeRetrieval.spell(symbols) == "c9k8j3f1??c"


@pytest.mark.parametrize("pairs", [0, 27])
def test_bad_arguments_are_refused_in_one_sentence(pairs):
    with pytest.raises(ValueError, match=r"^pairs is .*; it must lie between 1 and 26\.$"):
        AssociativeRetrieval(pairs)


@pytest.mark.parametrize("sizes", [(10, 10), (0, 10, 10), (10.5, 10, 10)])
def test_bad_sizes_are_refused_in_one_sentence(sizes, as_users_run_it):
    with pytest.raises(ValueError, match=r"^sizes is .*; it must be three whole numbers, each at least 1\.$"):
        AssociativeRetrieval(sizes=sizes)


def test_no_pairs_have_no_blind_guess():
    with pytest.raises(ValueError, match=r"^pairs is 0; it must be at least 1\.$"):
        key_blind(0)
