"""The page "Use it": its blocks do what the text around them says, in a folder of their own."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import jaxtyping
import matplotlib.pyplot as plt
import pytest
import torch
import yaml

from companion.settings import profile_parameters

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "use_it.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The names that the page's blocks leave, the folder that they ran in, and what they printed."""
    folder, said, names = tmp_path_factory.mktemp("use_it"), io.StringIO(), {"__name__": "__main__"}
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.chdir(folder)
        jaxtyping.config.update("jaxtyping_disable", True)  # as users run it
        for number, block in enumerate(BLOCK.findall(PAGE), 1):
            exec(compile(block, f"use_it.md, example {number}", "exec"), names)
        jaxtyping.config.update("jaxtyping_disable", False)
    yield names, folder, said.getvalue()
    plt.close("all")


def test_every_block_runs_and_leaves_what_the_page_says(ran):
    names, folder, said = ran
    assert "max_steps was 100 where these weights were learned; here it is 5." in said
    assert names["answer"].trace["ponder_steps"].shape == (12, 16)
    assert names["state"].hidden.grad_fn is None
    for example, end in enumerate(names["ends"]):
        assert not names["padded"].outputs[end:, example].any()
        assert torch.equal(names["last"][example], names["padded"].outputs[end - 1, example])
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    runs = {f"my-runs/{name}/gru.smoke.seed0.json" for name in ("remind/copying", "mine/first_bit")}
    assert written == {"checkpoint.pt", "beside.png", *runs}


def test_the_run_of_the_page_is_drawn_beside_the_recorded_ones(ran):
    names, _, _ = ran
    drawn = {text.get_text() for text in names["axes"].texts}
    assert drawn >= {"GRU, 32 units", "LSTM", "LSTM, cut at 10"}, "beside the recorded models"
    assert set(names["rows"].model) >= {"gru", "sab-10-10", "lstm"}


def test_the_layer_of_the_page_keeps_what_an_answer_promises(ran):
    """Two halves answer as one whole, and a short sequence as if it were alone."""
    names, _, _ = ran
    layer, inputs = names["GRU"](8, 32), torch.randn(12, 16, 8)
    whole, first = layer(inputs), layer(inputs[:5])
    torch.testing.assert_close(layer(inputs[5:], first.state).outputs, whole.outputs[5:])
    short = names["lengths"].run(layer, inputs, [12] * 15 + [4])
    torch.testing.assert_close(short.outputs[:4, 15], whole.outputs[:4, 15])


def test_no_line_of_code_is_cut_off():
    """A box of code shows 84 letters at 1,280 pixels."""
    blocks = re.findall(r"```\w+\n(.*?)```", PAGE, flags=re.DOTALL)
    assert max(len(line) for block in blocks for line in block.splitlines()) <= 82


def test_the_commands_name_what_exists():
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)).replace("\\\n", " ")
    (command,) = [line.strip() for line in lines.splitlines() if line.strip().startswith("papermill ")]
    words = shlex.split(command)
    known = profile_parameters(ROOT / words[1], "smoke")
    assert {words[at + 1] for at, word in enumerate(words) if word == "-p"} <= known.keys()
    assert set(yaml.safe_load(words[words.index("-y") + 1])["models"]) <= set(known["models"])
    url = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    assert f"pip install git+{url}\n" in lines
    pages = [(ROOT / "book" / name).read_text(encoding="utf-8") for name in ("index.md", "use_it.md", "how_to_run.md")]
    clones = [re.findall(r"git clone (\S+) (\S+)\n", page) for page in pages]
    assert clones == [[(url, "companion")]] * 3, "one address and one folder on all pages"
