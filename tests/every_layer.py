"""All layers of the book, small, for tests of what they have in common."""

from companion.baselines import (
    IRNN,
    LSTM,
    AssociativeLSTM,
    FixedRepeats,
    LayerNormRNN,
    PonderNet,
    SelfAttentiveLSTM,
    SettlingRNN,
    Transformer,
)
from companion.mechanisms import AdaptiveComputation, FastWeights, GlimpseFastWeights, SparseAttentiveBacktracking
from companion.mechanisms.adaptive_reads import AdaptiveFastWeights
from companion.mechanisms.delta_rule import DeltaFastWeights
from companion.mechanisms.fast_weights_elsewhere import CutMemory, DiagonalProduct, PreliminaryWrite, StaleWrite
from companion.mechanisms.memory_writes import GatedFastWeights, NormalisedFastWeights
from companion.mechanisms.segments import SegmentTransformer

INPUT, HIDDEN = 3, 4

# What takes one step after another and hands on a state. Each takes more options, such as a dtype.
RECURRENT = {
    "SAB": lambda **o: SparseAttentiveBacktracking(INPUT, HIDDEN, 2, memory_every=2, **({"truncation": 3} | o)),
    "SAB, graph": lambda **o: SparseAttentiveBacktracking(
        INPUT, HIDDEN, 2, memory_every=2, form="graph", **({"truncation": 3} | o)
    ),
    "fast weights": lambda **o: FastWeights(INPUT, HIDDEN, **o),
    "fast weights, matrix": lambda **o: FastWeights(INPUT, HIDDEN, form="matrix", inner_steps=2, **o),
    "fast weights, attention": lambda **o: FastWeights(INPUT, HIDDEN, form="attention", **o),
    "delta rule": lambda **o: DeltaFastWeights(INPUT, HIDDEN, **o),
    "delta rule, matrix": lambda **o: DeltaFastWeights(INPUT, HIDDEN, form="matrix", inner_steps=2, **o),
    "ACT, fast weights": lambda **o: AdaptiveFastWeights(INPUT, HIDDEN, halting_bias=-0.5, **o),
    "gated write": lambda **o: GatedFastWeights(INPUT, HIDDEN, **o),
    "normalised read": lambda **o: NormalisedFastWeights(INPUT, HIDDEN, **o),
    "preliminary write": lambda **o: PreliminaryWrite(INPUT, HIDDEN, **o),
    "stale write": lambda **o: StaleWrite(INPUT, HIDDEN, **o),
    "cut memory": lambda **o: CutMemory(INPUT, HIDDEN, **o),
    "diagonal": lambda **o: DiagonalProduct(INPUT, HIDDEN, **o),
    "ACT, rnn": lambda **o: AdaptiveComputation(INPUT, HIDDEN, "rnn", halting_bias=-0.5, **o),
    "ACT, gru": lambda **o: AdaptiveComputation(INPUT, HIDDEN, "gru", halting_bias=-0.5, **o),
    "ACT, lstm": lambda **o: AdaptiveComputation(INPUT, HIDDEN, "lstm", halting_bias=-0.5, **o),
    "ACT, plain": lambda **o: AdaptiveComputation(INPUT, HIDDEN, form="plain", halting_bias=-0.5, **o),
    "fixed repeats": lambda **o: FixedRepeats(INPUT, HIDDEN, repeats=3, **o),
    "PonderNet": lambda **o: PonderNet(INPUT, HIDDEN, "gru", prior=0.3, **o),
    "LSTM": lambda **o: LSTM(INPUT, HIDDEN, **o),
    "LSTM + attention": lambda **o: SelfAttentiveLSTM(INPUT, HIDDEN, **o),
    "IRNN": lambda **o: IRNN(INPUT, HIDDEN, **o),
    "RNN+LN": lambda **o: LayerNormRNN(INPUT, HIDDEN, **o),
    "settling": lambda **o: SettlingRNN(INPUT, HIDDEN, 2, **o),
    "A-LSTM": lambda **o: AssociativeLSTM(INPUT, HIDDEN, 2, 2, **o),
}
GLIMPSES = {
    "glimpses": lambda **o: GlimpseFastWeights(INPUT, HIDDEN, **o),
    "glimpses, matrix": lambda **o: GlimpseFastWeights(INPUT, HIDDEN, form="matrix", **o),
}
LAYERS = (
    RECURRENT
    | GLIMPSES
    | {
        "Transformer": lambda **o: Transformer(INPUT, HIDDEN, 1, 2, 40, **o),
        "segments": lambda **o: SegmentTransformer(INPUT, HIDDEN, 3, 2, layers=1, heads=2, length=40, **o),
    }
)


def step_of(name: str) -> int:
    """The number of time steps of which a sequence is a multiple."""
    return 6 if name in GLIMPSES else 1
