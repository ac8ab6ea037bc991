"""What the papers compare with: recurrent layers that are called like the mechanisms."""

from companion.baselines.fixed_repeats import FixedRepeats
from companion.baselines.lstm import LSTM, SelfAttentiveLSTM
from companion.baselines.rectified import IRNN, LayerNormRNN

__all__ = ["IRNN", "LSTM", "FixedRepeats", "LayerNormRNN", "SelfAttentiveLSTM"]
