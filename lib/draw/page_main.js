// Summary, choices and tables.

(() => {
  const { layers } = data;
  layers.forEach((layer, order) => { layer.order = order; });
  const state = { layer: layers[0], kernel: layers[0].kernels[0], show: 'kernel', hidden: 0 };

  // ---- summary ----

  function fact(name, value, ...details) {
    $('facts').append(make('div', {}, make('dt', {}, name), make('dd', {}, value), ...details.map((text) => make('dd', {}, text))));
  }

  function summary(facts) {
    const versions = [...new Set(layers.map((l) => l.version))].join(', ');
    if (facts) {
      fact('task', facts.task, `input ${times(facts.input)}`);
      fact('parameters', short(facts.weights + facts.positions + facts.spreads), `${grouped(facts.weights)} weights`,
        `${grouped(facts.positions)} positions`, ...(facts.spreads ? [`${grouped(facts.spreads)} spreads`] : []));
      if (facts.dense) {
        fact('multiply-accumulates', short(facts.sparse), 'kernels as their non-zero cells', `${short(facts.dense)} with dense kernels`);
      }
      if (facts.live) fact('memory', bytes(facts.live), 'activations at the peak', ...(facts.plan ? [`${bytes(facts.plan)} taken to run it`] : []));
    }
    fact('DCLS layers', grouped(layers.length), versions, many(layers.reduce((sum, l) => sum + l.elements, 0), 'element'));
  }

  $('title').textContent = document.title;
  summary(data.facts);
  $('warnings').hidden = !data.warnings.length;
  for (const line of data.warnings) $('warnings').querySelector('ul').append(make('li', {}, line));
  $('footer').textContent = `Written by ${data.by}. This file loads nothing from anywhere.`;

  // ---- tables that their headings sort ----

  const compare = (key) => (a, b) => (typeof a[key] === 'string' ? a[key].localeCompare(b[key], 'en', { numeric: true }) : a[key] - b[key]);

  const sorted = (rows, { key, down }) => {
    const order = compare(key);
    return [...rows].sort((a, b) => (down ? order(b, a) : order(a, b)) || a.order - b.order);
  };

  // columns: [title, key, text of a row or a node, kind: 'text' | 'bar' | '']; sorting: {key, down}, changed by `change`.
  function sortable(table, rows, columns, sorting, change, isChosen = () => false) {
    const heads = columns.map(([title, key, , kind]) => {
      const active = sorting.key === key;
      const button = make('button', { type: 'button' }, `${title}${active ? (sorting.down ? ' ▾' : ' ▴') : ''}`);
      button.addEventListener('click', () => {
        change({ key, down: active ? !sorting.down : kind !== 'text' });
        table.querySelectorAll('th button')[columns.findIndex((c) => c[1] === key)].focus();
      });
      return make('th', { scope: 'col', class: kind, 'aria-sort': active ? (sorting.down ? 'descending' : 'ascending') : 'none' }, button);
    });
    const most = Object.fromEntries(columns.map(([, key]) => [key, Math.max(...rows.map((row) => Number(row[key]) || 0))]));
    const body = sorted(rows, sorting).map((row) => make('tr', isChosen(row) ? { class: 'chosen' } : {}, ...columns.map(([, key, text, kind]) => {
      const cell = make('td', { class: kind }, text(row));
      if (kind === 'bar' && row[key]) cell.style.setProperty('--share', `${100 * row[key] / most[key]}%`);
      return cell;
    })));
    table.replaceChildren(make('thead', {}, make('tr', {}, ...heads)), make('tbody', {}, ...body));
  }

  // ---- table of layers ----

  let layerSorting = { key: 'order', down: false };
  const used = (rows) => ([, key]) => !['dense', 'sparse', 'spread', 'positions', 'spreads'].includes(key) || rows.some((row) => row[key]);
  const layerColumns = [
    ['layer', 'name', (l) => {
      const button = make('button', { type: 'button', 'aria-label': `show ${l.name}` }, breakable(l.name));
      button.addEventListener('click', () => {
        choose(l);
        $('chosen').focus();
      });
      return button;
    }, 'text'],
    ['version', 'version', (l) => l.version + (l.form ? ` ${l.form}` : ''), 'text'],
    ['window', 'cells', (l) => times(l.window), ''],
    ['K', 'K', (l) => grouped(l.K), ''],
    ['elements', 'elements', (l) => grouped(l.elements), ''],
    ['std P', 'std', (l) => l.std.toFixed(2), ''],
    ['S', 'spread', (l) => (l.spread ? l.spread.toFixed(2) : ''), ''],
    ['at limit', 'clamped', (l) => percent(l.clamped), ''],
    ['lost', 'lost', (l) => percent(l.lost), ''],
    ['MACs dense', 'dense', (l) => (l.dense ? short(l.dense) : ''), 'bar'],
    ['MACs sparse', 'sparse', (l) => (l.sparse ? short(l.sparse) : ''), 'bar'],
  ].filter(used(layers));

  for (const [id, key] of [['about-spread', 'spread'], ['about-costs', 'dense']]) $(id).hidden = !layers.some((l) => l[key]);
  const showLayerTable = () => sortable($('layer-table'), layers, layerColumns, layerSorting, sortLayers, (l) => l === state.layer);

  function sortLayers(sorting) {
    layerSorting = sorting;
    const said = `${sorting.key}${sorting.down ? ' down' : ''}`;
    $('sort').value = said;
    showLayerTable();
    showLayers();
  }

  // ---- layers to choose from ----

  const thumbs = new Map();

  function thumb(layer) {
    const canvas = make('canvas', { 'aria-hidden': 'true' });
    const input = make('input', { type: 'radio', name: 'layer', value: layer.order });
    input.addEventListener('change', () => choose(layer));
    return { canvas, input, label: make('label', {}, input, make('span', { class: 'card' }, canvas, breakable(layer.name))) };
  }

  function paintThumbs() {
    const colors = colorMap('sequential');
    // Elements per cell, of what an even spread would be; a square root shows the sparse outskirts.
    const evenly = (layer) => layer.density[0].cells.length / (layer.placed || 1);
    const most = Math.max(...layers.map((layer) => evenly(layer) * Math.max(...layer.density[0].cells))) || 1;
    paint($('thumb-bar'), 255, 1, colors, (i) => i / 254);
    $('thumb-high').textContent = `${most.toFixed(1)} times an even spread`;
    for (const [layer, { canvas }] of thumbs) {
      const map = layer.density[0];
      const rows = layer.window.length === 1 ? Math.max(1, Math.round(map.columns / 3)) : map.rows; // a line would not be seen
      paint(canvas, map.columns, rows, colors, (i) => Math.sqrt(map.cells[layer.window.length === 1 ? i % map.columns : i] * evenly(layer) / most));
    }
  }

  const wanted = (layer) => !$('version').value || layer.version === $('version').value;

  function showLayers() {
    const list = sorted(layers.filter(wanted), layerSorting);
    $('layers').replaceChildren($('layers').querySelector('legend'), ...list.map((layer) => thumbs.get(layer).label));
    thumbs.get(state.layer).input.checked = true;
  }

  for (const layer of layers) thumbs.set(layer, thumb(layer));
  paintThumbs();

  const orders = [['order', 'order in the network'], ['name', 'name'], ['dense down', 'cost, dense kernels'], ['sparse down', 'cost, non-zero cells'],
    ['std down', 'how far positions lie apart'], ['spread down', 'spread S'], ['clamped down', 'share at the limit'], ['lost down', 'mass lost']];
  $('sort').append(...orders.filter(([key]) => used(layers)([0, key.split(' ')[0]])).map(([value, text]) => make('option', { value }, text)));
  $('sort').addEventListener('change', () => {
    const [key, down] = $('sort').value.split(' ');
    sortLayers({ key, down: down === 'down' });
  });
  const versions = [...new Set(layers.map((l) => l.version))];
  $('version').append(make('option', { value: '' }, 'all'), ...versions.map((v) => make('option', { value: v }, v)));
  $('version-label').hidden = versions.length < 2;
  $('version').addEventListener('change', () => {
    if (!wanted(state.layer)) choose(sorted(layers.filter(wanted), layerSorting)[0]);
    showLayers();
  });

  // ---- the chosen layer ----

  function numbers(layer) {
    const names = axisNames(layer);
    const each = (list) => names.map((name, d) => (names.length > 1 ? `${name} ` : '') + decimals(list[d], 2)).join(', ');
    const kernels = layer.inputs > 1 ? `${many(layer.outputs, 'output')} × ${many(layer.inputs, 'input')}` : many(layer.outputs, 'channel');
    const list = [
      ['version', layer.version + (layer.form ? ` ${layer.form}` : '')],
      ['window D', `${times(layer.window)}${layer.window.length === 1 ? ' cells' : ''}`],
      ['elements', `${grouped(layer.elements)}: ${kernels}, K = ${layer.K}`],
      ['mean of P', each(layer.means)],
      ['std of P', each(layer.stds)],
    ];
    if (layer.spread) {
      list.push(['spread S', `${layer.spread.toFixed(2)}, from ${layer.spread_min.toFixed(2)} to ${layer.spread_max.toFixed(2)}`]);
    }
    list.push(['at the clamp limit', percent(layer.clamped)], ['mass lost', percent(layer.lost)]);
    if (layer.dense) list.push(['MACs', `${short(layer.sparse)}, ${short(layer.dense)} as dense kernels`]);
    if (layer.shared_with) list.push(['positions', `those of ${layer.shared_with}`]);
    $('numbers').replaceChildren(...list.flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, value)]));
  }

  const distinct = (key) => [...new Set(state.layer.kernels.map((k) => k[key]))];

  function choose(layer) {
    state.layer = layer;
    $('chosen').replaceChildren(breakable(layer.name));
    const options = (list) => list.map((value) => make('option', { value }, String(value)));
    $('output').replaceChildren(...options(distinct('output')));
    $('input').replaceChildren(...options(distinct('input')));
    $('input-label').hidden = layer.inputs < 2;
    $('axes-label').hidden = layer.window.length < 3;
    $('sampled').textContent = layer.kernels.length < layer.total
      ? `To keep this page small it holds ${grouped(layer.kernels.length)} of the layer’s ${grouped(layer.total)} kernels, taken evenly. Densities and figures count all of them.`
      : '';
    thumbs.get(layer).input.checked = true;
    numbers(layer);
    showLayerTable();
    chooseKernel();
  }

  function chooseKernel() {
    const [output, input] = [Number($('output').value), Number($('input').value)];
    state.kernel = state.layer.kernels.find((k) => k.output === output && k.input === input);
    show();
  }

  function readings() {
    const { layer } = state;
    const sum = layer.window.length === 3 ? ' Summed along the axis that is not shown.' : '';
    return {
      kernel: `${layer.window.length === 1 ? 'Height' : 'Area of a disc'}: ${layer.window.length === 1 ? 'weight' : '|weight|'}${layer.spread ? `; ${layer.window.length === 1 ? 'bar' : 'ring'}: spread S` : ''}. Tab and the arrow keys move from element to element.`,
      overlay: `${layer.kernels.length < layer.total ? 'The kernels in this page' : 'All kernels'} on top of each other. ${layer.window.length === 1 ? 'Height: weight' : 'Area of a disc: |weight|'}. A click on an element opens its kernel.`,
      density: `Elements in each cell, all kernels together; bars: sums${layer.window.length === 1 ? '' : ' of columns and rows'}.${sum}`,
      dense: `The kernel that the elements of this channel make.${layer.window.length === 1 ? '' : ' Crosses: elements.'}${sum}`,
    }[state.show];
  }

  function elementTable() {
    const { layer, kernel } = state;
    const n = layer.window.length;
    const names = axisNames(layer);
    const list = kernel.elements.map((e, index) => ({ e, index })).sort((a, b) => Math.abs(b.e[n] ?? 0) - Math.abs(a.e[n] ?? 0));
    const heads = ['element', 'weight', ...names, ...(layer.spread ? names.map((name) => `S ${name}`) : [])];
    const rows = list.map(({ e, index }) => {
      const sign = (e[n] ?? 0) < 0 ? 'negative' : 'positive';
      const weight = make('span', { class: e[n] === null ? '' : sign }, weightText(e[n]));
      const places = [...e.slice(0, n), ...e.slice(n + 1)];
      return make('tr', { 'data-element': index }, make('td', {}, String(index)), make('td', {}, weight),
        ...places.map((value) => make('td', {}, decimals(value, 2))));
    });
    $('elements').querySelector('table').replaceChildren(
      make('thead', {}, make('tr', {}, ...heads.map((text) => make('th', { scope: 'col' }, text)))), make('tbody', {}, ...rows));
    $('elements').scrollTop = 0;
  }

  // Marks an element's row and brings it into view, the page staying where it is.
  function tell(index) {
    const box = $('elements');
    box.querySelector('.chosen')?.classList.remove('chosen');
    if (index === null) return;
    const row = box.querySelector(`[data-element="${index}"]`);
    row.classList.add('chosen');
    const head = box.querySelector('thead').offsetHeight;
    if (row.offsetTop - head < box.scrollTop) box.scrollTop = row.offsetTop - head;
    else if (row.offsetTop + row.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = row.offsetTop + row.offsetHeight - box.clientHeight;
  }

  // From the overlay to the kernel that an element belongs to.
  function open(kernel) {
    state.show = 'kernel';
    $('show').value = 'kernel';
    $('output').value = kernel.output;
    $('input').value = kernel.input;
    chooseKernel();
  }

  function show() {
    const ofKernel = ['kernel', 'dense'].includes(state.show);
    for (const label of document.querySelectorAll('.of-kernel')) label.hidden = !ofKernel || (label.id === 'input-label' && state.layer.inputs < 2);
    $('elements').hidden = !ofKernel;
    const outputs = distinct('output');
    const at = outputs.indexOf(state.kernel.output);
    $('previous').disabled = at === 0;
    $('next').disabled = at === outputs.length - 1;
    $('reading').replaceChildren(readings());
    if (['kernel', 'overlay'].includes(state.show)) {
      $('reading').prepend(make('span', { class: 'positive' }, '●'), ' positive ', make('span', { class: 'negative' }, '●'), ' negative. ');
      $('reading').append(' Dashed: where training clamps positions.');
    }
    elementTable();
    showWindow(state, tell, open);
    if ($('window').querySelector('.outside')) $('reading').append(' Hollow: further out than the picture goes.');
  }

  $('show').addEventListener('change', () => {
    state.show = $('show').value;
    show();
  });
  for (const id of ['output', 'input']) $(id).addEventListener('change', chooseKernel);
  $('axes').addEventListener('change', () => {
    state.hidden = Number($('axes').value);
    show();
  });
  for (const [id, by] of [['previous', -1], ['next', 1]]) {
    $(id).addEventListener('click', () => {
      const outputs = distinct('output');
      const next = outputs[outputs.indexOf(state.kernel.output) + by];
      if (next === undefined) return;
      $('output').value = next;
      chooseKernel();
      if ($(id).disabled) $('output').focus(); // a button that is switched off would lose the keyboard
    });
  }

  // ---- all operations ----

  const { nodes } = data;
  const nodeColumns = [
    ['#', 'order', (n) => String(n.order + 1), ''],
    ['node', 'name', (n) => breakable(n.name), 'text'],
    ['op', 'op', (n) => n.op, 'text'],
    ['output', 'size', (n) => times(n.shape), ''],
    ['weights', 'weights', (n) => (n.weights ? short(n.weights) : ''), 'bar'],
    ['P', 'positions', (n) => (n.positions ? short(n.positions) : ''), ''],
    ['SIG', 'spreads', (n) => (n.spreads ? short(n.spreads) : ''), ''],
    ['MACs dense', 'dense', (n) => (n.dense ? short(n.dense) : ''), 'bar'],
    ['MACs sparse', 'sparse', (n) => (n.sparse ? short(n.sparse) : ''), 'bar'],
    ['field', 'reach', (n) => (!n.field ? '-' : n.field.length ? times(n.field) : 'all'), ''],
  ].filter(used(nodes));

  const showNodes = (sorting) => sortable($('node-table'), nodes, nodeColumns, sorting, showNodes);

  nodes.forEach((node, order) => {
    const product = (list) => list.reduce((a, b) => a * b, 1);
    Object.assign(node, { order, size: product(node.shape), reach: !node.field ? -1 : node.field.length ? product(node.field) : Infinity });
  });
  $('operations').hidden = !nodes.length;
  $('operations').querySelector('summary').textContent = `${many(nodes.length, 'operation')} in the order they run; headings sort`;
  // What nobody may look at is made when it is opened.
  $('operations').querySelector('details').addEventListener('toggle', () => showNodes({ key: 'order', down: false }), { once: true });

  darkScheme.addEventListener('change', () => {
    paintThumbs();
    show();
  });
  showLayers();
  choose(layers[0]);
})();
