// Charts of a time series with uPlot: a figure with a legend that has the values in text, and the targets drawn in.

import uPlot from './uPlot.esm.js';
import { el, fill, setText } from './dom.js';
import { timeOfDay } from './format.js';
import { colour, whenColoursChange } from './theme.js';

const FONT = '11px system-ui, sans-serif';
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const dated = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' });

/**
 * A chart, as `{element, draw, end}`.
 *
 * - `title`, `note`: its heading, and a remark behind it
 * - `lines`: `[{name, colour, dash, fill, width}]`, with names of colours of the style sheet
 * - `format`: a value as text, with its unit
 * - `axis`: a value on the axis; `format` if it is left out
 * - `range`: the range of the values' axis, as uPlot has it; `isLog`: logarithmic
 * - `targets`: a function that answers `[{value, label}]`
 * - `isStacked`: lines are drawn on top of each other
 * - `nothing`: the sentence where no value is there
 */
export function chart(options) {
  const { title, note, lines, format, nothing, height = 150, sync = null, isStacked = false } = options;
  const values = lines.map(() => el('span.legend-value', {}, '–'));
  const legend = el(
    'ul.legend',
    {},
    lines.map((line, at) => el('li', {}, swatch(line), ` ${line.name} `, values[at])),
  );
  const moment = el('span.legend-time.quiet');
  const plot = el('div.plot', { role: 'img' });
  const missing = el('p.plot-empty', { hidden: true }, el('span', {}, nothing));
  const heading = el('h3', {}, title, note ? el('span.quiet', {}, ` ${note}`) : null);
  const element = el(
    'figure.panel.chart',
    {},
    el('figcaption', {}, heading, moment),
    legend,
    el('div.plot-area', {}, plot, missing),
  );

  let data = [[], ...lines.map(() => [])];
  let drawn = null;
  let isOver = false;
  const uplot = { now: null };

  const showValues = () => {
    const last = data[0].length - 1;
    const pointed = uplot.now?.cursor.idx ?? null;
    // The points may have become fewer since the cursor was moved.
    const at = pointed === null || pointed > last ? null : pointed;
    const shown = at === null ? last : at;
    setText(moment, at === null ? '' : timeOfDay(new Date(data[0][at] * 1000)));
    lines.forEach((_, line) => setText(values[line], shown < 0 ? '–' : format(data[line + 1][shown] ?? null)));
  };

  const build = () => {
    uplot.now?.destroy();
    fill(plot);
    const width = Math.max(200, plot.clientWidth || element.clientWidth || 320);
    uplot.now = new uPlot(
      settings({ ...options, height, width, sync, onCursor: showValues }),
      shape(data, isStacked),
      plot,
    );
  };

  const observer = new ResizeObserver(() => {
    const width = plot.clientWidth;
    if (uplot.now && width > 0 && Math.abs(width - uplot.now.width) > 1) uplot.now.setSize({ width, height });
  });
  observer.observe(plot);
  const endColours = whenColoursChange(() => uplot.now && build());

  return {
    element,
    /** Draws `[times, values of the first line, …]`. */
    draw(next) {
      if (isOver) return;
      data = next;
      if (uplot.now === null) build();
      else uplot.now.setData(shape(data, isStacked));
      showValues();
      const isEmpty = !data.slice(1).some((line) => line.some((value) => value !== null && value !== undefined));
      missing.hidden = !isEmpty || !nothing;
      const words = lines.map(({ name }, line) => `${name} ${format(data[line + 1].at(-1) ?? null)}`).join(', ');
      const summary = `${heading.textContent}, line chart. Newest values: ${words}.`;
      if (drawn !== summary) plot.setAttribute('aria-label', summary);
      drawn = summary;
    },
    end() {
      isOver = true;
      observer.disconnect();
      endColours();
      uplot.now?.destroy();
      uplot.now = null;
    },
  };
}

function swatch(line) {
  const mark = el('span', {
    class: `swatch${line.dash ? ' swatch-dashed' : ''}${line.fill ? ' swatch-filled' : ''}`,
    'aria-hidden': 'true',
  });
  mark.style.setProperty('--swatch', `var(--${line.colour})`);
  return mark;
}

/** uPlot draws in the order of the lines. A stack is drawn from its sum down, so that each covers the one behind it. */
function shape(data, isStacked) {
  if (!isStacked) return data;
  const sums = [];
  data.slice(1).forEach((line, at) => {
    sums.push(line.map((value, point) => (value ?? 0) + (at > 0 ? sums[at - 1][point] : 0)));
  });
  return [data[0], ...sums.reverse()];
}

function settings({ lines, format, axis, range, isLog, targets, isStacked, height, width, sync, onCursor, timeRange }) {
  const order = isStacked ? [...lines].reverse() : lines;
  const text = colour('muted');
  const grid = { stroke: colour('grid'), width: 1 };
  const ticks = { show: false };
  return {
    width,
    height,
    // At the right there is place for the names of targets, or for half of the last time below the axis.
    padding: [8, targets ? 66 : 18, 0, 0],
    legend: { show: false },
    cursor: {
      drag: { x: false, y: false, setScale: false },
      points: { size: 6 },
      sync: sync ? { key: sync } : undefined,
    },
    scales: {
      x: { time: true, range: timeRange },
      y: { distr: isLog ? 3 : 1, range },
    },
    axes: [
      { stroke: text, font: FONT, grid: { show: false }, ticks, size: 24, space: 64, values: times },
      {
        stroke: text,
        font: FONT,
        grid,
        ticks,
        size: 52,
        space: isLog ? 26 : 30,
        values: (_, splits) => splits.map((value) => (value === null ? '' : (axis ?? format)(value))),
      },
    ],
    // Of a stack, only the space between two sums is filled.
    bands: isStacked ? order.slice(1).map((_, at) => ({ series: [at + 1, at + 2] })) : undefined,
    series: [
      {},
      ...order.map((line) => ({
        label: line.name,
        stroke: colour(line.colour),
        width: line.width ?? 1.5,
        dash: line.dash,
        fill: line.fill ? colour(line.fill) : undefined,
        paths: line.isBars ? uPlot.paths.bars({ size: [0.75, 40] }) : undefined,
        points: { show: false, size: 4, filter: line.isBars ? () => null : isolated },
      })),
    ],
    hooks: {
      setCursor: [onCursor],
      draw: [(plot) => drawTargets(plot, targets?.() ?? [])],
    },
  };
}

/** The values without a neighbour: no line leads to them, so they are drawn as points. */
function isolated(plot, series) {
  const values = plot.data[series];
  const isThere = (at) => values[at] !== null && values[at] !== undefined;
  const found = [];
  for (let at = 0; at < values.length; at += 1) {
    if (isThere(at) && !isThere(at - 1) && !isThere(at + 1)) found.push(at);
  }
  return found;
}

function times(plot, splits) {
  const isLong = splits.length > 1 && splits[1] - splits[0] >= 86_400;
  return splits.map((at) => (isLong ? dated : clock).format(new Date(at * 1000)));
}

/** Targets are dashed lines with their names in the margin at the right. */
function drawTargets(plot, targets) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  const right = bbox.left + bbox.width;
  ctx.save();
  ctx.strokeStyle = colour('target');
  ctx.fillStyle = colour('muted');
  ctx.font = `${10 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = 'left';
  ctx.lineWidth = ratio;
  ctx.setLineDash([2 * ratio, 3 * ratio]);
  for (const { value, label } of targets) {
    const y = Math.round(plot.valToPos(value, 'y', true));
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(right, y);
    ctx.stroke();
    ctx.fillText(label, right + 4 * ratio, y + 3.5 * ratio);
  }
  ctx.restore();
}
