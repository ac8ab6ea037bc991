"""The three mechanisms of the book, each defined in one file, and what serves them."""

from companion.mechanisms.adaptive_computation import AdaptiveComputation
from companion.mechanisms.delta_rule import DeltaFastWeights
from companion.mechanisms.fast_weights import FastWeights, fast_memory_read
from companion.mechanisms.glimpse_fast_weights import GlimpseFastWeights
from companion.mechanisms.halting import halting_distribution
from companion.mechanisms.released import released_weights
from companion.mechanisms.selection import sparsify
from companion.mechanisms.sparse_attentive_backtracking import SparseAttentiveBacktracking

__all__ = [
    "AdaptiveComputation",
    "DeltaFastWeights",
    "FastWeights",
    "GlimpseFastWeights",
    "SparseAttentiveBacktracking",
    "fast_memory_read",
    "halting_distribution",
    "released_weights",
    "sparsify",
]
