"""What the released code does, each point beside what the paper says."""

import pytest
import torch

from companion.mechanisms import SparseAttentiveBacktracking, released_weights, sparsify


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


def test_the_layer_has_it_as_an_option(float64):
    inputs = float64(12, 3, 2)
    for normaliser in ("released", "released-mixed"):
        layer = SparseAttentiveBacktracking(2, 4, 3, 4, 2, "released", normaliser).double()
        assert layer.form == "graph"
        layer(inputs).outputs.sum().backward()
        assert all(parameter.grad.isfinite().all() for parameter in layer.cell.parameters())
        with pytest.raises(ValueError, match=r"^form is 'replay'; it must be [^.]*\.$"):
            SparseAttentiveBacktracking(2, 4, normaliser=normaliser, form="replay")
        with pytest.raises(ValueError, match=r"^top_k is None; it must be [^.]*\.$"):
            SparseAttentiveBacktracking(2, 4, top_k=None, normaliser=normaliser)
