"""Copying: the drawn example, and what scores chance and the best guess without memory."""

import math

import pytest
import torch

from companion.tasks import Copying, CopyingTransfer


def symbols(batch):
    return batch.inputs.argmax(2)


@pytest.mark.parametrize("delay", [1, 2, 30])
def test_an_example_is_as_drawn(delay):
    task = Copying(delay)
    batch = task.batch(torch.Generator(), 20)
    inputs, targets = symbols(batch).T.tolist(), batch.targets.T.tolist()
    assert task.length == delay + 20
    for shown, asked in zip(inputs, targets, strict=True):
        ten = shown[:10]
        assert all(1 <= symbol <= 8 for symbol in ten)
        assert shown == ten + [0] * (delay - 1) + [9] + [0] * 10
        assert asked == [0] * (delay + 10) + ten
    assert (batch.inputs.sum(2) == 1).all()


def test_the_scalar_encoding_is_the_symbol_as_a_number():
    one_hot, scalar = (Copying(5, encoding=encoding).batch(torch.Generator(), 8) for encoding in ("one-hot", "scalar"))
    assert torch.equal(scalar.inputs.squeeze(2), symbols(one_hot).float())
    assert torch.equal(scalar.targets, one_hot.targets)
    assert Copying(5, encoding="scalar").input_size == 1


def test_symbols_are_uniform():
    counts = Copying(1).batch(torch.Generator().manual_seed(0), 4000).targets[-10:].flatten().bincount(minlength=10)
    assert counts[[0, 9]].sum() == 0
    assert (counts[1:9] / 40000 - 1 / 8).abs().max() < 5 * math.sqrt(1 / 8 * 7 / 8 / 40000)


@pytest.mark.parametrize("delay", [5, 30])
def test_the_best_guess_without_memory_scores_the_blind_guess(delay):
    """It is certain of the blanks, and spreads itself over the eight symbols on the last ten steps."""
    task = Copying(delay)
    _, targets = task.batch(torch.Generator().manual_seed(0), 4000)
    predictions = torch.full((task.length, 4000, 10), -100.0)
    predictions[:-10, :, 0] = 100
    predictions[-10:, :, 1:9] = 0
    scored = {name: values.mean().item() for name, values in task.metrics(predictions, targets).items()}
    assert scored["accuracy"] == pytest.approx(1 / 8, abs=5 * math.sqrt(1 / 8 * 7 / 8 / 40000))
    assert scored["loss"] == pytest.approx(2.079, abs=1e-3)
    assert task.blind_guess == pytest.approx(scored, abs=0.01)
    assert task.blind_guess["loss_overall"] == pytest.approx(10 * math.log(8) / (delay + 20))


def test_a_uniform_guess_scores_chance():
    task = Copying(5)
    _, targets = task.batch(torch.Generator().manual_seed(0), 4000)
    noise = 1e-3 * torch.randn(task.length, 4000, 10)
    scored = {name: values.mean().item() for name, values in task.metrics(noise, targets).items()}
    assert task.chance == pytest.approx(scored, abs=0.01)


def test_the_loss_is_the_mean_over_all_steps_of_each_example(float64):
    task = Copying(2)
    _, targets = task.batch(torch.Generator().manual_seed(0), 3)
    predictions = float64(task.length, 3, 10)
    for b in range(3):
        steps = [predictions[t, b].logsumexp(0) - predictions[t, b, targets[t, b]] for t in range(task.length)]
        assert task.loss(predictions, targets)[b].item() == pytest.approx(sum(steps).item() / task.length)
        assert task.metrics(predictions, targets)["loss"][b].item() == pytest.approx(sum(steps[-10:]).item() / 10)


@pytest.mark.parametrize(
    ("arguments", "name"), [({"delay": 0}, "delay"), ({"delay": 3, "encoding": "text"}, "encoding")]
)
def test_bad_arguments_are_refused_in_one_sentence(arguments, name):
    with pytest.raises(ValueError, match=rf"^{name} is .*; it must be [^.]*\.$"):
        Copying(**arguments)


def test_transfer_tests_each_delay_on_its_own_sequences():
    task, asked = CopyingTransfer(3, [3, 40, 7000], "scalar", held_out_size=50, test_size=10), []

    def evaluate(batch, chunk):
        asked.append((batch.inputs.shape, chunk))
        return {"accuracy": 1 / len(batch.inputs)}

    details = task.details(evaluate)
    assert details == {"test_delay": [3, 40, 7000], "accuracy_by_delay": [1 / 23, 1 / 60, 1 / 7020]}
    assert asked == [((23, 10, 1), 50_000 // 23), ((60, 10, 1), 50_000 // 60), ((7020, 10, 1), 7)]
    assert task.held_out("validation").inputs.shape == (23, 50, 1)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("can't allocate memory")]
)
def test_a_delay_that_does_not_fit_is_a_result(error):
    def evaluate(batch, chunk):
        if len(batch.inputs) > 60:
            raise error
        return {"accuracy": 0.5}

    assert CopyingTransfer(3, [40, 41]).details(evaluate)["accuracy_by_delay"] == [0.5, None]


def test_another_error_of_the_test_is_no_result():
    def evaluate(batch, chunk):
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="multiplied"):
        CopyingTransfer(3, [40]).details(evaluate)
