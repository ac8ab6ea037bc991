/* Ponder, parity: sixteen places are filled; a network spends a budget of one, inner step by inner step, and answers. */
"use strict";

const Ponder = {
  marks: { 0: "0", 1: "+1", "-1": "−1" },
  next: (value) => ({ 0: 1, 1: -1, "-1": 0 })[value],
  encode: (places) => [Float64Array.from(places)],
  isOdd: (places) => places.filter((value) => value === 1).length % 2 === 1,

  /* The parity networks of the page, the highest price first. */
  networks: () => Object.values(Live.networks)
    .filter(({ record }) => record.startsWith("ponder/parity/"))
    .sort((one, other) => other.settings.timePenalty - one.settings.timePenalty),

  /* A logit in words: above zero it says odd. */
  said(logit) {
    return { odd: logit > 0, word: logit > 0 ? "odd" : "even", sure: Live.sigmoid(Math.abs(logit)) };
  },

  /* What a network answers and how it came to it; `along` has what it would say after each inner step. */
  ask(network, places) {
    const [{ state, logits }] = Live.run(network, Ponder.encode(places));
    const { halt, haltBias } = network.layer;
    return {
      ...Ponder.said(logits[0]),
      logit: logits[0],
      steps: state.steps,
      remainder: state.remainder,
      halting: state.halting,
      units: state.states.map(({ hidden }) => Live.sigmoid(Live.affine(halt, hidden, haltBias)[0])), // (A2)
      along: state.states.map(({ hidden }) => Ponder.said(Live.through(network.readOut, hidden)[0])),
      price: network.settings.timePenalty * (state.steps + state.remainder), // (A7): τ (N + R)
    };
  },

  /* A share of the budget, never told as all nor as nothing when it is not. */
  part: (share) => (share < 0.0005 ? "under 0.001" : share > 0.9995 && share < 1 ? "over 0.999" : share.toFixed(3)),

  /* As in training: 1 to all places are filled, anywhere, with +1 or −1. */
  draw(bits, random = Math.random) {
    const filled = 1 + Math.floor(bits * random());
    const order = Array.from({ length: bits }, (_, place) => [random(), place]).sort((one, other) => one[0] - other[0]);
    const places = new Array(bits).fill(0);
    for (const [, place] of order.slice(0, filled)) places[place] = random() < 0.5 ? 1 : -1;
    return places;
  },
};

document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("live-ponder");
  if (!root) return;
  const at = (name) => root.querySelector(`[data-live="${name}"]`);
  const networks = Ponder.networks();
  let places = [0, 0, 0, 0, 1, -1, -1, 0, 1, 1, -1, -1, 1, 1, 0, 1];
  let chosen = networks.find(({ settings }) => settings.timePenalty === 0.001) || networks.at(-1);
  let [answer, shown] = [null, 0];

  const buttons = places.map((_, place) => {
    const button = Draw.make("button", { type: "button" });
    button.addEventListener("click", () => { places[place] = Ponder.next(places[place]); ask(); });
    at("places").append(Draw.make("li", {}, button));
    return button;
  });

  for (const network of networks) {
    const radio = Draw.make("input", { type: "radio", name: "ponder-network" });
    radio.checked = network === chosen;
    radio.addEventListener("change", () => { chosen = network; ask(); });
    at("networks").append(Draw.make("label", {}, radio, `τ = ${network.settings.timePenalty}`));
  }

  function ask() {
    buttons.forEach((button, place) => {
      const value = Ponder.marks[places[place]];
      button.textContent = value;
      button.className = { 0: "none", 1: "plus", "-1": "minus" }[places[place]];
      button.setAttribute("aria-label", `place ${place + 1}: ${value}`);
    });
    const [ones, odd] = [places.filter((value) => value === 1).length, Ponder.isOdd(places)];
    const never = places.some((value) => value !== 0) ? "" : " No place is filled: that never stood in the training set.";
    answer = Ponder.ask(chosen, places);
    shown = answer.steps;
    const how = answer.odd === odd ? "right" : "wrong";
    at("says").className = how;
    at("says").textContent = `The number of +1s is ${ones}, ${odd ? "odd" : "even"}. It says ${answer.word}, `
      + `${Draw.percent(answer.sure)} sure: ${how}. It took N = ${answer.steps} inner step${answer.steps > 1 ? "s" : ""}.${never}`;
    at("compare").replaceChildren(...networks.map((network) => {
      const its = Ponder.ask(network, places);
      const row = Draw.make("tr", network === chosen ? { class: "marked" } : {}, Draw.make("th", { scope: "row" }, String(network.settings.timePenalty)));
      const says = Draw.make("td", its.odd === odd ? {} : { class: "wrong" }, `${its.word}, ${its.odd === odd ? "right" : "wrong"}`);
      const others = [its.steps, its.price.toPrecision(3), Draw.percent(network.metrics.error)];
      row.append(says, ...others.map((each) => Draw.make("td", {}, String(each))));
      return row;
    }));
    at("made").textContent = `The chosen network: ${chosen.label}, ${chosen.settings.size} units, ${chosen.updates.toLocaleString("en")} updates. `
      + `On the test set its mean N is ${chosen.metrics.ponder_steps.toFixed(2)}.`;
    fill();
  }

  /* The budget after `shown` inner steps. */
  function fill() {
    const { halting, units, along, steps, remainder } = answer;
    const done = shown === steps;
    const told = (share, kind) => (share > 0.15 ? (kind === "rest" ? "R " : "") + Ponder.part(share) : "");
    const part = (share, kind) => Draw.make("span", { class: kind, style: `width: ${100 * share}%` }, told(share, kind));
    const spent = halting.slice(0, shown).reduce((sum, share) => sum + share, 0);
    at("budget").replaceChildren(...halting.slice(0, shown).map((share, n) => part(share, n === steps - 1 ? "rest" : "step")));
    const [first, last] = [8, 2]; // rows of a long table; what is between them is counted
    const left = shown - first - last;
    at("steps").replaceChildren(...halting.slice(0, shown).flatMap((share, n) => {
      if (left > 1 && n > first && n < shown - last) return [];
      if (left > 1 && n === first) return [Draw.make("tr", {}, Draw.make("td", { colspan: 4 }, `${left} steps more`))];
      const row = Draw.make("tr", {}, Draw.make("th", { scope: "row" }, String(n + 1)), Draw.make("td", {}, Ponder.part(units[n])));
      row.append(Draw.make("td", {}, Ponder.part(share) + (n === steps - 1 ? " (R)" : "")), Draw.make("td", {}, `${along[n].word}, ${Draw.percent(along[n].sure)}`));
      return row;
    }));
    const enough = 1 - chosen.settings.epsilon;
    const stopped = units.reduce((sum, unit) => sum + unit, 0) < enough ? `No more than ${steps} steps are allowed.`
      : `All h together reach ${enough}, so it stops here.`;
    at("filled").textContent = done
      ? `Inner step ${shown} of ${steps}. ${stopped} The last step gets the remainder, R: ${Ponder.part(remainder)}. The budget is full.`
      : `Inner step ${shown} of ${steps}: ${Ponder.part(spent)} is spent, ${Ponder.part(1 - spent)} is left.`;
  }

  at("draw").addEventListener("click", () => { places = Ponder.draw(places.length); ask(); });
  at("clear").addEventListener("click", () => { places = places.map(() => 0); ask(); });
  at("back").addEventListener("click", () => { shown = Math.max(shown - 1, 1); fill(); });
  at("next").addEventListener("click", () => { shown = Math.min(shown + 1, answer.steps); fill(); });
  root.querySelectorAll("[data-live-needs]").forEach((each) => { each.hidden = false; });
  root.querySelector("[data-live-without]").hidden = true;
  ask();
});
