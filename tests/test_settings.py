"""What a notebook refuses: every wrong request gets one sentence, before anything trains."""

import math

import pytest
import torch
import yaml
from papermill.translators import PythonTranslator
from torch import nn

from companion.experiment import Model, grid, known
from companion.settings import (
    FOLDERS,
    SettingsError,
    devices_of,
    essential,
    injected_names,
    literals,
    profile_parameters,
    settings,
)

ANNOTATIONS = {"profile": str, "models": list, "seed": int, "device": str, "steps": int, "rate": float, "flag": bool}
ANNOTATIONS |= {"batch_size": int, "evaluate_every": int, "hidden_size": int, "clip": float}
ANNOTATIONS |= {"learning_rates": list, "decays": list, "goal": dict, **dict.fromkeys(FOLDERS, str)}
VALUES = {"profile": "smoke", "models": ["a"], "seed": 0, "device": "cpu", "steps": 5, "rate": 0.5, "flag": True}
VALUES |= {
    "batch_size": 2,
    "evaluate_every": 1,
    "hidden_size": 4,
    "clip": 0.0,
    "learning_rates": [0.1],
    "decays": [0.9],
    "goal": {"accuracy": 0.9},
    **dict.fromkeys(FOLDERS, ""),
}


def namespace(injected="", **changes):
    """The globals of a notebook after its parameter cells."""
    return {"__annotations__": ANNOTATIONS, "In": ["", "seed: int = 0", injected], **VALUES, **changes}


def refusal(**request):
    with pytest.raises(SettingsError) as caught:
        settings(namespace(**request))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_allowed_comes_back():
    found = settings(namespace(seed=3, rate=1))
    assert (found.seed, found.rate, found.models) == (3, 1, ["a"])


def test_an_unknown_name_is_refused():
    asked = "# Parameters\nstpes = 3\n"
    assert refusal(injected=asked, stpes=3).startswith(
        "This notebook has no parameter 'stpes'; it has profile, models,"
    )


def test_a_readers_own_variables_are_no_parameters():
    settings(namespace(mine=3))


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [("steps", "many", "int"), ("steps", 1.5, "int"), ("steps", True, "int"), ("rate", "fast", "float"),
     ("models", "a", "list"), ("flag", 1, "bool"), ("device", 0, "str")],
)  # fmt: skip
def test_a_wrong_type_is_refused(name, value, kind):
    assert refusal(**{name: value}) == f"The parameter {name!r} is {value!r}; it must be of type {kind}."


STEPS = "a whole number from 1 to 1,000,000,000"
RATES = "each entry must be a number from 1e-12 to 10"


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"steps": -1}, f"The parameter 'steps' is -1; it must be {STEPS}."),
        ({"steps": 0}, f"The parameter 'steps' is 0; it must be {STEPS}."),
        ({"steps": 10**12}, f"The parameter 'steps' is 1000000000000; it must be {STEPS}."),
        ({"evaluate_every": 0}, f"The parameter 'evaluate_every' is 0; it must be {STEPS}."),
        ({"batch_size": 0}, "The parameter 'batch_size' is 0; it must be a whole number from 1 to 100,000."),
        ({"hidden_size": 10**6}, "The parameter 'hidden_size' is 1000000; it must be a whole number from 1 to 10,000."),
        ({"clip": -0.5}, "The parameter 'clip' is -0.5; it must be a number from 0 to 1,000,000,000."),
        ({"clip": math.nan}, "The parameter 'clip' is nan; it must be a number from 0 to 1,000,000,000."),
        ({"rate": math.inf}, "The parameter 'rate' is inf; it must be a number from 0 to 1,000."),
        ({"learning_rates": []}, "The parameter 'learning_rates' is empty; it needs at least one entry."),
        ({"learning_rates": [0]}, f"The parameter 'learning_rates' has 0; {RATES}."),
        ({"learning_rates": [0.1, -0.1]}, f"The parameter 'learning_rates' has -0.1; {RATES}."),
        ({"learning_rates": [math.nan]}, f"The parameter 'learning_rates' has nan; {RATES}."),
        ({"learning_rates": [True]}, f"The parameter 'learning_rates' has True; {RATES}."),
        ({"learning_rates": [[0.1]]}, f"The parameter 'learning_rates' has [0.1]; {RATES}."),
        ({"decays": ["x" * 99]}, f"The parameter 'decays' has '{'x' * 39} … {'x' * 9}'; each entry must be a number"),
        ({"goal": {"accuracy": "high"}}, "The parameter 'goal' has 'high' for 'accuracy'; each entry must be a number"),
        ({"models": [3]}, "The parameter 'models' has 3; each entry must be the name of a model."),
        ({"models": ["a", "b", "a"]}, "The parameter 'models' names 'a' twice; each model is trained once."),
        ({"models": []}, "No model was asked for; the parameter 'models' needs at least one name."),
        ({"records": "a\0b"}, r"The parameter 'records' is 'a\x00b'; it must have no line breaks"),
        ({"seed": 10**9}, "The parameter 'seed' is 1000000000; it must be a whole number from 0 to 999,999,999."),
    ],
    ids=lambda each: str(each)[:40] if isinstance(each, dict) else "",
)
def test_values_that_make_no_sense_are_refused(request_, sentence):
    said = refusal(**request_)
    assert said.startswith(sentence)
    assert said.endswith(".")


@pytest.mark.parametrize("word", ["1e-3", "-1E3", "1.0e3"])
def test_a_number_that_yaml_takes_for_a_word_is_told_how_to_be_written(word):
    assert yaml.safe_load(word) == word
    for request_ in ({"clip": word}, {"learning_rates": [word]}, {"goal": {"accuracy": word}}):
        assert refusal(**request_).endswith(" (in YAML write a point and a sign, as in 1.0e-3).")
    assert yaml.safe_load("1.0e-3") == 0.001
    assert "YAML" not in refusal(clip="fast")


def test_what_papermill_writes_for_a_number_that_is_none_is_refused():
    """It is a call, float('nan'), and no literal."""
    asked = PythonTranslator.codify({"clip": math.nan, "learning_rates": [math.inf]})
    assert "float('nan')" in asked
    assert refusal(injected=asked, clip=math.nan).startswith("The parameter 'clip' is nan;")
    assert refusal(injected=asked, learning_rates=[math.inf]).startswith("The parameter 'learning_rates' has inf;")
    settings(namespace(injected=asked))


def test_names_of_folders_are_filled_in_as_a_shell_does_it(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("MINE", "runs")
    for name in FOLDERS:
        for asked, found in {"~": "/home/me", "~/x": "/home/me/x", "$MINE/x": "runs/x", "a~b": "a~b", "": ""}.items():
            assert getattr(settings(namespace(**{name: asked})), name) == found
        for asked in ("~nobody_of_that_name/x", "$NOTHING_OF_THAT_NAME/x"):
            assert refusal(**{name: asked}).startswith(f"The parameter {name!r} is {asked!r}; it must be a folder")
    assert essential({"weights": "w", "records": "r", "checkpoints": "c", "steps": 3}) == {"steps": 3}


def test_an_unknown_profile_is_refused():
    assert refusal(profile="huge") == "The profile 'huge' is unknown; it must be one of smoke, laptop, paper."


@pytest.fixture
def machine(monkeypatch):
    """Says how many devices of each kind torch finds here."""

    def has(**counts):
        for kind in ("cuda", "mps", "xpu"):
            monkeypatch.setattr(f"torch.{kind}.device_count", lambda kind=kind: counts.get(kind, 0))
        accelerator = next((torch.device(kind) for kind, count in counts.items() if count), None)
        monkeypatch.setattr("torch.accelerator.current_accelerator", lambda: accelerator)

    return has


def test_a_device_that_torch_does_not_know_is_refused(machine):
    machine()
    assert refusal(device="gpu") == "The device 'gpu' is unknown to torch; this machine has 'cpu'."
    machine(mps=1)
    assert refusal(device="gpu") == "The device 'gpu' is unknown to torch; this machine has 'cpu' and 'mps'."


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_a_device_is_any_that_torch_finds_here(machine, kind):
    machine(**{kind: 2})
    for device in ("cpu", "cpu:0", kind, f"{kind}:0", f"{kind}:1"):
        assert settings(namespace(device=device)).device == device
    for device in (f"{kind}:2", f"{kind}:1000"):  # torch reads 1000 as -24
        assert refusal(device=device) == (
            f"The device {device!r} is not on this machine, as far as torch knows; it has 'cpu' and {kind!r}."
        )


@pytest.mark.parametrize("device", ["cuda", "mps", "xpu:0", "hpu", "meta", "cpu:1", "cpu:999"])
def test_a_device_that_this_machine_lacks_is_refused(machine, device):
    machine()
    assert refusal(device=device) == (
        f"The device {device!r} is not on this machine, as far as torch knows; it has 'cpu'."
    )


def test_the_devices_of_this_machine_are_those_that_torch_names():
    """No stand-in here: the CPU is there, and "meta", which holds no numbers, is not."""
    assert devices_of("cpu") == 1
    assert devices_of("meta") == 0
    assert devices_of("cuda") == torch.cuda.device_count()


def test_an_unknown_model_is_refused():
    table = {name: Model(nn.Identity, []) for name in "ab"}
    assert known(["b"], table) == ["b"]
    with pytest.raises(SettingsError, match="^The model 'c' is unknown; this notebook has a, b.$"):
        known(["a", "c"], table)
    with pytest.raises(SettingsError, match="No model was asked for"):
        known([], table)


def test_of_many_models_those_most_like_an_unknown_one_are_named():
    table = {f"repeats-{count}": Model(nn.Identity, []) for count in range(2, 60)} | {
        "act-0.01": Model(nn.Identity, [])
    }
    with pytest.raises(
        SettingsError, match=r"^The model 'act-0.1' is unknown; this notebook has act-0.01, .* and 53 more\.$"
    ):
        known(["act-0.1"], table)


def test_literals_are_read_from_a_cell():
    assert literals("a: int = 1  # one\nb = [-1e-3]") == {"a": ("int", 1), "b": (None, [-1e-3])}
    assert injected_names(["x = 1", "# Parameters\ny = 2\n"]) == {"y"}


def test_a_profile_overrides_the_notebooks_own_values(tmp_path, a_notebook):
    notebook = a_notebook(tmp_path / "n.ipynb", "steps: int = 5  # updates\nseed: int = 0  # seed")
    (tmp_path / "n.laptop.yaml").write_text("steps: 70\n")
    assert profile_parameters(notebook, "smoke") == {"steps": 5, "seed": 0}
    assert essential(profile_parameters(notebook, "laptop")) == {"steps": 70}
    with pytest.raises(FileNotFoundError):
        profile_parameters(notebook, "paper")


def test_a_grid_is_all_combinations():
    assert grid(a=[1, 2], b=[3]) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]
