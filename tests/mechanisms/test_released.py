"""What the released code does, each point beside what the paper says."""

import pytest
import torch

from companion.mechanisms import released_weights, sparsify
from companion.mechanisms.released import Released, ReleasedMixedWeights, ReleasedScorer, ReleasedWeights
from companion.mechanisms.sparse_attentive_backtracking import MLPScorer


@pytest.mark.parametrize("top_k", [1, 2, 5])
def test_it_keeps_one_memory_less(top_k, float64):
    scores = float64(6, 9)
    assert ((released_weights(scores, top_k) > 0).sum(1) == top_k - 1).all()
    assert ((sparsify(scores, top_k) > 0).sum(1) == top_k).all()
    if top_k > 1:  # and these are the paper's weights for one less
        torch.testing.assert_close(released_weights(scores, top_k), sparsify(scores, top_k - 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("memories", [1, 3])
def test_while_memories_are_few_the_raw_scores_are_the_weights(memories, float64):
    scores = -float64(4, memories).abs()
    assert torch.equal(released_weights(scores, 3), scores)
    assert (released_weights(scores, 3) < 0).all()
    torch.testing.assert_close(sparsify(scores, 3).sum(1), torch.ones(4, dtype=torch.float64))


def test_mixed_thresholds_are_those_of_other_examples(float64):
    """Entry by entry: two tensors of as many elements, subtracted as if they were flat."""
    batch, memories, top_k = 4, 7, 3
    scores = float64(batch, memories)
    thresholds = [sorted(row, reverse=True)[top_k - 1] + 1e-7 for row in scores.tolist()]
    weights = released_weights(scores, top_k, mixed=True)
    for b, row in enumerate(scores.tolist()):
        above = [max(0.0, score - thresholds[(b * memories + j) % batch]) for j, score in enumerate(row)]
        expected = [share / sum(above) if sum(above) else 0.0 for share in above]
        assert weights[b].tolist() == pytest.approx(expected, abs=1e-12)


def test_mixed_thresholds_make_examples_depend_on_each_other(float64):
    scores = float64(5, 8)
    others = scores.clone()
    others[1:] += 3
    for mixed in (False, True):
        same = torch.equal(released_weights(scores, 3, mixed)[0], released_weights(others, 3, mixed)[0])
        assert same == (not mixed)


@pytest.mark.parametrize("kind", [ReleasedWeights, ReleasedMixedWeights, Released])
def test_the_layers_weigh_their_memories_so(kind, float64):
    """What the trace shows is `released_weights` of the scores, and the summaries are made with it."""
    layer, inputs = kind(2, 4, 3, 4, 2).double(), float64(12, 5, 2)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-1, 1)
    assert layer.form == "graph"
    answer = layer(inputs)
    states, summaries = answer.outputs.split(4, dim=2)
    attention = answer.trace["attention"].to_dense()
    for step in range(12):
        memories = states[1:step:2].transpose(0, 1)
        if not memories.shape[1]:
            continue
        keys = torch.stack([layer.scorer.key(memory) for memory in memories.unbind(1)], 1)
        scores = layer.scorer(keys, states[step] - summaries[step])
        weights = released_weights(scores, 3, mixed=kind is not ReleasedWeights)
        torch.testing.assert_close(attention[step, :, : weights.shape[1]], weights, rtol=0, atol=1e-10)
        torch.testing.assert_close(summaries[step], torch.einsum("bm,bmh->bh", weights, memories), rtol=0, atol=1e-10)
    answer.outputs.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in layer.cell.parameters())


@pytest.mark.parametrize("kind", [ReleasedWeights, ReleasedMixedWeights, Released])
def test_the_layers_refuse_what_the_released_code_does_not_have(kind, sentence, as_users_run_it):
    for form in ("replay", "fast"):
        with pytest.raises(ValueError, match=f"^form is '{form}'; it must be ") as caught:
            kind(2, 4, form=form)
        sentence(caught)
    for top_k in (None, 0):
        with pytest.raises(ValueError, match=f"^top_k is {top_k}; it must be") as caught:
            kind(2, 4, top_k=top_k)
        sentence(caught)


@pytest.mark.parametrize(
    ("kind", "scorer"),
    [(ReleasedWeights, MLPScorer), (ReleasedMixedWeights, MLPScorer), (Released, ReleasedScorer)],
)
def test_only_the_last_has_the_released_scorer_too(kind, scorer):
    assert type(kind(2, 4).scorer) is scorer
