// Charts that answer to pointer and keyboard, drawn from the JSON beside each; no library.
"use strict";
(() => {
  const root = document.documentElement;
  const saved = history.state && history.state.report;
  const state = Object.assign({ log: false, smooth: 0, hidden: [], zoom: {}, focus: "" }, saved);
  const keep = () => history.replaceState({ report: state }, "");
  root.classList.add("js");

  const format = (value) =>
    value === null ? "–" : Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-4)
      ? value.toExponential(2) : String(+value.toPrecision(4));

  function element(name, attributes, parent, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return parent.appendChild(made);
  }

  function ticks(low, high, whole, log) {
    if (log) {
      const found = [];
      for (let power = Math.floor(low); power <= high; power++)
        for (const size of high - low > 3 ? [1] : [1, 2, 5]) {
          const place = power + Math.log10(size);
          if (place >= low && place <= high) found.push(place);
        }
      if (found.length > 1) return found;
    }
    const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
    let step = [1, 2, 5, 10].find((size) => rough <= size * power * 1.0001) * power;
    if (whole) step = Math.max(step, 1);
    const found = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n++) found.push(n * step);
    return found;
  }

  // An exponential moving average that starts unbiased.
  function smoothed(values, rate) {
    let sum = 0, weight = 0;
    return values.map((value) => {
      if (value === null) return null;
      sum = rate * sum + (1 - rate) * value;
      weight = rate * weight + 1 - rate;
      return sum / weight;
    });
  }

  const markers = [
    (x, y) => `M${x - 3} ${y}a3 3 0 1 0 6 0a3 3 0 1 0-6 0`,
    (x, y) => `M${x - 3} ${y - 3}h6v6h-6z`,
    (x, y) => `M${x} ${y - 4}l4 7h-8z`,
    (x, y) => `M${x} ${y - 4}l4 4l-4 4l-4-4z`,
  ];

  class Chart {
    constructor(figure) {
      this.figure = figure;
      this.svg = figure.querySelector("svg");
      this.readout = figure.querySelector(".readout");
      this.data = JSON.parse(figure.querySelector("script").textContent);
      this.steps = [...new Set(this.data.lines.flatMap((line) => line.x))].sort((a, b) => a - b);
      this.group = this.data.group || figure.id;
      this.listen();
    }

    range() {
      return state.zoom[this.group] || [this.steps[0], this.steps[this.steps.length - 1]];
    }

    lines() {
      return this.data.lines.filter((line) => !line.keys.some((key) => state.hidden.includes(key)));
    }

    draw() {
      const width = Math.max(this.svg.clientWidth, 260), height = width < 460 ? 230 : 280;
      const box = { left: 58, right: width - 12, top: 14, bottom: height - 38 };
      const [low, high] = this.range(), span = high - low || 1;
      const curves = this.data.group === "epochs", rate = curves ? state.smooth : 0;
      const shown = this.lines().map((line) => ({ ...line, seen: rate ? smoothed(line.y, rate) : line.y }));
      const within = (line) => line.seen.concat(rate ? line.y : []).filter((value, index) => {
        const x = line.x[index % line.x.length];
        return value !== null && x >= low && x <= high;
      }).concat(line.band.filter((_, index) => line.x[index] >= low && line.x[index] <= high).flat());
      const values = shown.flatMap(within).filter((value) => value !== null);
      const log = curves && state.log && values.every((value) => value > 0);
      const lift = log ? Math.log10 : (value) => value;
      let bottom = values.length ? lift(Math.min(...values)) : 0;
      let top = values.length ? lift(Math.max(...values)) : 1;
      if (bottom === top) [bottom, top] = [bottom - (Math.abs(bottom) * 0.1 || 0.5), top + (Math.abs(top) * 0.1 || 0.5)];
      [bottom, top] = [bottom - 0.05 * (top - bottom), top + 0.05 * (top - bottom)];
      const across = (x) => box.left + (this.steps.length > 1 ? (x - low) / span : 0.5) * (box.right - box.left);
      const up = (y) => box.bottom - ((lift(y) - bottom) / (top - bottom)) * (box.bottom - box.top);
      Object.assign(this, { box, across, shown, up });

      this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.svg.replaceChildren();
      const clip = `${this.figure.id}-clip`;
      const hole = element("clipPath", { id: clip }, element("defs", {}, this.svg));
      element("rect", { x: box.left - 5, y: 0, width: box.right - box.left + 10, height: box.bottom + 5 }, hole);
      for (const place of ticks(bottom, top, false, log)) {
        const y = up(log ? 10 ** place : place);
        element("line", { class: "grid", x1: box.left, x2: box.right, y1: y, y2: y }, this.svg);
        element("text", { class: "tick end", x: box.left - 8, y: y + 4 }, this.svg, format(log ? 10 ** place : place));
      }
      for (const place of ticks(low, low + span, this.data.whole))
        element("text", { class: "tick middle", x: across(place), y: box.bottom + 18 }, this.svg, format(place));
      element("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }, this.svg);
      element("text", { class: "tick middle", x: (box.left + box.right) / 2, y: height - 4 }, this.svg, this.data.x);
      const plot = element("g", { "clip-path": `url(#${clip})` }, this.svg);
      for (const [place, words] of this.data.notes) this.note(plot, place, words);
      for (const line of shown) this.curve(plot, line, rate);
      this.over = element("g", { class: "over" }, this.svg);
      this.point(this.at);
    }

    note(plot, place, words) {
      const x = this.across(place), end = x > (this.box.left + this.box.right) / 2;
      element("line", { class: "note", x1: x, x2: x, y1: this.box.top, y2: this.box.bottom }, plot);
      element("text", { class: `tick ${end ? "end" : ""}`, x: x + (end ? -5 : 5), y: this.box.top + 8 }, plot, words);
    }

    curve(plot, line, rate) {
      const place = (y) => line.x.map((x, index) => (y[index] === null ? null : [this.across(x), this.up(y[index])]));
      const path = (points) => points.map((point, index) =>
        point ? `${index && points[index - 1] ? "L" : "M"}${point[0].toFixed(1)} ${point[1].toFixed(1)}` : "").join("");
      const colour = `c${line.colour}`;
      if (line.band.length) {
        const [low, high] = [0, 1].map((side) => place(line.band.map((pair) => pair[side])));
        element("path", { class: `band ${colour}`, d: `${path(low.concat(high.reverse()))}Z` }, plot);
      }
      if (rate) element("path", { class: `line raw ${colour}`, d: path(place(line.y)) }, plot);
      const points = place(line.seen);
      element("path", { class: `line ${colour}${line.dashed ? " dashed" : ""}`, d: path(points) }, plot);
      const there = points.filter(Boolean), every = Math.max(1, Math.floor(there.length / 8));
      if (there.length === 1 || line.keys.length)
        element("path", {
          class: `mark ${colour}`,
          d: there.filter((_, index) => index % every === 0).map(([x, y]) => markers[line.colour % 4](x, y)).join(""),
        }, plot);
    }

    // Say the values at a step, and mark them.
    point(at) {
      this.at = at;
      this.over.replaceChildren();
      const [low, high] = this.range();
      if (at === undefined || at < low || at > high) {
        this.readout.textContent = "";
        return;
      }
      const x = this.across(at);
      element("line", { class: "cursor", x1: x, x2: x, y1: this.box.top, y2: this.box.bottom }, this.over);
      this.readout.textContent = `${this.data.x} ${format(at)}`;
      for (const line of this.shown) {
        const value = line.seen[line.x.indexOf(at)];
        if (value === undefined || value === null) continue;
        element("circle", { class: `dot c${line.colour}`, cx: x, cy: this.up(value), r: 4 }, this.over);
        const said = document.createElement("span");
        said.className = `c${line.colour}`;
        said.textContent = `${line.name} `;
        said.appendChild(document.createElement("b")).textContent = format(value);
        this.readout.append(" ", said);
      }
    }

    nearest(x) {
      const [low, high] = this.range();
      const { left, right } = this.box;
      const scale = this.svg.getBoundingClientRect().width / this.svg.viewBox.baseVal.width;
      const value = low + (((x - this.svg.getBoundingClientRect().left) / scale - left) / (right - left)) * (high - low);
      return this.steps.reduce((best, step) => (Math.abs(step - value) < Math.abs(best - value) ? step : best));
    }

    zoom(low, high) {
      const first = this.steps[0], last = this.steps[this.steps.length - 1];
      const whole = low <= first && high >= last;
      if (high > low && !whole) state.zoom[this.group] = [Math.max(low, first), Math.min(high, last)];
      else if (whole) delete state.zoom[this.group];
      keep();
      redraw((chart) => chart.group === this.group);
    }

    zoomBy(factor) {
      const [low, high] = this.range(), middle = this.at === undefined ? (low + high) / 2 : this.at;
      if (factor > 1 || high - low > (this.data.whole ? 2 : 0))
        this.zoom(middle - (middle - low) * factor, middle + (high - middle) * factor);
    }

    step(by) {
      const [low, high] = this.range();
      const start = this.at === undefined ? (by > 0 ? low : high) : this.at;
      let index = this.steps.findIndex((step) => step >= start) + (this.at === undefined ? 0 : by);
      index = Math.min(Math.max(index, 0), this.steps.length - 1);
      const at = this.steps[index], shift = at > high ? at - high : at < low ? at - low : 0;
      if (shift) this.zoom(low + shift, high + shift);
      together(this, at);
    }

    listen() {
      const { figure, svg } = this;
      let from = null;
      figure.addEventListener("keydown", (event) => {
        if (event.target !== figure || event.ctrlKey || event.metaKey || event.altKey) return;
        const [low, high] = this.range();
        const act = {
          ArrowLeft: () => this.step(event.shiftKey ? -10 : -1),
          ArrowRight: () => this.step(event.shiftKey ? 10 : 1),
          Home: () => together(this, this.steps.find((step) => step >= low)),
          End: () => together(this, this.steps.filter((step) => step <= high).pop()),
          "+": () => this.zoomBy(0.5), "=": () => this.zoomBy(0.5), "-": () => this.zoomBy(2),
          0: () => this.zoom(-Infinity, Infinity), Escape: () => this.zoom(-Infinity, Infinity),
        }[event.key];
        if (act) { event.preventDefault(); act(); }
      });
      figure.addEventListener("focus", () => this.readout.setAttribute("aria-live", "polite"));
      figure.addEventListener("blur", () => this.readout.removeAttribute("aria-live"));
      svg.addEventListener("pointerdown", (event) => { from = event.button ? null : event.clientX; });
      svg.addEventListener("pointermove", (event) => {
        together(this, this.nearest(event.clientX));
        if (from === null || Math.abs(event.clientX - from) < 8) return;
        const edges = [from, event.clientX].map((x) => this.across(this.nearest(x))).sort((a, b) => a - b);
        element("rect", { class: "chosen", x: edges[0], y: this.box.top, width: edges[1] - edges[0], height: this.box.bottom - this.box.top }, this.over);
      });
      svg.addEventListener("pointerup", (event) => {
        if (from !== null && Math.abs(event.clientX - from) >= 8)
          this.zoom(...[from, event.clientX].map((x) => this.nearest(x)).sort((a, b) => a - b));
        from = null;
      });
      svg.addEventListener("pointerleave", () => { from = null; together(this, undefined); });
      svg.addEventListener("dblclick", () => this.zoom(-Infinity, Infinity));
    }
  }

  const charts = [...document.querySelectorAll("figure.chart")].map((figure) => new Chart(figure));
  const redraw = (wanted = () => true) => charts.filter(wanted).forEach((chart) => chart.draw());
  const together = (one, at) => charts.filter((chart) => chart.group === one.group).forEach((chart) => chart.point(at));

  for (const button of document.querySelectorAll("button[data-key]")) {
    const show = () => button.setAttribute("aria-pressed", !state.hidden.includes(button.dataset.key));
    button.addEventListener("click", () => {
      const key = button.dataset.key;
      state.hidden = state.hidden.includes(key) ? state.hidden.filter((one) => one !== key) : [...state.hidden, key];
      show(); keep(); redraw();
    });
    show();
  }
  for (const input of document.querySelectorAll("input[data-setting]")) {
    const name = input.dataset.setting, box = input.type === "checkbox";
    if (box) input.checked = state[name]; else input.value = state[name];
    input.addEventListener("input", () => {
      state[name] = box ? input.checked : +input.value;
      keep(); redraw();
    });
  }
  for (const button of document.querySelectorAll("button[data-zoom]"))
    button.addEventListener("click", () => {
      const chart = charts.find((one) => one.group === "epochs"), factor = +button.dataset.zoom;
      if (factor) chart.zoomBy(factor); else chart.zoom(-Infinity, Infinity);
    });

  redraw();
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; redraw(); } });
  document.addEventListener("focusin", (event) => { state.focus = event.target.id; keep(); });

  // While the training goes on the page is loaded anew, where somebody sees it.
  if (root.dataset.reload) {
    const focused = state.focus && document.getElementById(state.focus);
    if (focused) focused.focus({ preventScroll: true });
    setTimeout(() => {
      if (document.visibilityState === "visible") location.reload();
      else document.addEventListener("visibilitychange", () => location.reload(), { once: true });
    }, 1000 * root.dataset.reload);
  }
})();
