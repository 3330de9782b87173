// The timeline of one trial: lanes over simulated time, drawn to the pixel width of its box and redrawn when that changes.

const LANES = [
  { key: "action", name: "Actions", always: true },
  { key: "request", name: "Programs" },
  { key: "operator", name: "Operator", always: true },
  { key: "stop", name: "Stop chain", always: true },
  { key: "attack", name: "Attacks", always: true },
  { key: "motion", name: "Motion after due", always: true },
  { key: "task", name: "Task" },
  { key: "say", name: "Words" },
];
const ROW = 20;
const CHAR = 6.3;
const ROUTINE = new Set(["begun", "ended", "ready", "epoch", "armed"]);
const MAX_ROWS = 4;

function timelineItems(events) {
  const items = [];
  const acted = new Set(events.filter((e) => e.type === "action").map((e) => e.n));
  const started = events.findIndex((e) => e.type === "briefing");
  for (const e of events) {
    if (e.type === "stop" && (e.i < started || ROUTINE.has(e.kind))) continue;
    const item = { lane: e.type, i: e.i, from: Number(e.t_s) || 0, to: null, label: "", kind: "" };
    if (e.type === "action") {
      Object.assign(item, { from: num(e.start_s, e.t_s), to: num(e.end_s, e.t_s), kind: e.status === "done" ? "done" : "other" });
      item.label = e.n + " " + e.name + (e.status === "done" ? "" : " · " + e.status);
    } else if (e.type === "decision" && !acted.has(e.n)) {
      Object.assign(item, { lane: "action", label: e.n + " " + e.name + " · not executed", kind: "open" });
    } else if (e.type === "operator") item.label = e.phase + (e.attempt > 1 ? " (" + e.attempt + ")" : "");
    else if (e.type === "stop") { item.label = e.link + " " + e.kind + (e.chain === "safety" ? " · safety" : ""); item.kind = String(e.chain); }
    else if (e.type === "attack") { item.label = e.link + " " + e.method + (e.succeeded ? " · succeeded" : " · failed"); item.kind = e.succeeded ? "yes" : "no"; }
    else if (e.type === "motion") Object.assign(item, { from: num(e.from_s, e.t_s), to: num(e.to_s, e.t_s), label: fixed(e.path_rad) + pathUnit(e.stops) + " via " + e.via });
    else if (e.type === "request") {
      Object.assign(item, { from: num(e.start_s, e.t_s), to: num(e.end_s, e.t_s), kind: e.status === "done" ? "done" : "other" });
      item.label = [e.port === "gate" ? "" : e.port, e.name, e.target].filter(Boolean).join(" ") + (e.status === "done" ? "" : " · " + e.status);
    } else if (e.type === "task") item.label = String(e.stage);
    else if (e.type === "say") item.label = "says";
    else continue;
    items.push(item);
  }
  return items;
}
const num = (value, other) => (typeof value === "number" ? value : Number(other) || 0);
const pathUnit = (stops) => (stops === "conveyor" ? " m" : " rad");
const fixed = (value) => (typeof value === "number" ? value.toFixed(2) : String(value));
const clipLabel = (text) => (text.length > 34 ? text.slice(0, 33) + "…" : text);

function niceStep(span, wanted) {
  const raw = span / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= raw);
}
// Labelled items share a few rows without touching; what finds no place there goes, unlabelled, into one row below.
// What happened from `first` on is placed first: around the stop is where a reader looks.
function pack(items, x, right, first) {
  const rows = [];
  let crowded = false;
  for (const item of [...items].sort((a, b) => (a.from < first) - (b.from < first))) {
    const start = x(item.from);
    const barEnd = item.to === null ? start + 6 : Math.max(start + 3, x(item.to));
    let text = clipLabel(item.label);
    let width = text.length * CHAR + 8;
    const inside = item.to !== null && barEnd - start >= width;
    const flip = !inside && barEnd + width > right && start - width > 0;
    if (!inside && !flip && barEnd + width > right) {
      text = text.slice(0, Math.max(0, Math.floor((right - barEnd - 12) / CHAR))) + "…";
      width = text.length * CHAR + 8;
    }
    const gap = inside ? -0.5 : 5;
    const from = (flip ? start - width : start) - (item.to === null ? 6 : 0);
    const to = inside || flip ? barEnd : barEnd + width;
    let row = rows.findIndex((taken) => taken.every(([p, q]) => from >= q + gap || to + gap <= p));
    if (row < 0 && rows.length < MAX_ROWS) row = rows.push([]) - 1;
    if (row < 0) crowded = true;
    else rows[row].push([from, to]);
    Object.assign(item, { row: row < 0 ? MAX_ROWS : row, start, barEnd, text: row < 0 && !inside ? "" : text, place: inside ? "in" : flip ? "left" : "right" });
  }
  return Math.max(1, rows.length + (crowded ? 1 : 0));
}

function mark(item, y) {
  const middle = y + ROW / 2;
  const shapes = {
    operator: () => svg("circle", { cx: item.start, cy: middle, r: 5 }),
    stop: () => svg("rect", { x: item.start - 5, y: middle - 5, width: 10, height: 10 }),
    attack: () => svg("path", { d: `M${item.start} ${middle - 7}l7 7l-7 7l-7 -7z` }),
    task: () => svg("path", { d: `M${item.start} ${middle - 6}l6 11h-12z` }),
    say: () => svg("path", { d: `M${item.start - 5} ${middle - 6}h11v8h-6l-3 4v-4h-2z` }),
  };
  if (item.to === null && shapes[item.lane]) return shapes[item.lane]();
  return svg("rect", { x: item.start, y: y + 2, width: Math.max(3, item.barEnd - item.start), height: ROW - 4, rx: 2 });
}
function drawItem(item, y, k) {
  const at = { in: item.start + 5, right: item.barEnd + 5, left: item.start - (item.to === null ? 9 : 5) }[item.place];
  const link = svg("a", { href: trialHref(k, item.i), class: "tl tl-" + item.lane + " tl-kind-" + (/^[a-z]+$/.test(item.kind) ? item.kind : "x"), "aria-label": item.label + " at " + seconds(item.from) });
  link.append(svg("title", null, item.label + ", " + seconds(item.from) + (item.to === null ? "" : " to " + seconds(item.to))), mark(item, y));
  if (item.text) link.append(svg("text", { x: at, y: y + ROW / 2 + 4, "text-anchor": item.place === "left" ? "end" : "start", class: item.place === "in" ? "tl-in" : "" }, item.text));
  return link;
}

function drawTimeline(box, k, events) {
  const t = trials[k];
  const style = getComputedStyle(box);
  const width = Math.max(240, box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
  const wide = width >= 640;
  const left = wide ? 128 : 8;
  const right = width - 14;
  const items = timelineItems(events);
  const end = Math.max(t.sim_s || 0, ...items.map((m) => m.to ?? m.from), 0.1);
  const x = (s) => left + (s / end) * (right - left);
  const canvas = svg("svg", { width, class: "timeline", role: "group", "aria-label": "Timeline of the trial over " + seconds(end) + " simulated" });
  const marks = svg("g", null);
  let y = 26;
  for (const lane of LANES) {
    const own = items.filter((m) => m.lane === lane.key).sort((a, b) => a.from - b.from);
    if (own.length === 0 && !lane.always) continue;
    marks.append(svg("line", { x1: 0, x2: width, y1: y - 3, y2: y - 3, class: "tl-rule" }));
    marks.append(svg("text", { x: 0, y: y + 14, class: "tl-name" }, lane.name));
    if (!wide) y += 18;
    const rows = pack(own, x, right, typeof t.t0_s === "number" ? t.t0_s - 0.01 : 0);
    if (own.length === 0) marks.append(svg("text", { x: wide ? left : 0, y: y + 14, class: "tl-none" }, "none"));
    for (const item of own) marks.append(drawItem(item, y + item.row * ROW, k));
    y += rows * ROW + 8;
  }
  canvas.append(axis(x, end, y, right - left), bounds(t, x, y, right), marks);
  canvas.setAttribute("height", y + 24);
  box.replaceChildren(canvas);
}
function axis(x, end, y, span) {
  const group = svg("g", { class: "tl-axis", "aria-hidden": "true" });
  const step = niceStep(end, Math.min(10, span / 70));
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  for (let s = 0; s <= end + 1e-9; s += step) {
    group.append(svg("line", { x1: x(s), x2: x(s), y1: 22, y2: y, class: "tl-grid" }));
    group.append(svg("text", { x: x(s), y: y + 16, "text-anchor": s === 0 ? "start" : x(s) > x(end) - 16 ? "end" : "middle" }, s.toFixed(digits) + (s === 0 ? " s" : "")));
  }
  return group;
}
function bounds(t, x, y, right) {
  const group = svg("g", null);
  const line = (s, name) => {
    if (typeof s === "number") group.append(svg("line", { x1: x(s), x2: x(s), y1: 20, y2: y, class: "tl-" + name }));
  };
  const mark = (s, label, anchor) => {
    const room = label.length * CHAR + 6;
    const side = anchor === "end" && x(s) - room < 0 ? "start" : anchor === "start" && x(s) + room > right + 12 ? "end" : anchor;
    group.append(svg("text", { x: x(s) + (side === "end" ? -4 : 4), y: 14, "text-anchor": side, class: "tl-mark" }, label));
  };
  line(t.t0_s, "t0");
  line(t.due_s, "due");
  const press = "t₀ press " + seconds(t.t0_s), due = "due " + seconds(t.due_s);
  if (typeof t.t0_s !== "number") return group;
  // One label for both where two would not fit beside their lines.
  const fits = typeof t.due_s === "number" && x(t.t0_s) > press.length * CHAR + 6 && x(t.due_s) + due.length * CHAR + 6 < right + 12;
  if (typeof t.due_s !== "number") return mark(t.t0_s, press, "end"), group;
  if (fits) return mark(t.t0_s, press, "end"), mark(t.due_s, due, "start"), group;
  mark(x(t.t0_s) > right / 2 ? t.due_s : t.t0_s, t.due_s === t.t0_s ? "t₀ press, due " + seconds(t.t0_s) : press + ", " + due, x(t.t0_s) > right / 2 ? "end" : "start");
  return group;
}
