/* Ponder, a text: N over every character of a sentence, its mean by kind of character, and what may come next.

   `network.alphabet` has the byte of each index. A byte that is not in it takes the last index, as in
   `companion.tasks.Language`: there find says −1 of it, and −1 % size is the last. */
"use strict";

const PonderText = {
  kinds: { letters: /^[A-Za-z]$/, spaces: /^ $/, digits: /^[0-9]$/, punctuation: /^[!-/:-@[-`{-~]$/ }, // the rest: others

  network: () => Object.values(Live.networks).find(({ record }) => record.startsWith("ponder/wikipedia/")),
  size: (network) => network.readOut.at(-1).weight.shape[0],

  /* The bytes of a text: {byte, symbol, known}; a character of several bytes stands at its first. */
  bytes: (text, alphabet) => [...text].flatMap((symbol) => {
    const all = [...new TextEncoder().encode(symbol)];
    return all.map((byte, n) => ({
      byte,
      symbol: n ? "·" : symbol,
      name: all.length > 1 ? `${symbol}, byte ${n + 1} of ${all.length}` : symbol,
      known: alphabet.includes(byte),
    }));
  }),

  index(byte, alphabet, size) {
    const found = alphabet.indexOf(byte);
    return found < 0 ? size - 1 : found;
  },

  encode(text, network) {
    const size = PonderText.size(network);
    return PonderText.bytes(text, network.alphabet).map(({ byte }) => Live.oneHot(size, PonderText.index(byte, network.alphabet, size)));
  },

  kindOf: (symbol) => Object.keys(PonderText.kinds).find((kind) => PonderText.kinds[kind].test(symbol)) || "others",

  /* [{kind, count, mean}], of the kinds that occur. */
  means(symbols, steps) {
    return [...Object.keys(PonderText.kinds), "others"].map((kind) => {
      const own = steps.filter((_, n) => PonderText.kindOf(symbols[n]) === kind);
      return { kind, count: own.length, mean: own.reduce((sum, n) => sum + n, 0) / own.length };
    }).filter(({ count }) => count);
  },

  /* The name of an index, as a reader sees it. */
  spell(index, alphabet) {
    const byte = alphabet[index];
    const names = { 9: "tab", 10: "end of line", 32: "space" };
    if (byte === undefined) return "a byte it never saw";
    return names[byte] || (byte < 128 ? String.fromCharCode(byte) : `byte ${byte}`);
  },
};

document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("live-text");
  const network = PonderText.network();
  if (!root || !network) return;
  const at = (name) => root.querySelector(`[data-live="${name}"]`);
  const { alphabet, parameters, settings, metrics } = network;
  const first = at("text").value;

  function read() {
    const text = at("text").value;
    at("results").hidden = text === "";
    if (text === "") { at("says").textContent = "Type at least one character."; return; }
    const symbols = PonderText.bytes(text, alphabet);
    const run = Live.run(network, PonderText.encode(text, network));
    const steps = run.map(({ state }) => state.steps);
    const [sum, most] = [steps.reduce((total, n) => total + n, 0), Math.max(...steps)];
    const strange = symbols.filter(({ known }) => !known).length;
    const count = [...text].length;
    const told = count === steps.length ? `${count} character${count > 1 ? "s" : ""}` : `${count} characters, which are ${steps.length} bytes`;
    at("says").textContent = `${told}; ${sum} inner step${sum > 1 ? "s" : ""}: ${(sum / steps.length).toFixed(2)} each on average, ${most} at most.`
      + (strange ? ` ${strange} of the bytes never stood in its training text; each counts as the last of its alphabet.` : "");
    at("columns").replaceChildren(...symbols.map(({ symbol }, n) => {
      const bar = Draw.make("span", { class: "column", style: `height: ${steps[n] * 0.5}rem` });
      return Draw.make("span", { class: steps[n] === most ? "most" : "" }, String(steps[n]), bar, Draw.make("b", {}, symbol === " " ? "␣" : symbol));
    }));
    at("columns").style.setProperty("--most", most);
    at("rows").replaceChildren(...symbols.map(({ name }, n) => Draw.make("tr", {},
      Draw.make("td", {}, String(n + 1)), Draw.make("th", { scope: "row" }, name === " " ? "space" : name), Draw.make("td", {}, String(steps[n])))));
    const means = PonderText.means(symbols.map(({ symbol, byte }) => (byte < 128 ? symbol : "")), steps);
    const highest = Math.max(...means.map(({ mean }) => mean));
    Draw.bars(at("means"), means.map(({ kind, count: of, mean }) => ({
      name: `${kind} (${of})`, share: mean / most, told: mean.toFixed(2), marked: mean === highest,
    })));
    const chances = Live.softmax(run.at(-1).logits);
    const likely = Array.from(chances.keys()).sort((one, other) => chances[other] - chances[one]).slice(0, 5);
    Draw.bars(at("likely"), likely.map((index) => ({ name: PonderText.spell(index, alphabet), share: chances[index] })));
  }

  at("text").maxLength = parameters.length;
  at("longest").textContent = `at most ${parameters.length} characters, the length of a training window`;
  at("text").addEventListener("input", read);
  at("again").addEventListener("click", () => { at("text").value = first; read(); });
  const updates = network.updates.toLocaleString("en");
  at("made").textContent = `${network.label}, ${settings.size} units, at most ${settings.maxSteps} inner steps, ${updates} updates. `
    + `On the test set its mean N is ${metrics.ponder_steps.toFixed(2)}; it needs ${metrics.bits_per_character.toFixed(2)} bits per character.`;
  root.querySelectorAll("[data-live-needs]").forEach((each) => { each.hidden = false; });
  root.querySelector("[data-live-without]").hidden = true;
  read();
});
