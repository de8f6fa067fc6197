// The ops console's script. Rule: every page works without it; it only brings up to date what the server has rendered.
"use strict";

const MAX_ROWS = 300; // of the live table: a day's tail must not fill the browser
const DEBOUNCE_MS = 250; // of the slider: each stop is one question, and one event in the audit
const one = (selector) => document.querySelector(selector);

// -- events as they come

function followEvents(table) {
  const body = table.tBodies[0], box = one("#live"), state = one("#live-state");
  let source = null;
  one("#live-switch").hidden = false;

  function insert(message) {
    const { rows, cut } = JSON.parse(message.data);
    body.querySelector(".empty")?.parentElement.remove();
    const holder = document.createElement("tbody");
    holder.innerHTML = rows; // rendered and escaped by the server, as the rest of the page
    for (const row of [...holder.rows].reverse()) {
      if (document.getElementById(row.id)) continue;
      row.classList.add("fresh");
      body.prepend(row);
    }
    while (body.rows.length > MAX_ROWS) body.deleteRow(-1);
    state.textContent = cut ? "Too many at once: some were left out; reload to see them." : "connected";
  }

  function start() {
    state.textContent = "connecting…";
    source = new EventSource(table.dataset.live);
    source.onopen = () => { state.textContent = "connected"; };
    source.addEventListener("rows", insert);
    source.onerror = () => {
      const ended = source.readyState === EventSource.CLOSED; // an answer that is no stream: signed out, or refused
      state.textContent = ended ? "ended; reload to go on" : "connecting again…";
    };
  }

  box.addEventListener("change", () => {
    if (box.checked) return start();
    source.close();
    state.textContent = "paused";
  });
  window.addEventListener("pagehide", () => source.close());
  if (box.checked) start();
}

// -- parts of a page that are asked for anew

async function renew(id, address, wanted = () => true) {
  const answer = await fetch(address).catch(() => null); // the server is away: the next try will tell
  if (!answer) return;
  if (answer.redirected) return location.reload(); // signed out meanwhile
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(id);
  if (fresh && wanted()) document.getElementById(id).replaceWith(document.adoptNode(fresh));
}

function refresh(section) {
  const { id } = section, everyMs = Number(section.dataset.refresh);
  const again = async () => {
    if (!document.hidden && !document.getElementById(id).contains(document.activeElement)) {
      await renew(id, location.href);
    }
    setTimeout(again, everyMs);
  };
  setTimeout(again, everyMs);
}

// -- the slider of moments

function slide(slider) {
  const shown = one("#moment-shown");
  let timer = 0, asked = 0;
  slider.addEventListener("input", () => {
    shown.textContent = new Date(slider.value * 1000).toISOString().replace("T", " ").slice(0, 19);
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const mine = ++asked, address = `/ops/presence?t=${slider.value}`;
      await renew("moment", address, () => mine === asked); // unless a later stop has been asked for
      if (mine === asked) history.replaceState(null, "", address);
    }, DEBOUNCE_MS);
  });
}

// -- "/" goes to the first field of the page's own form

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  const first = one("main form input:not([type=hidden])") ?? one("header input");
  if (first) { event.preventDefault(); first.focus(); }
});

const live = one("table[data-live]"), slider = one("#moment-slider");
if (live) followEvents(live);
if (slider) slide(slider);
document.querySelectorAll("[data-refresh]").forEach(refresh);
