"""What a notebook refuses: every wrong request gets one sentence, before anything trains."""

import pytest
from torch import nn

from companion.experiment import Model, grid, known
from companion.settings import SettingsError, essential, injected_names, literals, profile_parameters, settings

ANNOTATIONS = {"profile": str, "models": list, "seed": int, "device": str, "steps": int, "rate": float, "flag": bool}
ANNOTATIONS |= {"batch_size": int, "evaluate_every": int, "hidden_size": int, "clip": float}
ANNOTATIONS |= {"learning_rates": list, "decays": list}
VALUES = {"profile": "smoke", "models": ["a"], "seed": 0, "device": "cpu", "steps": 5, "rate": 0.5, "flag": True}
VALUES |= {
    "batch_size": 2,
    "evaluate_every": 1,
    "hidden_size": 4,
    "clip": 0.0,
    "learning_rates": [0.1],
    "decays": [0.9],
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


def test_values_that_make_no_sense_are_refused():
    assert refusal(steps=-1) == "The parameter 'steps' is -1; it must not be negative."
    assert refusal(steps=0) == "The parameter 'steps' is 0; it must be at least 1."
    for name in ("batch_size", "evaluate_every", "hidden_size"):
        assert refusal(**{name: 0}) == f"The parameter {name!r} is 0; it must be at least 1."
    assert refusal(clip=-0.5) == "The parameter 'clip' is -0.5; it must not be negative."
    for name in ("learning_rates", "decays"):
        assert refusal(**{name: []}) == f"The parameter {name!r} is empty; the search needs at least one to try."
    assert refusal(seed=10**9).startswith("seed is 1000000000; it must lie between")


def test_an_unknown_profile_is_refused():
    assert refusal(profile="huge") == "The profile 'huge' is unknown; it must be one of smoke, laptop, paper."


def test_an_unknown_device_is_refused():
    assert "unknown" in refusal(device="gpu")
    assert "not supported" in refusal(device="meta")


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert refusal(device="cuda") == "The device 'cuda' was asked for, but torch finds no such GPU here; use 'cpu'."
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    settings(namespace(device="cuda"))
    assert "no such GPU" in refusal(device="cuda:1")


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
