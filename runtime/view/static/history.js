"use strict";
// Keyboard and touch for the history and for one event in it.
const go = selector => { const link = document.querySelector(selector); if (link) link.click(); return Boolean(link); };
const entries = [...document.querySelectorAll(".entry")];
const map = document.getElementById("map");
const picture = document.querySelector("#picture img");

function step(by) {
  const at = entries.indexOf(document.activeElement);
  const next = entries[at < 0 ? (by > 0 ? 0 : entries.length - 1) : at + by];
  if (next) next.focus();
  return Boolean(next);
}

document.addEventListener("keydown", event => {
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.altKey || event.metaKey) return;
  const at = { ArrowLeft: -1, ArrowUp: -1, k: -1, ArrowRight: 1, ArrowDown: 1, j: 1 }[event.key];
  let done = false;
  if (at && entries.length) done = step(at);
  else if (at === -1 && event.key !== "ArrowUp") done = go('.event [rel="prev"]');
  else if (at === 1 && event.key !== "ArrowDown") done = go('.event [rel="next"]');
  else if (event.key === "m" && map) { map.click(); done = true; }
  else if (event.key === "Escape") done = go("#back") || go("nav a");
  if (done) event.preventDefault();
});

if (map && picture) map.addEventListener("change", () => {
  picture.src = map.checked ? picture.dataset.map : picture.dataset.plain;
  picture.parentElement.href = picture.src;
});

// A picture that was cleared since the page was made.
for (const image of document.querySelectorAll(".entry img, #picture img")) image.addEventListener("error", () => image.classList.add("gone"));

let start = null;
document.addEventListener("touchstart", event => { start = event.touches.length === 1 ? event.touches[0] : null; }, { passive: true });
document.addEventListener("touchend", event => {
  if (!start || !document.querySelector("main.event")) return;
  const end = event.changedTouches[0], x = end.clientX - start.clientX, y = end.clientY - start.clientY;
  if (Math.abs(x) > 80 && Math.abs(x) > 2 * Math.abs(y)) go(`.event [rel="${x > 0 ? "prev" : "next"}"]`);
});

// What the part really was. Who says so is remembered by this browser.
const mark = document.getElementById("mark");
if (mark) {
  mark.by.value = localStorage.getItem("by") || "";
  mark.addEventListener("submit", async event => {
    event.preventDefault();
    const said = { was: event.submitter.value, by: mark.by.value, note: mark.note.value };
    localStorage.setItem("by", said.by);
    const told = mark.querySelector("[role=status]");
    try {
      const answer = await fetch(mark.dataset.address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(said) });
      told.textContent = answer.ok ? `${mark.dataset.done}: ${event.submitter.textContent}` : `${answer.status} ${await answer.text()}`;
      if (answer.ok) {
        const line = document.createElement("li"), was = document.createElement("b");
        was.textContent = event.submitter.textContent;
        line.append(was, ` ${said.by} ${said.note}`);
        document.querySelector(".marks").prepend(line);
        mark.note.value = "";
      }
    } catch (error) {
      told.textContent = error.message;
    }
  });
}
