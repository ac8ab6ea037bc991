"""Every experiment runs on a device that is not the CPU; to find out needs no such device.

How it works. torch's device "meta" plays the second device. While it is on, what is made there or moved there becomes
an `Away`: to torch a tensor of that device, so that `x.device`, `new_zeros` and `zeros_like` follow by themselves and
`numpy()` is refused; inside it a tensor on the CPU holds its numbers. Every operation of torch, forwards and backwards,
passes through `operate`, which works on the insides and wraps what comes out. It refuses what a GPU refuses: tensors of
two devices in one operation, and random numbers there from a generator of the CPU. It allows what a GPU allows: copies
from one to the other, a tensor without dimensions, and indices from the CPU. The cells of a notebook run in this
process, with its smoke parameters, two updates a model, and `device` set to the second device, so that networks and
batches get there by the trainer's own path. Replaced are only `check_device`, which does not know the device; Adam's
fused form, which does not exist there; and how many held-out examples are looked at, to save time.
"""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from IPython.core.inputtransformer2 import TransformerManager
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from companion import settings
from companion.tasks import Batch
from companion.training import Trainer

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = sorted(
    file.with_name(f"{file.name.split('.')[0]}.ipynb") for file in ROOT.glob("notebooks/*/*.laptop.yaml")
)
SECOND = torch.device("meta")
SMALL = {"steps": 2, "search_steps": 0, "evaluate_every": 2, "batch_size": 4, "goal": {}, "device": str(SECOND)}
SMALL |= {"test_delays": [3, 6], "pool": 4, "validation_windows": 4, "test_windows": 4, "length": 12, "hidden_size": 8}
LOOKED_AT = 4  # held-out examples
aten = torch.ops.aten
COPIES = {aten.copy_.default, aten._to_copy.default}
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
FROM_DATA = {torch.tensor, torch.as_tensor, Tensor.new_tensor}


class MixedDevicesError(RuntimeError):
    """An operation was given tensors of two devices, or a generator of another one."""


class Away(Tensor):
    """A tensor of the second device."""

    @staticmethod
    def __new__(cls, inside: Tensor) -> "Away":
        like: dict[str, Any] = {"dtype": inside.dtype, "layout": inside.layout, "device": SECOND}
        if inside.layout == torch.strided:
            like |= {"strides": inside.stride(), "storage_offset": inside.storage_offset()}
        away = Tensor._make_wrapper_subclass(cls, inside.shape, **like)
        away.inside = inside
        return away

    def __repr__(self) -> str:
        return f"Away({self.inside})"

    def tolist(self) -> list:
        return self.cpu().tolist()

    def __format__(self, how: str) -> str:
        return format(self.cpu(), how)

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return operate(function, args, kwargs or {})


class Operations(TorchDispatchMode):
    """Sees the operations that no `Away` is given, such as those that make one."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return operate(function, args, kwargs or {})


class FromData(TorchFunctionMode):
    """Tensors of Python's numbers, which torch makes on their device without an operation: made here, then moved."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function not in FROM_DATA:
            return function(*args, **kwargs)
        if function is Tensor.new_tensor:
            like, *args = args
            kwargs = {"dtype": like.dtype, "device": like.device} | kwargs
        device = kwargs.pop("device", None)
        made = (torch.as_tensor if function is torch.as_tensor else torch.tensor)(*args, **kwargs)
        return made if device is None else made.to(device)


def each_in(tree: Any, change: Callable[[Any], Any]) -> Any:
    """What an operation takes or gives, which nests no deeper than lists, with each leaf changed."""
    if isinstance(tree, list | tuple):
        changed = [each_in(leaf, change) for leaf in tree]
        return changed if isinstance(tree, list) else tuple(changed)
    return change(tree)


def operate(function, args, kwargs):
    """One operation of torch, refused if it mixes the devices.

    Raises:
        MixedDevicesError: it does.
    """
    wrapped, plain, drawn = {}, [], []

    def inside(leaf: Any) -> Any:
        if isinstance(leaf, Away):
            wrapped[id(leaf.inside)] = leaf
            return leaf.inside
        if isinstance(leaf, Tensor):
            assert leaf.device.type == "cpu", f"{function} lost its numbers"
            plain.append(leaf)
        elif isinstance(leaf, torch.Generator):
            drawn.append(leaf)
        return leaf

    inner_args = each_in(args, inside)
    inner_kwargs = {name: each_in(value, inside) for name, value in kwargs.items()}
    if function in INDEXED and isinstance(args[0], Away):
        plain = [leaf for leaf in plain if not any(leaf is index for index in args[1])]
    if wrapped and function not in COPIES and any(leaf.dim() for leaf in plain):
        raise MixedDevicesError(f"{function} was given tensors of two devices.")
    asked_for = kwargs.get("device")
    there = bool(wrapped) if asked_for is None else torch.device(asked_for) == SECOND
    if there and drawn:
        raise MixedDevicesError(f"{function} was asked for random numbers there by a generator of the CPU.")
    if asked_for is not None:
        inner_kwargs["device"] = torch.device("cpu")

    def outside(leaf: Any) -> Any:
        if id(leaf) in wrapped:  # changed in place
            return wrapped[id(leaf)]
        return Away(leaf) if there and isinstance(leaf, Tensor) and not any(leaf is each for each in plain) else leaf

    return each_in(function(*inner_args, **inner_kwargs), outside)


def run_cells(cells: list, parameters: dict[str, Any]) -> dict[str, Any]:
    """Run a notebook's code cells with these parameters; its names afterwards."""
    names: dict = {"__name__": "__main__", "__annotations__": {}}
    for number, cell in enumerate(cells):
        if cell.cell_type != "code":
            continue
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            exec(compile(TransformerManager().transform_cell(cell.source), f"<cell {number}>", "exec"), names)
        if "parameters" in cell.metadata.get("tags", []):
            names |= {name: value for name, value in parameters.items() if name in names}
    return names


@pytest.fixture
def second_device(monkeypatch, as_users_run_it):
    """The second device, as `settings` and the trainer know it."""
    adam, evaluate = torch.optim.Adam, Trainer.evaluate

    def look_at_few(trainer, batch, *options, **more):
        batches = [batch] if isinstance(batch, Batch) else batch
        few = [Batch(each.inputs[:, :LOOKED_AT], each.targets[..., :LOOKED_AT]) for each in batches]
        return evaluate(trainer, few, *options, **more)

    monkeypatch.setattr(settings, "check_device", lambda device: None)
    monkeypatch.setattr(torch.optim, "Adam", lambda *args, **options: adam(*args, **options | {"fused": False}))
    monkeypatch.setattr(Trainer, "evaluate", look_at_few)
    monkeypatch.setattr(plt, "show", lambda: None)
    with FromData(), Operations():
        yield SECOND
    plt.close("all")


@pytest.mark.parametrize("profile", EXPERIMENTS, ids=lambda path: f"{path.parent.name}/{path.name.split('.')[0]}")
def test_an_experiment_keeps_its_tensors_on_one_device(
    profile, second_device, made_up_cifar10, made_up_faces, tmp_path
):
    """And it trains with other parameters than its own, and keeps the records of that."""
    notebook = profile.with_name(f"{profile.name.split('.')[0]}.ipynb")
    names = run_cells(nbformat.read(notebook, as_version=4).cells, SMALL | {"seed": 5, "records": str(tmp_path)})
    assert all(isinstance(each, Away) for run in names["trained"].values() for each in run.network.parameters())
    records = sorted(tmp_path.rglob("*.json"))
    assert [record.name for record in records] == sorted(f"{model}.smoke.seed5.json" for model in names["trained"])
    assert all(json.loads(record.read_text())["parameters"]["steps"] == SMALL["steps"] for record in records)


def cells(*sources: str) -> list:
    return [nbformat.v4.new_code_cell(source) for source in sources]


HANDED_OVER = """
import torch
from companion.baselines import LSTM
from companion.network import Network
from companion.tasks import Adding, seeded
from companion.training import Trainer

task = Adding(5)
build = lambda: Network(task, LSTM(2, 3))
trainer = Trainer(build, task, learning_rate=0.01, seed=0, batch_size=4, device=device, averaging=0.9)
trainer.run(2)
inputs, targets = task.batch(seeded("test", 0), 4)
"""


@pytest.mark.parametrize(
    "bad",
    [
        "trainer.network(inputs)",
        "task.loss(trainer.network(inputs.to(device))[0], targets)",
        "trainer.network.read_out.weight + torch.zeros(3)",
        "inputs[torch.zeros(2, dtype=torch.long).to(device)]",
        "torch.cat([inputs, inputs.to(device)])",
        "inputs * torch.tensor(2.0, device=device)",
        "torch.rand(3, generator=seeded('test', 0), device=device)",
    ],
)
def test_a_cell_that_mixes_devices_is_caught(second_device, bad):
    sound = cells(f"device = '{second_device}'", HANDED_OVER)
    run_cells(sound, {})
    with pytest.raises(RuntimeError, match="device|generator of the CPU"):  # torch.nn.LSTM refuses in its own words
        run_cells(sound + cells(bad), {})


@pytest.mark.parametrize("bad", ["trainer.network.read_out.bias.detach().numpy()", "np.asarray(inputs.to(device))"])
def test_a_cell_that_hands_numpy_what_is_elsewhere_is_caught(second_device, bad):
    sound = cells(f"device = '{second_device}'", HANDED_OVER, "import numpy as np")
    with pytest.raises(RuntimeError, match=r"numpy\(\) is not supported"):
        run_cells(sound + cells(bad), {})


@pytest.mark.parametrize(
    "good",
    [
        "trainer.network(inputs.to(device))[0].cpu().detach().numpy()",
        "trainer.network.read_out.weight * torch.tensor(2.0)",
        "inputs.to(device)[torch.zeros(2, dtype=torch.long)] + torch.tensor([[1.0]], device=device)",
        "inputs.copy_(inputs.to(device)).numpy()",
        "torch.full_like(inputs.to(device), 2.0).sum().item() + inputs.to(device).new_tensor([1.0]).tolist()[0]",
    ],
)
def test_what_a_second_device_allows_is_allowed_with_the_same_numbers(second_device, good):
    found = []
    for device in (second_device, "cpu"):
        names = run_cells(cells(f"device = '{device}'", HANDED_OVER, f"found = {good}"), {})
        error = names["trainer"].history[-1]["squared_error"]
        found.append(np.append(torch.as_tensor(names["found"]).detach().cpu().numpy(), error))
    np.testing.assert_allclose(*found, rtol=1e-5)
