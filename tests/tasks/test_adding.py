"""Adding: the drawn example, and what scores chance and the best guess without the marks."""

import pytest
import torch

from companion.tasks import Adding


@pytest.mark.parametrize("length", [2, 7, 40])
def test_an_example_is_as_drawn(length):
    inputs, targets = Adding(length).batch(torch.Generator().manual_seed(0), 300)
    assert inputs.shape == (length, 300, 2)
    values, marks = inputs.unbind(2)
    assert ((values >= 0) & (values <= 1)).all()
    assert ((marks == 0) | (marks == 1)).all()
    assert (marks[: length // 2].sum(0) == 1).all()
    assert (marks[length // 2 :].sum(0) == 1).all()
    for value, mark, target in zip(values.T.tolist(), marks.T.tolist(), targets.tolist(), strict=True):
        assert target == pytest.approx(sum(v for v, m in zip(value, mark, strict=True) if m))


def test_marks_fall_everywhere():
    marks = Adding(10).batch(torch.Generator().manual_seed(0), 5000).inputs[:, :, 1].mean(1)
    assert (marks - 1 / 5).abs().max() < 5 * (1 / 5 * 4 / 5 / 5000) ** 0.5


def test_the_mean_scores_the_blind_guess_and_any_number_scores_chance():
    task, generator = Adding(10), torch.Generator().manual_seed(0)
    _, targets = task.batch(generator, 100_000)
    mean = torch.ones(100_000, 1)
    any_number = 2 * torch.rand(100_000, 1, generator=generator)
    for guess, expected in ((mean, task.blind_guess), (any_number, task.chance)):
        scored = {name: values.mean().item() for name, values in task.metrics(guess, targets).items()}
        assert scored["squared_error"] == pytest.approx(expected["squared_error"], rel=0.02)
        assert scored["accuracy"] == pytest.approx(expected["accuracy"], abs=0.003)


def test_close_answers_are_right():
    task = Adding(4)
    metrics = task.metrics(torch.tensor([[1.0], [1.03], [1.05], [0.5]]), torch.ones(4))
    assert metrics["accuracy"].tolist() == [1, 1, 0, 0]
    assert metrics["squared_error"].tolist() == pytest.approx([0, 0.0009, 0.0025, 0.25], abs=1e-6)


def test_bad_arguments_are_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"^length is 1; it must be [^.]*\.$"):
        Adding(1)
