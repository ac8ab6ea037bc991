"""What all tasks have in common: splits that are disjoint and the same for every run."""

import math
from itertools import pairwise

import pytest
import torch

from companion.tasks import (
    Adding,
    Addition,
    AssociativeRetrieval,
    Batch,
    Copying,
    DigitGlimpses,
    FaceGlimpses,
    Language,
    Logic,
    Parity,
    PixelCIFAR10,
    PixelMNIST,
    Task,
    seeded,
)

TASKS = {
    "adding": lambda: Adding(8, held_out_size=50),
    "addition": lambda: Addition(4, 5, held_out_each=20),
    "copying": lambda: Copying(4, held_out_size=50),
    "associative retrieval": lambda: AssociativeRetrieval(4, sizes=(200, 50, 60)),
    "logic": lambda: Logic(4, 10, held_out_each=20),
    "parity": lambda: Parity(64, held_out_size=50),
    "pixel MNIST": lambda: PixelMNIST(pool=7),
    "pixel CIFAR-10": lambda: PixelCIFAR10(pool=8, training_size=150, test_size=50, validation_size=20),
    "digit glimpses": DigitGlimpses,
    "face glimpses": FaceGlimpses,
    "language": lambda: Language("enwik8-excerpt", 100, 30, 40),
}


@pytest.fixture(params=TASKS)
def task(request, made_up_cifar10, made_up_faces):
    return TASKS[request.param]()


def drawn(task, seed, size=40):
    return task.batch(torch.Generator().manual_seed(seed), size)


def batches(held_out):
    """A held-out set, as a list: of several lengths, it has a batch for each."""
    return [held_out] if isinstance(held_out, Batch) else held_out


def equal(left, right):
    pairs = zip(batches(left), batches(right), strict=True)
    return all(torch.equal(one, other) for pair in pairs for one, other in zip(*pair, strict=True))


def certain(task, targets):
    """Predictions that leave no doubt about the targets."""
    if isinstance(task, Addition):
        return 100 * torch.nn.functional.one_hot(targets, 11).float().movedim(2, 1).flatten(2)
    if task.output_size == 1:
        return (100 * (2 * targets - 1)).unsqueeze(-1)
    return 100 * torch.nn.functional.one_hot(targets, task.output_size).float()


def test_the_seeds_of_the_splits_come_from_disjoint_ranges():
    ranges = [
        (seeded(split, 0).initial_seed(), seeded(split, 10**9 - 1).initial_seed())
        for split in ("train", "validation", "test")
    ]
    for (_, last), (first, _) in pairwise(ranges):
        assert last < first


@pytest.mark.parametrize(("split", "seed"), [("dev", 0), ("train", -1), ("test", 10**9)])
def test_an_unknown_split_or_seed_is_refused_in_one_sentence(split, seed):
    with pytest.raises(ValueError, match=r"^(split|seed) is .*; it must [^.]*\.$"):
        seeded(split, seed)


def test_the_held_out_sets_are_the_same_in_every_run_and_differ(task):
    again = next(make() for make in TASKS.values() if type(make()) is type(task))
    for split in ("validation", "test"):
        torch.rand(3)  # torch's own random state plays no part
        assert equal(task.held_out(split), task.held_out(split))
        assert equal(task.held_out(split), again.held_out(split))
    assert not equal(task.held_out("validation"), task.held_out("test"))


def test_a_batch_depends_on_its_generator_alone(task):
    first = drawn(task, 5)
    torch.rand(3)
    assert equal(drawn(task, 5), first)
    assert not equal(drawn(task, 6), first)
    generator = torch.Generator().manual_seed(5)
    assert equal(task.batch(generator, 40), first)
    assert not equal(task.batch(generator, 40), first)


def test_no_training_example_is_held_out(task):
    """A digit of PixelMNIST pooled to 4 × 4 can look like another, and a chain of one gate is one of forty.

    Of these seeds none does; a sequence of the other tasks cannot repeat by chance.
    """

    def examples(held_out):
        return {inputs.numpy().tobytes() for batch in batches(held_out) for inputs in batch.inputs.unbind(1)}

    training = examples(task.batch(seeded("train", 0), 300))
    for split in ("validation", "test"):
        assert not training & examples(task.held_out(split))
    assert not examples(task.held_out("validation")) & examples(task.held_out("test"))


def test_an_unknown_held_out_split_is_refused_in_one_sentence(task):
    with pytest.raises(ValueError, match=r"^split is 'dev'; it must be [^.]*\.$"):
        task.held_out("dev")


def test_a_batch_is_floats_of_the_announced_width_and_moves_as_one(task):
    batch = drawn(task, 0).to("cpu")
    assert batch.inputs.dtype == torch.float32
    assert batch.inputs.shape[1:] == (40, task.input_size)
    assert batch.targets.shape[-1] == 40


def test_a_perfect_answer_has_no_loss_and_no_error(task):
    targets = drawn(task, 0).targets
    sure = targets.unsqueeze(1) if task.judged_by == "squared_error" else certain(task, targets)
    assert (task.loss(sure, targets) < 1e-6).all()
    for name, values in task.metrics(sure, targets).items():
        assert torch.allclose(values, torch.full_like(values, float(name == "accuracy")), atol=1e-6)
    wrong = sure + 2 if task.judged_by == "squared_error" else -sure
    for name, values in task.metrics(wrong, targets).items():
        assert (values == 0).all() if name == "accuracy" else (values >= 1).all()


def test_a_search_judges_by_a_metric_of_which_less_is_better(task):
    """A search takes the candidate with the least; of a share that is right it would take the worst."""
    targets = drawn(task, 0).targets
    right = targets.unsqueeze(1) if isinstance(task, Adding) else certain(task, targets)
    scores = [task.metrics(said, targets)[task.judged_by].mean() for said in (right, 2 - right)]
    assert scores[0] < 1e-6 < scores[1]


def test_a_task_that_is_not_written_says_so():
    with pytest.raises(NotImplementedError):
        Task().batch(torch.Generator(), 1)
    assert Task().details(lambda batch: {}) == {}
    assert Task().along(lambda batch: (batch.inputs, None)) == {}


def test_the_plateau_is_where_a_network_stands_that_has_found_nothing_yet():
    """A coin for parity; four digits of which one is right for retrieval; for text any character of the alphabet."""
    assert TASKS["parity"]().plateau == pytest.approx(math.log(2))
    assert TASKS["associative retrieval"]().plateau == pytest.approx(1.187, abs=1e-3)
    text = TASKS["language"]()
    assert text.plateau == pytest.approx(math.log(text.output_size))
