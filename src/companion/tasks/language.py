"""Language: read a text character by character, and say at each step which comes next.

    input    T h e _ c a t _ s a
    target   h e _ c a t _ s a t          length 10: a window of 11 characters of the text

Characters come as one-hot vectors. All steps count. The unit is bits per character: so many bits would each character
take, were the text compressed with the network's predictions.

For a network that ponders, `along` tells what kind of character it thinks about. N **at a character** is the number of
steps spent while reading it. It is spent before the prediction that follows, which is of the next character.

The **best blind guess** has no memory. It sees the present character alone and goes by what followed it in the training
text: a table of pairs, counted, with one added to each count. What a network scores below that line it owes to
characters further back.

Source: Ke et al. 2018, the language modelling experiments; Graves 2016, section 3.5.
"""

import math
import string

import torch
from torch import Tensor
from torch.nn import functional

from companion import checks, data
from companion.tasks.task import Batch, Follow, Task

TOGETHER = 10_000_000  # pairs of characters that are counted in one go
FOLLOWED = 100  # windows that are followed in one go
# The kinds that N is recorded for. What is in none of them is the last kind, "other".
KINDS = {
    "space": b" ",
    "end of line": b"\n",
    "comma": b",",
    "full stop": b".",
    "<": b"<",
    "other bracket": b">()[]{}",
    "digit": string.digits.encode(),
    "letter": string.ascii_letters.encode(),
}
PAGE = b"<page>"


def in_order(text: bytes) -> tuple[bytes, bytes, bytes]:
    """The first 90 % of a text, the next 5 % and the last 5 %: training, validation, test."""
    first, second = len(text) * 90 // 100, len(text) * 95 // 100
    return text[:first], text[first:second], text[second:]


SOURCES = {
    "enwik8-excerpt": lambda: in_order(data.enwik8_excerpt()),
    "enwik8": lambda: in_order(data.enwik8()),
    "text8": lambda: in_order(data.text8()),
    "text8-prefix": lambda: in_order(data.text8_prefix()),
    "penn-treebank": lambda: tuple(data.penn_treebank(split) for split in ("train", "validation", "test")),
}


class Language(Task):
    """Predict the next character of a text.

    Args:
        source: "enwik8-excerpt", the committed first million bytes, or "enwik8", "text8", "text8-prefix" (the first 70
            million characters of text8) or "penn-treebank". The treebank comes in three files; the others are cut, in
            order, into 90 % to train on, 5 % to validate and 5 % to test.
        length: T, the steps of a window.
        validation_windows, test_windows: windows in these sets, at most. They do not overlap, and fewer than all of a
            part lie evenly over it.
        summed: whether the loss of a window is the sum over its steps, not their mean.

    The alphabet, `characters`, is that of the training part, in the order of the byte values. If a later part has
    characters that it lacks, they all count as one more, the last: naming it counts as right, though it is several.
    Inputs are (T, batch, alphabet), one-hot; targets are (T, batch), the next character as an index. A training batch
    is windows from anywhere in the training part. The loss is the cross-entropy, its mean over the T steps or its sum.
    Metrics: `bits_per_character`, `loss` (nats), `accuracy`, all of them means. The blind guess is that of the test
    windows.

    Raises:
        ValueError: an unknown source, a length below 1 or not below that of each part, or no window.
        companion.data.DataError: the text cannot be had; the message says why.
    """

    answers_at_end = False
    names = {
        "bits_per_character": "bits per character",
        "loss": "cross-entropy (nats)",
        "accuracy": "accuracy",
        "ponder_steps": "mean N",
    }

    def __init__(
        self,
        source: str,
        length: int,
        validation_windows: int = 500,
        test_windows: int = 500,
        summed: bool = False,
    ):
        if source not in SOURCES:
            raise ValueError(f"source is {source!r}; it must be one of {', '.join(SOURCES)}.")
        checks.whole(validation_windows=validation_windows, test_windows=test_windows)
        parts = SOURCES[source]()
        longest = min(map(len, parts)) - 1
        checks.whole(1, longest, length=length)
        self.length, self.summed = length, summed
        self.characters = bytes(sorted(set(parts[0])))
        unseen = bool(set(parts[1] + parts[2]) - set(self.characters))
        self.input_size = self.output_size = size = len(self.characters) + unseen
        # find says −1 of a character that is not there: the last index.
        table = bytes(self.characters.find(byte) % size for byte in range(256))
        self.text, *later = (torch.frombuffer(bytearray(part.translate(table)), dtype=torch.uint8) for part in parts)
        self.windows = {"validation": self.cut(later[0], validation_windows), "test": self.cut(later[1], test_windows)}
        page = min(max(parts[2].find(PAGE) - length // 2, 0), longest - length)
        self.shown = torch.stack([later[1][start : start + length + 1] for start in (0, page)], 1)
        self.chance = {"bits_per_character": math.log2(size), "loss": math.log(size), "accuracy": 1 / size}
        self.blind_guess = self.score_pairs()

    @property
    def plateau(self) -> float:
        """The loss of a uniform guess: from there it falls at once, and the table of pairs is no plateau."""
        return self.chance[self.judged_by]

    def cut(self, part: Tensor, most: int) -> Tensor:
        """At most `most` windows of a part, each of `length` + 1 characters: (length + 1, windows)."""
        total = (len(part) - 1) // self.length
        chosen = torch.arange(min(most, total)) * total // min(most, total)
        return part.unfold(0, self.length + 1, self.length)[chosen].T

    def pairs(self, first: Tensor, second: Tensor) -> Tensor:
        """How often each character of `second` stands behind each of `first`, (alphabet, alphabet)."""
        counts = torch.zeros(self.input_size**2, dtype=torch.long)
        for one, other in zip(first.split(TOGETHER), second.split(TOGETHER), strict=True):
            counts += torch.bincount(one.int() * self.input_size + other, minlength=len(counts))
        return counts.view(self.input_size, self.input_size)

    def score_pairs(self) -> dict[str, float]:
        """The metrics of the table of pairs, counted on the training part, on the test windows."""
        table = (self.pairs(self.text[:-1], self.text[1:]) + 1).double()
        table /= table.sum(1, keepdim=True)
        asked = self.pairs(*(self.windows["test"][part].flatten() for part in (slice(-1), slice(1, None)))).double()
        asked /= asked.sum()
        loss, right = -(asked * table.log()).sum(), asked.gather(1, table.argmax(1, keepdim=True)).sum()
        return {"bits_per_character": loss.item() / math.log(2), "loss": loss.item(), "accuracy": right.item()}

    def encode(self, windows: Tensor) -> Batch:
        windows = windows.long()
        return Batch(functional.one_hot(windows[:-1], self.input_size).float(), windows[1:])

    def batch(self, generator: torch.Generator, size: int) -> Batch:
        starts = torch.randint(len(self.text) - self.length, (size,), generator=generator)
        return self.encode(self.text[starts + torch.arange(self.length + 1).unsqueeze(1)])

    def held_out(self, split: str) -> Batch:
        if split not in self.windows:
            raise ValueError(f"split is {split!r}; it must be one of {', '.join(self.windows)}.")
        return self.encode(self.windows[split])

    def passages(self) -> Batch:
        """Two windows of the test part, along which N is recorded: its first, and one around the start of a page.

        The second has the first "<page>" in its middle; without one, as in text8, it is the first window again.
        """
        return self.encode(self.shown)

    def kinds(self, windows: Tensor) -> Tensor:
        """The kind of each character of windows of indices, any shape: its place in `KINDS`, or len(KINDS)."""
        places = [next((i for i, kind in enumerate(KINDS.values()) if c in kind), len(KINDS)) for c in self.characters]
        return torch.tensor([*places, len(KINDS)])[windows.long()]

    def along(self, follow: Follow) -> dict[str, list]:
        """If the layer ponders: N, entropy and loss by kind of character, and along the two `passages()`.

        `ponder_steps_by_kind`: the mean N at a character of each of `KINDS`, and of the others, over the test windows;
        None for a kind that does not occur there. `entropy_by_kind` and `loss_by_kind`: of the prediction made after
        such a character, in nats. `ponder_steps_along`, `entropy_along`, `loss_along`: a list for each passage, the
        values at each of its characters.
        """
        if (passages := self.followed(self.shown, follow)) is None:
            return {}
        parts = self.windows["test"].split(FOLLOWED, 1)
        values = torch.cat([self.followed(part, follow) for part in parts], 2)
        kinds = self.kinds(self.windows["test"][:-1])
        chosen = [values[:, kinds == kind] for kind in range(len(KINDS) + 1)]
        names = ("ponder_steps", "entropy", "loss")
        means = [part.mean(1).tolist() if part.numel() else [None] * len(names) for part in chosen]
        by_kind = {f"{name}_by_kind": [mean[i] for mean in means] for i, name in enumerate(names)}
        rounded = passages.double().round(decimals=4).transpose(1, 2).tolist()
        return by_kind | {f"{name}_along": value for name, value in zip(names, rounded, strict=True)}

    def followed(self, windows: Tensor, follow: Follow) -> Tensor | None:
        """N, entropy and loss at each character, (3, time, windows), or None if the layer does not ponder."""
        batch = self.encode(windows)
        predictions, steps = follow(batch)
        if steps is None:
            return None
        surprise = -predictions.log_softmax(2)
        entropy = (surprise * (-surprise).exp()).sum(2)
        return torch.stack([steps.float(), entropy, surprise.gather(2, batch.targets.unsqueeze(2)).squeeze(2)])

    def each_step(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The cross-entropy at each step, in nats, (time, batch)."""
        return functional.cross_entropy(predictions.movedim(2, 1), targets, reduction="none")

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        losses = self.each_step(predictions, targets)
        return losses.sum(0) if self.summed else losses.mean(0)

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        loss = self.each_step(predictions, targets).mean(0)
        right = predictions.argmax(2) == targets
        return {"bits_per_character": loss / math.log(2), "loss": loss, "accuracy": right.float().mean(0)}

    def spell(self, window: Tensor) -> str:
        """One window of indices, (time,), as text; what is not ASCII as "·"."""
        known = [chr(character) if character < 128 else "·" for character in self.characters] + ["·"]
        return "".join(known[index] for index in window.tolist())
