"""Which steps hear of a mistake: the gradient of sparse attentive backtracking against a graph made by hand.

An edge of the graph says "this is computed from that, and the gradient passes". It is made from the options and from
what was read, and knows nothing of tensors that are detached.
"""

from itertools import product

import pytest
import torch

from companion.mechanisms import SparseAttentiveBacktracking
from companion.mechanisms.released import ReleasedScores

KINDS = {"mlp": SparseAttentiveBacktracking, "released": ReleasedScores}  # by the scorer
INPUT, HIDDEN, TIME, BATCH = 2, 4, 12, 2
GRID = [
    dict(
        top_k=top_k,
        truncation=truncation,
        memory_every=every,
        mental_updates=mental,
        kind=kind,
        normaliser=normaliser,
    )
    for top_k, truncation, every, mental, (kind, normaliser) in product(
        (None, 1, 2),
        (None, 1, 4),
        (1, 3),
        (True, False),
        (("mlp", "subtract"), ("mlp", "softmax"), ("released", "subtract")),
    )
]


def make(options):
    options = dict(options)
    layer = KINDS[options.pop("kind", "mlp")](INPUT, HIDDEN, **options).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-1, 1)  # large, so that no gradient is lost in rounding
    return layer


def reads(layer, outputs, example, options):
    """For each step: the memories that are read, those whose scores count, and whether the query counts."""
    states, summaries = outputs[:, example].detach().split(HIDDEN, dim=1)
    provisional, scorer, top_k = states - summaries, layer.scorer, options["top_k"]
    found = []
    for step in range(TIME):
        made = [s for s in range(step) if (s + 1) % options["memory_every"] == 0]
        if options["kind"] == "mlp":
            hidden = states[made] @ scorer.memory.weight.T + scorer.query(provisional[step])
            scores = hidden.tanh() @ scorer.score.weight[0]
        else:
            scores = states[made].tanh() @ scorer.memory_weight
        ranked = [made[i] for i in scores.argsort(descending=True).tolist()]
        if top_k is None or len(made) <= top_k:
            selected, threshold = ranked, []
        else:
            selected, threshold = ranked[:top_k], ranked[top_k : top_k + 1]
        constant = len(selected) < 2  # a single weight is one, whatever its score
        scored = [] if constant else selected + (threshold if options["normaliser"] == "subtract" else [])
        found.append((selected, scored, options["kind"] == "mlp" and not constant))
    return found


def graph(found, options):
    """What each node is computed from. Nodes: (kind, step), kinds u, p, c, s, h and m."""
    edges = {}
    for step, (selected, scored, query_is_heard) in enumerate(found):
        cut = step == 0 or (options["truncation"] and step % options["truncation"] == 0)
        handed_over = [] if cut else [("h", step - 1), ("c", step - 1)]
        edges["p", step] = edges["c", step] = [("u", step), *handed_over]
        edges["s", step] = [("m", i) for i in {*selected, *scored}] + [("p", step)] * query_is_heard
        edges["h", step] = [("p", step), ("s", step)]
        edges["m", step] = [("h", step)] if options["mental_updates"] else [("u", step)]
    return edges


def reachable(edges, start):
    seen, waiting = set(), [start]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += edges.get(node, [])
    return {step for kind, step in seen if kind == "u"}


@pytest.mark.parametrize("options", GRID, ids=lambda options: "-".join(str(value) for value in options.values()))
def test_gradient_reaches_exactly_the_steps_the_grid_allows(options, float64):
    layer, inputs = make(options), float64(TIME, BATCH, INPUT).requires_grad_()
    outputs, payoff = layer(inputs).outputs, float64(HIDDEN)
    found = [reads(layer, outputs, example, options) for example in range(BATCH)]
    for step, example in product((0, 6, TIME - 1), range(BATCH)):
        edges = graph(found[example], options)
        for kind, part in zip("hs", outputs[step, example].split(HIDDEN), strict=True):
            (gradient,) = torch.autograd.grad((part * payoff).sum(), inputs, retain_graph=True)
            touched = {u for u in range(TIME) if gradient[u, example].abs().max() > 1e-14}
            assert touched == reachable(edges, (kind, step)), f"{kind} at step {step} of example {example}"


def test_credit_jumps_over_the_steps_between_but_not_out_of_the_memory_s_window(float64):
    """A scene drawn by hand: windows of three and a memory every fifth step; steps 5 to 8 have only step 4 to read."""
    options = dict(top_k=1, truncation=3, memory_every=5)
    for mental_updates, expected in ((True, {3, 4, 6, 7, 8}), (False, {4, 6, 7, 8})):
        layer = make(options | {"mental_updates": mental_updates})
        inputs = float64(9, 1, INPUT).requires_grad_()
        (gradient,) = torch.autograd.grad(layer(inputs).outputs[8].sum(), inputs)
        assert set(gradient.abs().amax((1, 2)).nonzero().flatten().tolist()) == expected
