"""Remind, Attend, Ponder: three mechanisms of recurrent networks, their baselines and their tasks.

The layers are here by name, `from companion import FastWeights`; they need torch and jaxtyping, and nothing else that
the book needs.
"""

from companion.baselines import (
    IRNN,
    LSTM,
    AssociativeLSTM,
    FixedRepeats,
    LayerNormRNN,
    PatchConvNet,
    PonderNet,
    SelfAttentiveLSTM,
    SettlingRNN,
    Transformer,
)
from companion.mechanisms import (
    AdaptiveComputation,
    DeltaFastWeights,
    FastWeights,
    GlimpseFastWeights,
    SparseAttentiveBacktracking,
)

__all__ = [
    "IRNN",
    "LSTM",
    "AdaptiveComputation",
    "AssociativeLSTM",
    "DeltaFastWeights",
    "FastWeights",
    "FixedRepeats",
    "GlimpseFastWeights",
    "LayerNormRNN",
    "PatchConvNet",
    "PonderNet",
    "SelfAttentiveLSTM",
    "SettlingRNN",
    "SparseAttentiveBacktracking",
    "Transformer",
]
