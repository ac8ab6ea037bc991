"""A fixed number of repeats: the last state of as many cells as were asked for."""

import pytest
import torch

from companion.baselines import FixedRepeats

INPUT, HIDDEN, TIME, BATCH = 2, 3, 4, 3
CELLS = ("rnn", "gru", "lstm")


@pytest.mark.parametrize("repeats", [1, 2, 5])
@pytest.mark.parametrize("cell", CELLS)
def test_it_is_the_cell_on_a_sequence_in_which_every_input_is_repeated(cell, repeats, float64):
    """The flag is 1 on the first of the repeats; torch's own layer reads the longer sequence."""
    layer = FixedRepeats(INPUT, HIDDEN, cell, repeats).double()
    plain = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](INPUT + 1, HIDDEN).double()
    plain.load_state_dict({f"{name}_l0": value for name, value in layer.cell.cell.state_dict().items()})
    inputs = float64(TIME, BATCH, INPUT).requires_grad_()
    flag = (torch.arange(TIME * repeats) % repeats == 0).double().reshape(-1, 1, 1).expand(-1, BATCH, 1)
    expected, _ = plain(torch.cat([inputs.repeat_interleave(repeats, 0), flag], 2))
    expected = expected[repeats - 1 :: repeats]
    answer = layer(inputs)
    torch.testing.assert_close(answer.outputs, expected, rtol=0, atol=1e-13)
    mine, yours = (torch.autograd.grad(each.square().sum(), inputs)[0] for each in (answer.outputs, expected))
    torch.testing.assert_close(mine, yours)
    assert answer.trace["ponder_steps"].tolist() == [[repeats] * BATCH] * TIME
    assert (answer.cost == 0).all()


@pytest.mark.parametrize("options", [{"repeats": 0}, {"cell": "relu"}])
def test_bad_options_are_refused_in_one_sentence(options):
    with pytest.raises(ValueError, match=rf"^{next(iter(options))} is .*; it must be [^.]*\.$"):
        FixedRepeats(INPUT, HIDDEN, **options)
