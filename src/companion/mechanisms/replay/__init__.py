"""Sparse replay: the backward pass that Sparse Attentive Backtracking promises.

The plain form in `sparse_attentive_backtracking.py` keeps the graph of the whole sequence, and each step of it holds
tensors as large as the memory. This form computes the same outputs and gradients and keeps far less.

Forward, without a graph, it keeps the outputs, the cell state at the start of each window, the memories, and which of
them each step selected. Backward, it walks through the windows from the newest to the oldest. Those examples of the
batch that are owed nothing in a window, neither by the loss nor through a memory made in it, skip it. For the others,
the gates are recomputed from its start, and credit goes back step by step, up to the start of the window. Writing x'
for ∂L/∂x:

    (R1)  s'_t = h'_t + (what the loss says of s_t in the output),   m'_i += α_ti s'_t
    (R2)  a'_ti = (m_i · s'_t − Σ_j α_tj m_j · s'_t) / Z,   θ'_t = − Σ_i a'_ti      Z: the denominator of S3
    (R3)  k'_ti = a'_ti w₃ ⊙ (1 − tanh²),   ĥ'_t = h'_t + W₂ᵀ Σ_i k'_ti,   m'_i += W₁ᵀ k'_ti
    (R4)  h'_t += m'_i  where m_i = h_t: all later reads have paid in when the walk comes to the step that made m_i;
          without mental updates m'_i goes to the weights and the input of step t, and no further
    (R5)  tanh(W₁ m_i + W₂ ĥ_t + b) = 1 − 2 / (1 + exp(2 W₁ m_i) · exp(2 (W₂ ĥ_t + b)))

Where the weights are a softmax, α_ti stands in place of 1/Z in R2, and there is no θ_t.

`choice` says what a step reads, `scorers` how memories are scored, `window` replays the LSTM, `walk` is the way back,
and `function` ties them together.
"""

from companion.mechanisms.replay.function import Rule, SparseReplay

__all__ = ["Rule", "SparseReplay"]
