// The report's scripts: this file, page_window.js and page_main.js stand in the page as one. The data are JSON in the page,
// written by html.c; everything is made with DOM calls, so that names from files are text and nothing else.
'use strict';

const data = JSON.parse(document.getElementById('data').textContent);
const $ = (id) => document.getElementById(id);

const fill = (node, attributes, children) => {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const make = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
const draw = (name, attributes = {}, ...children) =>
  fill(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);

// ---- numbers and words ----

const grouped = (n) => Math.round(n).toLocaleString('en-US');
const short = (n) => {
  for (const [unit, name] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
    if (n >= unit) return `${Number((n / unit).toPrecision(3))}${name}`;
  }
  return String(n);
};
const bytes = (n) => (n >= 2 ** 20 ? `${(n / 2 ** 20).toFixed(1)} MiB` : `${(n / 1024).toFixed(1)} KiB`);
const percent = (share) => (share === 0 ? '0%' : share < 5e-5 ? '<0.01%' : `${(100 * share).toFixed(share < 0.001 ? 2 : 1)}%`);
const times = (list) => list.join('×');
const minus = (text) => text.replace('-', '−');
const decimals = (n, digits) => (n === null ? 'not a number' : minus(n.toFixed(digits).replace(/^-(0\.?0*)$/, '$1')));
const weightText = (w) => (w === null ? 'not a number' : minus(String(w)));
const many = (n, one, more = `${one}s`) => `${grouped(n)} ${n === 1 ? one : more}`;

// A name that may be broken after its dots.
const breakable = (name) => make('span', {}, ...name.split(/(?<=[._/])/).flatMap((part, i) => (i ? [make('wbr'), part] : [part])));

// The axes of a window, in the order of the kernel's dimensions.
const axisNames = (layer) => [['position'], ['row', 'column'], ['depth', 'row', 'column']][layer.window.length - 1];

// ---- colours ----

const darkScheme = matchMedia('(prefers-color-scheme: dark)');

// The map of that name for the page's scheme: [[r, g, b], ..] from the lowest to the highest value.
const colorMap = (() => {
  const parsed = {};
  return (name) => {
    const key = darkScheme.matches ? `${name}_dark` : name;
    parsed[key] ??= data.maps[key].match(/.{6}/g).map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
    return parsed[key];
  };
})();

// Paints values 0..1, given by row, one pixel each.
function paint(canvas, columns, rows, map, valueAt) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext('2d');
  const image = context.createImageData(columns, rows);
  for (let i = 0; i < columns * rows; i += 1) {
    const value = valueAt(i);
    const color = Number.isFinite(value) ? map[Math.round(Math.min(1, Math.max(0, value)) * (map.length - 1))] : [150, 150, 150];
    image.data.set([...color, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// ---- kernels ----

// One element along one axis of `size` cells: its share of every cell, as design and dcls-model(5) define the versions.
function profile(version, size, centre, spread) {
  const below = Math.floor(centre);
  return Array.from({ length: size }, (_, t) => {
    if (version === 'v0') return t === below ? 1 - (centre - below) : t === below + 1 ? centre - below : 0;
    if (version === 'gauss') return Math.exp(-0.5 * ((t - centre) / spread) ** 2);
    return Math.max(0, (version === 'max' ? spread : 1) - Math.abs(t - centre));
  });
}

// The constructed kernel seen along axis `hidden` (-1: as it is), summed over it: {rows, columns, cells}.
function construct(layer, kernel, [down, across]) {
  const n = layer.window.length;
  const rows = down === null ? 1 : layer.window[down];
  const columns = layer.window[across];
  const cells = new Float64Array(rows * columns);
  for (const e of kernel.elements) {
    const profiles = layer.window.map((size, d) => profile(layer.version, size, e[d] === null ? NaN : e[d] + Math.floor(size / 2), e[n + 1 + d]));
    const sums = profiles.map((p) => p.reduce((a, b) => a + b, 0));
    let weight = e[n] ?? NaN;
    if (layer.version !== 'v0') weight /= sums.reduce((a, b) => a * b, 1) + 1e-7;
    sums.forEach((sum, d) => { if (d !== down && d !== across) weight *= sum; });
    for (let r = 0; r < rows; r += 1) {
      const share = weight * (down === null ? 1 : profiles[down][r]);
      for (let c = 0; c < columns; c += 1) cells[r * columns + c] += share * profiles[across][c];
    }
  }
  return { rows, columns, cells };
}
