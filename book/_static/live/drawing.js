/* What the pages with live networks draw with: bars, maps of numbers, sliders that tell their value. */
"use strict";

const Draw = {};

Draw.still = window.matchMedia("(prefers-reduced-motion: reduce)");

/* A share in percent: whole from ten on, a tenth below; what is not all is not called 100 %. */
Draw.percent = function (share) {
  if (share > 0.995 && share < 1) return share > 0.9995 ? "over 99.9\u00a0%" : `${(100 * share).toFixed(1)}\u00a0%`;
  return `${(100 * share).toFixed(share > 0.0995 ? 0 : 1)}\u00a0%`;
};

/* An element with attributes and children; a child is an element or text. */
Draw.make = function (tag, attributes = {}, ...children) {
  const svg = ["svg", "rect", "path", "text", "line", "circle", "g", "title"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

/* A matrix on a canvas, blue above zero and red below, each cell a square. `most` has the strongest colour, which goes
   with the root of a number: what is faint stays visible. */
Draw.matrix = function (canvas, data, columns, most) {
  const rows = data.length / columns;
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let at = 0; at < data.length; at++) {
    const strength = Math.min(Math.sqrt(Math.abs(data[at]) / most), 1);
    const [red, green, blue] = data[at] < 0 ? [178, 34, 52] : [20, 76, 155];
    image.data[4 * at] = 255 - strength * (255 - red);
    image.data[4 * at + 1] = 255 - strength * (255 - green);
    image.data[4 * at + 2] = 255 - strength * (255 - blue);
    image.data[4 * at + 3] = 255;
  }
  context.putImageData(image, 0, 0);
};

/* Rows of labelled bars, each with its number beside it: what a screen reader reads is the table itself. */
Draw.bars = function (table, rows) {
  table.replaceChildren(...rows.map(({ name, share, told = Draw.percent(share), marked }) => {
    const bar = Draw.make("span", { class: "bar", style: `width: ${100 * Math.max(0, Math.min(1, share))}%` });
    const row = Draw.make("tr", marked ? { class: "marked" } : {});
    row.append(Draw.make("th", { scope: "row" }, name), Draw.make("td", { class: "track" }, bar), Draw.make("td", {}, told));
    return row;
  }));
};

/* A slider that tells its value, and says when it stands where the network was trained. */
Draw.slider = function (input, output, tell, change) {
  const say = () => { output.textContent = tell(Number(input.value)); };
  input.addEventListener("input", () => { say(); change(Number(input.value)); });
  say();
  return { set: (value) => { input.value = value; say(); } };
};
