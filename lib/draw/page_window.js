// The window of a layer: elements, density or the constructed kernel, explored by pointer or keyboard. showWindow(state, tell, open)
// draws it; tell(number or null) is called with the element that is looked at, open(kernel) with one that is to be shown alone.

const showWindow = (() => {
  const VIEW = 520; // the longer side of the window, in units of the drawing
  const EDGE = 42;
  const BARS = 46; // marginal counts beside a density
  const LINE = 230; // height of a one-dimensional window, over which weights rise and fall

  // Kernel axes shown: [vertical, horizontal]; a one-dimensional window has no vertical one.
  const shownAxes = (layer, hidden) => {
    if (layer.window.length === 1) return [null, 0];
    if (layer.window.length === 2) return [0, 1];
    return [[1, 2], [0, 2], [0, 1]][hidden];
  };

  // ---- tip ----

  function showTip(lines, x, y) {
    const tip = $('tip');
    const box = $('figure').getBoundingClientRect();
    tip.textContent = lines.map(([name, value]) => `${name}  ${value}`).join('\n');
    tip.hidden = false;
    const below = y + 18 + tip.offsetHeight < box.height;
    tip.style.left = `${Math.max(0, Math.min(box.width - tip.offsetWidth, x + 14))}px`;
    tip.style.top = `${below ? y + 18 : Math.max(0, y - tip.offsetHeight - 14)}px`;
  }
  const hideTip = () => { $('tip').hidden = true; };

  // A finger that is lifted has not left: what it touched stays told.
  const onLeave = (svg, leave) => svg.addEventListener('pointerleave', (event) => { if (event.pointerType !== 'touch') leave(); });

  // ---- the frame: grid, border, clamp limit, ticks ----

  // What is drawn of an axis, in cells from the middle: the window, and the clamp limit where it reaches further.
  const span = (layer, axis) => {
    const half = Math.floor(layer.window[axis] / 2);
    const [lowest, highest] = layer.limits[axis];
    return [Math.min(-half, lowest) - 0.5, Math.max(layer.window[axis] - 1 - half, highest) + 0.5];
  };

  // f.area is all that is drawn, f.x .. f.h the window in it, in units of the drawing.
  function makeFrame(state, margin = 0) {
    const { layer } = state;
    const [down, across] = shownAxes(layer, state.hidden);
    const [columns, rows] = [layer.window[across], down === null ? 1 : layer.window[down]];
    const [[left, right], [top, bottom]] = [span(layer, across), down === null ? [-0.5, 0.5] : span(layer, down)];
    const cell = VIEW / Math.max(right - left, bottom - top);
    const tall = down === null ? LINE : cell;
    const side = (right - left) * cell < 180 ? 60 : 0; // room for words below a narrow window
    const area = { x: EDGE + side, y: 26 + margin, w: (right - left) * cell, h: (bottom - top) * tall };
    const svg = draw('svg', { id: 'window', viewBox: `0 0 ${area.x + area.w + EDGE / 2 + margin + side} ${area.y + area.h + EDGE}`,
      'aria-describedby': 'reading' });
    const f = { svg, down, across, rows, columns, cell, tall, area, w: columns * cell, h: rows * tall };
    f.toX = (place) => area.x + (place - left) * cell;
    f.toY = (place) => area.y + (place - top) * tall;
    f.x = f.toX(-Math.floor(columns / 2) - 0.5);
    f.y = f.toY(-Math.floor(rows / 2) - 0.5);
    return f;
  }

  function paper(f) {
    const line = (x1, y1, x2, y2) => f.svg.append(draw('line', { x1, y1, x2, y2, class: 'line' }));
    f.svg.append(draw('rect', { x: f.toX(-0.5), y: f.toY(-0.5), width: f.cell, height: f.tall, class: 'middle' }));
    if (f.down === null) line(f.x, f.toY(0), f.x + f.w, f.toY(0));
    if (f.cell < 4) return;
    for (let i = 1; i < f.columns; i += 1) line(f.x + i * f.cell, f.y, f.x + i * f.cell, f.y + f.h);
    for (let i = 1; i < f.rows; i += 1) line(f.x, f.y + i * f.tall, f.x + f.w, f.y + i * f.tall);
  }

  function border(f, layer, heights = null) {
    const { area } = f;
    f.svg.append(draw('rect', { x: f.x, y: f.y, width: f.w, height: f.h, class: 'border' }));
    const [left, right] = layer.limits[f.across].map(f.toX);
    const [top, bottom] = f.down === null ? [f.y, f.y + f.h] : layer.limits[f.down].map(f.toY);
    f.svg.append(draw('rect', { x: left, y: top, width: right - left, height: bottom - top, class: 'limit' }));
    const tick = (text, x, y, anchor) => f.svg.append(draw('text', { x, y, 'text-anchor': anchor }, minus(String(text))));
    const ends = (count) => [...new Set([-Math.floor(count / 2), 0, count - 1 - Math.floor(count / 2)])];
    for (const at of ends(f.columns)) tick(at, f.toX(at), area.y + area.h + 18, 'middle');
    if (f.down !== null) for (const at of ends(f.rows)) tick(at, area.x - 7, f.toY(at) + 4, 'end');
    const names = axisNames(layer);
    tick(`${names[f.across]}, cells from the middle`, area.x + area.w / 2, area.y + area.h + 36, 'middle');
    const aside = f.down === null ? heights : names[f.down];
    if (aside) {
      f.svg.append(draw('text', { 'text-anchor': 'middle', transform: `translate(${area.x - 28} ${area.y + area.h / 4}) rotate(-90)` }, aside));
    }
    if (heights && f.down === null) tick(0, area.x - 7, f.toY(0) + 4, 'end');
  }

  // ---- elements ----

  function describe(layer, kernel, index) {
    const e = kernel.elements[index];
    const n = layer.window.length;
    const names = axisNames(layer);
    return [['channel', kernelName(layer, kernel)], ['element', `${index} of ${layer.K}`],
      ...names.map((name, d) => [name, decimals(e[d], 3)]), ['weight', weightText(e[n])],
      ...(layer.spread ? names.map((name, d) => [`spread, ${name}`, decimals(e[n + 1 + d], 3)]) : [])];
  }

  const kernelName = (layer, kernel) => (layer.inputs > 1 ? `output ${kernel.output}, input ${kernel.input}` : `${kernel.output}`);

  const between = (value, low, high) => Math.max(low, Math.min(high, value));

  // A height in a one-dimensional window: 0 in the middle, largest at the top.
  const heightOf = (f, value, largest) => f.toY(-0.46 * between((value || 0) / largest, -1, 1));

  // A mark for every element that has a place; one that left the picture stands, hollow, at the edge it left by.
  function marksOf(f, layer, kernel) {
    const n = layer.window.length;
    const largest = layer.largest || 1;
    const full = between(0.6 * f.cell, f.down === null ? 9 : 4, 15);
    return kernel.elements.flatMap((e, index) => {
      if (e.slice(0, n).includes(null)) return [];
      const weight = e[n] ?? 0;
      const [toX, toY] = [f.toX(e[f.across]), f.down === null ? heightOf(f, weight, largest) : f.toY(e[f.down])];
      const { area } = f;
      const [x, y] = [between(toX, area.x, area.x + area.w), between(toY, area.y, area.y + area.h)];
      return [{ kernel, index, x, y, weight, r: Math.max(1.8, full * Math.sqrt(Math.abs(weight) / largest)),
        rx: (e[n + 1 + f.across] || 0) * f.cell, ry: f.down === null ? 0 : (e[n + 1 + f.down] || 0) * f.cell,
        sign: `${weight < 0 ? 'negative' : 'positive'}${x !== toX || y !== toY ? ' outside' : ''}` }];
    });
  }

  function nearest(f, marks, event) {
    const box = f.svg.getBoundingClientRect();
    const scale = f.svg.viewBox.baseVal.width / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let best = null;
    let least = 16 * scale; // as far as a finger misses
    for (const mark of marks) {
      const distance = Math.max(0, Math.hypot(mark.x - x, mark.y - y) - mark.r) + 1e-3 * mark.r;
      if (distance < least) [best, least] = [mark, distance];
    }
    return best;
  }

  function lookAt(f, layer, mark, tell) {
    f.svg.querySelectorAll('.cursor, .cursor-back').forEach((ring) => ring.remove());
    if (!mark) {
      hideTip();
      tell(null);
      return;
    }
    for (const name of ['cursor-back', 'cursor']) f.svg.append(draw('circle', { cx: mark.x, cy: mark.y, r: mark.r + 4, class: name }));
    const scale = f.svg.getBoundingClientRect().width / f.svg.viewBox.baseVal.width;
    showTip(describe(layer, mark.kernel, mark.index), (mark.x + mark.r) * scale, (mark.y + mark.r) * scale);
    tell(mark.index);
  }

  function pointAt(f, marks, layer, tell, open = () => {}) {
    let last = null;
    const move = (event) => {
      const mark = nearest(f, marks, event);
      if (mark !== last) lookAt(f, layer, mark, tell);
      last = mark;
    };
    for (const name of ['pointermove', 'pointerdown']) f.svg.addEventListener(name, move);
    f.svg.addEventListener('click', () => { if (last) open(last.kernel); });
    onLeave(f.svg, () => { last = null; lookAt(f, layer, null, tell); });
  }

  function appendElement(f, layer, mark) {
    const group = draw('g', { class: 'element', tabindex: -1, role: 'img',
      'aria-label': describe(layer, mark.kernel, mark.index).map((pair) => pair.join(' ')).join(', ') });
    if (f.down === null) group.append(draw('line', { x1: mark.x, x2: mark.x, y1: f.toY(0), y2: mark.y, class: `ring ${mark.sign}` }));
    if (mark.rx && f.down === null) {
      group.append(draw('line', { x1: mark.x - mark.rx, x2: mark.x + mark.rx, y1: mark.y, y2: mark.y, class: `ring ${mark.sign}` }));
    } else if (mark.rx) {
      group.append(draw('ellipse', { cx: mark.x, cy: mark.y, rx: mark.rx, ry: mark.ry, class: `ring ${mark.sign}` }));
    }
    group.append(draw('circle', { cx: mark.x, cy: mark.y, r: mark.r, class: `disc ${mark.sign}` }));
    f.svg.append(group);
    mark.group = group;
  }

  // One stop for Tab, then arrows, from the heaviest element to the lightest.
  function walkElements(f, layer, marks, tell) {
    marks[0]?.group.setAttribute('tabindex', 0);
    for (const mark of marks) {
      mark.group.addEventListener('focus', () => lookAt(f, layer, mark, tell));
      mark.group.addEventListener('blur', () => lookAt(f, layer, null, tell));
    }
    f.svg.addEventListener('keydown', (event) => {
      const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
      const at = marks.findIndex((mark) => mark.group === document.activeElement);
      if (move === undefined || at < 0) return;
      event.preventDefault();
      const to = Math.max(0, Math.min(marks.length - 1, at + move));
      marks[at].group.setAttribute('tabindex', -1);
      marks[to].group.setAttribute('tabindex', 0);
      marks[to].group.focus();
    });
  }

  const heaviestFirst = (marks) => marks.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));

  function showKernel(state, tell) {
    const { layer, kernel } = state;
    const f = makeFrame(state);
    fill(f.svg, { role: 'group', 'aria-label': `elements of ${layer.name}, channel ${kernelName(layer, kernel)}` }, []);
    paper(f);
    const marks = heaviestFirst(marksOf(f, layer, kernel));
    for (const mark of marks) appendElement(f, layer, mark); // small discs above large ones
    border(f, layer, 'weight');
    pointAt(f, marks, layer, tell);
    walkElements(f, layer, marks, tell);
    return f.svg;
  }

  function showOverlay(state, tell, open) {
    const { layer } = state;
    const f = makeFrame(state);
    fill(f.svg, { role: 'img', 'aria-label': `elements of all kernels of ${layer.name}`, class: 'overlay' }, []);
    paper(f);
    const marks = heaviestFirst(layer.kernels.flatMap((kernel) => marksOf(f, layer, kernel)));
    for (const mark of marks) {
      mark.r *= 0.7;
      f.svg.append(draw('circle', { cx: mark.x, cy: mark.y, r: mark.r, class: `disc ${mark.sign}` }));
    }
    border(f, layer, 'weight');
    pointAt(f, marks, layer, () => {}, open);
    return f.svg;
  }

  // ---- heat maps ----

  // Width and height of a map's cells, which may be several cells of the window together.
  const sides = (f, map) => [f.cell * (map.column_bin ?? 1), f.tall * (map.row_bin ?? 1)];

  // A one-dimensional kernel: bars from the middle line.
  function stems(f, layer, map, most, tellValue) {
    paper(f);
    map.cells.forEach((value, i) => {
      if (!value) return;
      const [from, to] = [f.toY(0), Number.isFinite(value) ? heightOf(f, value, most) : f.y];
      f.svg.append(draw('rect', { x: f.x + i * f.cell + 0.08 * f.cell, width: 0.84 * f.cell, y: Math.min(from, to), height: Math.abs(to - from),
        class: Number.isFinite(value) ? (value < 0 ? 'negative' : 'positive') : 'count' }));
    });
    explore(f, map, tellValue);
    border(f, layer, 'kernel');
  }

  // A picture whose cells tell their value under the pointer or, by the arrow keys, under a cursor.
  function heat(f, layer, map, colors, shareOf, tellValue) {
    const [wide, tall] = sides(f, map);
    const canvas = paint(document.createElement('canvas'), map.columns, map.rows, colors, (i) => shareOf(map.cells[i]));
    f.svg.append(draw('svg', { x: f.x, y: f.y, width: f.w, height: f.h }, // cuts what a last group of cells has too much
      draw('image', { width: wide * map.columns, height: tall * map.rows, preserveAspectRatio: 'none', href: canvas.toDataURL() })));
    explore(f, map, tellValue);
    border(f, layer);
  }

  function explore(f, map, tellValue) {
    const [wide, tall] = sides(f, map);
    fill(f.svg, { tabindex: 0, role: 'img' }, []);
    const at = { row: Math.floor(map.rows / 2), column: Math.floor(map.columns / 2) };
    const look = (spoken) => {
      f.svg.querySelectorAll('.cursor, .cursor-back').forEach((box) => box.remove());
      const [x, y] = [f.x + at.column * wide, f.y + at.row * tall];
      for (const name of ['cursor-back', 'cursor']) f.svg.append(draw('rect', { x, y, width: wide, height: tall, class: name }));
      const scale = f.svg.getBoundingClientRect().width / f.svg.viewBox.baseVal.width;
      const lines = tellValue(at.row, at.column, map.cells[at.row * map.columns + at.column]);
      showTip(lines, (x + wide) * scale, (y + tall) * scale);
      if (spoken) $('said').textContent = lines.map((pair) => pair.join(' ')).join(', ');
    };
    const leave = () => {
      f.svg.querySelectorAll('.cursor, .cursor-back').forEach((box) => box.remove());
      hideTip();
    };
    const point = (event) => {
      const box = f.svg.getBoundingClientRect();
      const scale = f.svg.viewBox.baseVal.width / box.width;
      const column = Math.floor(((event.clientX - box.left) * scale - f.x) / wide);
      const row = Math.floor(((event.clientY - box.top) * scale - f.y) / tall);
      if (row < 0 || column < 0 || row >= map.rows || column >= map.columns) return leave();
      Object.assign(at, { row, column });
      return look(false);
    };
    for (const name of ['pointermove', 'pointerdown']) f.svg.addEventListener(name, point);
    onLeave(f.svg, leave);
    f.svg.addEventListener('focus', () => { if (f.svg.matches(':focus-visible')) look(true); });
    f.svg.addEventListener('blur', leave);
    f.svg.addEventListener('keydown', (event) => {
      const [dr, dc] = { ArrowRight: [0, 1], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowUp: [-1, 0] }[event.key] ?? [0, 0];
      if (!dr && !dc) return;
      event.preventDefault();
      at.row = Math.max(0, Math.min(map.rows - 1, at.row + dr));
      at.column = Math.max(0, Math.min(map.columns - 1, at.column + dc));
      look(true);
    });
  }

  function scale(colors, low, high) {
    paint($('scale-bar'), 255, 1, colors, (i) => i / 254);
    $('scale-low').textContent = low;
    $('scale-high').textContent = high;
  }

  const placeName = (count, bin, index) => {
    const first = index * bin - Math.floor(count / 2);
    return minus(bin > 1 ? `${first} to ${Math.min(first + bin, Math.ceil(count / 2)) - 1}` : String(first));
  };

  const placeLines = (f, layer, map, row, column) => [
    ...(f.down === null ? [] : [[axisNames(layer)[f.down], placeName(f.rows, map.row_bin ?? 1, row)]]),
    [axisNames(layer)[f.across], placeName(f.columns, map.column_bin ?? 1, column)]];

  // Counts per column above the window and per row at its right.
  function bars(f, map) {
    const sums = [new Float64Array(map.columns), new Float64Array(map.rows)];
    map.cells.forEach((value, i) => {
      sums[0][i % map.columns] += value;
      sums[1][Math.floor(i / map.columns)] += value;
    });
    const [wide, tall] = sides(f, map);
    sums.slice(0, f.down === null ? 1 : 2).forEach((list, side) => {
      const most = Math.max(...list) || 1;
      list.forEach((value, i) => {
        const long = (BARS - 6) * value / most;
        f.svg.append(draw('rect', side === 0
          ? { x: f.x + i * wide + wide * 0.1, y: f.area.y - 3 - long, width: wide * 0.8, height: long, class: 'count' }
          : { x: f.area.x + f.area.w + 3, y: f.y + i * tall + tall * 0.1, width: long, height: tall * 0.8, class: 'count' }));
      });
    });
  }

  function showDensity(state) {
    const { layer } = state;
    const f = makeFrame(state, BARS);
    const map = layer.density[layer.window.length === 3 ? state.hidden : 0];
    const most = Math.max(...map.cells) || 1;
    const colors = colorMap('sequential');
    fill(f.svg, { 'aria-label': `density of the elements of ${layer.name}; arrow keys move from cell to cell` }, []);
    bars(f, map);
    heat(f, layer, map, colors, (value) => value / most, (row, column, value) => [
      ...placeLines(f, layer, map, row, column), ['elements', value.toFixed(1)], ['share', percent(layer.placed ? value / layer.placed : 0)]]);
    scale(colors, '0', `${most.toFixed(1)} elements`);
    return f.svg;
  }

  function showDense(state) {
    const { layer, kernel } = state;
    const f = makeFrame(state);
    const map = construct(layer, kernel, [f.down, f.across]);
    const most = map.cells.reduce((a, b) => Math.max(a, Math.abs(b) || 0), 0) || 1;
    const colors = colorMap('diverging');
    fill(f.svg, { 'aria-label': `constructed kernel of ${layer.name}, channel ${kernelName(layer, kernel)}; arrow keys move from cell to cell` }, []);
    const tellValue = (row, column, value) => [
      ...placeLines(f, layer, map, row, column), ['kernel', Number.isFinite(value) ? minus(String(Number(value.toPrecision(3)))) : 'not a number']];
    if (f.down === null) {
      stems(f, layer, map, most, tellValue);
      $('scale').hidden = true;
      return f.svg;
    }
    heat(f, layer, map, colors, (value) => 0.5 + value / most / 2, tellValue);
    for (const mark of marksOf(f, layer, kernel)) {
      f.svg.append(draw('path', { d: `M${mark.x - 3} ${mark.y}h6M${mark.x} ${mark.y - 3}v6`, class: 'mark' }));
    }
    scale(colors, minus((-most).toPrecision(3)), most.toPrecision(3));
    return f.svg;
  }

  document.addEventListener('keydown', (event) => { if (event.key === 'Escape') hideTip(); });

  return (state, tell, open) => {
    hideTip();
    $('said').textContent = '';
    $('scale').hidden = !['density', 'dense'].includes(state.show);
    const show = { kernel: showKernel, overlay: showOverlay, density: showDensity, dense: showDense }[state.show];
    $('window').replaceWith(show(state, tell, open));
  };
})();
