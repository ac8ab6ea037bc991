/* Attend: a string is read symbol by symbol; the fast memory fills and fades; the last symbol asks it. */
"use strict";

const Attend = {
  symbols: "abcdefghijklmnopqrstuvwxyz0123456789?",
  digits: "0123456789",

  /* The problem with a text, as a sentence; empty if the network can read it. */
  fault(text) {
    const pairs = text.slice(0, -3);
    if (!/^([a-z][0-9])+\?\?[a-z]$/.test(text)) return "Write pairs of a letter and a digit, then ?? and one of the letters, such as c9k8j3f1??c.";
    const keys = pairs.replace(/[0-9]/g, "");
    if (new Set(keys).size < keys.length) return "A letter stands twice; give each pair a letter of its own.";
    if (!keys.includes(text.at(-1))) return `No pair begins with ${text.at(-1)}; ask for a letter that is there.`;
    return "";
  },

  answerOf: (text) => text[text.indexOf(text.at(-1)) + 1],
  encode: (text) => [...text].map((symbol) => Live.oneHot(Attend.symbols.length, Attend.symbols.indexOf(symbol))),

  draw(pairs) {
    const letters = [...Attend.symbols.slice(0, 26)].sort(() => Math.random() - 0.5).slice(0, pairs);
    const shown = letters.map((letter) => letter + Math.floor(10 * Math.random())).join("");
    return `${shown}??${letters[Math.floor(pairs * Math.random())]}`;
  },
};

document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("live-attend");
  if (!root) return;
  const at = (name) => root.querySelector(`[data-live="${name}"]`);
  const [fast, lstm] = ["fast-weights-20", "lstm-20"].map((name) => Live.networks[name]);
  let [text, place, steps, others] = [at("text").value, 0, [], []];

  function read() {
    const changed = { decay: Number(at("decay").value), rate: Number(at("rate").value) };
    steps = Live.run(fast, Attend.encode(text), null, changed);
    others = Live.run(lstm, Attend.encode(text));
    place = text.length - 1;
    at("tape").replaceChildren(...[...text].map((symbol, step) => {
      const button = Draw.make("button", { type: "button", "aria-label": `step ${step + 1}, ${symbol}` }, symbol);
      button.addEventListener("click", () => { place = step; show(); });
      return Draw.make("li", {}, button);
    }));
    show();
  }

  function show() {
    const { decay, rate } = { decay: Number(at("decay").value), rate: Number(at("rate").value) };
    [...at("tape").querySelectorAll("button")].forEach((button, step) => {
      if (step === place) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    const before = steps.slice(0, place).map(({ state }) => state.hidden);
    const shares = Live.shares(before, steps[place].state.queries[0], decay, rate); // (F4)
    const sum = shares.reduce((total, share) => total + share, 0) || 1;
    const asked = text.indexOf(text.at(-1)) + 1; // the step of the digit that is asked for
    Draw.bars(at("reads"), before.map((_, step) => ({ name: `${step + 1}: ${text[step]}`, share: shares[step] / sum, marked: step === asked })));
    at("reads-none").hidden = before.length > 0;
    const size = fast.settings.size;
    const most = Math.max(...steps.map(({ state }) => Math.max(...state.matrix.map(Math.abs)))) || 1;
    Draw.matrix(at("matrix"), steps[place].state.matrix, size, most);
    const { queries, reads } = steps[place].state;
    for (const [name, vector] of [["query", queries[0]], ["answer", reads[0]]]) {
      Draw.matrix(at(name), vector, size, Math.max(...vector.map(Math.abs)) || 1);
    }
    at("step").textContent = `after step ${place + 1} of ${text.length}, “${text[place]}”`;
    const right = Attend.answerOf(text);
    for (const [name, run] of [["fast", steps], ["lstm", others]]) {
      const chances = Live.softmax(run.at(-1).logits);
      const said = Live.largest(chances);
      const how = String(said) === right ? "right" : "wrong";
      at(`${name}-says`).textContent = `At the end it says ${said}, ${Draw.percent(chances[said])} sure: ${how}; ${text.at(-1)} had ${right}.`;
      at(`${name}-says`).className = how;
      Draw.bars(at(`${name}-bars`), [...chances].map((share, digit) => ({ name: String(digit), share, marked: String(digit) === right })));
    }
  }

  function tryText(asked) {
    const fault = Attend.fault(asked);
    at("fault").textContent = fault && `${fault} Below is ${text}, still.`;
    if (!fault) { text = asked; read(); }
  }

  at("text").addEventListener("input", () => tryText(at("text").value.trim().toLowerCase()));
  at("draw").addEventListener("click", () => { at("text").value = Attend.draw(Number(at("pairs").value)); tryText(at("text").value); });
  at("back").addEventListener("click", () => { place = Math.max(place - 1, 0); show(); });
  at("next").addEventListener("click", () => { place = Math.min(place + 1, text.length - 1); show(); });
  const trained = (name, value) => (value === fast.settings[name] ? `${value}, as trained` : String(value));
  const sliders = ["decay", "rate"].map((name) => {
    at(name).value = fast.settings[name];
    return Draw.slider(at(name), at(`${name}-is`), (value) => trained(name, value), read);
  });
  Draw.slider(at("pairs"), at("pairs-is"), (value) => (value === fast.parameters.pairs ? `${value}, as trained` : String(value)), () => at("draw").click());
  at("trained").addEventListener("click", () => { sliders[0].set(fast.settings.decay); sliders[1].set(fast.settings.rate); read(); });
  at("made").textContent = `The networks are ${fast.label} and ${lstm.label}, ${fast.updates.toLocaleString("en")} updates each; on the test set they err on ${Draw.percent(fast.metrics.error)} and ${Draw.percent(lstm.metrics.error)}.`;
  root.querySelectorAll("[data-live-needs]").forEach((each) => { each.hidden = false; });
  root.querySelector("[data-live-without]").hidden = true;
  read();
});
