"use strict";
(() => {
const SVG = "http://www.w3.org/2000/svg";
const read = id => JSON.parse(document.getElementById(id).textContent);
const names = read("names");

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
function html(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  made.append(...children.map(each => each instanceof Node ? each : String(each)));
  return made;
}
function say(text) { document.getElementById("spoken").textContent = text; }

// Numbers as the tables show them.
function format(value) {
  if (value === null || value === undefined) return "–";
  if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e6)) return Number(value.toPrecision(3)).toExponential().replace("e+", "e");
  const text = Math.abs(value) < 1000 ? String(Number(value.toPrecision(4))) : Math.round(value).toLocaleString("en");
  return text.replace("-", "−");
}
const whole = value => value.toLocaleString("en");

function ticks(low, high, most, integers) {
  const span = high - low || 1;
  const rough = span / most, power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].map(each => each * power).find(each => each >= rough);
  if (integers) step = Math.max(1, Math.round(step));
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

// ---------------------------------------------------------------------------------------------------------------- curves

const data = read("curves");
for (const stage of data.stages) for (const topic of stage.topics) for (const picture of topic.pictures) {
  picture.form ??= "lines";  // fields with their default value are left out
  for (const curve of picture.curves) { curve.role ??= "line"; curve.label ??= ""; }
}
const zooms = new Map();
const charts = [];

function styles(picture) {
  // Several runs: a colour per run, a dash per label. One run: a colour per curve; the bounds of a band have that of its mean.
  const runs = [...new Set(picture.curves.map(each => each.run))], several = names.length > 1;
  const labels = [...new Set(picture.curves.filter(each => !["low", "high"].includes(each.role)).map(each => each.label))];
  return picture.curves.map(each => {
    const label = Math.max(0, labels.indexOf(each.label));
    if (picture.form === "band") return { tone: several ? each.run % 8 : 0, dash: several ? each.run % 4 : 0 };
    if (picture.form === "stack") return { tone: label % 8, dash: 0 };
    return several ? { tone: each.run % 8, dash: runs.length > 1 && labels.length === 1 ? each.run % 4 : label % 4 } : { tone: label % 8, dash: label > 7 ? 1 : 0 };
  });
}
function key(tone, dash, filled) {
  const drawing = svg("svg", { width: 18, height: 8, "aria-hidden": "true" });
  drawing.append(filled ? svg("rect", { width: 10, height: 8, x: 4, class: `f${tone}` }) : svg("line", { x1: 0, x2: 18, y1: 4, y2: 4, "stroke-width": 2, class: `s${tone} d${dash}` }));
  return drawing;
}

// The places of the points in a range of steps, with one on either side.
function within(xs, [from, to]) {
  let begin = 0, end = xs.length;
  while (begin < end && xs[begin] < from) begin++;
  while (end > begin && xs[end - 1] > to) end--;
  return [Math.max(0, begin - 1), Math.min(xs.length, end + 1), begin, end];
}
function nearest(xs, at) {
  let low = 0, high = xs.length - 1;
  while (high - low > 1) { const middle = (low + high) >> 1; if (xs[middle] < at) low = middle; else high = middle; }
  return Math.abs(xs[high] - at) < Math.abs(xs[low] - at) ? high : low;
}

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.stage = Number(figure.dataset.stage);
    this.picture = data.stages[this.stage].topics[figure.dataset.topic].pictures[figure.dataset.picture];
    this.plot = figure.querySelector(".plot");
    this.curves = this.picture.curves;
    this.xs = this.curves.map(each => data.steps[each.x]);
    this.styles = styles(this.picture);
    this.extent = [Math.min(...this.xs.map(each => each[0] ?? Infinity)), Math.max(...this.xs.map(each => each.at(-1) ?? -Infinity))];
    this.cursor = null;
    this.drawn = false;
    for (const cell of figure.querySelectorAll(".key[data-curve]")) {
      const { tone, dash } = this.styles[cell.dataset.curve];
      cell.append(key(tone, dash, this.picture.form === "stack"));
    }
    figure.querySelector(".values").addEventListener("toggle", () => this.fillValues());
    this.listen();
  }

  get range() {
    const zoom = zooms.get(this.stage);
    return zoom ? [Math.max(zoom[0], this.extent[0]), Math.min(zoom[1], this.extent[1])] : this.extent;
  }

  draw(width = this.plot.clientWidth) {
    this.drawn = true;
    const height = this.plot.clientHeight || 210, range = this.range;
    this.plot.querySelector("svg")?.remove();
    this.plot.querySelector(".whole")?.remove();
    if (width < 40) return;
    const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    this.plot.prepend(root);
    if (zooms.has(this.stage)) {
      const button = html("button", { type: "button", class: "whole" }, "show all steps");
      button.addEventListener("click", () => zoom(this.stage, null));
      this.plot.append(button);
    }
    if (!(range[0] <= range[1])) { root.append(svg("text", { x: 46, y: height / 2, class: "tick" }, "nothing in these steps")); return; }
    const parts = this.picture.form === "stack" ? this.stack(range) : null;
    const [low, high] = parts ? [0, Math.max(...parts.map(each => each.at(-1)[2]), 1e-9)] : this.bounds(range);
    const left = 50, right = width - 6, top = 8, bottom = height - 20, span = Math.max(range[1] - range[0], 1e-9), lone = range[0] === range[1];
    this.toX = step => lone ? (left + right) / 2 : left + (step - range[0]) / span * (right - left);
    this.toStep = x => range[0] + (x - left) / (right - left) * span;
    const toY = value => bottom - (value - low) / (high - low || 1) * (bottom - top);
    for (const at of ticks(low, high, 4)) root.append(svg("line", { class: "rule", x1: left, x2: right, y1: toY(at), y2: toY(at) }), svg("text", { class: "tick", x: left - 6, y: toY(at) + 4, "text-anchor": "end" }, format(at)));
    for (const at of lone ? [range[0]] : ticks(range[0], range[1], Math.max(2, Math.floor(width / 90)), true)) root.append(svg("text", { class: "tick", x: this.toX(at), y: height - 4, "text-anchor": this.toX(at) > right - 18 ? "end" : "middle" }, whole(at)));
    const inner = svg("svg", { x: left, y: 0, width: right - left, height: bottom + 4, viewBox: `${left} 0 ${right - left} ${bottom + 4}`, overflow: "hidden" });
    root.append(inner);
    if (parts) this.drawStack(inner, parts, toY); else this.drawLines(inner, range, toY);
    this.mark = svg("g", {});
    root.append(this.mark);
    this.height = bottom;
  }

  bounds(range) {
    let low = Infinity, high = -Infinity;
    this.curves.forEach((each, place) => {
      const [begin, end, from, to] = within(this.xs[place], range);
      for (let at = from < to ? from : begin; at < (from < to ? to : end); at++) { low = Math.min(low, each.y[at]); high = Math.max(high, each.y[at]); }
    });
    if (low > high) return [0, 1];
    const pad = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    return [low >= 0 && low < pad * 2 ? 0 : low - pad, high + pad];
  }

  drawLines(root, range, toY) {
    const points = place => { const [begin, end] = within(this.xs[place], range); return Array.from({ length: end - begin }, (_, at) => [this.toX(this.xs[place][begin + at]), toY(this.curves[place].y[begin + at])]); };
    const path = found => found.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
    for (const run of new Set(this.curves.map(each => each.run))) {
      const low = this.curves.findIndex(each => each.run === run && each.role === "low"), high = this.curves.findIndex(each => each.run === run && each.role === "high");
      if (low >= 0 && high >= 0) root.append(svg("path", { class: `area f${this.styles[low].tone}`, d: `${path(points(low))}L${path(points(high).reverse()).slice(1)}Z` }));
    }
    this.curves.forEach((each, place) => {
      if (each.role !== "line") return;
      const found = points(place), { tone, dash } = this.styles[place], many = found.length > 160;
      if (found.length > 1) root.append(svg("path", { class: `line s${tone} ${many ? "raw" : `d${dash}`}`, d: path(found) }));
      if (many) root.append(svg("path", { class: `line s${tone} d${dash}`, d: path(smooth(found)) }));
      if (found.length <= 30) for (const [x, y] of found) root.append(svg("circle", { class: `f${tone}`, cx: x, cy: y, r: found.length > 1 ? 2 : 3.5 }));
    });
  }

  // For each span of steps: its ends, and the sum of the means up to each curve.
  stack(range) {
    const steps = [...new Set(this.xs.flat())].filter(each => each >= range[0] && each <= range[1]).sort((a, b) => a - b);
    const count = Math.max(1, Math.min(120, steps.length)), spans = [];
    for (let number = 0; number < count; number++) {
      const mine = steps.slice(Math.floor(number * steps.length / count), Math.floor((number + 1) * steps.length / count));
      if (mine.length) spans.push([mine[0], mine.at(-1)]);
    }
    const sums = spans.map(() => 0), levels = [];
    this.curves.forEach((each, place) => {
      const xs = this.xs[place];
      let at = 0;
      levels.push(spans.map(([from, to], span) => {
        while (at < xs.length && xs[at] < from) at++;
        let sum = 0, found = 0;
        while (at < xs.length && xs[at] <= to) { sum += each.y[at++]; found++; }
        const value = found ? sum / found : 0, base = sums[span];
        sums[span] += value;
        return [base, sums[span]];
      }));
    });
    return spans.map((span, place) => [span, levels.map(each => each[place]), sums[place]]);
  }

  drawStack(root, parts, toY) {
    const width = this.toX(parts.length > 1 ? parts[1][0][0] : 0) - this.toX(parts[0][0][0]);
    this.curves.forEach((_, place) => {
      let d = "";
      parts.forEach(([[from, to], levels], at) => {
        const next = at + 1 < parts.length ? this.toX(parts[at + 1][0][0]) : this.toX(to) + Math.abs(width || 40);
        const begin = parts.length > 1 ? this.toX(from) : this.toX(from) - 20, end = Math.max(begin + 1, next - (parts.length < 60 ? 2 : 0));
        const [base, upper] = levels[place];
        if (upper > base) d += `M${begin.toFixed(1)} ${toY(base).toFixed(1)}H${end.toFixed(1)}V${toY(upper).toFixed(1)}H${begin.toFixed(1)}Z`;
      });
      root.append(svg("path", { class: `part f${this.styles[place].tone}`, d }));
    });
  }

  point(step, spoken) {
    if (!this.toX) return;
    const at = this.curves.map((each, place) => this.xs[place].length ? nearest(this.xs[place], step) : -1);
    const closest = Math.min(...at.map((found, place) => found < 0 ? Infinity : Math.abs(this.xs[place][found] - step)));
    const first = at.findIndex((found, place) => found >= 0 && Math.abs(this.xs[place][found] - step) === closest);
    if (first < 0) return;
    this.cursor = this.xs[first][at[first]];
    const x = this.toX(this.cursor), lines = [`step ${whole(this.cursor)}`];
    this.mark.replaceChildren(svg("line", { class: "cursor", x1: x, x2: x, y1: 4, y2: this.height }));
    this.curves.forEach((each, place) => {
      if (at[place] < 0 || this.xs[place][at[place]] !== this.cursor) return;
      const name = [names.length > 1 ? names[each.run] : "", each.label].filter(Boolean).join(", ");
      lines.push(`${name ? `${name}: ` : ""}${format(each.y[at[place]])}`);
    });
    this.plot.querySelector(".readout")?.remove();
    const readout = html("div", { class: "readout" }, ...lines.slice(0, 14).map(each => html("div", {}, each)));
    this.plot.append(readout);
    readout.style.left = `${x + readout.offsetWidth + 14 < this.plot.clientWidth ? x + 10 : Math.max(0, x - readout.offsetWidth - 10)}px`;
    if (spoken) say(lines.join(", "));
  }

  clear() { this.cursor = null; this.mark?.replaceChildren(); this.plot.querySelector(".readout")?.remove(); }

  listen() {
    const plot = this.plot;
    let from = null;
    const place = event => event.clientX - plot.getBoundingClientRect().left;
    plot.addEventListener("pointerdown", event => { if (this.toStep && event.target.tagName !== "BUTTON") { from = place(event); plot.setPointerCapture(event.pointerId); } });
    plot.addEventListener("pointermove", event => {
      if (!this.toStep) return;
      const x = place(event);
      this.point(this.toStep(x), false);
      if (from !== null && Math.abs(x - from) > 4) this.mark.append(svg("rect", { class: "range", x: Math.min(x, from), width: Math.abs(x - from), y: 4, height: this.height - 4 }));
    });
    plot.addEventListener("pointerup", event => {
      const x = place(event), begin = from;
      from = null;
      if (begin === null || Math.abs(x - begin) < 8) return;
      const ends = [this.toStep(Math.min(x, begin)), this.toStep(Math.max(x, begin))].map(each => Math.round(each));
      if (ends[1] > ends[0]) zoom(this.stage, ends);
    });
    plot.addEventListener("pointercancel", () => { from = null; });
    plot.addEventListener("pointerleave", () => { if (from === null) this.clear(); });
    plot.addEventListener("dblclick", () => zoom(this.stage, null));
    plot.addEventListener("blur", () => this.clear());
    plot.addEventListener("keydown", event => {
      const [low, high] = this.range, at = this.cursor ?? low;
      const near = [...new Set(this.xs.flat())].filter(each => each >= low && each <= high).sort((a, b) => a - b), place = nearest(near, at);
      const moves = { ArrowRight: this.cursor === null ? 0 : place + 1, ArrowLeft: this.cursor === null ? near.length - 1 : place - 1, Home: 0, End: near.length - 1, PageDown: place + 10, PageUp: place - 10 };
      if (event.key in moves && near.length) this.point(near[Math.max(0, Math.min(near.length - 1, moves[event.key]))], true);
      else if (event.key === "+" || event.key === "=") { const half = Math.max(1, (high - low) / 4); zoom(this.stage, [Math.round(at - half), Math.round(at + half)]); this.point(at, true); }
      else if (event.key === "-" || event.key === "−") { const half = high - low; zoom(this.stage, [at - half, at + half]); this.point(at, true); }
      else if (event.key === "0" || event.key === "Escape") zoom(this.stage, null);
      else return;
      event.preventDefault();
    });
  }

  fillValues() {
    const values = this.figure.querySelector(".values"), area = values.querySelector(".scroll");
    if (!values.open) return area.replaceChildren();
    const [low, high] = this.range, most = 500, columns = this.curves.map((each, place) => new Map(this.xs[place].map((step, at) => [step, each.y[at]])));
    const steps = [...new Set(this.xs.flat())].filter(each => each >= low && each <= high).sort((a, b) => a - b);
    const shown = steps.length > most ? Array.from({ length: most }, (_, at) => steps[Math.floor(at * steps.length / most)]) : steps;
    const head = html("tr", {}, html("th", { scope: "col", class: "num" }, "step"), ...this.curves.map(each => html("th", { scope: "col", class: "num" }, [names.length > 1 ? names[each.run] : "", each.label || (names.length > 1 ? "" : "value")].filter(Boolean).join(", "))));
    const rows = shown.map(step => html("tr", {}, html("th", { scope: "row", class: "num" }, whole(step)), ...columns.map(each => html("td", { class: "num" }, each.has(step) ? format(each.get(step)) : ""))));
    area.replaceChildren(html("table", {}, html("caption", {}, shown.length < steps.length ? `${whole(most)} of ${whole(steps.length)} steps, evenly spaced; zoom in for all` : `${whole(shown.length)} ${shown.length === 1 ? "step" : "steps"}`), html("thead", {}, head), html("tbody", {}, ...rows)));
  }
}

function smooth(points) {
  const half = Math.max(2, Math.round(points.length / 60)), found = [];
  let sum = 0, begin = 0, end = 0;
  for (let at = 0; at < points.length; at++) {
    while (end < Math.min(points.length, at + half + 1)) sum += points[end++][1];
    while (begin < at - half) sum -= points[begin++][1];
    found.push([points[at][0], sum / (end - begin)]);
  }
  return found;
}

function zoom(stage, range) {
  const mine = charts.filter(each => each.stage === stage);
  const low = Math.min(...mine.map(each => each.extent[0])), high = Math.max(...mine.map(each => each.extent[1]));
  const given = range && [Math.max(low, range[0]), Math.min(high, range[1])];
  if (given && given[1] > given[0] && (given[0] > low || given[1] < high)) zooms.set(stage, given); else zooms.delete(stage);
  for (const each of mine) { each.clear(); if (each.drawn) { each.draw(); each.fillValues(); } }
  say(zooms.has(stage) ? `steps ${whole(zooms.get(stage)[0])} to ${whole(zooms.get(stage)[1])}` : "all steps");
}

const seen = new IntersectionObserver(entries => { for (const entry of entries) if (entry.isIntersecting) { const chart = entry.target.chart; if (!chart.drawn) chart.draw(); } }, { rootMargin: "400px" });
let resized = 0;
const sized = new ResizeObserver(entries => { cancelAnimationFrame(resized); resized = requestAnimationFrame(() => { for (const each of charts) if (each.drawn && each.width !== each.plot.clientWidth) { each.width = each.plot.clientWidth; each.draw(); } }); });
for (const figure of document.querySelectorAll("figure.chart")) {
  const chart = new Chart(figure);
  figure.chart = chart;
  charts.push(chart);
  seen.observe(figure);
  sized.observe(chart.plot);
}
for (const cell of document.querySelectorAll(".key[data-run]")) cell.append(key(cell.dataset.run % 8, cell.dataset.run % 4, false));
addEventListener("beforeprint", () => { for (const each of charts) if (each.figure.checkVisibility?.() ?? true) each.draw(each.plot.clientWidth || 420); });
addEventListener("afterprint", () => { for (const each of charts) if (each.drawn) each.draw(); });

// --------------------------------------------------------------------------------------------------------------- samples

const form = document.getElementById("filter");
if (!form) return;
const browser = document.getElementById("browser"), list = document.getElementById("list"), overview = document.getElementById("overview");
const detail = document.getElementById("sample"), position = document.getElementById("position");
const WINDOW = 100;
let samples = null, matching = [], current = 0;

function start() {
  if (samples) return;
  const given = read("data-samples");
  samples = given.shown.map(each => ({ values: {}, ...each, text: given.prompts[each.prompt] }));
  const stages = [...new Set(samples.map(each => each.stage))];
  const rank = new Map(stages.map((each, at) => [each, at]));
  samples.sort((a, b) => a.run - b.run || rank.get(a.stage) - rank.get(b.stage) || a.step - b.step || (a.split < b.split ? -1 : a.split > b.split ? 1 : 0) || a.group - b.group || a.number - b.number);
  offer("run", [...new Set(samples.map(each => each.run))].map(each => [String(each), names[each]]));
  for (const field of ["stage", "split", "source"]) offer(field, [...new Set(samples.map(each => each[field]))].sort().map(each => [each, each]));
  form.hidden = browser.hidden = false;
  filter();
}
function offer(field, values) {
  const select = form.elements[field];
  if (!select) return;
  select.replaceChildren(html("option", { value: "" }, "all"), ...values.map(([value, text]) => html("option", { value }, text)));
  select.disabled = values.length < 2;
}
function filter() {
  const wanted = name => form.elements[name]?.value ?? "", number = name => wanted(name) === "" ? null : Number(wanted(name));
  const text = wanted("text").toLowerCase(), only = wanted("only"), before = matching[current];
  const [from, to, least, greatest] = ["step-from", "step-to", "score-from", "score-to"].map(number);
  matching = samples.filter(each =>
    (wanted("run") === "" || each.run === Number(wanted("run"))) && ["stage", "split", "source"].every(field => wanted(field) === "" || each[field] === wanted(field)) &&
    (from === null || each.step >= from) && (to === null || each.step <= to) && (least === null || each.score >= least) && (greatest === null || each.score <= greatest) &&
    (only === "" || (only === "failed" ? each.values.failed > 0 : each[only])) &&
    (text === "" || [each.text, each.response, each.reason || "", each.row].some(part => part.toLowerCase().includes(text))));
  drawOverview();
  go(Math.max(0, matching.indexOf(before)));
}
function go(place) {
  current = Math.max(0, Math.min(matching.length - 1, place));
  position.textContent = matching.length ? `${whole(current + 1)} of ${whole(matching.length)}${matching.length < samples.length ? ` (filtered from ${whole(samples.length)})` : ""}` : `none of ${whole(samples.length)} samples`;
  document.getElementById("previous").disabled = current <= 0;
  document.getElementById("next").disabled = current >= matching.length - 1;
  drawList();
  drawDetail(matching[current]);
  markOverview();
}
function marks(each) {
  return [each.split === "train" ? "" : each.split, each.values.failed > 0 ? "failed" : "", each.cut ? "cut" : "", each.constant ? "equal" : ""].filter(Boolean).join(" ");
}
function drawList() {
  const begin = Math.max(0, Math.min(current - WINDOW / 2, matching.length - WINDOW)), focused = list.contains(document.activeElement);
  list.replaceChildren(...matching.slice(begin, begin + WINDOW).map((each, at) => {
    const button = html("button", { type: "button", "aria-current": begin + at === current }, html("span", {}, `step ${whole(each.step)}`), html("span", {}, format(each.score)), html("span", {}, each.source), html("span", {}, marks(each)));
    button.addEventListener("click", () => go(begin + at));
    return html("li", {}, button);
  }));
  const mine = list.children[current - begin];
  if (!mine) return;
  list.scrollTop = Math.max(0, mine.offsetTop - list.offsetTop - list.clientHeight / 2);
  if (focused) mine.firstChild.focus({ preventScroll: true });
}
function drawDetail(each) {
  detail.replaceChildren();
  if (!each) return;
  const facts = html("dl", {});
  const add = (name, value) => facts.append(html("div", {}, html("dt", {}, name), html("dd", {}, value)));
  add("reward", format(each.score));
  for (const [name, value] of Object.entries(each.values)) if (name !== "has_accuracy") add(name, format(value));
  add("tokens", whole(each.tokens));
  if (each.calls) add("calls of the tool", each.calls);
  if (each.cut) add("cut", "at the limit");
  if (each.constant) add("group", "all rewards are equal");
  add("source", each.source);
  add("row", each.row);
  detail.append(html("h3", {}, `${names.length > 1 ? `${names[each.run]}, ` : ""}${each.stage}, step ${whole(each.step)}, ${each.split}`, html("small", {}, each.of > 1 ? ` response ${each.number + 1} of ${each.of} to prompt ${each.group + 1}` : ` prompt ${each.group + 1}`)), facts);
  const part = (name, text, style) => { if (text) detail.append(html("h4", {}, name), html("pre", { tabindex: "0", role: "region", "aria-label": name, ...(style ? { class: style } : {}) }, text)); };
  part("Why", each.reason, "why");
  part("Response", each.response || "(empty)");
  part("Prompt", each.text);
  part("Ground truth", each.truth);
}
function scale() {
  const steps = matching.map(each => each.step), scores = matching.map(each => each.score), width = overview.clientWidth, height = 110;
  const ends = values => values.reduce(([low, high], each) => [Math.min(low, each), Math.max(high, each)], [Infinity, -Infinity]);
  const [first, last] = ends(steps), [low, high] = ends(scores);
  return { width, height, first, last, low, high, x: step => last > first ? 50 + (step - first) / (last - first) * (width - 60) : width / 2, y: score => high > low ? 92 - (score - low) / (high - low) * 82 : 50 };
}
function drawOverview() {
  overview.replaceChildren();
  if (!matching.length) return;
  const to = scale(), root = svg("svg", { width: to.width, height: to.height, role: "img", "aria-label": `Rewards of ${whole(matching.length)} samples by step, from ${format(to.low)} to ${format(to.high)}` });
  for (const score of ticks(to.low, to.high, 2)) root.append(svg("line", { class: "rule", x1: 50, x2: to.width - 8, y1: to.y(score), y2: to.y(score) }), svg("text", { class: "tick", x: 44, y: to.y(score) + 4, "text-anchor": "end" }, format(score)));
  for (const step of to.last > to.first ? ticks(to.first, to.last, Math.max(2, Math.floor(to.width / 110)), true) : [to.first]) root.append(svg("text", { class: "tick", x: to.x(step), y: 108, "text-anchor": to.x(step) > to.width - 20 ? "end" : "middle" }, whole(step)));
  for (const each of matching) root.append(svg("circle", { cx: to.x(each.step).toFixed(1), cy: to.y(each.score).toFixed(1), r: matching.length > 1500 ? 1.5 : 2.5 }));
  root.addEventListener("click", event => {
    const box = root.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = 0, least = Infinity;
    matching.forEach((each, at) => { const far = (to.x(each.step) - x) ** 2 + (to.y(each.score) - y) ** 2; if (far < least) { least = far; best = at; } });
    go(best);
  });
  overview.append(root);
}
function markOverview() {
  overview.querySelector(".now")?.remove();
  const root = overview.querySelector("svg"), each = matching[current];
  if (root && each) { const to = scale(); root.append(svg("circle", { class: "now", cx: to.x(each.step), cy: to.y(each.score), r: 4.5 })); }
}
form.addEventListener("submit", event => event.preventDefault());
form.addEventListener("input", filter);
document.getElementById("previous").addEventListener("click", () => go(current - 1));
document.getElementById("next").addEventListener("click", () => go(current + 1));
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea, .plot")) return;
  const box = browser.getBoundingClientRect();
  if (browser.hidden || box.bottom < 0 || box.top > innerHeight) return;
  if (event.key === "j" || event.key === "ArrowRight") go(current + 1);
  else if (event.key === "k" || event.key === "ArrowLeft") go(current - 1);
  else return;
  event.preventDefault();
});
new ResizeObserver(() => { if (samples) { drawOverview(); markOverview(); } }).observe(overview);
new IntersectionObserver((entries, observer) => { if (entries.some(each => each.isIntersecting)) { observer.disconnect(); start(); } }, { rootMargin: "600px" }).observe(document.getElementById("samples"));
addEventListener("beforeprint", start);
})();
