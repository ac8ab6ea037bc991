"""Catch: the rules, by hand and by Gymnasium's own checks, and what is scored without looking and without memory."""

import itertools
import math
import warnings

import pytest
import torch
from gymnasium.utils.env_checker import check_env
from torch import nn

from companion.answer import Answer
from companion.tasks import Catch, CatchEnv
from companion.tasks.catch import Game

LEFT, STAY, RIGHT = range(3)
EPISODES = 3000
SCREENS = [(3, 1), (5, 2), (8, 3), (16, 3), (24, 5)]


def every_start(size, visible):
    """One episode for each start there is."""
    starts = torch.cartesian_prod(torch.arange(size), torch.arange(size - 1))
    return Game(size, visible, *starts.T)


class Scripted(nn.Module):
    """An agent that acts by a rule: `rule` turns screens (batch, N²) and frame t into the chances of three actions."""

    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def forward(self, inputs, state=None):
        frame = 1 if state is None else state
        steps = [torch.as_tensor(self.rule(screen, frame + t)) for t, screen in enumerate(inputs)]
        chances = torch.stack([step.expand(inputs.shape[1], 3) for step in steps])
        predictions = torch.cat([chances.clamp(min=1e-30).log(), torch.zeros(*inputs.shape[:2], 1)], 2)
        return predictions, Answer(predictions, frame + len(inputs), torch.zeros(inputs.shape[1]), {})


def played(task, rule):
    """The mean metrics of an agent that acts by a rule."""
    batch = task.play(Scripted(rule), task.batch(torch.Generator().manual_seed(0), EPISODES))
    metrics = task.metrics(torch.zeros(task.length, EPISODES, 4), batch.targets)
    return {name: values.mean().item() for name, values in metrics.items()}


def follow(task):
    """See, do not remember: go towards the ball while there is one on the screen, and stay when there is none."""

    def rule(screens, frame):
        pixels = screens.unflatten(1, (task.size, task.size))
        ball, paddle = pixels[:, :-1].sum(1).argmax(1), pixels[:, -1].argmax(1)
        aim = (ball > paddle + 1).long() - (ball < paddle).long()
        return nn.functional.one_hot(torch.where(pixels.sum((1, 2)) > 0, aim, 0) + 1, 3).float()

    return rule


def test_an_episode_is_as_drawn():
    game = Game(5, 2, torch.tensor([1]), torch.tensor([3]))
    shown = []
    for action in (LEFT, LEFT, STAY, STAY):
        shown.append((game.picture()[0], game.screen()[0], game.reward().item()))
        game = game.after(torch.tensor([action]))
    assert game.over
    assert game.reward().item() == 1
    for row, (picture, screen, reward) in enumerate(shown):
        expected = torch.zeros(5, 5)
        expected[row, 1] = 1
        paddle = (3, 2, 1, 1)[row]
        expected[4, paddle : paddle + 2] = 1
        assert torch.equal(picture, expected)
        assert torch.equal(screen, expected if row < 2 else torch.zeros(5, 5))
        assert reward == 0


@pytest.mark.parametrize(
    "actions", list(itertools.product(range(3), repeat=3)), ids=lambda each: "".join(map(str, each))
)
def test_the_rules_agree_with_a_count_by_hand_for_every_start_and_all_actions(actions):
    game = every_start(4, 2)
    balls, paddles = game.ball.tolist(), game.paddle.tolist()
    for action in actions:
        assert not game.over
        assert (game.reward() == 0).all()
        game = game.after(torch.full_like(game.ball, action))
        paddles = [min(max(paddle + {LEFT: -1, STAY: 0, RIGHT: 1}[action], 0), 2) for paddle in paddles]
        assert game.paddle.tolist() == paddles
    assert game.over
    assert game.reward().tolist() == [
        1 if ball in (paddle, paddle + 1) else -1 for ball, paddle in zip(balls, paddles, strict=True)
    ]


@pytest.mark.parametrize(("size", "visible"), SCREENS)
def test_every_ball_can_be_caught(size, visible):
    game = every_start(size, visible)
    while not game.over:
        game = game.after(1 + (game.ball > game.paddle + 1).long() - (game.ball < game.paddle).long())
    assert (game.reward() == 1).all()


@pytest.mark.parametrize(("size", "visible"), [(5, 2), (5, 5)])
def test_the_screen_is_blank_after_the_visible_frames(size, visible):
    game = every_start(size, visible)
    for frame in range(1, size + 1):
        lit = game.screen().sum((1, 2))
        if frame > visible:
            assert (lit == 0).all()
        elif frame < size:
            assert (lit == 3).all()
        game = game.after(torch.ones_like(game.ball))


@pytest.mark.parametrize(("size", "reward"), [(16, -0.75), (24, -5 / 6)])
@pytest.mark.parametrize("chances", [[1 / 3, 1 / 3, 1 / 3], [1.0, 0, 0], [0, 1.0, 0], [0.1, 0.2, 0.7]])
def test_who_does_not_look_scores_chance(size, reward, chances):
    task = Catch(size, 3)
    assert task.chance["reward"] == pytest.approx(reward)
    assert task.chance["error"] == pytest.approx(1 - 2 / size)
    metrics = played(task, lambda screens, frame: torch.tensor(chances))
    spread = 2 * math.sqrt(2 / size / EPISODES)
    assert metrics["reward"] == pytest.approx(reward, abs=4 * spread)
    assert metrics["error"] == pytest.approx(task.chance["error"], abs=2 * spread)


@pytest.mark.parametrize(("size", "visible"), SCREENS)
def test_who_sees_and_does_not_remember_scores_the_best_blind_guess(size, visible):
    task = Catch(size, visible)
    metrics = played(task, follow(task))
    assert metrics["reward"] == pytest.approx(task.blind_guess["reward"], abs=8 / math.sqrt(EPISODES))
    assert task.chance["reward"] <= task.blind_guess["reward"] <= 1


def test_with_all_frames_visible_no_memory_is_needed():
    assert Catch(9, 9).blind_guess == {"reward": 1.0, "error": 0.0}
    assert Catch(9, 8).blind_guess == {"reward": 1.0, "error": 0.0}


@pytest.mark.parametrize(("size", "visible"), [(8, 3), (16, 3), (24, 5)])
def test_no_other_policy_for_the_blank_screen_does_better(size, visible):
    """The best that sight can do for M moves, before N − 1 − M moves by fixed chances of the three actions."""
    ball, paddle = torch.arange(size)[:, None], torch.arange(size - 1)
    touches = ((paddle <= ball) & (ball <= paddle + 1)).double()
    best = {}
    for tenths in itertools.product(range(11), repeat=2):
        if sum(tenths) > 10:
            continue
        left, right = tenths[0] / 10, tenths[1] / 10
        drift = torch.zeros(size - 1, size - 1, dtype=torch.double)
        for place in range(size - 1):
            for chance, move in ((left, -1), (1 - left - right, 0), (right, 1)):
                drift[place, min(max(place + move, 0), size - 2)] += chance
        caught = touches @ torch.linalg.matrix_power(drift, size - 1 - visible).T  # by ball, and place after M moves
        within = torch.stack([caught[:, max(x - visible, 0) : x + visible + 1].amax(1) for x in paddle.tolist()], 1)
        best[left, right] = 2 * within.mean().item() - 1
    assert max(best, key=best.get) == (0, 0)
    assert best[0, 0] == pytest.approx(Catch(size, visible).blind_guess["reward"])


@pytest.mark.parametrize("mode", [None, "ansi", "rgb_array"])
def test_gymnasium_accepts_the_environment(mode):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*not having a spec")  # only registered ones have it
        check_env(CatchEnv(6, 2, render_mode=mode))


@pytest.mark.parametrize(("size", "visible"), SCREENS)
def test_both_forms_agree_step_for_step(size, visible):
    env, generator = CatchEnv(size, visible), torch.Generator().manual_seed(0)
    for seed in range(10):
        screen, _ = env.reset(seed=seed)
        game, ended = env.game._replace(), False
        while not ended:
            assert screen.tolist() == game.screen()[0].tolist()
            assert env.observation_space.contains(screen)
            action = torch.randint(3, (1,), generator=generator)
            game = game.after(action)
            screen, reward, ended, cut, _ = env.step(action.item())
            assert (reward, ended, cut) == (game.reward().item(), game.over, False)


def test_a_seed_decides_the_start_and_all_starts_occur():
    def starts(env, seed):
        env.reset(seed=seed)
        seen = []
        for _ in range(300):
            seen.append((env.game.ball.item(), env.game.paddle.item()))
            env.reset()
        return seen

    env = CatchEnv(4, 2)
    assert starts(env, 3) == starts(CatchEnv(4, 2), 3)
    assert starts(env, 3) != starts(env, 4)
    assert set(starts(env, 3)) == set(itertools.product(range(4), range(3)))


def test_it_shows_what_the_agent_does_not_see():
    text, picture = (CatchEnv(5, 1, render_mode=mode) for mode in ("ansi", "rgb_array"))
    for env in (text, picture):
        env.reset(seed=0)
        assert env.step(STAY)[0].sum() == 0
    ball, paddle = text.game.ball.item(), text.game.paddle.item()
    rows = [row.split() for row in text.render().splitlines()]
    assert rows[1][ball] == "●"
    assert rows[-1][paddle : paddle + 2] == ["▬", "▬"]
    assert sum(row.count("·") for row in rows) == 22
    assert picture.render().shape == (5, 5, 3)
    assert picture.render()[1, ball].tolist() == [255, 255, 255]
    assert CatchEnv(5, 1).render() is None


def test_a_misused_environment_says_so_in_one_sentence():
    with pytest.raises(ValueError, match=r"^render_mode is 'human'; it must [^.]*\.$"):
        CatchEnv(render_mode="human")
    with pytest.raises(ValueError, match=r"^size is 1; it must [^.]*\.$"):
        CatchEnv(1)
    env = CatchEnv(3, 1, render_mode="ansi")
    with pytest.raises(ValueError, match="^There is no episode to show; call reset first.$"):
        env.render()
    with pytest.raises(ValueError, match="^There is no episode to take a step in; call reset first.$"):
        env.step(STAY)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"^action is 3; it must be 0 \(left\), 1 \(stay\) or 2 \(right\).$"):
        env.step(3)
    env.step(STAY)
    env.step(STAY)
    with pytest.raises(ValueError, match="call reset first"):
        env.step(STAY)
