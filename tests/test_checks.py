"""Every layer refuses sizes and inputs that make no sense, in one sentence, before it computes."""

import re
from typing import NamedTuple

import numpy as np
import pytest
import torch

from companion import checks
from companion.baselines import (
    IRNN,
    LSTM,
    AssociativeLSTM,
    FixedRepeats,
    LayerNormRNN,
    PatchConvNet,
    PonderNet,
    SelfAttentiveLSTM,
    SettlingRNN,
    Transformer,
)
from companion.mechanisms import (
    AdaptiveComputation,
    FastWeights,
    GlimpseFastWeights,
    SparseAttentiveBacktracking,
)
from companion.mechanisms.fast_weights_elsewhere import DiagonalProduct
from companion.mechanisms.released import ReleasedWeights
from companion.state import HiddenState, LSTMState
from companion.tasks import Addition, Logic, Parity, Sort

STATEFUL = [
    FastWeights,
    GlimpseFastWeights,
    SparseAttentiveBacktracking,
    AdaptiveComputation,
    AssociativeLSTM,
    FixedRepeats,
    LayerNormRNN,
    PonderNet,
    SettlingRNN,
    LSTM,
    IRNN,
    SelfAttentiveLSTM,
    ReleasedWeights,
    DiagonalProduct,
]
LAYERS = [*STATEFUL, Transformer]
pytestmark = pytest.mark.usefixtures("as_users_run_it")
every_layer = pytest.mark.parametrize("layer", LAYERS)


@every_layer
def test_a_good_call_is_let_through_with_and_without_a_state(layer):
    made = layer(3, 4)
    answer = made(torch.randn(6, 2, 3))
    assert made(torch.randn(6, 2, 3), answer.state).outputs.shape[:2] == (6, 2)


@pytest.mark.parametrize("layer", STATEFUL)
def test_the_state_of_a_call_under_autocast_is_let_through(layer):
    """Some of its parts are in half precision then, and the inputs are not."""
    made = layer(3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        answer = made(torch.randn(6, 2, 3))
        assert made(torch.randn(6, 2, 3), answer.state).outputs.shape[:2] == (6, 2)


@every_layer
@pytest.mark.parametrize("shape", [(0, 2, 3), (6, 0, 3), (6, 2, 5), (6, 3), (6, 2, 3, 1)])
def test_inputs_of_another_shape_are_refused(layer, shape, sentence):
    with pytest.raises(ValueError, match=r"^The inputs have the shape .* \(time, batch, 3\)") as caught:
        layer(3, 4)(torch.randn(shape))
    assert str(list(shape))[1:-1] in sentence(caught)


@pytest.mark.parametrize("shape", [(24, 2, 16), (24, 2, 5), (24, 9), (24, 0, 9), (24, 2, 9, 1)])
def test_a_picture_of_another_shape_is_refused(shape, sentence):
    with pytest.raises(ValueError, match=r"^The inputs have the shape .* \(time, batch, 9\)") as caught:
        PatchConvNet(9, 4)(torch.randn(shape))
    assert str(list(shape))[1:-1] in sentence(caught)


@pytest.mark.parametrize("layer", STATEFUL)
def test_the_state_of_another_batch_is_refused(layer, sentence):
    """Of one sequence, or for one, too, where something would be broadcast."""
    made = layer(3, 4)
    for batch, asked in ((1, 5), (2, 5), (2, 1)):
        state = made(torch.randn(6, batch, 3)).state
        shape = rf"\({batch}, {made.output_size if layer is AssociativeLSTM else 4}\)"
        with pytest.raises(ValueError, match=f"^The state's hidden has the shape {shape}; it must be") as caught:
            made(torch.randn(6, asked, 3), state)
        sentence(caught)


@pytest.mark.parametrize("layer", [AdaptiveComputation, FixedRepeats, PonderNet, LSTM])
def test_a_state_that_lacks_the_cell_is_refused(layer, sentence):
    made, (kind, what) = layer(3, 4), ("PonderState", "tuple") if layer is PonderNet else ("LSTMState", "tuple")
    for state in ((torch.zeros(2, 4),), HiddenState(torch.zeros(2, 4))):
        what = type(state).__name__
        with pytest.raises(ValueError, match=f"^The state is a {what}; it must be a {kind}, as this layer answers.$"):
            made(torch.randn(6, 2, 3), state)


class Two(NamedTuple):
    first: torch.Tensor
    number: int


def test_a_state_is_given_back_as_what_it_must_be():
    inputs, first = torch.zeros(6, 2, 3), torch.zeros(2, 4)
    for given in (Two(first, 7), (first, 7), [first, 7]):
        assert checks.state(given, Two, inputs, first=(2, 4)) == Two(first, 7)
        assert type(checks.state(given, Two, inputs, first=(None, 4))) is Two
    other = LSTMState(first, 7)  # as long as what it must be, and of other parts
    with pytest.raises(ValueError, match="^The state is a LSTMState; it must be a Two, as this layer answers.$"):
        checks.state(other, Two, inputs)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (None, "is a NoneType; it must be a tensor."),
        ([[0.0] * 4] * 2, "is a list; it must be a tensor."),
        (torch.zeros(2, 5), "has the shape (2, 5); it must be (2, 4)."),
        (torch.zeros(1, 4), "has the shape (1, 4); it must be (2, 4)."),
        (torch.zeros(4), "has the shape (4); it must be (2, 4)."),
        (torch.zeros(2, 4, 1), "has the shape (2, 4, 1); it must be (2, 4)."),
        (torch.zeros(2, 4, device="meta"), "is on meta; it must be on cpu, as the inputs are."),
        (torch.zeros(2, 4).double(), "is of torch.float64; the inputs are of torch.float32."),
        (torch.zeros(2, 4).cdouble(), "is of torch.complex128; the inputs are of torch.float32."),
    ],
    ids=str,
)
def test_a_part_that_does_not_go_with_the_inputs_is_refused(part, words, sentence):
    with pytest.raises(ValueError, match=f"^The state's first {re.escape(words)}$") as caught:
        checks.state(Two(part, 7), Two, torch.zeros(6, 2, 3), first=(2, 4))
    sentence(caught)


def test_each_part_is_looked_at():
    good, bad = torch.zeros(2, 4), torch.zeros(2, 5)
    for state, name in ((LSTMState(bad, good), "hidden"), (LSTMState(good, bad), "cell")):
        with pytest.raises(ValueError, match=f"^The state's {name} has the shape"):
            checks.state(state, LSTMState, torch.zeros(6, 2, 3), hidden=(2, 4), cell=(2, 4))


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), "0.5", None, 1j, np.float32("nan")], ids=repr
)
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match=f"^rate is {re.escape(repr(value))}; it must be a finite number.$"):
        checks.finite(rate=value)


def test_a_size_that_may_be_any_is_said_so_and_double_goes_with_double():
    for shape in ((7, 5), (0, 5)):
        checks.tensor("It", torch.zeros(shape).double(), torch.zeros(6, 2, 3).double(), (None, 5))
    with pytest.raises(ValueError, match=re.escape("It has the shape (7, 4); it must be (any, 5).")):
        checks.tensor("It", torch.zeros(7, 4), torch.zeros(6, 2, 3), (None, 5))
    with pytest.raises(ValueError, match=re.escape("It is of torch.float32; the inputs are of torch.float64.")):
        checks.tensor("It", torch.zeros(7, 5), torch.zeros(6, 2, 3).double(), (None, 5))


@pytest.mark.parametrize("value", [2.5, 3.0, "3", True, None, float("nan"), np.float64(3)], ids=repr)
def test_a_number_that_is_no_whole_one_is_refused(value):
    with pytest.raises(ValueError, match=f"^top_k is {re.escape(repr(value))}; it must be a whole number.$"):
        checks.whole(top_k=value)


@pytest.mark.parametrize("value", [0, -3, np.int64(0)], ids=repr)
def test_a_number_below_the_least_is_refused(value):
    with pytest.raises(ValueError, match=f"^top_k is {value}; it must be at least 1.$"):
        checks.whole(top_k=value)


def test_whole_numbers_of_numpy_are_whole_numbers():
    checks.whole(one=np.int64(1), other=np.uint8(200), third=7)
    checks.finite(one=np.float32(1), other=2)


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
        (SparseAttentiveBacktracking, "top_k", 2.5),
        (SparseAttentiveBacktracking, "forget_bias", float("nan")),
        (SparseAttentiveBacktracking, "temperature", 0.0),
        (ReleasedWeights, "top_k", 2.5),
        (LSTM, "forget_bias", float("nan")),
        (LSTM, "truncation", 1.5),
        (AssociativeLSTM, "forget_bias", float("inf")),
        (AssociativeLSTM, "heads", 1.5),
        (IRNN, "recurrent_init", float("nan")),
        (LayerNormRNN, "recurrent_init", float("nan")),
        (FastWeights, "decay", float("nan")),
        (GlimpseFastWeights, "integration_init", float("nan")),
        (AdaptiveComputation, "halting_bias", float("nan")),
        (AdaptiveComputation, "epsilon", float("nan")),
        (PonderNet, "max_steps", 2.5),
        (PonderNet, "prior", float("nan")),
        (Transformer, "length", 2.5),
        (Transformer, "dropout", float("nan")),
        (AdaptiveComputation, "max_steps", 2.5),
        (AdaptiveComputation, "time_penalty", float("nan")),
        (FixedRepeats, "repeats", 0),
        (PonderNet, "weight", float("nan")),
    ],
)
def test_options_that_make_no_sense_are_refused(layer, option, value, sentence):
    with pytest.raises(ValueError, match=f"^{option} is {value}; it must") as caught:
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


def test_a_check_names_what_it_refuses():
    with pytest.raises(ValueError, match="^copies is 1; it must be at least 2.$"):
        checks.whole(2, heads=2, copies=1)
