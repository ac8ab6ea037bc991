"""Sparse replay: the backward pass that Sparse Attentive Backtracking promises.

The plain form in `sparse_attentive_backtracking.py` keeps the graph of the whole sequence, and each step of it holds
tensors as large as the memory. This form computes the same outputs and gradients and keeps far less.

Forward, without a graph, it keeps the outputs, the cell state at the start of each window, the memories, and which of
them each step selected. Backward, it walks through the windows from the newest to the oldest:

    (R1)  a window without credit is skipped: none from the loss, none through a memory that was made in it
    (R2)  any other is replayed: its gates are recomputed from the window's start, all steps at once
    (R3)  step by step backwards, credit goes through the summary to the selected memories, where it waits in a bank,
          and through the LSTM to the step before, up to the start of the window
    (R4)  when the walk reaches the step that made a memory, all later reads have paid in, and its credit joins

Equations S1 to S5 are those of the plain form. `choice` says what a step reads, `scorers` how memories are scored,
`walk` is R2 to R4, and `function` ties them together.
"""

from companion.mechanisms.replay.function import Rule, SparseReplay

__all__ = ["Rule", "SparseReplay"]
