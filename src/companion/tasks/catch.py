"""Catch: move a paddle under a falling ball that soon cannot be seen.

With N = 5, and the first M = 2 frames visible, the ball starts in the second column, the paddle far on the right:

    frame      1        2        3        4        5
             · ● · · ·  · · · · ·  · · · · ·  · · · · ·  · · · · ·
             · · · · ·  · ● · · ·  · · · · ·  · · · · ·  · · · · ·
             · · · · ·  · · · · ·  · · · · ·  · · · · ·  · · · · ·
             · · · · ·  · · · · ·  · · · · ·  · · · · ·  · · · · ·
             · · · ▬ ▬  · · ▬ ▬ ·  · · · · ·  · · · · ·  · · · · ·
    action      ←        ←        –        –                         reward +1

The ball is one pixel. It starts in a random column of row 1 and falls straight down, one row a frame. The paddle is two
pixels in the bottom row; after each frame but the last it goes left, stays or goes right by one pixel. The reward is
+1 if the paddle touches the ball in frame N, −1 if not, and 0 before. The screen is blank after frame M, so an agent
has to remember where the ball was, where the paddle is, and how often it has moved.

The paper does not say where the paddle starts, nor what a wall does. Here it starts anywhere with equal chance, and a
wall stops it. A paddle has N − 2 pixels to go at most, in N − 1 moves: every ball can be caught.

Source: Ba et al. 2016, section 4.4; the game is that of Mnih et al. 2014, without the blank frames.
"""

from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion import checks
from companion.tasks.task import Batch, Task, seeded

ACTIONS = ("left", "stay", "right")
PADDLE = 2  # pixels


def check_screen(size: int, visible: int) -> None:
    """Refuse a game that cannot be played.

    Raises:
        ValueError: a screen too small to move in, or fewer than one or more than all frames visible.
    """
    checks.whole(PADDLE + 1, size=size)
    checks.whole(1, size, visible=visible)


class Game(NamedTuple):
    """The rules: where things stand in a batch of episodes, and what comes next.

    Attributes:
        size: N, pixels of a side and frames of an episode.
        visible: M, frames that are seen.
        ball: the ball's column, (batch,).
        paddle: the column of the paddle's left pixel, from 0 to N − 2, (batch,).
        frame: t, from 1 to N, in which the ball is in row t.
    """

    size: int
    visible: int
    ball: Int[Tensor, " batch"]
    paddle: Int[Tensor, " batch"]
    frame: int = 1

    @property
    def over(self) -> bool:
        """Whether this is the last frame."""
        return self.frame == self.size

    def picture(self) -> Float[Tensor, "batch size size"]:
        """What there is, row 1 first: 1 for ball and paddle, 0 elsewhere."""
        pixels = torch.zeros(len(self.ball), self.size, self.size, device=self.ball.device)
        every = torch.arange(len(self.ball), device=self.ball.device)
        pixels[every, self.frame - 1, self.ball] = 1
        for part in range(PADDLE):
            pixels[every, -1, self.paddle + part] = 1
        return pixels

    def screen(self) -> Float[Tensor, "batch size size"]:
        """What is seen: the picture, or nothing after frame M."""
        if self.frame > self.visible:
            return torch.zeros(len(self.ball), self.size, self.size, device=self.ball.device)
        return self.picture()

    def after(self, actions: Int[Tensor, " batch"]) -> "Game":
        """The next frame, after an action in each episode: 0 left, 1 stay, 2 right."""
        return self._replace(paddle=(self.paddle + actions - 1).clamp(0, self.size - PADDLE), frame=self.frame + 1)

    def reward(self) -> Int[Tensor, " batch"]:
        """+1 or −1 in the last frame, 0 before."""
        if not self.over:
            return torch.zeros_like(self.ball)
        touched = (self.paddle <= self.ball) & (self.ball < self.paddle + PADDLE)
        return 2 * touched.long() - 1


class Catch(Task):
    """Learn to catch a ball that is seen in its first frames only, by synchronous advantage actor-critic.

    An example is an episode. `batch` and `held_out` give what chance decides of it: inputs (N − 1, batch, 1), a number
    for each action, uniform in [0, 1), and targets (2, batch), the columns in which ball and paddle start. `play` makes
    an episode of it: inputs are then the N − 1 screens that are acted upon, (N − 1, batch, N²), and targets are the
    actions taken and the rewards they earned, (2, N − 1, batch).

    A prediction is π, as three logits, and V, the expected return. An action is drawn from π; the number of the
    example decides which, so the same network plays the same example alike. The loss of an episode is the mean over its
    steps of::

        −log π(a_t) (G_t − V_t) + value_cost · (G_t − V_t)²
            − entropy_cost · H(π),      G_t = Σ_{k≥t} γ^{k−t} r_{k+1}

    with the first bracket held fixed. An episode is short, so G runs to its end and V stands in for nothing.

    Args:
        size: N, pixels of a side and frames of an episode; at least 3.
        visible: M, the frames that are seen.
        discount: γ.
        entropy_cost, value_cost: the weights of the last two terms.
        held_out_size: episodes in the validation set and in the test set.

    Metrics: `reward`, that of the last frame, and `error`, the share of balls missed, by which a search judges.

    Chance, 4/N − 1, is what everyone gets who does not look at the ball, wherever the paddle goes: it covers two of N
    columns. The best blind guess sees but does not remember: it follows the ball for M frames, then stays. That no
    other policy for the blank screen does better is not proven; the tests try many.

    Raises:
        ValueError: a screen that is too small, an M that does not fit it, or a discount or cost out of range.

    Source: Ba et al. 2016, sections 4.4 and A.3. The loss is that of Mnih et al. 2016, whose A3C the paper trains by:
    many agents, each on its own, update shared weights. Here all episodes of a batch make one update.
    """

    answers_at_end = False
    output_size = len(ACTIONS) + 1
    names = {"reward": "mean reward", "error": "share of balls missed"}
    judged_by = "error"

    def __init__(
        self,
        size: int = 16,
        visible: int = 3,
        discount: float = 0.99,
        entropy_cost: float = 0.01,
        value_cost: float = 0.5,
        held_out_size: int = 1000,
    ):
        check_screen(size, visible)
        if not 0 <= discount <= 1:
            raise ValueError(f"discount is {discount}; it must lie between 0 and 1.")
        checks.whole(held_out_size=held_out_size)
        checks.finite(entropy_cost=entropy_cost, value_cost=value_cost)
        for name, cost in (("entropy_cost", entropy_cost), ("value_cost", value_cost)):
            if cost < 0:
                raise ValueError(f"{name} is {cost}; it must not be negative.")
        self.size, self.visible, self.held_out_size = size, visible, held_out_size
        self.discount, self.entropy_cost, self.value_cost = discount, entropy_cost, value_cost
        self.input_size, self.length = size**2, size - 1
        self.chance = self.caught(PADDLE / size)
        # At a start k pixels away, 2 (N − 1 − k) of N (N − 1), an agent that sees arrives if k ≤ M, and stays there.
        reach = min(visible, size - 1)
        self.blind_guess = self.caught((reach + 1) * (2 * size - 2 - reach) / (size * (size - 1)))

    @staticmethod
    def caught(share: float) -> dict[str, float]:
        """The metrics of catching that share of the balls."""
        return {"reward": 2 * share - 1, "error": 1 - share}

    def batch(self, generator: torch.Generator, size: int) -> Batch:
        luck = torch.rand(self.length, size, 1, generator=generator)
        ball = torch.randint(self.size, (size,), generator=generator)
        paddle = torch.randint(self.size - PADDLE + 1, (size,), generator=generator)
        return Batch(luck, torch.stack([ball, paddle]))

    def held_out(self, split: str) -> Batch:
        return self.batch(seeded(split, 0), self.held_out_size)

    @torch.no_grad()
    def play(self, network: nn.Module, batch: Batch) -> Batch:
        """Let a network act, one frame at a time, in the episodes of a batch.

        Raises:
            ValueError: the network's layer hands on no state, so it could not remember what it saw.
        """
        luck, (ball, paddle) = batch
        game, state = Game(self.size, self.visible, ball, paddle), None
        screens, actions, rewards = [], [], []
        for numbers in luck:
            screens.append(game.screen().flatten(1))
            predictions, answer = network(screens[-1].unsqueeze(0), state)
            state = answer.state
            if state is None:
                raise ValueError("Catch is played one frame at a time; it needs a layer that hands on a state.")
            bounds = predictions[0, :, : len(ACTIONS)].softmax(1).cumsum(1)[:, :-1]
            actions.append((numbers >= bounds).sum(1))
            game = game.after(actions[-1])
            rewards.append(game.reward())
        return Batch(torch.stack(screens), torch.stack([torch.stack(actions), torch.stack(rewards)]))

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        actions, rewards = targets
        log_policy = predictions[..., : len(ACTIONS)].log_softmax(2)
        advantage = self.returns(rewards.to(predictions.dtype)) - predictions[..., -1]
        surprise = -log_policy.gather(2, actions.unsqueeze(2)).squeeze(2)
        entropy = -(log_policy.exp() * log_policy).sum(2)
        terms = surprise * advantage.detach() + self.value_cost * advantage.square() - self.entropy_cost * entropy
        return terms.mean(0)

    def returns(self, rewards: Float[Tensor, "time batch"]) -> Float[Tensor, "time batch"]:
        """G_t of every step, (time, batch), from the rewards that follow each action."""
        summed = [torch.zeros_like(rewards[0])]
        for reward in rewards.flip(0):
            summed.append(reward + self.discount * summed[-1])
        return torch.stack(summed[:0:-1])

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        reward = targets[1].sum(0).float()
        return {"reward": reward, "error": (1 - reward) / 2}


class CatchEnv(gymnasium.Env):
    """The game of `Catch` for Gymnasium, one episode at a time.

    An observation is the screen, (N, N), zeros and ones. Actions are 0 left, 1 stay, 2 right. The reward comes with the
    last frame, which ends the episode. Rendering shows what there is, also when the agent sees nothing.

    Args:
        size: N, pixels of a side and frames of an episode; at least 3.
        visible: M, the frames that are seen.
        render_mode: "ansi" for text, "rgb_array" for a picture, None for nothing.

    Raises:
        ValueError: a screen that is too small, an M that does not fit it, an unknown render mode or action, or a step
            outside an episode.
    """

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}

    def __init__(self, size: int = 16, visible: int = 3, render_mode: str | None = None):
        check_screen(size, visible)
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode is {render_mode!r}; it must be 'ansi', 'rgb_array' or None.")
        self.size, self.visible, self.render_mode = size, visible, render_mode
        self.observation_space = gymnasium.spaces.MultiBinary((size, size))
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        self.game: Game | None = None

    def seen(self) -> np.ndarray:
        return self.game.screen()[0].numpy().astype(self.observation_space.dtype)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        columns = (self.np_random.integers(self.size), self.np_random.integers(self.size - PADDLE + 1))
        ball, paddle = (torch.tensor([int(column)]) for column in columns)
        self.game = Game(self.size, self.visible, ball, paddle)
        return self.seen(), {}

    def step(self, action: int | np.integer) -> tuple[np.ndarray, float, bool, bool, dict]:
        if self.game is None or self.game.over:
            raise ValueError("There is no episode to take a step in; call reset first.")
        if not self.action_space.contains(action):
            raise ValueError(f"action is {action!r}; it must be 0 (left), 1 (stay) or 2 (right).")
        self.game = self.game.after(torch.tensor([int(action)]))
        return self.seen(), float(self.game.reward()), self.game.over, False, {}

    def render(self) -> str | np.ndarray | None:
        if self.render_mode is None:
            return None
        if self.game is None:
            raise ValueError("There is no episode to show; call reset first.")
        pixels = self.game.picture()[0].numpy()
        if self.render_mode == "rgb_array":
            return np.repeat((255 * pixels).astype(np.uint8)[:, :, None], 3, axis=2)
        rows = [["●" if pixel else "·" for pixel in row] for row in pixels]
        for part in range(PADDLE):
            rows[-1][int(self.game.paddle) + part] = "▬"
        return "\n".join(" ".join(row) for row in rows)
