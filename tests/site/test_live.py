"""The networks that run in the reader's browser, against the package's own, with the weights that the pages ship.

Both compute in double precision from the same numbers, so they must agree closely: at every step, from a start at
zero and from states that are not, with the same N and the same memories.
"""

import json

import pytest
import torch
from browsing import DESKTOP, KNOWN_ERROR

from companion.live.networks import PAGES, networks
from companion.mechanisms.fast_weights import FastWeightsState, MatrixMemory
from companion.mechanisms.sparse_attentive_backtracking import SABState
from companion.notebook import models_of
from companion.recipe import find_notebook
from companion.state import HiddenState, LSTMState
from companion.tasks import AssociativeRetrieval, Copying, seeded
from companion.tasks.associative_retrieval import VOCABULARY

pytestmark = pytest.mark.browser
CLOSE = 1e-6
GROWN = 1e-4  # what SAB makes of it over many steps
MANY, FEW = 200, 20  # inputs by http, and from a file, where the same engine runs the same scripts
FEW = 20  # from a file, by the same engine, and from states that are told in many numbers
TRY = {"remind": "remind", "attend": "attend", "ponder": "ponder", "text": "ponder", "catch": "catch"}  # networks, page
RUN = """([name, sequences, starts]) => sequences.map((sequence, one) => {
  const network = Live.networks[name];
  let start = null;
  if (starts) {
    const typed = ([key, value]) => [key, Array.isArray(value) ? Float64Array.from(value) : value];
    const kept = (state) => ({ state: Float64Array.from(state), key: Live.affine(network.layer.memory, state) });
    start = Object.fromEntries(Object.entries(starts[one]).map(typed));
    if (start.memories) start.memories = starts[one].memories.map(kept);
  }
  return Live.run(network, sequence, start).map(({ state, logits }) => (
    { logits: Array.from(logits), steps: state.steps, weights: Array.from(state.weights || []) }));
})"""


@pytest.fixture(scope="module", params=["http", "file"])
def opened(request, browser, site):
    """Opens a page to try and keeps it open; what its console says and what it asks other hosts for is an error."""
    root = request.getfixturevalue("address") if request.param == "http" else site.as_uri()
    context, pages, complaints = browser.new_context(viewport=DESKTOP), {}, []
    with context:

        def get(name):
            if name not in pages:
                pages[name] = page = context.new_page()
                page.set_default_timeout(300_000)
                page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
                page.on("pageerror", lambda error: complaints.append(str(error)))
                page.on("request", lambda asked: complaints.append(asked.url) if elsewhere(asked.url, root) else None)
                page.goto(f"{root}/book/try/{TRY[name]}.html")
                page.wait_for_selector("[data-live-needs]:not([hidden])")
            return pages[name]

        get.many = MANY if request.param == "http" else FEW
        yield get
        assert [each for each in complaints if KNOWN_ERROR not in each] == []


def ask(page, code, given=None):
    """What a function of JavaScript answers; as text, since Playwright takes long over many numbers."""
    return json.loads(page.evaluate(f"(given) => JSON.stringify(({code})(JSON.parse(given)))", json.dumps(given)))


def elsewhere(address, root):
    return not address.startswith((root, "data:", "blob:"))


def task_of(record):
    return models_of(find_notebook(record.experiment), record.parameters | {"seed": 0, "models": [record.model]})[1]


def inputs_of(record, network, many):
    """Some inputs of the record's task, (time, many, features); of Catch the screens of as many episodes."""
    task, generator = task_of(record), torch.Generator().manual_seed(5)
    batch = task.batch(generator, many)
    if record.experiment == "attend/catch":
        return task.play(network.float(), batch)[0].double()
    return batch.inputs.double()[:40]  # of a text, its first characters


def noise(*shape):
    return 0.5 * torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64)


def start_of(layer, kind, batch):
    """A state that is not zero: as the package takes it, and as the browser does, an object an example."""
    size = layer.hidden_size
    parts = {"hidden": noise(batch, size)}
    if kind == "lstm":
        parts["cell"] = noise(batch, size).flip(0)
        state = LSTMState(**parts)
    elif kind == "fast":
        some = noise(batch, 3, size)
        parts["matrix"] = some.transpose(1, 2) @ some
        state = FastWeightsState(parts["hidden"], MatrixMemory(parts["matrix"], layer.decay, layer.rate))
        parts["matrix"] = parts["matrix"].flatten(1)
    elif kind == "sab":
        parts["cell"], memories, steps = noise(batch, size).flip(0), noise(batch, 15, size), 30
        state = SABState(**parts, memories=memories.transpose(0, 1), steps=steps)
        return state, [{**one, "steps": steps} for one in told(parts | {"memories": memories})]
    elif layer.cell.kind == "lstm":
        parts["cell"] = noise(batch, size).flip(0)
        state = LSTMState(**parts)
    else:
        state = HiddenState(**parts)
    return state, told(parts)


def told(parts):
    """Named tensors, as one object for each example."""
    lists = {name: tensor.tolist() for name, tensor in parts.items()}
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def kind_of(page, model):
    return ask(page, "(name) => Live.networks[name].kind", model)


@pytest.mark.parametrize("start", ["zero", "not zero"])
@pytest.mark.parametrize("name", PAGES)
def test_every_step_is_the_packages(opened, name, start):
    page, many = opened(name), opened.many if start == "zero" else FEW
    for model, (record, network) in networks(name).items():
        inputs = inputs_of(record, network, many)
        network.double()
        state, starts = (None, None) if start == "zero" else start_of(network.layer, kind_of(page, model), many)
        with torch.no_grad():
            answer = network.layer(network.encoder(inputs), state)
            expected = network.read_out(answer.outputs)
        found = ask(page, RUN, [model, inputs.transpose(0, 1).tolist(), starts])
        logits = torch.tensor([[step["logits"] for step in one] for one in found], dtype=torch.float64).transpose(0, 1)
        difference = (logits - expected).abs().max().item()
        print(f"{name} {model}, from {start}: largest difference {difference:.1e}")
        assert difference < CLOSE
        if "ponder_steps" in answer.trace:
            steps = torch.tensor([[step["steps"] for step in one] for one in found]).T
            assert torch.equal(steps, answer.trace["ponder_steps"].to(steps.dtype))
        if "attention" in answer.trace:
            same_memories(found, answer.trace["attention"], 0 if state is None else 15)


def same_memories(found, attention, before):
    attention = attention.to_dense() if attention.is_sparse else attention
    read = 0
    for example, steps in enumerate(found):
        for time, step in enumerate(steps):
            ours = torch.tensor(step["weights"], dtype=torch.float64)
            theirs = attention[time, example]
            assert not theirs[len(ours) :].any()
            theirs = theirs[: len(ours)]
            assert torch.equal(ours > 0, theirs > 0)
            torch.testing.assert_close(ours, theirs, atol=CLOSE, rtol=0)
            read += len(ours) > before
    assert read > len(found)


@pytest.mark.parametrize("changed", [{}, {"decay": 0.6, "rate": 0.9}, {"decay": 1.0, "rate": 0.0}], ids=str)
def test_attend_answers_as_the_package_does(opened, changed):
    page, many = opened("attend"), opened.many
    known = AssociativeRetrieval.spell(torch.arange(VOCABULARY))
    for pairs in (2, 4, 8):
        texts = ask(page, "([n, pairs]) => Array.from({ length: n }, () => Attend.draw(pairs))", [many, pairs])
        assert ask(page, "(texts) => texts.filter((text) => Attend.fault(text))", texts) == []
        symbols = torch.tensor([known.index(each) for text in texts for each in text])
        inputs = torch.nn.functional.one_hot(symbols.view(many, -1).T, VOCABULARY).double()
        for model, (_, network) in networks("attend").items():
            for setting, value in changed.items() if hasattr(network.layer, "decay") else ():
                setattr(network.layer, setting, value)
            with torch.no_grad():
                expected = network(inputs)[0]
            code = """([name, texts, changed]) => texts.map((text) =>
                Array.from(Live.run(Live.networks[name], Attend.encode(text), null, changed).at(-1).logits))"""
            found = torch.tensor(ask(page, code, [model, texts, changed]), dtype=torch.float64)
            assert (found - expected).abs().max() < CLOSE


@pytest.mark.parametrize("delay", [1, 7, 30, 31, 60])
def test_remind_says_and_reads_what_the_package_does(opened, delay):
    """At the delays that are near: SAB's states are chaotic, and over 100 steps the last bit of a number grows to one.

    That each step is right from any state is shown above.
    """
    page, many = opened("remind"), opened.many // 5
    texts = ask(page, "(n) => Array.from({ length: n }, () => Remind.draw())", many)
    task = Copying(delay, networks("remind")["sab-10-10"][0].parameters["encoding"])
    inputs = torch.zeros(task.length, many, 1, dtype=torch.float64)
    inputs[:10, :, 0] = torch.tensor([[int(digit) for digit in text] for text in texts]).double().T
    inputs[9 + delay] = 9
    for model, (_, network) in networks("remind").items():
        with torch.no_grad():
            predictions, answer = network(inputs)
        code = "([name, texts, delay]) => texts.map((text) => Remind.answers(name, text, delay))"
        found = ask(page, code, [model, texts, delay])
        said = torch.tensor([[each["said"] for each in one] for one in found]).T
        assert torch.equal(said, predictions[-10:].argmax(2))
        if "attention" not in answer.trace:
            continue
        attention = answer.trace["attention"].to_dense()
        for example, one in enumerate(found):
            for place, each in enumerate(one):
                ours = torch.tensor([read["weight"] for read in each["reads"]], dtype=torch.float64)
                theirs = attention[task.length - 10 + place, example, : len(ours)]
                torch.testing.assert_close(ours, theirs, atol=GROWN, rtol=0)
                assert torch.equal(ours > 0, theirs > 0)
            every = network.layer.memory_every
            assert [read["step"] for read in one[-1]["reads"]] == list(range(every - 1, task.length - 1, every))


def test_ponder_thinks_as_the_package_does(opened):
    page, many = opened("ponder"), opened.many
    for model, (record, network) in networks("ponder").items():
        bits = record.parameters["bits"]
        places = ask(page, "([n, bits]) => Array.from({ length: n }, () => Ponder.draw(bits))", [many, bits])
        with torch.no_grad():
            logits, answer = network(torch.tensor(places).double().unsqueeze(0))
        found = ask(
            page, "([name, all]) => all.map((places) => Ponder.ask(Live.networks[name], places))", [model, places]
        )
        trace = {name: part[0] for name, part in answer.trace.items() if name != "halting"}
        halting = answer.trace["halting"][0]
        for one, each in enumerate(found):
            assert abs(each["logit"] - logits[one].item()) < CLOSE
            assert each["steps"] == trace["ponder_steps"][one]
            torch.testing.assert_close(
                torch.tensor(each["halting"]).double(), halting[: each["steps"], one], atol=CLOSE, rtol=0
            )
            assert abs(each["price"] - answer.cost[one].item()) < CLOSE
        assert len({each["steps"] for each in found}) > 1 or record.metrics["ponder_steps"] == 2, "N never differs"


def test_a_text_gets_the_packages_steps(opened):
    page = opened("text")
    ((record, network),) = networks("text").values()
    task = task_of(record)
    batch = task.batch(torch.Generator().manual_seed(1), opened.many).inputs[:30].argmax(2).T
    known = bytes(task.characters)
    texts = [bytes(known[index] for index in row if index < len(known)).decode("utf-8", "ignore") for row in batch]
    texts += ["ß ☃ at the end", "a € b"]
    code = """(texts) => texts.map((text) => {
        const network = PonderText.network();
        const run = Live.run(network, PonderText.encode(text, network));
        return [run.map(({ state }) => state.steps), Array.from(run.at(-1).logits)]; })"""
    for text, (steps, logits) in zip(texts, ask(page, code, texts), strict=True):
        inputs = torch.zeros(len(text.encode()), 1, task.input_size, dtype=torch.float64)
        for place, byte in enumerate(text.encode()):
            inputs[place, 0, known.find(byte)] = 1
        with torch.no_grad():
            predictions, answer = network(inputs)
        assert answer.trace["ponder_steps"][:, 0].tolist() == steps
        assert (predictions[-1, 0] - torch.tensor(logits, dtype=torch.float64)).abs().max() < CLOSE


def test_catch_plays_the_packages_episodes(opened):
    page = opened("catch")
    ((record, network),) = networks("catch").values()
    task = task_of(record)
    luck, (ball, paddle) = batch = task.batch(seeded("test", 0), opened.many)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        screens, (actions, rewards) = task.play(network, type(batch)(luck.double(), batch.targets))
    finally:
        torch.set_default_dtype(before)
    code = """([name, games]) => games.map(([ball, paddle, luck]) => {
        const { screens, actions, rewards } = Catch.play(Live.networks[name], ball, paddle, luck);
        return { screens: screens.map((each) => Array.from(each)), actions, rewards }; })"""
    games = list(zip(ball.tolist(), paddle.tolist(), luck.squeeze(2).T.double().tolist(), strict=True))
    found = ask(page, code, [record.model, games])
    assert torch.equal(torch.tensor([each["actions"] for each in found]).T, actions)
    assert torch.equal(torch.tensor([each["rewards"] for each in found]).T, rewards)
    assert torch.equal(torch.tensor([each["screens"] for each in found]).transpose(0, 1).double(), screens.double())
