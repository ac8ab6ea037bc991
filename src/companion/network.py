"""A layer made into a network for a task: something in front of it, a read-out behind it."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from companion.answer import Answer
from companion.tasks import Task


class Network(nn.Module):
    """A layer made into a network for a task: encoder → layer → read-out.

    Args:
        task: says the width of the predictions, and whether only the last step answers.
        layer: any mechanism or baseline.
        encoder: what turns the task's inputs into the layer's; nothing by default.
        read_out_size: hidden ReLU units between the layer and the predictions; 0 for a linear read-out.

    Called with inputs (time, batch, task.input_size) and optionally the layer's state of an earlier call, it returns
    the predictions, (batch, task.output_size), or (time, batch, task.output_size) for a task that is answered at every
    step, and the layer's answer.
    """

    def __init__(self, task: Task, layer: nn.Module, encoder: nn.Module | None = None, read_out_size: int = 0):
        super().__init__()
        self.answers_at_end = task.answers_at_end
        self.encoder = encoder or nn.Identity()
        self.layer = layer
        if read_out_size:
            hidden = nn.Linear(layer.output_size, read_out_size)
            self.read_out = nn.Sequential(hidden, nn.ReLU(), nn.Linear(read_out_size, task.output_size))
        else:
            self.read_out = nn.Linear(layer.output_size, task.output_size)

    def forward(self, inputs: Float[Tensor, "time batch features"], state: Any = None) -> tuple[Tensor, Answer]:
        answer = self.layer(self.encoder(inputs), state)
        return self.read_out(answer.outputs[-1] if self.answers_at_end else answer.outputs), answer
