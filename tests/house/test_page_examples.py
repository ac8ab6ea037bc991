"""The Python on the pages runs, in the order in which a reader meets it."""

import re
from pathlib import Path

import pytest
import torch
from every_layer import INPUT, LAYERS
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
PAGES = {
    page: BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    for page in ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "book").rglob("*.md"))]
}


def test_the_api_and_the_first_page_have_examples():
    assert len(PAGES["book/api/network.md"]) >= 9
    assert len(PAGES["book/api/index.md"]) >= 2
    assert PAGES["book/index.md"]


HELD_ELSEWHERE = {"book/use_it.md"}  # test_use_it.py runs it in a folder of its own, and looks at what it leaves


@pytest.mark.parametrize("page", [page for page, blocks in PAGES.items() if blocks and page not in HELD_ELSEWHERE])
def test_the_examples_of_a_page_run_one_after_another(page, as_users_run_it):
    torch.manual_seed(0)
    names = {"__name__": "__main__"}
    for number, block in enumerate(PAGES[page], 1):
        exec(compile(block, f"{page}, example {number}", "exec"), names)


def test_the_examples_are_not_idle():
    """With a layer that is not told its state the assertions on the page fail."""
    first, states, *_ = PAGES["book/api/network.md"]
    names = {}
    exec(first, names)
    with pytest.raises(AssertionError):
        exec(states.replace(", first.state", ""), names)


def test_vmap_is_for_the_layers_that_the_page_says():
    cannot = {"SAB", "SAB, graph", "ACT, rnn", "ACT, gru", "ACT, lstm", "ACT, plain", "PonderNet", "LSTM"}
    cannot |= {"LSTM + attention", "IRNN", "ACT, fast weights"}
    for name, make in LAYERS.items():
        layer, inputs = make().eval(), torch.randn(6, 2, INPUT)
        if name in cannot:
            with pytest.raises(RuntimeError, match="vmap|Batching rule"):
                one_by_one(layer, inputs)
        else:
            torch.testing.assert_close(one_by_one(layer, inputs), layer(inputs).outputs, rtol=1e-4, atol=1e-5)


def one_by_one(layer, inputs):
    return torch.vmap(lambda one: layer(one.unsqueeze(1)).outputs[:, 0], in_dims=1, out_dims=1)(inputs)


def test_hooks_on_a_cell_are_called_by_the_layers_that_the_page_says():
    called = {}
    for name in ("SAB", "SAB, graph", "ACT, rnn", "ACT, plain", "fixed repeats", "PonderNet"):
        layer, found = LAYERS[name](), []
        for place in (layer, *(part for part in layer.modules() if isinstance(part, nn.RNNCellBase))):
            place.register_forward_hook(lambda module, *_, found=found, layer=layer: found.append(module is layer))
        layer(torch.randn(4, 2, INPUT))
        called[name] = (any(found), not all(found))
    assert called.pop("SAB") == called.pop("SAB, graph") == (True, True)
    assert set(called.values()) == {(True, False)}
