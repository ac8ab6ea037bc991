"""Logic: chains followed gate by gate, and what the last gates alone are worth."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.tasks import Logic
from companion.tasks.logic import GATES

# The paper's table 1, written down a second time: as logic.
MEANING = {
    "NOR": lambda p, q: not (p or q),
    "Xq": lambda p, q: not p and q,
    "ABJ": lambda p, q: p and not q,
    "XOR": lambda p, q: p != q,
    "NAND": lambda p, q: not (p and q),
    "AND": lambda p, q: p and q,
    "XNOR": lambda p, q: p == q,
    "if/then": lambda p, q: not p or q,
    "then/if": lambda p, q: p or not q,
    "OR": lambda p, q: p or q,
}
BITS = (0, 1)
sizes = st.integers(1, 5)


def drawn(task, seed=0, size=200, **fixed):
    return task.batch(torch.Generator().manual_seed(seed), size, **fixed)


def assert_uniform(counts):
    """Each of the values was seen as often as the others, up to five standard errors."""
    share, total = 1 / len(counts), counts.sum().item()
    assert (counts / total - share).abs().max() < 5 * math.sqrt(share * (1 - share) / total)


def chunks(vector):
    """The gates of a vector by number, None where there is none."""
    return [chunk.tolist().index(1) if chunk.any() else None for chunk in vector[2:].view(-1, 10)]


def test_the_gates_are_the_paper_s_and_all_that_depend_on_both_bits():
    assert list(GATES) == list(MEANING)
    tables = {tuple(int(gate(p, q)) for p in BITS for q in BITS) for gate in MEANING.values()}
    assert [tuple(int(MEANING[name](p, q)) for p in BITS for q in BITS) for name in GATES] == list(GATES.values())
    every = set(itertools.product(BITS, repeat=4))
    blind_to_one = {table for table in every if table[:2] == table[2:] or table[::2] == table[1::2]}
    assert tables == every - blind_to_one
    assert [sum(column) for column in zip(*GATES.values(), strict=True)] == [5, 5, 5, 5]


@settings(deadline=None, max_examples=40)
@given(sizes, sizes, st.integers(0, 1000))
def test_targets_are_the_ends_of_chains_that_begin_at_the_target_before(max_length, max_gates, seed):
    task = Logic(max_length, max_gates)
    inputs, targets = drawn(task, seed, 6)
    assert inputs.shape[1:] == (6, task.input_size) == (6, 2 + 10 * max_gates)
    assert 1 <= len(inputs) == len(targets) <= max_length
    for sequence, ends in zip(inputs.unbind(1), targets.unbind(1), strict=True):
        before = int(sequence[0, 0])
        assert not sequence[1:, 0].any()
        for vector, end in zip(sequence, ends.tolist(), strict=True):
            gates = chunks(vector)
            count = len(gates) - gates.count(None)
            assert count >= 1
            assert gates[count:] == [None] * (max_gates - count)
            older, newer = before, int(vector[1])
            for index in gates[:count]:
                older, newer = newer, int(list(MEANING.values())[index](newer, older))
            assert newer == end
            chain = Logic.follow(vector, before)
            assert [name for name, _ in chain] == [list(GATES)[index] for index in gates[:count]]
            assert chain[-1][1] == end
            before = int(end)


def test_lengths_counts_gates_and_bits_are_uniform():
    task = Logic(4, 5)
    lengths = [len(drawn(task, seed, 1).inputs) for seed in range(600)]
    inputs, _ = drawn(task, 0, 8000, length=3)
    counts = inputs[..., 2:].sum(2).flatten().long()
    for seen, most in ((torch.tensor(lengths), 4), (counts, 5)):
        assert_uniform(seen.bincount(minlength=most + 1)[1:])
        assert seen.max() == most
    assert_uniform(inputs[..., 2:12].sum((0, 1)))  # the first gate of every vector
    pairs = (2 * inputs[0, :, 1] + inputs[0, :, 0]).long()
    assert_uniform(pairs.bincount(minlength=4))
    assert inputs[1:, :, 1].mean().item() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(16_000))


@pytest.mark.parametrize("gates", range(1, 6))
def test_the_coin_is_fair_for_every_number_of_gates_and_to_whoever_misses_the_last(gates):
    """Whatever else is seen: with another gate drawn in its place, the answer agrees as often as not."""
    inputs, targets = drawn(Logic(3, 5), gates, 1500, length=3, gates=gates)
    assert (inputs[..., 2:].sum(2) == gates).all()
    assert targets.mean().item() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(4500))
    swapped = torch.randint(10, (1500,), generator=torch.Generator().manual_seed(gates)).tolist()
    agreed = 0
    for vector, before, end, other in zip(inputs[2].unbind(), targets[1], targets[2], swapped, strict=True):
        changed = vector.clone()
        last = slice(2 + 10 * (gates - 1), 2 + 10 * gates)
        changed[last] = torch.eye(10)[other]
        agreed += Logic.follow(changed, int(before))[-1][1] == int(end)
    assert agreed / 1500 == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(1500))


@pytest.mark.parametrize("count", range(1, 4))
def test_what_the_last_gates_are_worth_is_found_by_trying_all(count):
    errors, losses = [], []
    for gates in itertools.product(MEANING.values(), repeat=count):
        ends = []
        for older, newer in itertools.product(BITS, BITS):
            for gate in gates:
                older, newer = newer, int(gate(newer, older))
            ends.append(newer)
        share = sum(ends) / 4
        errors.append(min(share, 1 - share))
        losses.append(-sum(p * math.log(p) for p in (share, 1 - share) if p))
    found = Logic.last_gates(count)
    assert found["step_error"] == pytest.approx(sum(errors) / len(errors), rel=1e-12)
    assert found["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-12)
    assert Logic.last_gates(0) == {"step_error": 0.5, "loss": pytest.approx(math.log(2))}


def test_more_of_the_last_gates_are_worth_more():
    errors = [Logic.last_gates(count)["step_error"] for count in range(11)]
    assert errors == sorted(errors, reverse=True)


def averaged(task, answer, each=4000):
    """The metrics of an answer, over as many sequences of each length."""
    found = {}
    for length in range(1, task.max_length + 1):
        inputs, targets = drawn(task, length, each, length=length)
        for name, values in task.metrics(answer(inputs, targets), targets).items():
            found[name] = found.get(name, 0) + values.mean().item() / task.max_length
    return found


def test_chance_is_that_of_a_coin_at_each_step():
    task = Logic(4, 3)
    coin = torch.Generator().manual_seed(0)
    scored = averaged(task, lambda _, targets: 1e-4 * (torch.rand(*targets.shape, 1, generator=coin) - 0.5))
    for name, tolerance in {"error": 0.02, "step_error": 0.02, "loss": 1e-3}.items():
        assert scored[name] == pytest.approx(task.chance[name], abs=tolerance)


def test_whoever_sees_the_last_gate_alone_scores_the_best_blind_guess():
    task = Logic(4, 3)
    shares = torch.tensor([sum(table) / 4 for table in GATES.values()])

    def answer(inputs, targets):
        slots = inputs[..., 2:].unflatten(2, (3, 10))
        last = slots.sum((2, 3)).long() - 1
        gate = slots.take_along_dim(last[..., None, None].expand(-1, -1, 1, 10), 2).squeeze(2)
        return (gate @ shares + 1e-6).logit().unsqueeze(2)

    scored = averaged(task, answer)
    for name, tolerance in {"error": 0.02, "step_error": 0.02, "loss": 0.03}.items():
        assert scored[name] == pytest.approx(task.blind_guess[name], abs=tolerance)


@pytest.mark.parametrize(("task", "error"), [(Logic(), 0.90009765625), (Logic(5, 5), 0.80625)])
def test_a_coin_s_sequence_error_is_the_known_number(task, error):
    assert task.chance["error"] == error
    assert task.chance["step_error"] == 0.5
    assert Logic.scored({"step_error": 0.5, "loss": math.log(2)}, [5])["error"] == 0.96875
    assert task.blind_guess["step_error"] == pytest.approx(0.3)


def test_one_wrong_bit_spoils_a_sequence_and_losses_add_up():
    task, targets = Logic(3, 2), torch.tensor([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    right = (20 * targets - 10).unsqueeze(2)
    right[1, 1] *= -1
    metrics = task.metrics(right, targets)
    assert metrics["error"].tolist() == [0, 1]
    assert metrics["step_error"].tolist() == pytest.approx([0, 1 / 3])
    assert task.loss(right, targets).tolist() == pytest.approx([0, 10], abs=1e-3)
    assert task.loss(torch.zeros(3, 2, 1), targets).tolist() == pytest.approx([3 * math.log(2)] * 2)


def test_a_held_out_set_has_as_many_sequences_of_each_length():
    assert [batch.inputs.shape for batch in Logic(3, 2, held_out_each=7).held_out("test")] == [
        (length, 7, 22) for length in (1, 2, 3)
    ]


@pytest.mark.parametrize(("max_length", "length"), [(10, 5), (3, 3)])
def test_details_ask_for_every_number_of_gates(max_length, length):
    asked = []

    def evaluate(batch):
        counts = batch.inputs[..., 2:].sum(2)
        asked.append((*batch.targets.shape, counts.unique().item()))
        return {"error": 0.1 * asked[-1][-1], "loss": 1.0, "ponder_steps": asked[-1][-1] + 1}

    details = Logic(max_length, 3).details(evaluate)
    assert asked == [(length, 1000, 1), (length, 1000, 2), (length, 1000, 3)]
    assert details == {"error_by_gates": pytest.approx([0.1, 0.2, 0.3]), "ponder_steps_by_gates": [2, 3, 4]}
    assert list(Logic(2, 2).details(lambda batch: {"error": 0.5})) == ["error_by_gates"]


@pytest.mark.parametrize("name", ["max_length", "max_gates", "held_out_each"])
def test_bad_arguments_are_refused_in_one_sentence(name):
    with pytest.raises(ValueError, match=rf"^{name} is 0; it must be [^.]*\.$"):
        Logic(**{name: 0})
