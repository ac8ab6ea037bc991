"""What the pages with live networks show without JavaScript: one example each, run when the book is built."""

import html
import re
from collections.abc import Callable

import torch
from torch import nn

from companion.live.networks import alphabet, networks
from companion.prose import percent
from companion.records import Record, label
from companion.tasks import Batch, Catch, Copying
from companion.tasks.associative_retrieval import VOCABULARY, AssociativeRetrieval

DIGITS = (3, 1, 4, 1, 5, 2, 6, 5, 3, 5)
STRING = "c9k8j3f1??c"
PLACES = (1, 0, -1, 1, 0, 1, 0, 0, -1, 0, 1, 0, 1, 0, 0, -1)
SENTENCE = "In 1911, at the <page>, it waited."

Networks = dict[str, tuple[Record, nn.Module]]


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A plain table of HTML."""

    def row(cells: list[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return (
        f"<table><thead>{row(heads, 'th')}</thead><tbody>{''.join(row(each, 'td') for each in rows)}</tbody></table>\n"
    )


def remind(shown: Networks) -> str:
    """Ten digits over the delay that was learned, as each network says them."""
    rows = []
    for record, network in shown.values():
        task = Copying(record.parameters["delay"], record.parameters["encoding"])
        inputs = torch.zeros(task.length, 1, 1, dtype=torch.float64)
        inputs[: len(DIGITS), 0, 0] = torch.tensor(DIGITS).double()
        inputs[len(DIGITS) + task.delay - 1] = task.output_size - 1  # the marker
        said = network(inputs)[0][-len(DIGITS) :, 0].argmax(1).tolist()
        right = sum(one == other for one, other in zip(said, DIGITS, strict=True))
        rows.append([label(record), str(task.delay), " ".join(map(str, said)), f"{right} of {len(DIGITS)}"])
    return f"<p>Read: {' '.join(map(str, DIGITS))}</p>\n" + table(["network", "delay", "it says", "right"], rows)


def attend(shown: Networks) -> str:
    """One string, as each network answers it."""
    known = AssociativeRetrieval.spell(torch.arange(VOCABULARY))
    symbols = torch.tensor([[known.index(symbol)] for symbol in STRING])
    inputs = AssociativeRetrieval.encode(symbols, torch.zeros(1)).inputs.double()
    rows = []
    for record, network in shown.values():
        chances = network(inputs)[0][0].softmax(0)
        rows.append([label(record), str(chances.argmax().item()), percent(chances.max().item())])
    return f"<p>The string: <code>{STRING}</code></p>\n" + table(["network", "it says", "how sure it is"], rows)


def ponder(shown: Networks) -> str:
    """One vector, as each network thinks about it."""
    rows = []
    for record, network in shown.values():
        logit, answer = network(torch.tensor(PLACES).double().view(1, 1, -1))
        steps = int(answer.trace["ponder_steps"].item())
        spent = " + ".join(f"{share:.2f}" for share in answer.trace["halting"][0, :steps, 0].tolist())
        rows.append([label(record), "odd" if logit.item() > 0 else "even", str(steps), spent])
    truth = "odd" if PLACES.count(1) % 2 else "even"
    places = " ".join(f"{place:+d}" if place else "0" for place in PLACES)
    return f"<p>The vector: {places}. The number of +1s is {truth}.</p>\n" + table(
        ["network", "it says", "N", "its budget"], rows
    )


def text(shown: Networks) -> str:
    """One sentence, with N over each of its characters."""
    ((record, network),) = shown.values()
    known = bytes(alphabet(record))
    inputs = torch.zeros(len(SENTENCE), 1, network.read_out.out_features, dtype=torch.float64)
    for place, character in enumerate(SENTENCE.encode()):
        inputs[place, 0, known.find(character)] = 1  # −1, the last, for a character that is not known
    steps = network(inputs)[1].trace["ponder_steps"][:, 0].int().tolist()
    rows, place = [], 0
    for word in re.findall(r"\S+ ?", SENTENCE):
        rows.append([word.replace(" ", "␣"), " ".join(map(str, steps[place : place + len(word)]))])
        place += len(word)
    return table(["characters", "N over each"], rows)


def catch(shown: Networks) -> str:
    """One episode of the test set, from the agent's first screen to the end."""
    ((record, network),) = shown.values()
    task = Catch(record.parameters["size"], record.parameters["visible"])
    luck, starts = task.held_out("test")
    _, (actions, rewards) = task.play(network.float(), Batch(luck[:, :1], starts[:, :1]))
    moves = " ".join("←–→"[action] for action in actions[:, 0].tolist())
    ball, paddle = starts[:, 0].tolist()
    heads = ["ball in column", "paddle in columns", "moves", "reward"]
    return table(heads, [[str(ball + 1), f"{paddle + 1} and {paddle + 2}", moves, f"{rewards[-1, 0].item():+d}"]])


EXAMPLES: dict[str, Callable[[Networks], str]] = {
    "remind": remind,
    "attend": attend,
    "ponder": ponder,
    "text": text,
    "catch": catch,
}


@torch.no_grad()
def example(page: str) -> str:
    """One example of what a page's networks do, as HTML.

    Args:
        page: one of `PAGES`, such as "ponder".

    Raises:
        companion.weights.WeightsError: weights are missing, or of another record.
    """
    return EXAMPLES[page](networks(page))
