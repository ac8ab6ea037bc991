"""Every layer refuses sizes and inputs that make no sense, in one sentence, before it computes."""

import re

import pytest
import torch

from companion import checks
from companion.baselines import IRNN, AssociativeLSTM, FixedRepeats, LayerNormRNN, PonderNet, SettlingRNN
from companion.mechanisms import (
    AdaptiveComputation,
    FastWeights,
    GlimpseFastWeights,
    SparseAttentiveBacktracking,
)
from companion.tasks import Addition, Logic, Parity, Sort

LAYERS = [
    FastWeights,
    GlimpseFastWeights,
    SparseAttentiveBacktracking,
    AdaptiveComputation,
    AssociativeLSTM,
    FixedRepeats,
    LayerNormRNN,
    PonderNet,
    SettlingRNN,
]
pytestmark = pytest.mark.usefixtures("as_users_run_it")
every_layer = pytest.mark.parametrize("layer", LAYERS)


@every_layer
def test_a_good_call_is_let_through_with_and_without_a_state(layer):
    made = layer(3, 4)
    answer = made(torch.randn(6, 2, 3))
    assert made(torch.randn(6, 2, 3), answer.state).outputs.shape[:2] == (6, 2)


@every_layer
@pytest.mark.parametrize("shape", [(0, 2, 3), (6, 0, 3), (6, 2, 5), (6, 3), (6, 2, 3, 1)])
def test_inputs_of_another_shape_are_refused(layer, shape, sentence):
    with pytest.raises(ValueError, match=r"^The inputs have the shape .* \(time, batch, 3\)") as caught:
        layer(3, 4)(torch.randn(shape))
    assert str(list(shape))[1:-1] in sentence(caught)


@every_layer
def test_the_state_of_another_batch_is_refused(layer, sentence):
    made = layer(3, 4)
    state = made(torch.randn(6, 2, 3)).state
    with pytest.raises(ValueError, match="The state is of 2 sequences; the inputs are of 5") as caught:
        made(torch.randn(6, 5, 3), state)
    sentence(caught)


@pytest.mark.parametrize("layer", [AdaptiveComputation, FixedRepeats, PonderNet])
def test_a_state_that_lacks_the_cell_is_refused(layer, sentence):
    made = layer(3, 4, cell="lstm")
    with pytest.raises(ValueError, match="The state has 1 parts; it must have 2") as caught:
        made(torch.randn(6, 2, 3), (torch.zeros(2, 4),))
    sentence(caught)


@every_layer
@pytest.mark.parametrize("size", [0, 2.0])
def test_a_size_that_is_no_whole_number_is_refused(layer, size, sentence):
    with pytest.raises(ValueError, match=f"^hidden_size is {size}; it must be") as caught:
        layer(3, size)
    sentence(caught)


@pytest.mark.parametrize(
    ("layer", "option", "value"),
    [
        (FastWeights, "rate", float("nan")),
        (FastWeights, "inner_steps", 1.5),
        (GlimpseFastWeights, "rate", float("inf")),
        (GlimpseFastWeights, "inner_steps", 0),
        (AssociativeLSTM, "copies", 0),
        (SparseAttentiveBacktracking, "truncation", 0),
        (SparseAttentiveBacktracking, "memory_every", 2.5),
        (AdaptiveComputation, "max_steps", 2.5),
        (AdaptiveComputation, "time_penalty", float("nan")),
        (FixedRepeats, "repeats", 0),
        (PonderNet, "weight", float("nan")),
    ],
)
def test_options_that_make_no_sense_are_refused(layer, option, value, sentence):
    with pytest.raises(ValueError, match=f"^{option} is {value}; it must be") as caught:
        layer(3, 4, **{option: value})
    sentence(caught)


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        (Parity(8), {"filled": 9}, "filled is 9; it must lie between 1 and 8."),
        (Parity(8), {"filled": torch.tensor([3, 0])}, "filled is 0; it must lie between 1 and 8."),
        (Logic(5, 3), {"gates": 0}, "gates is 0; it must lie between 1 and 3."),
        (Logic(5, 3), {"length": 0}, "length is 0; it must be at least 1."),
        (Addition(3, 3), {"digits": 5}, "digits is 5; it must lie between 1 and 3."),
        (Addition(3, 3), {"length": 4}, "length is 4; it must lie between 2 and 3."),
        (Sort(4), {"length": 9}, "length is 9; it must lie between 2 and 4."),
        (Sort(4, gap=0.5), {"length": 9}, "length is 9; it must lie between 2 and 4."),
    ],
)
def test_a_batch_that_the_task_does_not_have_is_refused(task, options, words):
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        task.batch(torch.Generator(), 2, **options)


def test_irnn_leaves_its_checks_to_torch():
    with pytest.raises(RuntimeError, match="input"):
        IRNN(3, 4)(torch.randn(6, 2, 5))


def test_a_check_names_what_it_refuses():
    with pytest.raises(ValueError, match="^copies is 1; it must be at least 2.$"):
        checks.whole(least=2, heads=2, copies=1)
