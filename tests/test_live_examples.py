"""What a page with live networks shows without JavaScript: what the network was asked, and what it said."""

import re
from types import SimpleNamespace

import made_up
import pytest
import torch
from torch import nn

from companion import live
from companion.answer import Answer
from companion.live import examples
from companion.tasks import AssociativeRetrieval, Catch, Copying, seeded


def rows(html):
    """The cells of a table, its heads first, as they stand in the file."""
    return [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]


class Says(nn.Module):
    """A network that says what it was told to, and keeps what it was asked."""

    def __init__(self, predictions, trace=None, width=0):
        super().__init__()
        self.predictions, self.trace, self.asked = predictions, trace or {}, []
        self.read_out = SimpleNamespace(out_features=width)

    def forward(self, inputs, state=None):
        self.asked.append(inputs)
        return self.predictions, Answer(inputs, ("state",), torch.zeros(1), self.trace)


def test_remind_shows_ten_digits_over_the_delay():
    task = Copying(6, "scalar")
    says = Says(torch.eye(task.output_size)[[0] * (task.length - 10) + [3, 1, 4, 1, 5, 2, 6, 5, 0, 0]].unsqueeze(1))
    shown = examples.remind({"one": (made_up.shown(parameters={"delay": 6, "encoding": "scalar"}), says)})
    expected = task.batch(seeded("test", 0), 1).inputs
    expected[:10, 0, 0] = torch.tensor([3, 1, 4, 1, 5, 2, 6, 5, 3, 5])
    assert torch.equal(says.asked[0], expected.double())
    assert shown.startswith("<p>Read: 3 1 4 1 5 2 6 5 3 5</p>\n<table>")
    assert rows(shown) == [
        ["network", "delay", "it says", "right"],
        ["a &lt; b", "6", "3 1 4 1 5 2 6 5 0 0", "8 of 10"],
    ]


def test_attend_shows_one_string_and_how_sure_each_network_is():
    says = Says(torch.log(torch.tensor([[0.1, 0.2, 0.7]])))
    shown = examples.attend({"one": (made_up.shown(), says)})
    (asked,) = says.asked
    assert asked.dtype == torch.float64
    symbols = [AssociativeRetrieval.encode(torch.tensor([[i]]), torch.zeros(1)).inputs[0, 0] for i in range(37)]
    places = [2, 35, 10, 34, 9, 29, 5, 27, 36, 36, 2]  # c9k8j3f1??c: letters, digits, the mark
    assert torch.equal(asked[:, 0], torch.stack([symbols[place] for place in places]).double())
    assert shown.startswith("<p>The string: <code>c9k8j3f1??c</code></p>\n<table>")
    assert rows(shown) == [["network", "it says", "how sure it is"], ["a &lt; b", "2", "70 %"]]


@pytest.mark.parametrize(("logit", "word"), [(0.3, "odd"), (-0.3, "even")])
def test_ponder_shows_one_vector_and_where_the_budget_went(logit, word):
    trace = {"ponder_steps": torch.tensor([[2]]), "halting": torch.tensor([[[0.25], [0.75], [0.0]]])}
    says = Says(torch.tensor([[logit]]), trace)
    shown = examples.ponder({"one": (made_up.shown(), says)})
    assert torch.equal(says.asked[0], torch.tensor(examples.PLACES).double().view(1, 1, 16))
    assert "The vector: +1 0 -1 +1 0 +1 0 0 -1 0 +1 0 +1 0 0 -1. The number of +1s is odd.</p>\n" in shown
    assert rows(shown) == [["network", "it says", "N", "its budget"], ["a &lt; b", word, "2", "0.25 + 0.75"]]


def test_ponder_counts_the_vector_that_it_shows(monkeypatch):
    monkeypatch.setattr(examples, "PLACES", (1, 1, -1))
    trace = {"ponder_steps": torch.tensor([[1]]), "halting": torch.ones(1, 1, 1)}
    assert "The number of +1s is even." in examples.ponder({"one": (made_up.shown(), Says(torch.ones(1, 1), trace))})


def test_text_shows_how_often_each_character_is_thought_about(monkeypatch):
    monkeypatch.setattr(examples, "SENTENCE", "b <a")
    monkeypatch.setattr(examples, "alphabet", lambda run: [*b"a b<"])
    says = Says(torch.zeros(4, 1, 4), {"ponder_steps": torch.tensor([[3], [1], [4], [12]])}, width=4)
    shown = examples.text({"one": (made_up.shown(), says)})
    assert torch.equal(says.asked[0], torch.eye(4, dtype=torch.float64)[[2, 1, 3, 0]].unsqueeze(1))
    assert rows(shown) == [["characters", "N over each"], ["b␣", "3 1"], ["&lt;a", "4 12"]]


def test_catch_shows_the_first_episode_of_the_test_set():
    """By an agent that always goes right."""
    says = Says(torch.tensor([[[-50.0, -50, 50, 0]]]))
    shown = examples.catch({"one": (made_up.shown(parameters={"size": 7, "visible": 2}), says)})
    ball, paddle = Catch(7, 2).held_out("test").targets[:, 0].tolist()
    assert [each.any().item() for each in says.asked] == [True, True, False, False, False, False]
    assert says.asked[0].view(7, 7)[0].argmax() == ball
    caught = ball in (5, 6)
    assert rows(shown) == [
        ["ball in column", "paddle in columns", "moves", "reward"],
        [str(ball + 1), f"{paddle + 1} and {paddle + 2}", "→ → → → → →", "+1" if caught else "-1"],
    ]


def test_catch_draws_the_actions_as_the_test_set_says():
    shown = examples.catch({"one": (made_up.shown(parameters={"size": 7, "visible": 2}), Says(torch.zeros(1, 1, 4)))})
    luck = Catch(7, 2).held_out("test").inputs[:, 0, 0].tolist()
    assert rows(shown)[1][2] == " ".join("←–→"[int(3 * number)] for number in luck), "each third of the numbers"


def test_no_gradients_are_kept_for_an_example(monkeypatch):
    monkeypatch.setattr(examples, "networks", lambda page: page)
    monkeypatch.setattr(examples, "EXAMPLES", {"remind": lambda page: f"{page} {torch.is_grad_enabled()}"})
    assert live.example("remind") == "remind False"


def test_what_stands_in_a_table_is_text():
    shown = examples.table(["<b>", "two"], [["a & b", "</table>"]])
    assert shown == (
        "<table><thead><tr><th>&lt;b&gt;</th><th>two</th></tr></thead>"
        "<tbody><tr><td>a &amp; b</td><td>&lt;/table&gt;</td></tr></tbody></table>\n"
    )


def test_each_page_has_its_own_example():
    assert list(examples.EXAMPLES) == list(live.PAGES)
    assert all(make.__name__ == page for page, make in examples.EXAMPLES.items())
