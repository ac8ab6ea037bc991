/* Remind: ten digits are read, kept over a silence and said; each answer shows which memories it reads. */
"use strict";

const Remind = {
  names: ["sab-10-10", "lstm-10", "lstm-attention"],
  copied: 10,
  marker: 9,
  prefixes: {}, // of each network, the states up to the marker: they are the same for every delay

  /* The problem with a text, as a sentence; empty if the network can read it. */
  fault(text) {
    if (/[^1-8]/.test(text)) return "Only the digits 1 to 8 are symbols: 0 is the blank and 9 the marker.";
    if (text.length !== Remind.copied) return `Write ${Remind.copied} digits; these are ${text.length}.`;
    return "";
  },

  draw: () => Array.from({ length: Remind.copied }, () => 1 + Math.floor(8 * Math.random())).join(""),

  /* What is fed, delay + 20 steps: the digits, delay − 1 blanks, the marker, ten blanks. */
  symbols: (text, delay) => [...[...text].map(Number), ...Array(delay - 1).fill(0), Remind.marker, ...Array(Remind.copied).fill(0)],
  encode: (text, delay) => Remind.symbols(text, delay).map((symbol) => [symbol]),

  /* Steps up to the marker, for at most so many milliseconds; true when they are all there. */
  prepare(name, text, delay, most = Infinity) {
    if (Remind.prefixes[name]?.text !== text) Remind.prefixes[name] = { text, states: [] };
    const { states } = Remind.prefixes[name];
    const needed = Remind.encode(text, delay).slice(0, Remind.copied + delay - 1);
    const end = performance.now() + most;
    while (states.length < needed.length && performance.now() < end) {
      states.push(Live.step(Live.networks[name], needed[states.length], states.at(-1)).state);
    }
    return states.length >= needed.length;
  },

  /* The ten answers: what is said, and the memories read with their weights (none in a plain LSTM). */
  answers(name, text, delay) {
    Remind.prepare(name, text, delay);
    const before = Remind.copied + delay - 1;
    const run = Live.run(Live.networks[name], Remind.encode(text, delay).slice(before), Remind.prefixes[name].states[before - 1]);
    return run.slice(1).map(({ state, logits }, answer) => ({
      said: Live.largest(logits),
      right: Live.largest(logits) === Number(text[answer]),
      reads: run[answer].state.memories?.map(({ step }, i) => ({ step, weight: state.weights[i] })), // as they were before this step
    }));
  },

  right: (answers) => answers.filter(({ right }) => right).length,
  told: (symbol) => (symbol === 0 ? "·" : String(symbol)),

  /* What stood at a step, in words. */
  stood(text, delay, step) {
    const marker = Remind.copied + delay - 1;
    if (step < Remind.copied) return text[step];
    if (step === marker) return `marker ${Remind.marker}`;
    return step < marker ? "blank" : `answer ${step - marker}`;
  },

  /* The middle of a step on the tape, in cells: more than four blanks share a block as wide as four. */
  block: (delay) => Math.min(delay - 1, 4),
  middle(delay, step) {
    const [blanks, block] = [delay - 1, Remind.block(delay)];
    if (step < Remind.copied) return step + 0.5;
    if (step < Remind.copied + blanks) return Remind.copied + ((step - Remind.copied + 0.5) * block) / blanks;
    return step - blanks + block + 0.5;
  },

  /* The tape with the answers under it, and the arcs from one answer to the memories it reads. */
  tape(svg, text, delay, answers, chosen) {
    const [cell, top, marker, folded] = [20, 90, Remind.copied + delay - 1, delay > 5];
    const x = (step) => cell * Remind.middle(delay, step);
    const put = (step, y, content, kind) => Draw.make("text", { x: x(step), y, class: kind }, content);
    const box = (left, width, kind = "") => Draw.make("rect", { x: left + 1, y: top, width: width - 2, height: 24, rx: 3, class: kind });
    const parts = [];
    Remind.symbols(text, delay).forEach((symbol, step) => {
      if (folded && step >= Remind.copied && step < marker) return;
      const asked = step === marker + 1 + chosen;
      parts.push(box(x(step) - cell / 2, cell, asked ? "asked" : ""), put(step, top + 18, Remind.told(symbol), asked ? "asked" : ""));
    });
    if (folded) {
      const label = Draw.make("text", { x: cell * (Remind.copied + 2), y: top + 18, class: "blanks" }, `· × ${delay - 1}`);
      parts.push(box(cell * Remind.copied, 4 * cell), label);
    }
    answers.forEach(({ said, right }, i) => {
      parts.push(put(marker + 1 + i, top + 44, Remind.told(said)), put(marker + 1 + i, top + 62, right ? "✓" : "✗"));
    });
    for (const { step, weight } of answers[chosen].reads || []) {
      if (weight < 0.005) continue; // too thin to see
      const [from, to] = [x(marker + 1 + chosen), x(step)];
      const high = top - Math.min(15 + 0.3 * (from - to), 112);
      parts.push(Draw.make("path", { d: `M${from} ${top} C${from} ${high} ${to} ${high} ${to} ${top}`, "stroke-width": 12 * weight }));
    }
    svg.setAttribute("viewBox", `0 0 ${cell * (2 * Remind.copied + 1 + Remind.block(delay))} ${top + 68}`);
    svg.replaceChildren(...parts);
  },

  /* The heaviest memories as rows of bars, the rest in one row. */
  rows(text, delay, { reads }, answer, most = 10) {
    const sorted = reads.filter(({ weight }) => weight > 0).sort((one, other) => other.weight - one.weight);
    const name = (step) => `step ${step + 1}: ${Remind.stood(text, delay, step)}`;
    const rows = sorted.slice(0, most).map(({ step, weight }) => ({ name: name(step), share: weight, marked: step === answer }));
    const rest = sorted.slice(most).reduce((sum, { weight }) => sum + weight, 0);
    return sorted.length > most ? [...rows, { name: `${sorted.length - most} others`, share: rest }] : rows;
  },
};

document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("live-remind");
  if (!root) return;
  const at = (name) => root.querySelector(`[data-live="${name}"]`);
  const learned = Live.networks[Remind.names[0]].parameters.delay;
  let [text, delay, chosen, place, turn] = [at("text").value, learned, Remind.names[0], 0, 0];
  let [results, held] = [{}, {}]; // of each network: its answers; up to which delay all ten are right

  /* The work, in pieces: the chosen network, the others, then the delays one after another up to the first error. */
  function* work() {
    const order = [chosen, ...Remind.names.filter((name) => name !== chosen)];
    for (const name of order) {
      while (!Remind.prepare(name, text, delay, 15)) yield;
      results[name] = Remind.answers(name, text, delay);
      if (name === chosen) show();
      compare();
      yield;
    }
    for (const name of order) {
      held[name] ||= { until: learned - 1, over: false };
      while (!held[name].over) {
        while (!Remind.prepare(name, text, held[name].until + 1, 15)) yield;
        if (Remind.right(Remind.answers(name, text, held[name].until + 1)) < Remind.copied) held[name].over = true;
        else held[name].over = ++held[name].until === 10 * learned;
        yield;
      }
      compare();
    }
  }

  function start() { // what was begun for other digits or another delay is dropped
    const [mine, job] = [++turn, work()];
    results = {};
    compare();
    const go = () => {
      const end = performance.now() + 20;
      while (mine === turn && performance.now() < end) if (job.next().done) return;
      if (mine === turn) setTimeout(go);
    };
    go();
  }

  function compare() {
    at("compare").replaceChildren(...Remind.names.map((name) => {
      const [answers, until] = [results[name], held[name]];
      const said = answers ? answers.map((each) => Remind.told(each.said)).join("") : "computing";
      const right = answers ? `${Remind.right(answers)} of ${Remind.copied}` : "…";
      let longest = "computing";
      if (until?.over) longest = until.until < learned ? `not at ${learned}` : String(until.until);
      if (until?.until === 10 * learned) longest += " at least";
      const cells = [["says", said], ["", right], ["", longest]].map(([kind, told]) => Draw.make("td", { class: kind }, told));
      const row = Draw.make("tr", name === chosen ? { "aria-current": "true" } : {}, Draw.make("th", { scope: "row" }, Live.networks[name].label));
      row.append(...cells);
      return row;
    }));
  }

  function show() {
    const [answers, network] = [results[chosen], Live.networks[chosen]];
    at("says").textContent = `${network.label}, delay ${delay}: ${Remind.right(answers)} of ${Remind.copied} digits right.`;
    [...at("answers").querySelectorAll("button")].forEach((button, i) => {
      const { said, right } = answers[i];
      const was = right ? "✓ right" : `✗ not ${text[i]}`;
      button.replaceChildren(Draw.make("b", {}, said ? String(said) : "blank"), Draw.make("small", {}, was));
      button.setAttribute("aria-label", `answer ${i + 1}: ${said || "a blank"}, ${right ? "right" : `wrong, it was ${text[i]}`}`);
      button.setAttribute("aria-pressed", String(i === place));
    });
    Remind.tape(at("tape"), text, delay, answers, place);
    const { reads } = answers[place];
    at("reads-title").textContent = `What answer ${place + 1} reads`;
    at("reads").hidden = !reads;
    if (!reads) {
      at("reads-says").textContent = `This network keeps no memories and reads none: all it has is its ${network.settings.size} units and their cells.`;
      return;
    }
    const { memoryEvery, topK } = network.settings;
    const kept = `It has kept ${memoryEvery === 1 ? "every step" : `one step in ${memoryEvery}`}, ${reads.length} memories, and reads `;
    const gets = (step) => {
      const found = reads.find((each) => each.step === step);
      return `step ${step + 1}, ${found ? `gets ${Draw.percent(found.weight)}` : "was not kept"}`;
    };
    const rows = Remind.rows(text, delay, answers[place], place);
    const own = rows.some(({ marked }) => marked) ? " ◂ marks the step with the digit asked for." : "";
    const asked = `The step with the digit asked for, ${gets(place)}; the marker, ${gets(Remind.copied + delay - 1)}.`;
    at("reads-says").textContent = `${kept}${topK ? `at most ${topK}` : "all"} of them. ${asked}${own}`;
    Draw.bars(at("reads"), rows);
  }

  function tryText(asked) {
    const fault = Remind.fault(asked);
    at("fault").textContent = fault && `${fault} Below are ${text}, still.`;
    if (!fault && asked !== text) { [text, held] = [asked, {}]; start(); }
  }

  at("networks").append(...Remind.names.map((name) => {
    const radio = Draw.make("input", { type: "radio", name: "remind-network", value: name, ...(name === chosen && { checked: "" }) });
    radio.addEventListener("change", () => { chosen = name; start(); });
    return Draw.make("label", {}, radio, Live.networks[name].label);
  }));
  at("answers").append(...Array.from({ length: Remind.copied }, (_, i) => {
    const button = Draw.make("button", { type: "button" });
    button.addEventListener("click", () => { place = i; if (results[chosen]) show(); });
    return Draw.make("li", {}, button);
  }));
  at("text").addEventListener("input", () => tryText(at("text").value.replace(/\s/g, "")));
  at("draw").addEventListener("click", () => { at("text").value = Remind.draw(); tryText(at("text").value); });
  at("delay").max = 10 * learned;
  at("delay").value = learned;
  const tell = (value) => `${value} ${value === 1 ? "step" : "steps"}${value === learned ? ", as learned" : ` (learned: ${learned})`}`;
  const slider = Draw.slider(at("delay"), at("delay-is"), tell, (value) => { delay = value; start(); });
  at("learned").addEventListener("click", () => { slider.set(learned); delay = learned; start(); });
  at("longest").textContent = `All ten right up to delay`;
  const made = ({ label, updates, metrics }) => `${label}: ${updates.toLocaleString("en")} updates, ${Draw.percent(metrics.accuracy)}`;
  at("made").textContent = `Digits said right on the test set, delay ${learned}. ${Remind.names.map((name) => made(Live.networks[name])).join("; ")}.`;
  root.querySelectorAll("[data-live-needs]").forEach((each) => { each.hidden = false; });
  root.querySelector("[data-live-without]").hidden = true;
  start();
});
