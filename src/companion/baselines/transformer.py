"""The Transformer: attention to the whole past at once, with no recurrence."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion import checks
from companion.answer import Answer
from companion.layer import Layer
from companion.precision import exact
from companion.surroundings import fresh


class Transformer(Layer):
    """A causal `torch.nn.TransformerEncoder`: step t sees the steps up to t.

    Args:
        input_size, hidden_size: widths of the input and of every layer; the inner ReLU layers are four times as wide.
        layers: self-attention layers, one above the other.
        heads: of each layer; they share its width.
        length: the most steps of a sequence, each with a learned position.
        dropout: share of activations left out in training; 0 keeps runs deterministic.
        device, dtype: of the weights, as torch's own layers take them.

    Call it with inputs (time, batch, input_size); its outputs are (time, batch, hidden_size). It has no state: what it
    knows of the past it reads from the inputs, so all of a sequence goes into one call, and the answer's state is None.

    Raises:
        ValueError: a size or count is no whole number from 1 on, heads that do not divide the width, a dropout outside
            [0, 1); in a call, inputs of another shape, a state, or a sequence longer than `length`.

    Source: Vaswani et al. 2017, the encoder with a causal mask; a baseline of Ke et al. 2018 in the image experiments.
    Where it differs: positions are learned, and each layer normalises what comes in, not what goes out, which needs no
    warm-up of the learning rate.
    """

    settings = ("length",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        layers: int = 2,
        heads: int = 4,
        length: int = 1024,
        dropout: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        checks.whole(input_size=input_size, hidden_size=hidden_size, layers=layers, heads=heads, length=length)
        if hidden_size % heads:
            raise ValueError(f"heads is {heads}; it must divide the hidden size, which is {hidden_size}.")
        checks.finite(dropout=dropout)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must be at least 0 and below 1.")
        self.hidden_size = self.output_size = hidden_size
        self.length = length
        where = {"device": device, "dtype": dtype}
        self.embedding = nn.Linear(input_size, hidden_size, **where)
        self.positions = nn.Parameter(0.02 * torch.randn(length, 1, hidden_size, **where))
        layer = nn.TransformerEncoderLayer(hidden_size, heads, 4 * hidden_size, dropout, norm_first=True, **where)
        norm = nn.LayerNorm(hidden_size, **where)
        self.encoder = nn.TransformerEncoder(layer, layers, norm, enable_nested_tensor=False)
        for parameter in self.encoder.parameters():  # torch starts all layers from copies of the first
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, inputs: Float[Tensor, "time batch features"], state: Any = None) -> Answer:
        if state is not None:
            raise ValueError("A Transformer takes no state; give it the whole sequence in one call.")
        checks.sequence(inputs, self.embedding.in_features)
        steps = len(inputs)
        if steps > self.length:
            raise ValueError(f"The sequence has {steps} steps; this Transformer has positions for {self.length}.")
        for layer in self.encoder.layers:  # whose attention takes the weights of its last part without calling it
            fresh(layer.self_attn.out_proj)
        mask = nn.Transformer.generate_square_subsequent_mask(steps, inputs.device, inputs.dtype)
        outputs = self.encoder(self.embedding(inputs) + self.positions[:steps], mask, is_causal=True)
        return Answer(outputs, None, exact(inputs).new_zeros(inputs.shape[1]), {})
