"""Catch, learnt: what an episode holds, the loss, and training that acts, resumes and gets better."""

import itertools
import math

import pytest
import torch
from torch import nn

from companion.baselines import IRNN, LSTM, Transformer
from companion.mechanisms import FastWeights
from companion.network import Network
from companion.search import best, search
from companion.tasks import Catch, seeded
from companion.tasks.catch import Game
from companion.training import Trainer, reached


def agent(task, layer=FastWeights, hidden_size=32):
    encoder = nn.Sequential(nn.Linear(task.input_size, hidden_size), nn.ReLU())
    return Network(task, layer(hidden_size, hidden_size), encoder)


def trainer(task, layer=FastWeights, **changes):
    chosen = {"learning_rate": 3e-3, "seed": 0, "batch_size": 64, "evaluate_every": 10, "identity": "a"} | changes
    return Trainer(lambda: agent(task, layer), task, **chosen)


def test_the_examples_of_the_splits_are_fixed_and_differ():
    task = Catch(8, 3, held_out_size=50)
    for split in ("validation", "test"):
        torch.rand(3)
        assert all(map(torch.equal, task.held_out(split), Catch(8, 3, held_out_size=50).held_out(split)))
    drawn = [task.held_out("validation"), task.held_out("test"), task.batch(seeded("train", 0), 50)]
    for one, other in itertools.combinations(drawn, 2):
        assert not torch.isin(one.inputs, other.inputs).any()
    with pytest.raises(ValueError, match=r"^split is 'dev'; it must be [^.]*\.$"):
        task.held_out("dev")


def test_starts_are_uniform():
    ball, paddle = Catch(5, 2).batch(torch.Generator().manual_seed(0), 20_000).targets
    counts = (4 * ball + paddle).bincount(minlength=20)
    assert (counts / 20_000 - 1 / 20).abs().max() < 5 * math.sqrt(0.05 / 20_000)


def test_an_episode_holds_what_was_seen_done_and_earned():
    task = Catch(6, 2)
    luck, (ball, paddle) = batch = task.batch(torch.Generator().manual_seed(1), 40)
    network = agent(task)
    screens, targets = task.play(network, batch)
    assert screens.shape == (5, 40, 36)
    assert targets.shape == (2, 5, 40)
    game = Game(6, 2, ball, paddle)
    for screen, action, reward in zip(screens, *targets, strict=True):
        assert torch.equal(screen, game.screen().flatten(1))
        game = game.after(action)
        assert torch.equal(reward, game.reward())
    chances = network(screens)[0][..., :3].softmax(2).detach()
    below, upto = chances.cumsum(2) - chances, chances.cumsum(2)
    chosen = [bound.gather(2, targets[0].unsqueeze(2)) for bound in (below, upto)]
    assert ((chosen[0] - 1e-5 <= luck) & (luck <= chosen[1] + 1e-5)).all()
    again = task.play(network, batch)
    assert all(map(torch.equal, again, (screens, targets)))


def test_actions_are_drawn_with_the_chances_of_the_policy():
    task = Catch(6, 6)
    chances = torch.tensor([0.2, 0.5, 0.3])
    network = agent(task)
    with torch.no_grad():
        network.read_out.weight.zero_()
        network.read_out.bias[:3] = chances.log()
    actions = task.play(network, task.batch(torch.Generator(), 10_000)).targets[0]
    assert (actions.flatten().bincount() / actions.numel() - chances).abs().max() < 5 * math.sqrt(0.25 / 50_000)


@pytest.mark.parametrize("form", ["auto", "matrix", "attention"])
@pytest.mark.parametrize("steps", [7, 15])
def test_the_fast_memory_lives_from_frame_to_frame(form, steps):
    """One call for each frame, with the state handed on, says what one call for the whole episode says."""
    task = Catch(steps + 1, 3)
    network = agent(task, lambda *sizes: FastWeights(*sizes, form=form), hidden_size=8)
    screens, _ = task.play(network, task.batch(torch.Generator(), 12))
    state, said = None, []
    for screen in screens:
        predictions, answer = network(screen.unsqueeze(0), state)
        state = answer.state
        said.append(predictions)
    torch.testing.assert_close(torch.cat(said), network(screens)[0], rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        network.layer.rate = 0.0
    assert not torch.allclose(torch.cat(said), network(screens)[0], rtol=1e-2)


def test_a_layer_without_a_state_is_refused_in_one_sentence():
    task = Catch(6, 2)
    with pytest.raises(ValueError, match=r"^Catch is played one frame at a time; it needs [^.]*\.$"):
        task.play(agent(task, lambda *sizes: Transformer(*sizes)), task.batch(torch.Generator(), 3))


@pytest.mark.parametrize(
    ("choices", "begins"),
    [
        ({"size": 2}, "size is 2"),
        ({"size": 8, "visible": 0}, "visible is 0"),
        ({"size": 8, "visible": 9}, "visible is 9"),
        ({"discount": 1.5}, "discount is 1.5"),
        ({"entropy_cost": -0.1}, "entropy_cost is -0.1"),
        ({"value_cost": -1.0}, "value_cost is -1.0"),
    ],
)
def test_a_game_that_cannot_be_is_refused_in_one_sentence(choices, begins):
    with pytest.raises(ValueError, match=rf"^{begins}; it must .*\.$"):
        Catch(**choices)


def test_the_loss_is_the_equation():
    task = Catch(4, 2, discount=0.9, entropy_cost=0.03, value_cost=0.4)
    predictions = torch.randn(3, 2, 4, dtype=torch.double)
    targets = torch.tensor([[[0, 2], [1, 1], [2, 0]], [[0, 0], [0, 0], [1, -1]]])
    losses = task.loss(predictions, targets)
    for episode in range(2):
        total = 0.0
        for t in range(3):
            policy = predictions[t, episode, :3].softmax(0)
            expected = sum(0.9 ** (k - t) * targets[1, k, episode].item() for k in range(t, 3))
            advantage = expected - predictions[t, episode, 3].item()
            total -= policy[targets[0, t, episode]].log().item() * advantage
            total += 0.4 * advantage**2 + 0.03 * (policy * policy.log()).sum().item()
        assert losses[episode].item() == pytest.approx(total / 3)


def test_the_policy_sends_no_credit_into_the_value():
    task = Catch(4, 2, entropy_cost=0.0, value_cost=0.0)
    predictions = torch.randn(3, 5, 4, requires_grad=True)
    targets = torch.stack([torch.randint(3, (3, 5)), torch.ones(3, 5, dtype=torch.long)])
    task.loss(predictions, targets).sum().backward()
    assert (predictions.grad[..., 3] == 0).all()
    assert (predictions.grad[..., :3] != 0).all()


@pytest.mark.parametrize("layer", [FastWeights, LSTM, IRNN])
def test_it_is_learnt(layer):
    """In a few seconds, above what can be scored without looking, and above what can be scored without memory."""
    trained = trainer(Catch(6, 1, held_out_size=500), layer, learning_rate=5e-3, evaluate_every=50)
    metrics = trained.run(400, {"reward": 0.4})
    assert metrics["reward"] > trained.task.blind_guess["reward"] + 0.1
    assert metrics["error"] == pytest.approx((1 - metrics["reward"]) / 2)
    assert trained.test()["reward"] > trained.task.blind_guess["reward"]


def test_a_resumed_run_equals_an_uninterrupted_one_bit_by_bit(tmp_path):
    task = Catch(6, 2, held_out_size=50)
    whole, first = trainer(task), trainer(task, checkpoint=tmp_path / "run.pt")
    whole.run(30)
    first.run(13)
    resumed = trainer(task, checkpoint=tmp_path / "run.pt")
    assert resumed.step == 13
    resumed.run(30)
    for one, other in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(one, other)
    assert [look for look in resumed.history if look["step"] != 13] == whole.history


def test_more_reward_is_better_for_a_goal_and_fewer_misses_for_a_search():
    assert reached({"reward": 0.9}, {"reward": 0.8})
    assert not reached({"reward": 0.7}, {"reward": 0.8})
    task = Catch(6, 2, held_out_size=200)
    candidates = [{"learning_rate": rate} for rate in (1e-6, 5e-3)]
    tried = search(lambda candidate: trainer(task, **candidate), candidates, 60, 60)
    assert best(tried).candidate["learning_rate"] >= 5e-3
    assert tried[1].loss == tried[1].trainer.history[-1]["error"]


def test_evaluation_plays_in_chunks_as_in_one():
    each = trainer(Catch(6, 2, held_out_size=50))
    assert each.evaluate(each.validation, chunk=7) == pytest.approx(each.evaluate(each.validation))
