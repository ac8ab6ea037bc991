"""What the papers compare with: layers that are called like the mechanisms."""

from companion.baselines.associative_lstm import AssociativeLSTM
from companion.baselines.fixed_repeats import FixedRepeats
from companion.baselines.lstm import LSTM, SelfAttentiveLSTM
from companion.baselines.patch_convnet import PatchConvNet
from companion.baselines.ponder_net import PonderNet
from companion.baselines.rectified import IRNN, LayerNormRNN, SettlingRNN
from companion.baselines.transformer import Transformer

__all__ = [
    "IRNN",
    "LSTM",
    "AssociativeLSTM",
    "FixedRepeats",
    "LayerNormRNN",
    "PatchConvNet",
    "PonderNet",
    "SelfAttentiveLSTM",
    "SettlingRNN",
    "Transformer",
]
