"use strict";
const words = JSON.parse(document.getElementById("words").textContent);
const root = document.body.dataset.root, language = document.documentElement.lang;
const byId = id => document.getElementById(id);
const cards = new Map([...document.querySelectorAll("article")].map(node => [node.dataset.camera, node]));
const GIVING = ["streaming"];
let state = null;

function pill(id, text, mood) {
  const node = byId(id);
  node.className = "pill " + (mood || "");
  node.querySelector("b").textContent = text;
}
const clock = time => time ? new Date(time).toLocaleTimeString(language, { hourCycle: "h23" }) : "";
const date = time => time ? new Date(time).toLocaleString(language, { dateStyle: "short", timeStyle: "medium", hourCycle: "h23" }) : "";
const number = count => count.toLocaleString(language);
const percent = share => `${(100 * share).toFixed(1)} %`;
const reasons = part => part.reasons.map(reason => words.reasons[reason] || reason).join(", ");

// Verdict and picture come in one answer, so that what is seen under a verdict is its own.
async function show(node, name, which, told) {
  const figure = node.querySelector("." + which);
  if (!told) return;
  const kind = byId("map").checked ? "map" : "plain";
  const ratio = window.devicePixelRatio || 1;
  const width = Math.min(4096, 160 * Math.max(1, Math.ceil(figure.clientWidth * ratio / 160)));
  const key = `${told.id} ${kind} ${width}`;
  if (figure.dataset.key === key) return;
  const answer = await fetch(`${root}camera/${encodeURIComponent(name)}/${which}/${kind}.jpg?width=${width}`);
  if (!answer.headers.has("X-Part")) return;
  const part = JSON.parse(answer.headers.get("X-Part"));
  const image = figure.querySelector("img"), none = figure.querySelector(".none"), before = image.src;
  if (answer.ok) {
    const next = new Image();
    next.src = URL.createObjectURL(await answer.blob());
    // The old picture stays until the new one is whole, so that nothing flickers.
    await next.decode();
    image.src = next.src;
  } else {
    none.textContent = words.no_picture;
  }
  if (before.startsWith("blob:") && (answer.ok)) URL.revokeObjectURL(before);
  image.hidden = !answer.ok;
  none.hidden = answer.ok;
  figure.dataset.key = `${part.id} ${kind} ${width}`;
  figure.dataset.time = part.captured_at;
  if (state.evidence) figure.querySelector("a").href = `${root}event/${part.id}?verdict=${which === "last" ? "all" : "rejects"}&camera=${encodeURIComponent(name)}`;
  figure.querySelector("figcaption b").textContent = clock(part.captured_at) +
    (part.margin !== null && part.verdict === "NotOK" ? `  ${(1 - part.margin).toFixed(2)}×` : "");
  if (which === "last") verdict(node, part);
}

// What is on its way still is not asked for again: on a slow box the state of the page would queue behind it.
const underWay = new Set();
function keepShown(node, name, which, told) {
  const figure = node.querySelector("." + which);
  if (underWay.has(figure)) return;
  underWay.add(figure);
  show(node, name, which, told).catch(() => {}).finally(() => underWay.delete(figure));
}

function verdict(node, part) {
  for (const word of Object.keys(words.verdicts)) node.classList.toggle(word, word === part.verdict);
  node.querySelector(".verdict").textContent = words.verdicts[part.verdict];
  node.querySelector(".why").textContent = reasons(part);
  const named = [[words.part, part.part_id], [words.job, part.job_id], [words.recipe, part.recipe], [words.file, part.file]];
  node.querySelector(".part").textContent = named.filter(([, name]) => name).map(([what, name]) => `${what} ${name}`).join("  ·  ");
}

function count(node, row, counts, name) {
  const line = node.querySelector("." + row);
  line.hidden = !counts;
  if (!counts) return;
  const all = counts.ok + counts.not_ok + counts.not_decidable;
  for (const key of ["ok", "not_ok", "not_decidable"]) line.querySelector("." + key).textContent = number(counts[key]);
  line.querySelector(".share").textContent = all ? percent(1 - counts.ok / all) : "–";
  if (name) line.querySelector("span").textContent = name;
}

// What people's marks say, next to what the thresholds promise.
function say(node, told) {
  const list = node.querySelector(".told");
  list.hidden = !told;
  if (!told) return;
  const share = rate => rate.rate === null ? "–" : `${percent(rate.rate)} (${percent(rate.low)} – ${percent(rate.high)})`;
  const { false_rejects, misses } = told;
  list.querySelector(".false_rejects").textContent = `${share(false_rejects)}, ${words.promised} ${percent(false_rejects.promised)}; ` +
    `${words.looked_at} ${number(told.looked_at)}/${number(told.rejected)}`;
  list.querySelector(".misses").textContent = misses.parts ? `${share(misses)}, ${number(misses.found)}/${number(misses.parts)}` : "–";
}

function draw(svg, trend, usual) {
  svg.replaceChildren();
  const margins = trend.map(part => part[1]).filter(margin => margin !== null);
  const low = Math.max(-1.5, Math.min(-0.15, ...margins)), high = Math.max(0.6, ...margins) * 1.05;
  const x = index => 480 * (index + 240 - trend.length) / 239;
  const y = margin => 92 * (high - Math.max(low, margin)) / (high - low);
  const add = (tag, kind, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    node.setAttribute("class", kind);
    svg.append(node);
  };
  add("rect", "below", { x: 0, y: y(0), width: 480, height: 92 - y(0) });
  add("line", "threshold", { x1: 0, x2: 480, y1: y(0), y2: y(0) });
  if (usual !== null) add("line", "usual", { x1: 0, x2: 480, y1: y(usual), y2: y(usual) });
  const points = trend.map((part, index) => part[1] === null ? null : `${x(index).toFixed(1)},${y(part[1]).toFixed(1)}`);
  add("polyline", "margin", { points: points.filter(Boolean).join(" ") });
  trend.forEach((part, index) => {
    if (part[0] === 1) return;
    const at = part[1] === null ? 0 : part[1];
    add("line", part[0] === 2 ? "bad" : "maybe", { x1: x(index), x2: x(index), y1: y(at) - 4, y2: y(at) + 4 });
  });
}

function label(model) {
  return model.number === null ? model.name : `${model.name} #${model.number}`;
}

function about(model) {
  const { pictures, folders, at } = model.trained_on;
  const told = pictures === null ? [] : [`${number(pictures)} ${words.pictures}: ${Object.keys(folders).join(", ")}`, at];
  return [label(model), model.version, model.backend, ...told].filter(Boolean).join(", ");
}

function render() {
  pill("broker", state.broker.state, state.broker.state === "connected" ? "ok" : "bad");
  pill("outbox", number(state.outbox), state.outbox > 1000 ? "maybe" : "");
  pill("evidence", state.evidence === null ? words.evidence_off : state.evidence.problem ? words.evidence_not_written :
    `${number(state.evidence.written)} ${words.kept}`, state.evidence && state.evidence.problem ? "bad" : "");
  const recipes = Object.entries(state.model.recipes);
  pill("model", label(state.model) + (recipes.length ? ` + ${number(recipes.length)}` : ""));
  byId("model").title = [about(state.model), ...recipes.map(([name, model]) => `${name}: ${about(model)}`)].join("\n");
  const problems = [...state.problems];
  if (state.broker.reason) problems.push(`${words.to_mes}: ${state.broker.state}: ${state.broker.reason}`);
  if (state.evidence && state.evidence.problem) problems.push(`${words.evidence}: ${state.evidence.problem}`);
  alarm(problems.concat(state.warnings));
  for (const [name, camera] of Object.entries(state.cameras)) {
    const node = cards.get(name);
    if (!node) continue;
    const gives = GIVING.includes(camera.state);
    node.classList.toggle("away", !gives);
    node.querySelector(".state").textContent = gives ? "" : words.states[camera.state] || camera.state;
    count(node, "start", camera);
    count(node, "shift", camera.shift, state.shift_since && state.shift_since.slice(11));
    count(node, "job", camera.job, camera.job && camera.job.id);
    say(node, camera.told);
    node.querySelector(".now").textContent = camera.margin === null ? "" : `${words.now} ${(100 * camera.margin).toFixed(0)} %` +
      (camera.usual === null ? "" : `, ${words.usual} ${(100 * camera.usual).toFixed(0)} %`);
    node.querySelector(".drift").hidden = !camera.drifts;
    for (const which of ["last", "rejected"]) keepShown(node, name, which, camera[which]);
    draw(node.querySelector(".trend svg"), camera.trend, camera.usual);
  }
  old();
}

// A picture of a camera that gives nothing, or of a station that does not answer, says how old it is.
function old() {
  for (const node of cards.values())
    for (const figure of node.querySelectorAll("figure")) {
      const dated = figure.querySelector(".dated");
      const is_old = figure.dataset.time && (node.classList.contains("away") || document.body.classList.contains("lost"));
      dated.hidden = !is_old || figure.querySelector("img").hidden;
      dated.textContent = is_old ? `${words.picture_of} ${date(figure.dataset.time)}` : "";
    }
}

function alarm(problems) {
  byId("alarm").hidden = !problems.length;
  byId("alarm").textContent = problems.join("\n");
}

async function refresh() {
  try {
    const answer = await fetch(root + "state.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    state = await answer.json();
    document.body.classList.remove("lost");
    render();
  } catch (error) {
    document.body.classList.add("lost");
    alarm([`${words.no_contact} (${error.message})`]);
    old();
  }
  setTimeout(refresh, 1000);
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const links = [...document.querySelectorAll("article .button")];
  if (event.key === "m") byId("map").click();
  else if (event.key === "h") document.querySelectorAll("nav a")[1].click();
  else if (event.key === "Escape" && document.body.classList.contains("one")) links[0].click();
  else if (/^[1-9]$/.test(event.key) && links[event.key - 1]) links[event.key - 1].click();
  else if (event.key === "f" && !document.fullscreenElement) document.documentElement.requestFullscreen();
});
byId("map").addEventListener("change", () => state && render());
refresh();
