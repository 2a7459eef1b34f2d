'use strict';
// Reads values off a figure, hides its curves and switches its scale. What it needs to know stands in the page: the
// numbers in the figure's CSV, the axes in the `data-` attributes of its panels.

for (const figure of document.querySelectorAll('figure')) {
  const data = figure.querySelector('details code').textContent;
  offerDownload(figure, data);
  if (figure.querySelector('.panel')) explore(figure, curvesOf(data));
}

function offerDownload(figure, data) {
  const link = document.createElement('a');
  link.textContent = 'download';
  link.download = figure.dataset.name + '.csv';
  link.href = 'data:text/csv;charset=utf-8,' + encodeURIComponent(data);
  figure.querySelector('details').append(link);
}

/** The points of each curve, by its name. */
function curvesOf(data) {
  const curves = new Map();
  for (const line of data.trim().split('\n').slice(1)) {
    const cells = [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)];
    const [name, ...numbers] = cells.map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain);
    const [x, y, low, high] = numbers.map(text => (text === '' ? NaN : Number(text.replace('inf', 'Infinity'))));
    if (!curves.has(name)) curves.set(name, []);
    curves.get(name).push({ x, y, low, high });
  }
  return curves;
}

function explore(figure, curves) {
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  figure.append(tip);
  const hidden = new Set();
  let shown = figure.querySelector('svg');
  let other = figure.querySelector('template')?.content.querySelector('svg');
  for (const svg of [shown, other]) if (svg) prepare(svg);
  if (other) offerScales();

  function offerScales() {
    const tools = document.createElement('div');
    tools.className = 'tools';
    const scales = figure.dataset.scale === 'log' ? ['log', 'linear'] : ['linear', 'log'];
    const buttons = scales.map((name, i) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = name;
      button.setAttribute('aria-pressed', String(i === 0));
      button.addEventListener('click', () => {
        if (button.getAttribute('aria-pressed') === 'true') return;
        buttons.forEach(each => each.setAttribute('aria-pressed', String(each === button)));
        tip.hidden = true;
        shown.replaceWith(other);
        [shown, other] = [other, shown];
        figure.dataset.scale = name;
      });
      return button;
    });
    // Linear first, whichever the figure begins with.
    tools.append(...(scales[0] === 'linear' ? buttons : [...buttons].reverse()));
    figure.prepend(tools);
  }

  function prepare(svg) {
    svg.removeAttribute('role');
    for (const panel of svg.querySelectorAll('.panel')) {
      for (const curve of panel.querySelectorAll('.curve')) {
        // The pointer reads values now; the browser's own label would cover them.
        curve.name = curve.querySelector('title').textContent;
        curve.setAttribute('aria-label', curve.name);
        curve.querySelector('title').remove();
      }
      for (const entry of panel.querySelectorAll('.entry')) makeButton(entry);
      const frame = axesOf(panel);
      const cursor = document.createElementNS(svg.namespaceURI, 'g');
      cursor.setAttribute('class', 'cursor');
      panel.append(cursor);
      panel.addEventListener('pointermove', event => read(event, panel, frame, cursor));
      panel.addEventListener('pointerdown', event => read(event, panel, frame, cursor));
      panel.addEventListener('pointerleave', () => leave(cursor));
      // What has no ink catches no pointer: an invisible area over the frame does.
      const area = document.createElementNS(svg.namespaceURI, 'rect');
      for (const side of ['left', 'top', 'width', 'height']) {
        area.setAttribute({ left: 'x', top: 'y' }[side] ?? side, frame[side]);
      }
      area.setAttribute('class', 'area');
      panel.prepend(area);
    }
    svg.querySelector(':scope > title')?.remove();
  }

  function makeButton(entry) {
    entry.setAttribute('role', 'button');
    entry.setAttribute('tabindex', '0');
    entry.setAttribute('aria-pressed', 'true');
    entry.addEventListener('click', () => toggle(entry.dataset.curve));
    entry.addEventListener('keydown', event => {
      if (event.key !== 'Enter' && event.key !== ' ') return;
      event.preventDefault();
      toggle(entry.dataset.curve);
    });
  }

  function toggle(number) {
    if (!hidden.delete(number)) hidden.add(number);
    for (const svg of [shown, other]) {
      for (const part of svg?.querySelectorAll(`[data-curve="${number}"]`) ?? []) {
        if (part.classList.contains('entry')) {
          part.setAttribute('aria-pressed', String(!hidden.has(number)));
        } else {
          part.classList.toggle('hidden', hidden.has(number));
        }
      }
    }
    tip.hidden = true;
  }

  function read(event, panel, frame, cursor) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(panel.getScreenCTM().inverse());
    const inside = at.x >= frame.left - 8 && at.x <= frame.left + frame.width + 8
      && at.y >= frame.top && at.y <= frame.top + frame.height;
    const nearest = [];
    for (const curve of inside ? panel.querySelectorAll('.curve:not(.hidden)') : []) {
      let best = null;
      for (const point of curves.get(curve.name) ?? []) {
        const across = frame.across(point.x);
        const distance = Math.abs(across - at.x);
        if (!Number.isNaN(point.y) && (!best || distance < best.distance)) best = { ...point, across, distance, curve };
      }
      if (best) nearest.push(best);
    }
    if (nearest.length === 0) return leave(cursor);
    const first = nearest.reduce((a, b) => (b.distance < a.distance ? b : a));
    // Curves that were measured elsewhere say nothing about this place.
    const read = nearest.filter(point => point.x === first.x || Math.abs(point.across - first.across) < 3)
      .sort((a, b) => a.curve.dataset.curve - b.curve.dataset.curve);
    cursor.replaceChildren(...marks(first.across, read, frame, cursor.namespaceURI));
    tip.replaceChildren(...lines(first.x, read));
    tip.hidden = false;
    place(event);
  }

  function leave(cursor) {
    cursor.replaceChildren();
    tip.hidden = true;
  }

  function place(event) {
    const box = figure.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const room = box.width - tip.offsetWidth;
    tip.style.left = Math.max(0, x + 14 <= room ? x + 14 : Math.min(room, x - 14 - tip.offsetWidth)) + 'px';
    tip.style.top = Math.max(0, y - tip.offsetHeight - 10) + 'px';
  }
}

function marks(across, points, frame, namespace) {
  const make = (tag, attributes) => {
    const shape = document.createElementNS(namespace, tag);
    for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
    return shape;
  };
  const rule = make('line', { x1: across, x2: across, y1: frame.top, y2: frame.top + frame.height });
  const dots = points.map(point =>
    make('circle', { cx: point.across, cy: frame.down(point.y), r: 3, style: `fill: ${colourOf(point.curve)}` }));
  return [rule, ...dots];
}

/** The place, then a line for each curve. */
function lines(x, points) {
  const line = (...children) => {
    const element = document.createElement('div');
    element.append(...children);
    return element;
  };
  const rows = points.map(point => {
    const swatch = document.createElement('i');
    swatch.style.background = colourOf(point.curve);
    const value = document.createElement('b');
    value.textContent = short(point.y);
    const interval = Number.isNaN(point.low) || Number.isNaN(point.high)
      ? '' : ` [${short(point.low)}, ${short(point.high)}]`;
    return line(swatch, point.curve.name + ' ', value, interval);
  });
  return [line(Number.isInteger(x) ? String(x) : short(x)), ...rows];
}

function colourOf(curve) {
  const line = curve.querySelector('path, circle');
  if (!line) return 'currentColor';
  const { stroke, strokeOpacity, fill } = getComputedStyle(line);
  // Grey is ink that lets the paper through.
  return stroke === 'none' ? fill : `color-mix(in srgb, ${stroke} ${100 * strokeOpacity}%, var(--paper))`;
}

/** Where a panel's frame is, and where its axes put a value. */
function axesOf(panel) {
  const [left, top, width, height] = panel.dataset.frame.split(' ').map(Number);
  const axis = text => {
    const [scale, low, high] = text.split(' ');
    const of = scale === 'log' ? value => Math.log(Math.max(value, Number(low))) : value => value;
    const [from, to] = [of(Number(low)), of(Number(high))];
    return value => Math.min(1, Math.max(0, (of(value) - from) / (to - from)));
  };
  const [x, y] = [axis(panel.dataset.x), axis(panel.dataset.y)];
  return {
    left, top, width, height,
    across: value => left + x(value) * width,
    down: value => top + (1 - y(value)) * height,
  };
}

/** Three significant digits, as in the report's tables. */
function short(value) {
  if (Number.isNaN(value)) return '–';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '-∞';
  if (value === 0) return '0';
  const scientific = value.toExponential(2);
  const exponent = Number(scientific.split('e')[1]);
  return exponent >= -4 && exponent <= 5
    ? value.toFixed(Math.max(0, 2 - exponent))
    : scientific.replace('e+', 'e');
}
