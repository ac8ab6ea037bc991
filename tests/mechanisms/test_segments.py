"""The Transformer in segments: against its definition, one position at a time, and where its credit goes."""

import math

import pytest
import torch

from companion.mechanisms.segments import SegmentAttention, SegmentTransformer
from companion.mechanisms.selection import sparsify

INPUT, HIDDEN, HEADS, BATCH = 3, 8, 2, 2


@pytest.fixture
def make():
    def of(**options):
        torch.manual_seed(0)
        return SegmentTransformer(INPUT, HIDDEN, heads=HEADS, length=20, dtype=torch.float64, **options)

    return of


def by_hand(layer, states, past):
    """The layer for one example: each position and each head by itself; states (time, hidden), past likewise."""
    part = HIDDEN // HEADS
    norm = layer.attention_norm
    answers = []
    for place, state in enumerate(states):
        reads = []
        for head in range(HEADS):
            query, key, value = (
                layer.project.weight[start + head * part : start + (head + 1) * part]
                for start in (0, HIDDEN, 2 * HIDDEN)
            )
            biases = [
                layer.project.bias[start + head * part : start + (head + 1) * part] for start in (0, HIDDEN, 2 * HIDDEN)
            ]
            asked = query @ norm(state) + biases[0]

            def told(each, key=key, value=value, biases=biases):
                return key @ norm(each) + biases[1], value @ norm(each) + biases[2]

            here = [told(each) for each in states[: place + 1]]
            weights = torch.stack([asked @ k for k, _ in here]).div(math.sqrt(part)).softmax(0)
            read = sum(weight * v for weight, (_, v) in zip(weights, here, strict=True))
            if past is not None:
                before = [told(each) for each in past]
                scores = torch.stack([asked @ k for k, _ in before]) / math.sqrt(part)
                weights = sparsify(scores.unsqueeze(0), layer.top_k).squeeze(0)
                read = read + sum(weight * v for weight, (_, v) in zip(weights, before, strict=True))
            reads.append(read)
        middle = state + layer.merge(torch.cat(reads))
        answers.append(middle + layer.inner(layer.inner_norm(middle)))
    return torch.stack(answers)


@pytest.mark.parametrize("earlier", [0, 6])
def test_a_layer_is_its_definition(float64, earlier):
    torch.manual_seed(0)
    layer = SegmentAttention(HIDDEN, HEADS, top_k=3, dtype=torch.float64)
    states, past = float64(4, BATCH, HIDDEN), float64(earlier, BATCH, HIDDEN) if earlier else None
    ours = layer(states, past)
    for example in range(BATCH):
        theirs = by_hand(layer, states[:, example], None if past is None else past[:, example])
        torch.testing.assert_close(ours[:, example], theirs)


@pytest.mark.parametrize("credit", [True, False])
def test_a_sequence_is_its_segments_one_after_another(make, float64, credit):
    layer, inputs = make(segment=4, top_k=2, credit=credit), float64(11, BATCH, INPUT)
    embedded = layer.embedding(inputs) + layer.positions[:11]
    first, second = layer.layers
    inner, outputs = [], []
    for start in (0, 4, 8):
        states = embedded[start : start + 4]
        inner.append(first(states, embedded[:start] if start else None))
        outputs.append(second(inner[-1], torch.cat(inner[:-1]) if start else None))
    torch.testing.assert_close(layer(inputs).outputs, layer.norm(torch.cat(outputs)))


def test_the_cut_changes_no_output_and_sends_nothing_to_earlier_segments(make, float64):
    inputs, told = float64(12, BATCH, INPUT).requires_grad_(), {}
    for credit in (True, False):
        layer = make(segment=4, top_k=2, credit=credit)
        outputs = layer(inputs).outputs
        (slope,) = torch.autograd.grad(outputs[8:].square().sum(), inputs)
        told[credit] = outputs, slope
    torch.testing.assert_close(told[True][0], told[False][0])
    assert told[False][1][:8].count_nonzero() == 0
    assert told[True][1][:8].count_nonzero() > 0
    assert told[False][1][8:].count_nonzero() == told[False][1][8:].numel()


def test_credit_goes_to_the_states_that_were_read_and_to_no_other(float64):
    torch.manual_seed(0)
    layer = SegmentAttention(HIDDEN, 1, top_k=2, dtype=torch.float64)
    states, past = float64(1, BATCH, HIDDEN), float64(9, BATCH, HIDDEN).requires_grad_()
    (slope,) = torch.autograd.grad(layer(states, past).square().sum(), past)
    # The two that are read, and the third, from whose score theirs are subtracted in (S3).
    assert ((slope != 0).any(2).sum(0) == 3).all()


def test_the_gradient_is_that_of_finite_differences(float64):
    torch.manual_seed(0)
    layer = SegmentAttention(HIDDEN, HEADS, top_k=2, dtype=torch.float64)
    states, past = (float64(steps, 1, HIDDEN).requires_grad_() for steps in (2, 5))
    assert torch.autograd.gradcheck(layer, (states, past))


def test_no_step_sees_a_later_one(make, float64):
    layer, inputs = make(segment=3, top_k=2), float64(10, BATCH, INPUT)
    changed = inputs.clone()
    changed[7:] += 1
    torch.testing.assert_close(layer(inputs).outputs[:7], layer(changed).outputs[:7])


def test_bad_calls_are_refused(make):
    with pytest.raises(ValueError, match="heads is 3; it must divide the hidden size, which is 8"):
        SegmentTransformer(INPUT, HIDDEN, heads=3)
    with pytest.raises(ValueError, match="segment"):
        SegmentTransformer(INPUT, HIDDEN, segment=0)
    layer = make()
    with pytest.raises(ValueError, match="has 21 steps; this Transformer has positions for 20"):
        layer(torch.zeros(21, 1, INPUT, dtype=torch.float64))
    with pytest.raises(ValueError, match="takes no state"):
        layer(torch.zeros(2, 1, INPUT, dtype=torch.float64), 1)
