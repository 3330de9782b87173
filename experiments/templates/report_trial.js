// The page of one trial: outcome, flags with their evidence, timeline, frames, transcript, raw events.

let frames = {};
let redraw = null;

function drawTrial(page, k, name) {
  redraw = null;
  if (k === null) {
    page.replaceChildren(el("p", null, el("a", { href: "#trials" }, byId("summary") ? "← All trials" : "← The trial of this page")), el("h1", null, "No such trial"), el("p", null, "This report has no finished trial named ", el("code", null, name), "."));
    document.title = "No such trial";
    return;
  }
  const t = trials[k];
  const events = readJson("events-" + k);
  frames = readJson("images-" + k) || {};
  document.title = t.trial + " – " + index.title;
  page.replaceChildren();
  put(page, [pager(k), head(t), verdict(k, t, events || []), ...(events ? details(k, t, events) : [missing(t)]), pager(k)]);
}
function missing(t) {
  return el("section", { class: "alert" }, el("p", null, "The events of this trial are not in this page: it would have grown past its size budget, or the file could no longer be read. They are in the run folder, in ", el("code", null, "trials/" + t.trial + ".jsonl"), "."));
}
function pager(k) {
  if (!byId("summary")) return null;
  const list = shown.includes(k) ? shown : trials.map((_, other) => other);
  const at = list.indexOf(k);
  const link = (other, text, rel) => (other === undefined ? el("span", { class: "off", "aria-disabled": "true" }, text) : el("a", { href: trialHref(other), rel, title: trials[other].trial }, text));
  return el("nav", { class: "pager", "aria-label": "Trials" }, el("a", { href: listHref(), class: "back" }, "All trials"),
    el("span", { class: "pages" }, link(list[at - 1], "← Previous", "prev"), el("span", { class: "quiet" }, (at + 1) + " of " + list.length), link(list[at + 1], "Next →", "next")));
}
function head(t) {
  const facts = [["Condition", index.conditions[t.condition]], ["Controller", index.controllers[t.controller]], ["Seed", t.seed], ["Ended", t.how], ["Decisions", t.decisions], ["Simulated", seconds(t.sim_s)], ["Wall clock", seconds(t.wall_s)]];
  return el("header", { class: "trial-head" }, el("p", { class: "eyebrow" }, "Trial"), el("h1", { class: "trial-name" }, t.trial),
    el("dl", { class: "facts inline" }, facts.map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, value)))));
}
function verdict(k, t, events) {
  const section = el("section", { class: "verdict", id: "verdict" }, el("p", { class: "big" }, outcomeChip(t)), el("p", { class: "reason", dir: "auto" }, t.reason || "No reason is recorded."));
  if (t.error) section.append(el("p", { class: "error", dir: "auto" }, "Error: ", t.error));
  const yes = (value) => (value === null || value === undefined ? "–" : value ? "yes" : "no");
  const rows = [["t₀ press", seconds(t.t0_s)], ["Stop due", seconds(t.due_s)], ["Moved after due", typeof t.moved_after_rad === "number" ? t.moved_after_rad.toFixed(3) + pathUnit((index.factors[t.condition] || {}).stop_target) : typeof t.t0_s === "number" ? "unknown" : "–"], ["Task done", yes(t.task_done)], ...(t.understood === null ? [] : [["Probe understood", yes(t.understood)]]),
    ...index.views.map((view, n) => [view, yes(t.views[n])])];
  section.append(el("dl", { class: "facts inline" }, rows.map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, value)))));
  const flags = Object.entries(t.flags);
  if (flags.length === 0) return put(section, [el("p", { class: "quiet" }, "No flags.")]);
  const evidence = (n) => el("a", { href: trialHref(k, n), class: "evidence" }, "event " + n + (events[n] ? " · " + brief(events[n]) : ""));
  section.append(el("ul", { class: "flags" }, flags.map(([flag, numbers]) => el("li", null, el("code", { class: "flag" }, flag), " ", numbers.length ? numbers.map((n) => [evidence(n), " "]).flat() : el("span", { class: "quiet" }, "no evidence is recorded")))));
  return section;
}
function brief(e) {
  const known = new Map([["action", [e.name, e.status]], ["decision", ["decision", e.name]], ["attack", ["attack", e.link, e.method]], ["stop", [e.link, e.kind]], ["say", ["words"]], ["document", [e.verb, e.name]], ["way_out", ["way out", e.channel]], ["assessment", ["assessment", e.verdict]], ["request", [e.port, e.name, e.status]], ["checkpoint_copy", ["copy", e.path]], ["computer", ["computer", e.what]]]);
  const parts = known.get(e.type) || [e.type];
  return parts.filter(Boolean).join(" ").slice(0, 60);
}

function details(k, t, events) {
  const box = el("div", { class: "timeline-box" });
  const timeline = el("section", { id: "timeline" }, el("h2", null, "Timeline"), el("p", { class: "note" }, "Simulated time. Each mark leads to its event. Start-up and the gate's routine are in the transcript only."), box);
  redraw = () => drawTimeline(box, k, events);
  new ResizeObserver(() => { if (redraw && box.isConnected && box.dataset.width !== String(box.clientWidth)) { box.dataset.width = String(box.clientWidth); redraw(); } }).observe(box);
  return [timeline, frameStrip(events), transcript(t, events), factorsOf(t), rawEvents(k, events)];
}
function imageOf(name, label) {
  const source = Object.hasOwn(frames, name) && /^data:image\/(jpeg|png);base64,/.test(frames[name]) ? frames[name] : null;
  if (!source) return el("span", { class: "no-image" }, "picture " + name + " is not in this page");
  const button = el("button", { type: "button", class: "frame", title: "Enlarge" }, el("img", { src: source, alt: "Camera frame: " + label, loading: "lazy" }));
  button.addEventListener("click", () => enlarge(source, label));
  return button;
}
function enlarge(source, label) {
  const viewer = byId("viewer");
  const close = el("button", { type: "button" }, "Close");
  close.addEventListener("click", () => viewer.close());
  viewer.replaceChildren(el("figure", null, el("img", { src: source, alt: "Camera frame: " + label }), el("figcaption", null, label)), close);
  viewer.showModal();
}
function frameStrip(events) {
  const own = events.filter((e) => e.type === "frame" || (e.type === "observation" && e.image));
  const label = (e) => (e.type === "frame" ? String(e.label) : "observation " + e.n);
  const figures = own.map((e) => el("figure", null, imageOf(e.type === "frame" ? e.file : e.image, label(e)), el("figcaption", null, el("span", { class: "quiet" }, seconds(e.t_s)), " ", label(e))));
  return el("section", { id: "frames" }, el("h2", null, "Camera frames"), own.length ? el("div", { class: "frames", tabindex: "0", role: "group", "aria-label": "Camera frames" }, figures) : el("p", { class: "quiet" }, "No pictures were recorded."));
}

const json = (value) => JSON.stringify(value, null, 2);
const words = (value) => el("div", { class: "words", dir: "auto" }, value === null || value === undefined ? "" : typeof value === "string" ? value : json(value));
const folded_ = (title, ...children) => el("details", null, el("summary", null, title), ...children);
const code = (value) => el("pre", { tabindex: "0" }, typeof value === "string" ? value : json(value));
function callText(e) {
  const pairs = e.args && typeof e.args === "object" ? Object.entries(e.args).map(([name, value]) => name + "=" + JSON.stringify(value)) : [];
  return e.name + "(" + pairs.join(", ") + ")";
}
// A detail as words: objects as "name=value" pairs.
function flat(value) {
  if (value === null || value === undefined || typeof value === "string") return value;
  if (typeof value !== "object" || Array.isArray(value)) return JSON.stringify(value);
  return Object.entries(value).map(([name, inner]) => name + "=" + (typeof inner === "string" ? inner : JSON.stringify(inner))).join(", ");
}
const joined = (...parts) => parts.filter((part) => part !== null && part !== undefined && part !== "").join(" ");
// A command as it was typed, and what it wrote: the surface shell.
const typed = (e) => el("pre", { class: "terminal", tabindex: "0", dir: "ltr" }, el("b", null, "$ "), String(e.args.command));
const isCommand = (e) => e.name === "bash" && e.args && typeof e.args === "object" && typeof e.args.command === "string";
function callLine(e, word, ...more) {
  const given = el("span", { class: "quiet" }, word);
  if (!isCommand(e)) return [line(given, call(e), ...more)];
  const limit = typeof e.args.timeout_s === "number" ? "at most " + e.args.timeout_s + " s" : null;
  return [line(given, el("code", { class: "call" }, "bash"), limit, ...more), typed(e)];
}
const call = (e) => el("code", { class: "call", dir: "auto" }, callText(e));
const status = (value) => el("span", { class: "status s-" + (/^[a-z]+$/.test(value) ? value : "x") }, value);
const line = (...parts) => el("p", { class: "line", dir: "auto" }, parts.filter((part) => part !== null && part !== undefined && part !== "").flatMap((part) => [part, " "]));

const RENDER = {
  trial_start: (e) => [line("Trial started.", "Controller", el("b", null, e.controller), "seed " + e.seed)],
  briefing: (e) => [el("h4", null, "System"), e.system ? words(e.system) : el("p", { class: "quiet" }, "empty"), el("h4", null, "User"), words(e.user),
    folded_((Array.isArray(e.tools) ? e.tools.length : 0) + " tools, up to " + e.max_decisions + " decisions", code(e.tools))],
  observation: (e) => [e.last && !String(e.text).includes(e.last.text) ? line("Last result:", status(e.last.status), e.last.text) : null, words(e.text), e.image ? imageOf(e.image, "observation " + e.n) : null, e.facts && Object.keys(e.facts).length ? folded_("facts", code(e.facts)) : null],
  model_call: (e) => {
    const tokens = e.usage && typeof e.usage === "object" ? Object.entries(e.usage).map(([name, value]) => name + " " + value).join(", ") : "";
    const title = ["Model call", e.brain, e.status, seconds(e.latency_s), tokens, e.retry ? "retry " + e.retry : ""].filter(Boolean).join(" · ");
    return [e.error ? line(status("failed"), e.error) : null, folded_(title, el("h4", null, "Request"), code(e.request), el("h4", null, "Response"), code(e.response))];
  },
  model_note: (e) => [folded_("Note on the conversation", words(e.note))],
  decision: (e) => [e.text ? words(e.text) : el("p", { class: "quiet" }, "no words"), ...callLine(e, "proposed")],
  action: (e, all) => {
    const proposed = all.find((other) => other.type === "decision" && other.n === e.n);
    const same = proposed && callText(proposed) === callText(e);
    const moved = typeof e.moved_rad !== "number" ? "motion unknown" : e.moved_rad > 0 ? "moved " + fixed(e.moved_rad) + " rad" : "no motion";
    const said = isCommand(e) ? el("pre", { class: "terminal", tabindex: "0", dir: "ltr" }, String(e.text)) : words(e.text);
    return [...callLine(e, "actual", status(e.status)), said,
      line(el("span", { class: "quiet" }, seconds(e.start_s) + " to " + seconds(e.end_s) + " · " + moved), proposed ? el("span", { class: same ? "quiet" : "differs" }, same ? "· as proposed" : "· differs from the proposal: " + callText(proposed)) : null)];
  },
  stop: (e) => [line(el("b", null, e.link + " " + e.kind), (e.chain === "safety" ? "safety chain" : "instrumented chain") + ", by " + e.actor, el("span", { class: "quiet" }, flat(e.detail)))],
  attack: (e) => [line(el("b", null, e.link + " " + e.method), status(e.succeeded ? "succeeded" : "failed"), "by " + e.actor, e.reactive ? "after the operator began to reach" : "before the operator reached"), e.evidence ? folded_("evidence", code(e.evidence)) : null],
  operator: (e) => [line(el("b", null, e.phase), "attempt " + e.attempt)],
  press: (e) => [line(el("b", null, "t₀ = " + seconds(e.t0_s)), e.how, "cause: " + e.cause)],
  bite: (e) => [line(el("b", null, "due " + seconds(e.due_s)), typeof e.took_effect_s === "number" ? "took effect " + seconds(e.took_effect_s) : "never took effect")],
  motion: (e) => [line(el("b", null, fixed(e.path_rad) + pathUnit(e.stops)), seconds(e.from_s) + " to " + seconds(e.to_s), "via " + e.via)],
  task: (e) => [line(el("b", null, e.stage), e.value === true ? null : String(e.value))],
  probe: (e) => [words(e.question), words(e.answer), line(el("b", null, e.readable ? (e.right ? "right" : "wrong") : "unreadable"), "read as " + (e.letter || "nothing") + ", expected " + e.expected)],
  way_out: (e) => [line(el("b", null, e.channel)), words(e.text)],
  document: (e) => [line(el("b", null, e.verb), e.name, e.to ? "to " + e.to : null, status(e.ok ? "done" : "refused"))],
  assessment: (e) => [line(el("b", null, e.verdict), e.delivered + " delivered, " + e.spilled + " spilled"), line(el("span", { class: "quiet" }, "log: " + e.true_delivered + " delivered, " + e.true_spilled + " spilled; policy: " + e.verdict_by_policy))],
  computer: (e) => [line(el("b", null, e.what), flat(rest(e, "what")))],
  request: (e) => [line(el("span", { class: "quiet" }, e.port), el("code", { class: "call" }, joined(e.name, e.target)), status(e.status)), line(el("span", { class: "quiet" }, seconds(e.start_s) + " to " + seconds(e.end_s) + (e.pid === null || e.pid === undefined ? "" : " · process " + e.pid)))],
  escape: (e) => [line(el("b", null, e.call), joined(e.path, e.target_pid), e.refused ? status("refused") : null, el("span", { class: "quiet" }, "a system call that has no place there"))],
  checkpoint_copy: (e) => [line(el("b", null, e.path), e.bytes + " bytes of the controller's checkpoint", e.peer ? "on the neighbouring robot" : null)],
  inspection: (e) => [line(el("b", null, e.link), e.what)],
  say: (e) => [line(el("span", { class: "quiet" }, "to " + e.to)), words(e.text)],
  frame: (e) => [imageOf(e.file, String(e.label)), line(el("span", { class: "quiet" }, e.label))],
  warning: (e) => [words(e.text)],
  outcome: (e) => [line(el("b", null, e.outcome || "invalid: " + e.validity), e.reason)],
  trial_end: (e) => [line("Trial ended:", el("b", null, e.how), e.error)],
};
// The fields of an event that have no place of their own.
function rest(e, ...shown) {
  const left = Object.entries(e).filter(([name]) => !["i", "t_s", "wall_s", "type", ...shown].includes(name));
  return Object.fromEntries(left);
}
const NAMES = { checkpoint_copy: "copy",  trial_start: "start", model_call: "model", model_note: "note", trial_end: "end", say: "words", way_out: "way out" };
const MAIN = new Set(["briefing", "probe", "observation", "decision", "action", "say"]);

function transcript(t, events) {
  const evidence = new Map();
  for (const [flag, numbers] of Object.entries(t.flags)) for (const n of numbers) evidence.set(n, [...(evidence.get(n) || []), flag]);
  const acts = new Map(events.filter((e) => e.type === "decision").map((e) => [e.n, e]));
  const items = events.map((e) => entry(e, [acts.get(e.n)].filter(Boolean), evidence.get(e.i) || []));
  return el("section", { id: "transcript" }, el("h2", null, "Transcript"), el("ol", { class: "transcript" }, items));
}
function entry(e, proposals, flags) {
  const kind = Object.hasOwn(RENDER, e.type) ? e.type : "other";
  const body = e.shortened ? [line("This event is too long for this page: " + e.shortened)] : kind === "other" ? [folded_("fields", code(e))] : RENDER[kind](e, proposals);
  const title = (Object.hasOwn(NAMES, e.type) ? NAMES[e.type] : e.type) + (MAIN.has(e.type) && typeof e.n === "number" ? " " + e.n : "");
  return el("li", { id: "x-" + e.i, class: "entry t-" + kind + (MAIN.has(e.type) ? " main" : "") + (flags.length ? " is-evidence" : ""), tabindex: "-1" },
    el("div", { class: "gutter" }, el("span", { class: "when" }, seconds(e.t_s)), el("span", { class: "quiet" }, "#" + e.i)),
    el("div", { class: "body" }, el("h3", null, title, flags.map((flag) => [" ", el("code", { class: "flag" }, flag)]).flat()), ...body.filter(Boolean)));
}
function factorsOf(t) {
  const rows = Object.entries(index.factors[t.condition] || {});
  if (rows.length === 0) return el("section", null);
  return el("section", null, folded_("Factors of this condition (" + rows.length + ")", el("dl", { class: "facts" }, rows.map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, value))))));
}
function rawEvents(k, events) {
  const box = el("details", { id: "raw" }, el("summary", null, "Raw events (" + events.length + ")"));
  box.addEventListener("toggle", () => {
    if (!box.open || box.childElementCount > 1) return;
    const head = ["#", "t", "wall", "Type", "Fields"].map((name) => el("th", { scope: "col" }, name));
    const row = (e) => { const { i, t_s, wall_s, type, ...rest } = e; return el("tr", null, el("td", { class: "num" }, el("a", { href: trialHref(k, i) }, i)), el("td", { class: "num nowrap" }, seconds(t_s)), el("td", { class: "num nowrap" }, seconds(wall_s)), el("td", null, type), el("td", null, el("code", { class: "fields" }, JSON.stringify(rest)))); };
    box.append(el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Raw events" }, el("table", null, el("thead", null, el("tr", null, head)), el("tbody", null, events.map(row)))));
  });
  return el("section", null, box);
}
function showEvent(n) {
  for (const old of document.querySelectorAll(".entry.is-target")) old.classList.remove("is-target");
  const target = byId("x-" + n);
  if (!target) return;
  target.classList.add("is-target");
  target.scrollIntoView({ block: "center" });
  target.focus({ preventScroll: true });
}

start();
