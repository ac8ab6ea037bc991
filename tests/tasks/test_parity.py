"""Parity: the drawn example, and a coin that is fair to whoever misses an entry."""

import math

import pytest
import torch

from companion.tasks import Parity

PLACEMENTS = ("prefix", "scattered")


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_target_says_whether_the_count_of_plus_ones_is_odd(placement):
    inputs, targets = Parity(9, placement).batch(torch.Generator().manual_seed(0), 300)
    assert inputs.shape == (1, 300, 9)
    for vector, target in zip(inputs[0].tolist(), targets.tolist(), strict=True):
        assert set(vector) <= {-1.0, 0.0, 1.0}
        assert any(vector)
        assert target == vector.count(1.0) % 2


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_number_of_entries_is_uniform_from_one_to_n(placement):
    size, bits = 8000, 5
    inputs, _ = Parity(bits, placement).batch(torch.Generator().manual_seed(0), size)
    counts = (inputs[0] != 0).sum(1).bincount(minlength=bits + 1) / size
    assert counts[0] == 0
    assert (counts[1:] - 1 / bits).abs().max() < 5 * math.sqrt(1 / bits / size)


def test_a_prefix_fills_the_first_entries_and_scattered_fills_every_entry_alike():
    prefix, _ = Parity(6, "prefix").batch(torch.Generator().manual_seed(0), 200, filled=4)
    assert ((prefix[0] != 0) == (torch.arange(6) < 4)).all()
    scattered, _ = Parity(6, "scattered").batch(torch.Generator().manual_seed(0), 6000, filled=2)
    filled = (scattered[0] != 0).float()
    assert (filled.sum(1) == 2).all()
    assert (filled.mean(0) - 1 / 3).abs().max() < 5 * math.sqrt(2 / 9 / 6000)


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("filled", range(1, 9))
def test_the_coin_is_fair_for_every_count_and_to_whoever_misses_one_entry(filled, placement):
    """The parity of all entries but one says nothing of the target; so blind guess and chance are one half."""
    task, size = Parity(8, placement), 3000
    inputs, targets = task.batch(torch.Generator().manual_seed(filled), size, filled=filled)
    assert targets.mean().item() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(size))
    seen = inputs[0, :, 0] != 0
    without = (inputs[0, :, 1:] == 1).sum(1).remainder(2).float()
    agreement = (without == targets)[seen].float()
    assert agreement.mean().item() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(len(agreement)))


def test_chance_and_blind_guess_are_those_of_a_coin():
    task = Parity(8)
    _, targets = task.batch(torch.Generator().manual_seed(0), 6000)
    scored = task.metrics(1e-3 * torch.randn(6000, 1), targets)
    for name, expected in {"error": 0.5, "loss": math.log(2)}.items():
        assert task.chance[name] == task.blind_guess[name] == expected
        assert scored[name].mean().item() == pytest.approx(expected, abs=5 * 0.5 / math.sqrt(6000))


def test_details_ask_for_every_number_of_bits():
    asked = []

    def evaluate(batch):
        counts = (batch.inputs[0] != 0).sum(1)
        asked.append((counts.unique().item(), len(batch.targets)))
        return {"error": 0.1 * asked[-1][0], "loss": 1.0, "ponder_steps": float(asked[-1][0])}

    details = Parity(3).details(evaluate)
    assert asked == [(1, 1000), (2, 1000), (3, 1000)]
    assert details == {"error_by_bits": pytest.approx([0.1, 0.2, 0.3]), "ponder_steps_by_bits": [1.0, 2.0, 3.0]}
    assert list(Parity(2).details(lambda batch: {"error": 0.5})) == ["error_by_bits"]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_with_most_the_test_set_has_the_counts_that_training_and_validation_do_not(placement):
    task, size = Parity(7, placement, held_out_size=4000, most=4), 4000
    counts = {
        name: (batch.inputs[0] != 0).sum(1)
        for name, batch in {
            "train": task.batch(torch.Generator().manual_seed(0), size),
            "validation": task.held_out("validation"),
            "test": task.held_out("test"),
        }.items()
    }
    for name, allowed in {"train": range(1, 5), "validation": range(1, 5), "test": range(5, 8)}.items():
        shares = counts[name].bincount(minlength=8) / size
        for count in range(8):
            expected = (count in allowed) / len(allowed)
            assert shares[count].item() == pytest.approx(expected, abs=5 * math.sqrt(expected / size))


def test_without_most_nothing_changes():
    for split in ("validation", "test"):
        assert torch.equal(Parity(6).held_out(split).inputs, Parity(6, most=6).held_out(split).inputs)
    assert Parity(6).held_out("test").inputs[0].ne(0).sum(1).unique().tolist() == [1, 2, 3, 4, 5, 6]


def test_details_with_most_also_say_the_means_within():
    details = Parity(4, most=2).details(lambda batch: {"error": batch.inputs[0, 0].ne(0).sum().item() / 10})
    assert details == {"error_by_bits": pytest.approx([0.1, 0.2, 0.3, 0.4]), "error_within": pytest.approx(0.15)}
    pondered = Parity(3, most=1).details(lambda batch: {"error": 0.5, "ponder_steps": 2.0})
    assert pondered["ponder_steps_within"] == 2.0


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"bits": 0}, "bits"), ({"placement": "middle"}, "placement"), ({"most": 0}, "most"), ({"most": 65}, "most")],
)
def test_bad_arguments_are_refused_in_one_sentence(arguments, name):
    with pytest.raises(ValueError, match=rf"^{name} is .*; it must [^.]*\.$"):
        Parity(**arguments)
