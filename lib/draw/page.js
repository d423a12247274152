// The report's behaviour. Data stands in the page as JSON (written by lib/draw/html.c); everything is made with DOM calls, so
// that names from files are text and nothing else.
'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const $ = (id) => document.getElementById(id);
  const SVG = 'http://www.w3.org/2000/svg';

  const make = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const draw = (name, attributes = {}, text) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const grouped = (n) => Math.round(n).toLocaleString('en-US');
  const short = (n) => {
    for (const [unit, name] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
      if (n >= unit) return `${(n / unit).toPrecision(3)}${name}`;
    }
    return String(n);
  };
  const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.001 ? 2 : 1)}%`;
  const sizes = (list) => (list.every((n) => n === list[0]) && list.length > 1 ? `${list[0]}×${list.length === 2 ? list[0] : `${list[0]}×${list[0]}`}` : list.join('×'));

  // ---- summary ----

  $('title').textContent = document.title;

  for (const [name, value] of data.facts) $('facts').append(make('div', {}, make('dt', {}, name), make('dd', {}, value)));
  for (const line of data.warnings) $('warnings').append(make('li', {}, line));
  if (!data.warnings.length) $('warnings').replaceWith(make('p', { class: 'faint' }, 'None.'));

  // ---- table of layers ----

  const { layers } = data;
  layers.forEach((layer, order) => { layer.order = order; });
  let current = layers[0];
  let sorting = { key: 'order', down: false };
  const columns = [
    ['layer', 'name', (l) => l.name, 'text'],
    ['version', 'version', (l) => l.version + (l.form ? ` ${l.form}` : ''), 'text'],
    ['window', 'cells', (l) => sizes(l.window)],
    ['K', 'K', (l) => grouped(l.K)],
    ['elements', 'elements', (l) => short(l.elements)],
    ['std of P', 'std', (l) => l.std.toFixed(2)],
    ['spread S', 'spread', (l) => (l.spread ? l.spread.toFixed(2) : '')],
    ['clamped', 'clamped', (l) => percent(l.clamped)],
    ['lost', 'lost', (l) => percent(l.lost)],
    ['MACs dense', 'dense', (l) => (l.dense ? short(l.dense) : '')],
    ['MACs sparse', 'sparse', (l) => (l.sparse ? short(l.sparse) : '')],
  ].filter(([, key]) => !['dense', 'sparse', 'spread'].includes(key) || layers.some((l) => l[key]));

  const sorted = () => [...layers].sort((a, b) => {
    const [x, y] = [a[sorting.key], b[sorting.key]];
    const order = typeof x === 'string' ? x.localeCompare(y, 'en', { numeric: true }) : x - y;
    return (sorting.down ? -order : order) || a.order - b.order;
  });

  const sortBy = (key, down) => {
    sorting = { key, down };
    showTable();
  };

  function showTable() {
    const head = make('tr');
    for (const [title, key, , kind] of columns) {
      const active = sorting.key === key;
      const mark = active ? (sorting.down ? ' ▾' : ' ▴') : '';
      const button = make('button', { type: 'button', title: `sort by ${title}` }, title + mark);
      button.addEventListener('click', () => {
        sortBy(key, active ? !sorting.down : kind !== 'text');
        $('layers').querySelectorAll('th button')[columns.findIndex((c) => c[1] === key)].focus();
      });
      head.append(make('th', { scope: 'col', class: kind || '', 'aria-sort': active ? (sorting.down ? 'descending' : 'ascending') : 'none' }, button));
    }
    const body = make('tbody');
    for (const layer of sorted()) {
      const row = make('tr', { 'aria-current': String(layer === current) });
      for (const [, key, text, kind] of columns) {
        const cell = make('td', { class: kind || '' });
        if (key === 'name') {
          const button = make('button', { type: 'button' }, layer.name);
          button.addEventListener('click', () => { choose(layer); $('window').scrollIntoView({ block: 'nearest' }); });
          cell.append(button);
        } else {
          cell.append(text(layer));
        }
        row.append(cell);
      }
      body.append(row);
    }
    $('layers').replaceChildren(make('thead', {}, head), body);
    fillLayerList();
  }

  // ---- controls ----

  const versions = [...new Set(layers.map((l) => l.version))];

  function fillLayerList() {
    const wanted = $('version').value;
    const list = sorted().filter((l) => !wanted || l.version === wanted);
    $('layer').replaceChildren(...list.map((l) => make('option', { value: l.order }, l.name)));
    $('layer').value = current.order;
  }

  function choose(layer) {
    current = layer;
    $('kernel').replaceChildren(...layer.kernels.map((k, i) => make('option', { value: i }, k.name)));
    $('axes').parentNode.hidden = layer.window.length < 3;
    $('sampled').textContent = layer.kernels.length < layer.total
      ? `${grouped(layer.kernels.length)} of ${grouped(layer.total)} kernels are in this page; density counts all of them.` : '';
    showTable();
    showWindow();
  }

  $('version').append(make('option', { value: '' }, 'all'), ...versions.map((v) => make('option', { value: v }, v)));
  $('version').addEventListener('change', () => {
    const first = sorted().find((l) => !$('version').value || l.version === $('version').value);
    if (!$('version').value || current.version === $('version').value) fillLayerList();
    else choose(first);
  });
  $('sort').addEventListener('change', () => {
    const [key, down] = $('sort').value.split(' ');
    sortBy(key, down === 'down');
  });
  $('layer').addEventListener('change', () => choose(layers[$('layer').value]));
  for (const id of ['kernel', 'axes', 'show']) $(id).addEventListener('change', () => showWindow());
  const step = (by) => {
    const next = Number($('kernel').value) + by;
    if (next < 0 || next >= current.kernels.length) return;
    $('kernel').value = next;
    showWindow();
  };
  $('previous').addEventListener('click', () => step(-1));
  $('next').addEventListener('click', () => step(1));

  // ---- the window ----

  const VIEW = 480;
  const EDGE = 34;

  // Kernel axes shown: [vertical, horizontal]; one-dimensional windows have no vertical one.
  const shownAxes = (layer) => {
    if (layer.window.length === 1) return [null, 0];
    if (layer.window.length === 2) return [0, 1];
    return $('axes').value.split(' ').map(Number);
  };

  function frame(svg, layer, [down, across]) {
    const rows = down === null ? Math.min(5, layer.window[across]) : layer.window[down];
    const cols = layer.window[across];
    const cell = VIEW / Math.max(rows, cols);
    const [w, h] = [cell * cols, cell * rows];
    svg.setAttribute('viewBox', `0 0 ${w + 2 * EDGE} ${h + 2 * EDGE}`);
    const line = (x1, y1, x2, y2) => svg.append(draw('line', { x1, y1, x2, y2, class: 'cellline' }));
    if (cell > 3) {
      for (let i = 1; i < cols; i += 1) line(EDGE + i * cell, EDGE, EDGE + i * cell, EDGE + h);
      if (down !== null) for (let i = 1; i < rows; i += 1) line(EDGE, EDGE + i * cell, EDGE + w, EDGE + i * cell);
    }
    return { rows, cols, cell, w, h };
  }

  function finishFrame(svg, layer, [down, across], f) {
    svg.append(draw('rect', { x: EDGE, y: EDGE, width: f.w, height: f.h, class: 'border' }));
    const tick = (text, x, y, anchor) => svg.append(draw('text', { x, y, 'text-anchor': anchor }, text));
    const half = Math.floor(f.cols / 2);
    for (const at of [-half, 0, f.cols - 1 - half]) tick(at, EDGE + (half + at + 0.5) * f.cell, EDGE + f.h + 15, 'middle');
    if (down !== null) {
      const middle = Math.floor(f.rows / 2);
      for (const at of [-middle, 0, f.rows - 1 - middle]) tick(at, EDGE - 6, EDGE + (middle + at + 0.5) * f.cell + 4, 'end');
    }
    const names = layer.window.length === 1 ? ['position'] : layer.window.map((_, i) => (layer.window.length === 2 ? ['row', 'column'] : ['depth', 'row', 'column'])[i]);
    tick(`${names[across]}, cells from the centre`, EDGE + f.w / 2, EDGE + f.h + 29, 'middle');
    if (down !== null) tick(names[down], EDGE, EDGE - 10, 'middle');
  }

  function describe(layer, kernel, index) {
    const e = kernel.elements[index];
    const n = layer.window.length;
    const names = n === 1 ? ['position'] : n === 2 ? ['row', 'column'] : ['depth', 'row', 'column'];
    const lines = [['kernel', kernel.name], ['element', `${index} of ${layer.K}`]];
    names.forEach((name, i) => lines.push([name, e[i].toFixed(3)]));
    lines.push(['weight', String(e[n])]);
    if (layer.spread) names.forEach((name, i) => lines.push([`spread S, ${name}`, e[n + 1 + i].toFixed(3)]));
    return lines;
  }

  function tell(layer, kernel, index) {
    const list = make('dl');
    for (const [name, value] of describe(layer, kernel, index)) list.append(make('dt', {}, name), make('dd', {}, value));
    $('note').replaceChildren(list);
  }

  function showElements(svg, layer) {
    const axes = shownAxes(layer);
    const [down, across] = axes;
    const kernel = layer.kernels[$('kernel').value || 0];
    const f = frame(svg, layer, axes);
    const n = layer.window.length;
    const largest = layer.largest || 1;
    const centre = (value, count) => (value + Math.floor(count / 2) + 0.5) * f.cell + EDGE;
    const groups = kernel.elements.map((e, index) => {
      const sign = e[n] < 0 ? 'negative' : 'positive';
      const x = centre(e[across], f.cols);
      const y = down === null ? EDGE + f.h * ((index + 0.5) / layer.K) : centre(e[down], f.rows);
      const r = Math.max(2.2, Math.min(14, 0.55 * f.cell) * Math.sqrt(Math.abs(e[n]) / largest));
      const group = draw('g', { class: 'element', tabindex: index ? -1 : 0, role: 'img',
        'aria-label': describe(layer, kernel, index).map(([a, b]) => `${a} ${b}`).join(', ') });
      if (layer.spread) {
        group.append(draw('ellipse', { cx: x, cy: y, rx: e[n + 1 + across] * f.cell,
          ry: down === null ? r : e[n + 1 + down] * f.cell, class: `ring ${sign}` }));
      }
      group.append(draw('circle', { cx: x, cy: y, r, class: `disc ${sign}` }));
      group.append(draw('title', {}, describe(layer, kernel, index).map(([a, b]) => `${a}: ${b}`).join('\n')));
      for (const event of ['pointerenter', 'focus', 'click']) group.addEventListener(event, () => tell(layer, kernel, index));
      return group;
    });
    svg.addEventListener('keydown', (event) => {
      const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
      const at = groups.indexOf(document.activeElement);
      if (move === undefined || at < 0) return;
      event.preventDefault();
      const to = Math.max(0, Math.min(groups.length - 1, at + move));
      groups[at].setAttribute('tabindex', -1);
      groups[to].setAttribute('tabindex', 0);
      groups[to].focus();
    });
    const order = groups.map((g, i) => [Math.abs(kernel.elements[i][n]), g]).sort((a, b) => b[0] - a[0]);
    order.forEach(([, group]) => svg.append(group)); // small discs above large ones
    finishFrame(svg, layer, axes, f);
    $('note').replaceChildren(make('p', { class: 'faint' },
      'Point at an element, or move through them with Tab and the arrow keys.'));
  }

  function showDensity(svg, layer) {
    const axes = shownAxes(layer);
    const [down, across] = axes;
    const f = frame(svg, layer, axes);
    const sums = new Float64Array(f.cols * (down === null ? 1 : f.rows));
    layer.density.forEach((value, at) => {
      const place = [];
      for (let d = layer.window.length - 1, rest = at; d >= 0; d -= 1) {
        place[d] = rest % layer.window[d];
        rest = Math.floor(rest / layer.window[d]);
      }
      sums[(down === null ? 0 : place[down] * f.cols) + place[across]] += value;
    });
    const most = Math.max(...sums) || 1;
    sums.forEach((value, i) => {
      const rect = draw('rect', { x: EDGE + (i % f.cols) * f.cell, y: EDGE + Math.floor(i / f.cols) * f.cell, width: f.cell,
        height: down === null ? f.h : f.cell, class: 'heat', 'fill-opacity': Math.sqrt(value / most).toFixed(3) });
      rect.append(draw('title', {}, `${grouped(value)} elements`));
      svg.append(rect);
    });
    finishFrame(svg, layer, axes, f);
    $('note').replaceChildren(make('p', {}, `Elements per cell, all ${grouped(layer.total)} kernels together; colour shows the square root. The fullest cell holds ${grouped(most)}.`));
  }

  function showWindow() {
    const density = $('show').value === 'density';
    $('kernel').disabled = density;
    $('previous').disabled = density;
    $('next').disabled = density;
    const svg = draw('svg', { id: 'window', role: 'group', 'aria-label': `window of ${current.name}` });
    (density ? showDensity : showElements)(svg, current);
    $('window').replaceWith(svg);
  }

  // ---- all operations ----

  const body = $('nodes');
  for (const node of data.nodes) {
    const cell = (text, kind) => make('td', kind ? { class: kind } : {}, text);
    body.append(make('tr', {}, cell(node.name, 'text'), cell(node.op, 'text'), cell(node.output), cell(node.weights ? short(node.weights) : ''),
      cell(node.positions ? short(node.positions) : ''), cell(node.spreads ? short(node.spreads) : ''),
      cell(node.dense ? short(node.dense) : ''), cell(node.sparse && node.sparse !== node.dense ? short(node.sparse) : ''), cell(node.field)));
  }
  if (!data.nodes.length) $('operations').remove();

  choose(current);
})();
