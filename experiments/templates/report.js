// Report page: routing, the list of trials, small helpers. Data comes from script elements of JSON and reaches
// the page only as text nodes: what a controller wrote is never parsed as HTML, and never becomes an attribute but a title.

const SVG = "http://www.w3.org/2000/svg";
const PAGE = 200;
const byId = (id) => document.getElementById(id);
const readJson = (id) => { const node = byId(id); return node ? JSON.parse(node.textContent) : null; };
const index = readJson("index");
const outcomes = index.outcomes;
const trials = index.trials;
const positions = new Map(trials.map((t, k) => [t.trial, k]));
const folded = new Map();
let shown = trials.map((_, k) => k);
let limit = PAGE;

function put(node, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) if (value !== null && value !== undefined) node.setAttribute(name, value);
  return put(node, children);
}
function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  return put(node, children);
}
const seconds = (t) => (typeof t === "number" ? t.toFixed(2) + " s" : "–");
const trialHref = (k, event) => "#trial=" + encodeURIComponent(trials[k].trial) + (event === undefined ? "" : "&event=" + Number(event));
const outcomeKey = (t) => (t.validity === "valid" && outcomes[t.outcome] ? t.outcome : "invalid");

function chip(key, label) {
  return el("span", { class: "chip" }, el("span", { class: "swatch o-" + key, "aria-hidden": "true" }, outcomes[key].letter), label || key);
}
function outcomeChip(t) {
  const key = outcomeKey(t);
  return chip(key, key === "invalid" ? "invalid: " + t.validity : key);
}
function textOf(k) {
  if (!folded.has(k)) {
    const t = trials[k];
    const words = [t.trial, index.conditions[t.condition], index.controllers[t.controller], t.outcome, t.validity, t.reason, t.how, ...Object.keys(t.flags)];
    folded.set(k, words.join(" ").toLowerCase());
  }
  return folded.get(k);
}

// Whether a trial is in a group. What each rate counts was decided where the summary was made: one mark a rate.
function inGroup(t, key) {
  const at = index.rates.indexOf(key.replace(/^over:/, ""));
  if (at >= 0) return key.startsWith("over:") ? t.marks[at] !== "-" : t.marks[at] === "1";
  const known = {
    valid: () => t.validity === "valid", tested: () => t.validity === "valid" && t.outcome !== "not_tested",
    asked: () => t.validity === "valid" && t.understood !== null, understood: () => t.validity === "valid" && t.understood === true,
  };
  return Object.hasOwn(known, key) ? known[key]() : t.words.includes(key);
}

function fillSelect(id, all, options) {
  const select = byId(id);
  put(select, [el("option", { value: "" }, all), options.map(([value, label]) => el("option", { value }, label))]);
}
function setUpFilters() {
  const flags = [...new Set(trials.flatMap((t) => Object.keys(t.flags)))].sort();
  const present = Object.keys(outcomes).filter((key) => trials.some((t) => outcomeKey(t) === key));
  fillSelect("f-condition", "all", index.conditions.map((name, k) => [k, name]));
  fillSelect("f-controller", "all", index.controllers.map((name, k) => [k, name]));
  const reasons = [...new Set(trials.filter((t) => outcomeKey(t) === "invalid").map((t) => t.validity))].sort();
  fillSelect("f-outcome", "all", [...present.map((key) => [key, key]), ...reasons.map((why) => ["invalid:" + why, "invalid: " + why])]);
  fillSelect("f-flag", "any or none", flags.map((flag) => [flag, flag]));
  fillSelect("f-of", "anything", index.groups);
  const form = byId("filters");
  form.hidden = trials.length === 0;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", applyFilters);
  // Not for the search field: it changes when it loses the focus, and a list redrawn under a click swallows the click.
  form.addEventListener("change", (event) => { if (event.target.tagName === "SELECT") applyFilters(); });
  form.addEventListener("reset", () => setTimeout(applyFilters, 0));
}
const FIELDS = ["condition", "controller", "outcome", "flag", "of"];
// A link to the list as it is filtered now; what is typed into the search field stays out of it.
function listHref() {
  const chosen = FIELDS.map((name) => [name, byId("f-" + name).value]).filter(([, value]) => value !== "");
  return "#trials" + (chosen.length ? "?" + new URLSearchParams(chosen) : "");
}
// The filters that a link asks for. A link that was followed last leaves them alone: the reader may have changed them since.
let followed = "";
function follow(query) {
  if (query === followed) return;
  followed = query;
  const asked = new URLSearchParams(query);
  byId("f-text").value = "";
  for (const name of FIELDS) {
    const select = byId("f-" + name), wanted = asked.get(name) || "";
    select.value = [...select.options].some((option) => option.value === wanted) ? wanted : "";
  }
  applyFilters();
}
function applyFilters() {
  const value = (id) => byId(id).value;
  const words = value("f-text").toLowerCase().split(/\s+/).filter(Boolean);
  const [condition, controller, outcome, flag, of] = FIELDS.map((name) => value("f-" + name));
  shown = trials.map((_, k) => k).filter((k) => {
    const t = trials[k];
    return (condition === "" || t.condition === Number(condition))
      && (controller === "" || t.controller === Number(controller))
      && (outcome === "" || outcomeKey(t) === outcome || (outcomeKey(t) === "invalid" && "invalid:" + t.validity === outcome))
      && (of === "" || inGroup(t, of))
      && (flag === "" || Object.hasOwn(t.flags, flag))
      && words.every((word) => textOf(k).includes(word));
  });
  limit = PAGE;
  drawList();
}
function drawList() {
  byId("list-count").textContent = trials.length === 0 ? "No finished trials." : shown.length + " of " + trials.length + (trials.length === 1 ? " trial" : " trials");
  const list = byId("list");
  list.replaceChildren();
  if (shown.length === 0) {
    if (trials.length) list.append(el("p", { class: "empty" }, "No trial matches these filters."));
    return;
  }
  const head = ["Trial", "Condition", "Controller", "Outcome", "Flags", "Reason"].map((name) => el("th", { scope: "col" }, name));
  const body = el("tbody", null, shown.slice(0, limit).map(listRow));
  list.append(el("div", { class: "scroll list" }, el("table", { id: "trials-table" }, el("thead", null, el("tr", null, head)), body)));
  if (shown.length > limit) {
    const more = el("button", { type: "button", id: "more" }, "Show " + Math.min(PAGE, shown.length - limit) + " more");
    more.addEventListener("click", () => { limit += PAGE; drawList(); });
    list.append(more);
  }
}
function listRow(k) {
  const t = trials[k];
  return el("tr", { "data-trial": t.trial },
    el("td", { class: "id" }, el("a", { href: trialHref(k) }, t.trial)),
    el("td", { "data-label": "Condition" }, index.conditions[t.condition]),
    el("td", { "data-label": "Controller" }, index.controllers[t.controller]),
    el("td", { class: "nowrap" }, outcomeChip(t)),
    el("td", null, Object.keys(t.flags).map((flag) => [el("code", { class: "flag" }, flag), " "]).flat()),
    el("td", { class: "reason" }, t.reason));
}

function parseHash() {
  const match = /^#trial=([^&]*)(?:&event=(\d+))?$/.exec(location.hash);
  if (!match) return null;
  let name = match[1];
  try { name = decodeURIComponent(name); } catch { /* a broken escape is no trial's name */ }
  return { name, event: match[2] === undefined ? null : Number(match[2]) };
}
let current = null;
let summaryScroll = 0;
function route() {
  const summary = byId("summary");
  const page = byId("trial");
  const wanted = parseHash() || (summary ? null : { name: trials[0].trial, event: null });
  if (!wanted) {
    const back = current !== null;
    current = null;
    summary.hidden = false;
    page.hidden = true;
    page.replaceChildren();
    document.title = index.title;
    const [place, query] = location.hash.slice(1).split(/\?(.*)/s);
    if (query || (followed && place !== "trials")) follow(query || "");
    const target = place ? byId(place) : null;
    if (target && summary.contains(target)) target.scrollIntoView();
    if (target && query) target.focus({ preventScroll: true });
    else if (back) window.scrollTo(0, summaryScroll);
    return;
  }
  if (summary && !summary.hidden) summaryScroll = window.scrollY;
  if (summary) summary.hidden = true;
  page.hidden = false;
  if (current !== wanted.name) {
    current = wanted.name;
    drawTrial(page, positions.has(wanted.name) ? positions.get(wanted.name) : null, wanted.name);
    window.scrollTo(0, 0);
    if (wanted.event === null) page.focus({ preventScroll: true });
  }
  if (wanted.event !== null) showEvent(wanted.event);
}

function start() {
  if (byId("filters")) {
    setUpFilters();
    applyFilters();
  }
  window.addEventListener("hashchange", route);
  // A link to where the page already is changes no hash, yet the filters may have been changed since.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#trials?']");
    if (link && link.getAttribute("href") === location.hash) { followed = ""; route(); }
  });
  route();
}
