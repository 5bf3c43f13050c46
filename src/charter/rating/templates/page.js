"use strict";

// One item at a time. What is said is sent with its number, so that the same thing said again is kept once.

const HOLD = 400; // milliseconds after an item appears: the second half of a double click is not an answer to it
const NAME = "charter-rater";
const KEYS = { a: "left", b: "right", t: "tie", s: "skip", u: "undo" };
const SAID = { left: "A was chosen", right: "B was chosen", tie: "A tie", skip: "Skipped", undo: "Taken back" };
const SPEAKERS = { user: "User", assistant: "Assistant", system: "System" };

const part = (id) => document.getElementById(id);
const now = { name: null, state: null, unsent: null, busy: false, since: 0, seconds: 0, visibleSince: null };

function remembered() {
  try {
    return now.name ?? localStorage.getItem(NAME);
  } catch {
    return now.name;
  }
}

function remember(name) {
  now.name = name;
  try {
    if (name === null) localStorage.removeItem(NAME);
    else localStorage.setItem(NAME, name);
  } catch {
    // a browser that keeps nothing asks again when the page is loaded again
  }
}

// How long the answers were in view: a window behind others is not.
function startClock() {
  now.seconds = 0;
  now.visibleSince = document.visibilityState === "visible" ? performance.now() : null;
}

function secondsInView() {
  return now.seconds + (now.visibleSince === null ? 0 : (performance.now() - now.visibleSince) / 1000);
}

function turnClock() {
  now.seconds = secondsInView();
  now.visibleSince = document.visibilityState === "visible" ? performance.now() : null;
}

function trouble(text) {
  part("trouble").textContent = text;
  part("trouble").hidden = text === "";
}

function only(id) {
  for (const each of ["who", "item", "end"]) part(each).hidden = each !== id;
  part("bar").hidden = id === "who";
}

function askWho(name) {
  only("who");
  part("progress-text").textContent = "";
  part("progress").hidden = true;
  part("name").value = name ?? "";
  part("name").focus();
}

function turn([role, text], alone) {
  const element = document.createElement("div");
  element.className = "turn";
  element.dir = "auto";
  if (!alone) {
    const who = document.createElement("strong");
    who.textContent = SPEAKERS[role] ?? role;
    element.append(who);
  }
  element.append(text);
  return element;
}

function show(state) {
  now.state = state;
  now.since = performance.now();
  const { item } = state;
  part("question").textContent = state.question;
  part("progress").hidden = false;
  part("progress").max = Math.max(state.n, 1);
  part("progress").value = state.n_done;
  part("progress-text").textContent = item === null ? `${state.n_done} of ${state.n}` : `${state.n_done + 1} of ${state.n}`;
  part("rater").textContent = state.rater;
  part("change").hidden = state.is_fixed;
  for (const button of document.querySelectorAll("[data-pressed]")) {
    const idle = button.dataset.pressed === "undo" ? state.n_done === 0 : item === null;
    button.setAttribute("aria-disabled", String(idle));
  }
  if (item === null) {
    only("end");
    part("end-text").textContent = `Thank you: ${state.n_done} of ${state.n} are rated or skipped. You may close this window, or take back the last with Undo.`;
    part("end-title").focus();
    return;
  }
  only("item");
  const alone = item.turns.length === 1 && item.turns[0][0] === "user";
  part("turns").replaceChildren(...item.turns.map((each) => turn(each, alone)));
  part("left").textContent = item.left;
  part("right").textContent = item.right;
  window.scrollTo(0, 0);
  part("prompt-title").focus({ preventScroll: true });
  startClock();
}

async function ask(path, body) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(path, options);
  return { status: answer.status, value: await answer.json() };
}

async function load() {
  const rater = remembered();
  try {
    const { status, value } = await ask("state", { rater });
    trouble(status === 200 ? "" : value.error);
    if (status === 200 && value.rater === null) part("question").textContent = value.question;
    if (status !== 200 || value.rater === null) askWho(status === 200 ? rater : null);
    else show(value);
  } catch {
    trouble("The page's server does not answer. Start it again, then reload this page.");
  }
}

async function send(said) {
  now.busy = true;
  now.unsent = said;
  try {
    const { status, value } = await ask("rate", said);
    if (status === 200 || status === 409) {
      now.unsent = null;
      trouble("");
      part("news").textContent = status === 200 ? `${SAID[said.pressed]}.` : "Another window of yours went on meanwhile: this is what comes next.";
      show(status === 200 ? value : value.state);
    } else {
      trouble(`Not kept: ${value.error} Press again to try again.`);
    }
  } catch {
    trouble("Not kept yet: the page's server does not answer. Press any choice to send it again.");
  } finally {
    now.busy = false;
  }
}

function press(pressed) {
  if (now.busy || now.state === null) return;
  if (now.unsent !== null) {
    send(now.unsent); // what was said and may have arrived comes first, as it was
    return;
  }
  const { item, n_done, number, rater } = now.state;
  if (pressed === "undo" ? n_done === 0 : item === null) return;
  if (performance.now() - now.since < HOLD) return;
  const told = pressed === "undo" ? { item: null } : { item: item.id, seconds: secondsInView() };
  send({ rater, number, pressed, ...told });
}

for (const button of document.querySelectorAll("[data-pressed]")) {
  button.addEventListener("click", () => press(button.dataset.pressed));
}

document.addEventListener("keydown", (event) => {
  const pressed = Object.hasOwn(KEYS, event.key.toLowerCase()) ? KEYS[event.key.toLowerCase()] : undefined;
  if (pressed === undefined || !part("keys").checked) return;
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.target.id === "name") return;
  if (part("bar").hidden) return;
  event.preventDefault();
  press(pressed);
});

part("keys").addEventListener("change", () => document.body.classList.toggle("no-keys", !part("keys").checked));
part("who").addEventListener("submit", (event) => {
  event.preventDefault();
  remember(part("name").value);
  load();
});
part("change").addEventListener("click", () => {
  const { rater } = now.state;
  now.state = null;
  now.unsent = null;
  remember(null);
  part("news").textContent = "";
  askWho(rater);
  part("name").select();
});
document.addEventListener("visibilitychange", turnClock);

if (location.search !== "") history.replaceState(null, "", location.pathname); // the token stays out of sight
load();
