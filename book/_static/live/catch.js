/* Catch: a ball falls, the screen goes blank; the reader and the agent move their paddles under the same ball. */
"use strict";

const Catch = {
  actions: ["left", "stay", "right"],
  paddle: 2, // pixels
  first: { ball: 2, paddle: 11 }, // the start that is shown first; columns count from 0

  start: ({ size, visible }, ball, paddle) => ({ size, visible, ball, paddle, frame: 1 }),
  over: (game) => game.frame === game.size,
  seen: (game) => game.frame <= game.visible,
  touched: (game) => game.paddle <= game.ball && game.ball < game.paddle + Catch.paddle,
  reward: (game) => (Catch.over(game) ? 2 * Catch.touched(game) - 1 : 0),

  /* The next frame, after an action: 0 left, 1 stay, 2 right; a wall stops the paddle. */
  after(game, action) {
    const paddle = Math.max(0, Math.min(game.size - Catch.paddle, game.paddle + action - 1));
    return { ...game, paddle, frame: game.frame + 1 };
  },

  /* What is seen, row by row: 1 for ball and paddle; nothing after frame M. */
  screen(game) {
    const pixels = new Float64Array(game.size ** 2);
    if (!Catch.seen(game)) return pixels;
    pixels[(game.frame - 1) * game.size + game.ball] = 1;
    for (let part = 0; part < Catch.paddle; part++) pixels[(game.size - 1) * game.size + game.paddle + part] = 1;
    return pixels;
  },

  policy: (answer) => Live.softmax(answer.logits.slice(0, Catch.actions.length)),

  /* An episode of a network. `luck`, a number in [0, 1) for each action, draws it; without, the most likely is taken. */
  play(network, ball, paddle, luck = null, changed = {}) {
    const games = [Catch.start(network.parameters, ball, paddle)];
    const [screens, answers, actions, rewards] = [[], [], [], []];
    for (let game = games[0], state = null; !Catch.over(game);) {
      screens.push(Catch.screen(game));
      answers.push(Live.step(network, screens.at(-1), state, changed));
      state = answers.at(-1).state;
      const policy = Catch.policy(answers.at(-1));
      const bounds = [policy[0], policy[0] + policy[1]];
      actions.push(luck ? bounds.filter((bound) => bound <= luck[actions.length]).length : Live.largest(policy));
      game = Catch.after(game, actions.at(-1));
      games.push(game);
      rewards.push(Catch.reward(game));
    }
    return { screens, actions, rewards, games, answers };
  },

  /* Every ball with every start of the paddle, in random order. */
  starts(size) {
    const all = Array.from({ length: size * (size - Catch.paddle + 1) }, (_, i) => ({ ball: i % size, paddle: Math.floor(i / size) }));
    for (let i = all.length - 1; i > 0; i--) {
      const j = Math.floor((i + 1) * Math.random());
      [all[i], all[j]] = [all[j], all[i]];
    }
    return all;
  },

  columns: (game) => `${game.paddle + 1} and ${game.paddle + 2}`,

  /* Where things stand, as a sentence; `open` tells also what a blank screen hides. */
  tell(game, whose, open) {
    const frame = `Frame ${game.frame} of ${game.size}: `;
    if (!Catch.seen(game) && !open) return `${frame}the screen is blank.`;
    const where = `ball in column ${game.ball + 1}, ${whose} paddle in columns ${Catch.columns(game)}.`;
    if (Catch.over(game)) return `${frame}${where} ${Catch.touched(game) ? "Caught." : "Missed."}`;
    return frame + (Catch.seen(game) ? "" : "the screen is blank; behind it, ") + where;
  },

  /* A board; if it is open, what is behind a blank screen is drawn dashed, and in the last frame as it is. */
  board(svg, game, open) {
    const { size, frame } = game;
    const hidden = !Catch.seen(game) && !(open && Catch.over(game));
    svg.setAttribute("viewBox", `-0.1 -0.1 ${size + 0.2} ${size + 0.2}`);
    const parts = [Draw.make("rect", { class: hidden ? "ground blank" : "ground", width: size, height: size })];
    for (let line = 1; line < size && !hidden; line++) parts.push(Draw.make("path", { class: "grid", d: `M${line} 0V${size}M0 ${line}H${size}` }));
    if (hidden && !open) parts.push(Draw.make("text", { x: size / 2, y: size / 2 }, `frame ${frame}: blank`));
    else {
      const how = hidden ? " unseen" : "";
      if (open && frame > 1) parts.push(Draw.make("path", { class: "fall", d: `M${game.ball + 0.5} 0.5V${frame - 1}` }));
      parts.push(Draw.make("rect", { class: `paddle${how}`, x: game.paddle + 0.1, y: size - 0.9, width: Catch.paddle - 0.2, height: 0.8 }));
      parts.push(Draw.make("circle", { class: `ball${how}`, cx: game.ball + 0.5, cy: frame - 0.5, r: 0.4 }));
    }
    svg.replaceChildren(...parts);
  },
};

document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("live-catch");
  if (!root) return;
  const at = (name) => root.querySelector(`[data-live="${name}"]`);
  const agent = Live.networks["fast-weights"];
  const { size, visible } = agent.parameters;
  let [episode, yours, place, search] = [null, null, 0, 0]; // yours: the reader's games so far; null while only the agent plays
  let score = { rounds: 0, you: 0, agent: 0 };

  const changed = () => (at("memory").checked ? {} : { rate: 0 });
  const playing = () => yours !== null && !Catch.over(yours.at(-1));
  const drawn = () => Catch.starts(size)[0];
  const say = (name, text) => { if (at(name).textContent !== text) at(name).textContent = text; };
  const stop = () => { search += 1; say("found", ""); };

  function watch({ ball, paddle }) { // the agent alone, played to its end
    stop();
    [episode, yours, place] = [Catch.play(agent, ball, paddle, null, changed()), null, 0];
    show();
  }

  function round({ ball, paddle }) {
    stop();
    [episode, yours, place] = [Catch.play(agent, ball, paddle, null, changed()), [Catch.start(agent.parameters, ball, paddle)], 0];
    show();
    at("yours").focus();
    root.querySelector(".moves").scrollIntoView({ block: "nearest" });
  }

  function move(action) {
    if (!playing()) return;
    stop();
    yours.push(Catch.after(yours.at(-1), action));
    place = yours.length - 1;
    if (!playing()) {
      const caught = (game) => Number(Catch.touched(game));
      score = { rounds: score.rounds + 1, you: score.you + caught(yours[place]), agent: score.agent + caught(episode.games[place]) };
    }
    show();
  }

  async function findMissed() {
    const [mine, starts] = [++search, Catch.starts(size)];
    for (const [tried, { ball, paddle }] of starts.entries()) {
      say("found", `Looking: ${tried} of ${starts.length} starts tried.`);
      await new Promise((resume) => { setTimeout(resume); });
      if (mine !== search) return;
      if (Catch.play(agent, ball, paddle, null, changed()).rewards.at(-1) > 0) continue;
      watch({ ball, paddle });
      say("found", `It caught ${tried} before it missed this one.`);
      return;
    }
    say("found", `It catches all ${starts.length}.`);
  }

  function showMemory() {
    const step = Math.min(place, size - 2); // in the last frame there is nothing to decide
    const { decay, rate } = { ...agent.settings, ...changed() };
    const before = episode.answers.slice(0, step).map(({ state }) => state.hidden);
    const shares = Live.shares(before, episode.answers[step].state.queries[0], decay, rate); // (F4)
    const sum = shares.reduce((total, share) => total + share, 0);
    say("reads-title", `What its fast memory gives it at frame ${step + 1}: the share of each frame before`);
    say("reads-none", before.length === 0 ? "Nothing stands before the first frame." : "It gives nothing.");
    at("reads-none").hidden = sum > 0;
    Draw.bars(at("reads"), sum > 0 ? before.map((_, i) => ({
      name: `frame ${i + 1}${i < visible ? "" : ", blank"}`, share: shares[i] / sum, marked: shares[i] === Math.max(...shares),
    })) : []);
    say("policy-title", `Its move at frame ${step + 1}`);
    Draw.bars(at("policy"), [...Catch.policy(episode.answers[step])].map((share, i) => ({ name: Catch.actions[i], share, marked: i === episode.actions[step] })));
  }

  function showFrames(open) {
    const where = (game, text) => (open || Catch.seen(game) ? text : "blank");
    const last = playing() ? place + 1 : size;
    at("frames").replaceChildren(...episode.games.slice(0, last).map((game, i) => {
      const row = Draw.make("tr", i === place ? { "aria-current": "step" } : {}, Draw.make("th", { scope: "row" }, String(i + 1)));
      row.append(Draw.make("td", {}, where(game, String(game.ball + 1))), Draw.make("td", {}, where(game, Catch.columns(game))));
      row.append(Draw.make("td", {}, Catch.actions[episode.actions[i]] || "–"));
      if (yours) row.append(Draw.make("td", {}, where(yours[i], Catch.columns(yours[i]))));
      return row;
    }));
  }

  function show() {
    const open = !playing();
    Catch.board(at("agent-board"), episode.games[place], open);
    say("agent-says", Catch.tell(episode.games[place], "its", open));
    for (const name of ["yours-section", "yours-column", "new", "score"]) at(name).hidden = yours === null;
    at("play").hidden = yours !== null;
    if (yours) {
      Catch.board(at("your-board"), yours[place], open);
      say("your-says", Catch.tell(yours[place], "your", open));
      root.querySelectorAll("[data-move]").forEach((button) => button.setAttribute("aria-disabled", String(open)));
      say("score", `Rounds: ${score.rounds}. You caught ${score.you}, the agent ${score.agent}.`);
    }
    at("back").disabled = at("begin").disabled = !open || place === 0;
    at("next").disabled = at("end").disabled = !open || place === size - 1;
    say("step", `frame ${place + 1} of ${size}`);
    showMemory();
    showFrames(open);
  }

  const step = (by) => { place = Math.max(0, Math.min(size - 1, place + by)); show(); };
  at("back").addEventListener("click", () => step(-1));
  at("next").addEventListener("click", () => step(1));
  at("begin").addEventListener("click", () => step(-size));
  at("end").addEventListener("click", () => step(size));
  at("play").addEventListener("click", () => round(drawn()));
  at("new").addEventListener("click", () => round(drawn()));
  at("another").addEventListener("click", () => watch(drawn()));
  at("missed").addEventListener("click", findMissed);
  at("memory").addEventListener("change", () => { score = { rounds: 0, you: 0, agent: 0 }; watch(episode.games[0]); });
  root.querySelectorAll("[data-move]").forEach((button) => button.addEventListener("click", () => move(Number(button.dataset.move))));
  at("arena").addEventListener("keydown", (event) => {
    const action = { ArrowLeft: 0, ArrowDown: 1, " ": 1, ArrowRight: 2 }[event.key];
    const presses = event.key === " " && event.target.closest("button"); // the space bar presses a button that has the focus
    if (action === undefined || presses || yours === null || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    move(action);
  });
  say("made", `The agent: ${agent.label}, ${agent.settings.size} units, λ = ${agent.settings.decay}, η = ${agent.settings.rate}, ${agent.updates.toLocaleString("en")} updates; `
    + `on the test set it misses ${Draw.percent(agent.metrics.error)} of the balls. There it draws each action by its probabilities; here it takes the most likely.`);
  root.querySelectorAll("[data-live-needs]").forEach((each) => { each.hidden = false; });
  root.querySelector("[data-live-without]").hidden = true;
  watch(Catch.first);
});
