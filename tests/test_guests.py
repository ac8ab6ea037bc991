"""Layers in other people's networks, once more: what the list of wrong lines let through."""

import pytest
import torch
from every_layer import HIDDEN, INPUT, LAYERS, step_of

from companion import lengths
from companion.baselines import LSTM
from companion.mechanisms import FastWeights

every = pytest.mark.parametrize("name", LAYERS)


def test_weights_of_other_settings_are_refused_though_not_all_of_them_are_asked_for():
    """strict=False lets names be missing; it does not make another layer of this one."""
    weights = FastWeights(INPUT, HIDDEN, decay=0.9).state_dict()
    with pytest.raises(RuntimeError, match=r"decay was 0\.9 where these weights were learned; here it is 0\.5\."):
        FastWeights(INPUT, HIDDEN, decay=0.5).load_state_dict(weights, strict=False)


@every
def test_padding_may_hold_anything(name):
    """No number, too: a Transformer sees it all at once, and 0 times NaN is NaN."""
    torch.manual_seed(0)
    layer, steps = LAYERS[name]().eval(), step_of(name)
    inputs = torch.randn(6 * steps, 2, INPUT)
    filled = inputs.clone()
    filled[3 * steps :, 0] = float("nan")
    whole, other = (lengths.run(layer, each, [3 * steps, 6 * steps]) for each in (inputs, filled))
    assert torch.equal(whole.outputs, other.outputs)
    assert torch.equal(whole.cost, other.cost)


def test_a_layer_of_a_user_s_own_settings_keeps_them_with_its_weights():
    """Those of a layer within a network, under its own name."""
    network = torch.nn.ModuleDict({"first": LSTM(2, 3), "second": FastWeights(INPUT, HIDDEN, rate=0.25)})
    metadata = network.state_dict()._metadata
    assert metadata["second"]["settings"] == {"decay": 0.9, "rate": 0.25, "inner_steps": 1}
    assert "settings" not in metadata[""]
