/* The mechanisms once more, for the reader's browser: one function a step, numbered as in the book.

   A vector is a Float64Array, a matrix {data, shape} with its rows one after another. All is computed in double
   precision. `tests/site/test_live.py` compares each of these functions with the package's own. */
"use strict";

const Live = { networks: {} };

/* ---- Vectors ---- */

Live.affine = function (weight, x, bias) { // W x + b
  const [rows, columns] = weight.shape;
  const y = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = bias ? bias.data[row] : 0;
    for (let column = 0, at = row * columns; column < columns; column++, at++) sum += weight.data[at] * x[column];
    y[row] = sum;
  }
  return y;
};

Live.dot = (one, other) => one.reduce((sum, value, i) => sum + value * other[i], 0);
Live.plus = (one, other) => one.map((value, i) => value + other[i]);
Live.relu = (x) => x.map((value) => Math.max(value, 0));
Live.sigmoid = (value) => 1 / (1 + Math.exp(-value));

Live.softmax = function (scores) {
  const most = Math.max(...scores);
  const powers = Array.from(scores, (score) => Math.exp(score - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return Float64Array.from(powers, (power) => power / sum);
};

Live.largest = (x) => x.reduce((best, value, i) => (value > x[best] ? i : best), 0);

Live.oneHot = function (size, index) {
  const x = new Float64Array(size);
  x[index] = 1;
  return x;
};

/* ---- The LSTM ---- */

// torch keeps the gates in the order i, f, g, o
Live.gates = function (sums, cell) {
  const size = cell.length;
  const next = { hidden: new Float64Array(size), cell: new Float64Array(size) };
  for (let i = 0; i < size; i++) {
    const take = Live.sigmoid(sums[i]);
    const keep = Live.sigmoid(sums[size + i]);
    const give = Live.sigmoid(sums[3 * size + i]);
    next.cell[i] = keep * cell[i] + take * Math.tanh(sums[2 * size + i]);
    next.hidden[i] = give * Math.tanh(next.cell[i]);
  }
  return next;
};

Live.lstmStep = function (w, x, state) {
  const sums = Live.plus(Live.affine(w.inputWeight, x, w.inputBias), Live.affine(w.hiddenWeight, state.hidden, w.hiddenBias));
  return Live.gates(sums, state.cell);
};

/* ---- Remind: Sparse Attentive Backtracking ---- */

Live.sparsify = function (scores, topK) { // (S3)
  if (topK === null || scores.length <= topK) return Live.softmax(scores);
  const order = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);
  const threshold = scores[order[topK]]; // θ, the (top_k + 1)-th largest
  const kept = order.slice(0, topK);
  const total = kept.reduce((sum, i) => sum + scores[i] - threshold, 0);
  const weights = new Float64Array(scores.length);
  for (const i of kept) weights[i] = total < 1e-30 ? 1 / topK : (scores[i] - threshold) / total;
  return weights;
};

Live.remind = function (w, provisional, memories, topK) {
  const asked = Live.affine(w.query, provisional, w.queryBias); // W₂ ĥ + b
  const scores = memories.map(({ key }) => key.reduce((sum, k, i) => sum + w.score.data[i] * Math.tanh(k + asked[i]), 0)); // (S2)
  const weights = memories.length ? Live.sparsify(scores, topK) : new Float64Array(0);
  const summary = new Float64Array(provisional.length);
  memories.forEach(({ state }, m) => {
    if (weights[m]) for (let i = 0; i < summary.length; i++) summary[i] += weights[m] * state[i];
  });
  return { weights, summary }; // (S4)
};

Live.sabStep = function (w, x, state, settings) {
  const { hidden: provisional, cell } = Live.lstmStep(w, x, state); // (S1)
  const { weights, summary } = Live.remind(w, provisional, state.memories, settings.topK);
  const hidden = Live.plus(provisional, summary); // (S4)
  const steps = state.steps + 1;
  const memories = steps % settings.memoryEvery ? state.memories
    : [...state.memories, { state: hidden, key: Live.affine(w.memory, hidden), step: state.steps }]; // (S5)
  return { hidden, cell, memories, steps, weights, output: Float64Array.of(...hidden, ...summary) };
};

/* ---- Attend: fast weights ---- */

Live.normed = function (w, x) { // LN
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  return x.map((value, i) => ((value - mean) / Math.sqrt(variance + 1e-5)) * w.gain.data[i] + w.shift.data[i]);
};

Live.written = function (matrix, hidden, decay, rate) { // (F1): A ← λ A + η h hᵀ
  const size = hidden.length;
  return matrix.map((value, at) => decay * value + rate * hidden[Math.floor(at / size)] * hidden[at % size]);
};

Live.fastStep = function (w, x, state, settings) {
  const boundary = Live.plus(Live.affine(w.recurrent, state.hidden), Live.affine(w.input, x)); // W h + C x
  const matrix = { data: state.matrix, shape: [boundary.length, boundary.length] };
  const queries = [Live.relu(boundary)]; // (F2)
  const reads = [];
  for (let s = 0; s < settings.innerSteps; s++) {
    reads.push(Live.affine(matrix, queries[s])); // A h_s
    queries.push(Live.relu(Live.normed(w, Live.plus(boundary, reads[s])))); // (F5)
  }
  const hidden = queries[queries.length - 1];
  return { hidden, matrix: Live.written(state.matrix, hidden, settings.decay, settings.rate), queries, reads };
};

Live.shares = function (history, query, decay, rate) { // (F4): the weight of each past state in what a query reads
  return history.map((past, i) => rate * decay ** (history.length - 1 - i) * Live.dot(past, query));
};

/* ---- Ponder: adaptive computation ---- */

Live.ponder = function (w, x, state, settings) {
  const states = [];
  const units = [];
  let spent = 0;
  while (states.length < settings.maxSteps && spent < 1 - settings.epsilon) { // (A3)
    const flagged = Float64Array.of(...x, states.length ? 0 : 1);
    const sums = Live.plus(Live.affine(w.inputWeight, flagged, w.inputBias), Live.affine(w.hiddenWeight, state.hidden, w.hiddenBias));
    state = state.cell ? Live.gates(sums, state.cell) : { hidden: sums.map(Math.tanh) }; // (A1)
    states.push(state);
    units.push(Live.sigmoid(Live.affine(w.halt, state.hidden, w.haltBias)[0])); // (A2)
    spent += units[units.length - 1];
  }
  const before = units.slice(0, -1);
  const remainder = 1 - before.reduce((sum, unit) => sum + unit, 0); // (A4)
  const halting = [...before, remainder]; // (A5)
  const mean = (part) => part[0].map((_, i) => halting.reduce((sum, p, n) => sum + p * part[n][i], 0));
  const field = { hidden: mean(states.map((each) => each.hidden)) }; // (A6)
  if (state.cell) field.cell = mean(states.map((each) => each.cell));
  return { ...field, halting, steps: states.length, remainder, states };
};

/* ---- Networks: what is in front of a layer, the layer, the read-out ---- */

Live.through = function (layers, x) {
  for (const { weight, bias, relu } of layers) {
    x = Live.affine(weight, x, bias);
    if (relu) x = Live.relu(x);
  }
  return x;
};

Live.layers = {
  lstm: {
    start: ({ size }) => ({ hidden: new Float64Array(size), cell: new Float64Array(size) }),
    step: Live.lstmStep,
    output: (state) => state.hidden,
  },
  sab: {
    start: ({ size }) => ({ hidden: new Float64Array(size), cell: new Float64Array(size), memories: [], steps: 0 }),
    step: Live.sabStep,
    output: (state) => state.output,
  },
  fast: {
    start: ({ size }) => ({ hidden: new Float64Array(size), matrix: new Float64Array(size * size) }),
    step: Live.fastStep,
    output: (state) => state.hidden,
  },
  act: {
    start: ({ size, cell }) => ({ hidden: new Float64Array(size), ...(cell === "lstm" && { cell: new Float64Array(size) }) }),
    step: Live.ponder,
    output: (state) => state.hidden,
  },
};

/* One step of a network: from an input and a state to {state, logits}. `changed` replaces settings, such as λ. */
Live.step = function (network, x, state, changed = {}) {
  const layer = Live.layers[network.kind];
  const settings = { ...network.settings, ...changed };
  const next = layer.step(network.layer, Live.through(network.encoder, x), state || layer.start(settings), settings);
  return { state: next, logits: Live.through(network.readOut, layer.output(next)) };
};

/* All steps of a sequence; what each step answered, in order. */
Live.run = function (network, inputs, state = null, changed = {}) {
  const answers = [];
  for (const x of inputs) {
    answers.push(Live.step(network, x, state, changed));
    state = answers[answers.length - 1].state;
  }
  return answers;
};

/* ---- Weights, as the page's own file brings them ---- */

Live.half = function (bits) { // IEEE 754 half precision
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
};

Live.tensor = function ({ shape, half, data }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  if (!half) return { shape, data: Float64Array.from(new Float32Array(bytes.buffer)) };
  return { shape, data: Float64Array.from(new Uint16Array(bytes.buffer), Live.half) };
};

Live.add = function (name, network) {
  const unpacked = (part) => Object.fromEntries(Object.entries(part).map(([key, value]) => [key, value && value.data ? Live.tensor(value) : value]));
  Live.networks[name] = {
    ...network,
    layer: unpacked(network.layer),
    encoder: network.encoder.map(unpacked),
    readOut: network.readOut.map(unpacked),
  };
};
