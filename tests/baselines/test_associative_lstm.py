"""Equations H1 to H4 against loops over examples, copies and components, with Python's own complex numbers."""

import cmath

import pytest
import torch

from companion.baselines import AssociativeLSTM
from companion.baselines.associative_lstm import bound

INPUT, HIDDEN, TIME, BATCH = 3, 6, 5, 2
HALF = HIDDEN // 2


def make(**options):
    layer = AssociativeLSTM(INPUT, HIDDEN, **options).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    return layer


def bounded(z):
    return z / max(1, abs(z))


def complex_of(numbers):
    return [complex(re, im) for re, im in zip(numbers[:HALF], numbers[HALF:], strict=True)]


def one_example(layer, sequence):
    heads, orders = layer.heads, layer.orders.tolist()
    w, u, b = (each.tolist() for each in (layer.input.weight, layer.recurrent.weight, layer.input.bias))
    h, cells, outputs = [0.0] * (heads * HIDDEN), [[0j] * HALF for _ in orders], []
    for x in sequence.tolist():
        summed = [
            sum(p * q for p, q in zip(w[row], x, strict=True))
            + sum(p * q for p, q in zip(u[row], h, strict=True))
            + b[row]
            for row in range(len(b))
        ]
        f, i, o = ([1 / (1 + cmath.exp(-v)) for v in summed[k * HALF : (k + 1) * HALF]] for k in range(3))
        rest = summed[3 * HALF :]
        vectors = [rest[k : k + HIDDEN] for k in range(0, len(rest), HIDDEN)]
        value, *keys = ([bounded(z) for z in complex_of(vector)] for vector in vectors)
        keys_in, keys_out = keys[:heads], keys[heads:]
        for cell, order in zip(cells, orders, strict=True):
            for n in range(HALF):
                key = sum(key[order[n]] for key in keys_in) / heads
                cell[n] = f[n] * cell[n] + key * i[n] * value[n]
        h = []
        for key in keys_out:
            found = []
            for n in range(HALF):
                noisy = sum(key[order[n]] * cell[n] for cell, order in zip(cells, orders, strict=True)) / len(cells)
                found.append(o[n] * bounded(noisy))
            h += [z.real for z in found] + [z.imag for z in found]
        outputs.append(h)
    return torch.tensor(outputs, dtype=torch.float64)


@pytest.mark.parametrize(("copies", "heads"), [(1, 1), (4, 1), (1, 3), (4, 3)])
def test_the_layer_is_its_equations(copies, heads, float64):
    layer, inputs = make(copies=copies, heads=heads), float64(TIME, BATCH, INPUT)
    expected = torch.stack([one_example(layer, inputs[:, b]) for b in range(BATCH)], dim=1)
    outputs = layer(inputs).outputs
    assert outputs.shape == (TIME, BATCH, layer.output_size)
    torch.testing.assert_close(outputs, expected, rtol=1e-10, atol=1e-10)


def test_the_gradient_is_that_of_finite_differences(float64):
    layer = make(copies=2, heads=2)
    names = [name for name, _ in layer.named_parameters()]

    def outputs(inputs, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), inputs).outputs

    parameters = [parameter.detach().clone().requires_grad_() for parameter in layer.parameters()]
    assert torch.autograd.gradcheck(outputs, (float64(3, 2, INPUT).requires_grad_(), *parameters))


def test_two_calls_on_two_parts_equal_one_call(float64):
    layer, inputs = make(), float64(TIME, BATCH, INPUT)
    whole, first = layer(inputs), layer(inputs[:2])
    rest = layer(inputs[2:], first.state)
    torch.testing.assert_close(torch.cat([first.outputs, rest.outputs]), whole.outputs, rtol=1e-12, atol=1e-12)
    for mine, yours in zip(rest.state, whole.state, strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-12, atol=1e-12)


def test_bound_leaves_the_inside_of_the_unit_circle_alone():
    z = torch.tensor([0j, 0.3 + 0.4j, 3 + 4j, -2j])
    torch.testing.assert_close(bound(z), torch.tensor([0j, 0.3 + 0.4j, 0.6 + 0.8j, -1j]))


def halves(z):
    return torch.cat([z.real, z.imag], dim=-1)


def test_more_copies_find_a_value_with_less_noise():
    """Ten values under random keys of modulus one: the noise beside the one that is read falls as copies are added.

    The gates stand open, the state is not seen, and value and keys are what the input says.
    """
    generator = torch.Generator().manual_seed(0)
    turns = torch.rand(10, 64, generator=generator) * 2 * torch.pi
    keys = torch.polar(torch.ones(10, 64), turns)
    values = 0.05 * torch.randn(10, 64, dtype=torch.cfloat, generator=generator)
    nothing = torch.zeros(10, 128)
    written = torch.cat([halves(values), halves(keys), nothing], 1)
    asked = torch.cat([nothing[0], nothing[0], halves(keys[0].conj())]).unsqueeze(0)
    noise = []
    for copies in (1, 4, 16):
        layer = AssociativeLSTM(3 * 128, 128, copies=copies, heads=1)
        with torch.no_grad():
            layer.recurrent.weight.zero_()
            layer.input.weight.copy_(torch.cat([torch.zeros(3 * 64, 3 * 128), torch.eye(3 * 128)]))
            layer.input.bias.zero_()
            layer.input.bias[: 3 * 64] = 100.0
            found = layer(torch.cat([written, asked]).unsqueeze(1)).outputs[-1, 0]
        noise.append((found - halves(values[0])).square().mean().sqrt().item())
    assert noise[0] > 1.7 * noise[1] > 1.7 * 1.7 * noise[2]


def test_the_forget_bias_is_added_to_the_forget_gate_alone():
    torch.manual_seed(0)
    biased = AssociativeLSTM(INPUT, HIDDEN, forget_bias=2.5)
    torch.manual_seed(0)
    plain = AssociativeLSTM(INPUT, HIDDEN, forget_bias=0.0)
    forget = torch.zeros(len(plain.input.bias))
    forget[:HALF] = 2.5
    torch.testing.assert_close((biased.input.bias - plain.input.bias).detach(), forget)
    inputs = torch.randn(1, BATCH, INPUT)
    cells = torch.ones(4, BATCH, HALF, dtype=torch.cfloat)
    state = plain(inputs).state._replace(cells=cells)
    kept = [layer(inputs, state).state.cells - layer(inputs, state._replace(cells=0 * cells)).state.cells
            for layer in (plain, biased)]  # fmt: skip
    assert (kept[1].real > kept[0].real).all()


@pytest.mark.parametrize("options", [{"hidden_size": 5}, {"copies": 0}, {"heads": 0}])
def test_bad_options_are_refused_in_one_sentence(options):
    with pytest.raises(ValueError, match=rf"^{next(iter(options))} is .*; it must [^.]*\.$"):
        AssociativeLSTM(INPUT, **({"hidden_size": HIDDEN} | options))
