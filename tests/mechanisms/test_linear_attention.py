"""The fast memory is linear attention with a decay: held to formulations that know nothing of this package."""

import pytest
import torch

from companion.mechanisms import FastWeights, fast_memory_read

TIME, BATCH, HIDDEN = 9, 2, 4
DECAY, RATE = 0.8, 0.5


def masked(queries, states):
    """O = (Q Kᵀ ∘ D) V with D_tτ = η λ^(t−τ) below and on the diagonal, keys and values being the states."""
    steps = len(states)
    fading = torch.tensor(
        [[RATE * DECAY ** (t - tau) if tau <= t else 0.0 for tau in range(steps)] for t in range(steps)],
        dtype=states.dtype,
    )
    return torch.einsum("tbr,sbr,ts,sbv->tbv", queries, states, fading, states)


def by_memory(form):
    def read_all(queries, states):
        layer = FastWeights(1, HIDDEN, DECAY, RATE, form=form)
        held, reads = layer.empty(states.new_zeros(1, BATCH, 1)), []
        for query, state in zip(queries, states, strict=True):
            held = held.write(state)
            reads.append(held.read(query))
        return torch.stack(reads)

    return read_all


def by_function(queries, states):
    history = states.transpose(0, 1)
    return torch.stack([fast_memory_read(history[:, : t + 1], queries[t], DECAY, RATE) for t in range(len(states))])


@pytest.mark.parametrize("form", [by_memory("matrix"), by_memory("attention"), by_function])
def test_reads_and_gradients_are_those_of_masked_attention(form, float64):
    queries, states = (float64(TIME, BATCH, HIDDEN).requires_grad_() for _ in range(2))
    payoff, results = float64(TIME, BATCH, HIDDEN), []
    for each in (form, masked):
        reads = each(queries, states)
        results.append([reads, *torch.autograd.grad((reads * payoff).sum(), [queries, states])])
    for mine, yours in zip(*results, strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-12, atol=1e-12)


def test_the_layers_states_are_a_fixed_point_of_the_parallel_form_and_need_a_sweep_for_every_step(float64):
    """All reads at once from the right states give the right states; from a guess, one more step with each sweep."""
    layer, inputs = FastWeights(3, HIDDEN, DECAY, RATE).double(), float64(TIME, BATCH, 3)
    with torch.no_grad():
        layer.recurrent.weight.normal_()
        exact = layer(inputs).outputs

        def sweep(states):
            before = torch.cat([states[:1] * 0, states[:-1]])
            boundary = layer.recurrent(before) + layer.input(inputs)
            return torch.relu(layer.norm(boundary + masked(torch.relu(boundary), before)))

        torch.testing.assert_close(sweep(exact), exact, rtol=1e-12, atol=1e-12)
        guess = torch.zeros_like(exact)
        for sweeps in range(1, TIME + 1):
            guess = sweep(guess)
            torch.testing.assert_close(guess[:sweeps], exact[:sweeps], rtol=1e-12, atol=1e-12)
            if sweeps < 4:
                assert (guess[sweeps] - exact[sweeps]).abs().max() > 1e-6
