"use strict";

// Keys, and the beginning of everything.

const KEYS = [
  ["/", "search"],
  ["j, k", "the next and the previous row, also of an opened one"],
  ["Enter", "open the row"],
  ["n, p", "the next and the previous page of rows"],
  ["d", "show or hide differences of an opened row"],
  ["Escape", "close the row"],
  ["?", "this list"],
];

function keyHelp() {
  const on = make("input", { type: "checkbox", id: "keys-on", checked: true });
  const rows = KEYS.map(([key, what]) => [make("dt", null, make("kbd", null, key)), make("dd", null, what)]);
  return make("details", { id: "keys" }, make("summary", null, "Keys"), make("dl", null, rows), make("label", null, on, " Letters do this"));
}

function moveFocus(by) {
  const links = [...document.querySelectorAll(".rows a")];
  const at = links.indexOf(document.activeElement);
  links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + by))]?.focus();
}

function press(id) {
  const button = document.getElementById(id);
  if (button && !button.disabled) button.click();
}

function onPage(key) {
  const help = document.getElementById("keys");
  const actions = {
    "/": () => document.getElementById("rows-search").focus(),
    j: () => moveFocus(1),
    k: () => moveFocus(-1),
    n: () => (view.page + 1) * PAGE < view.rows.length && turnPage(1),
    p: () => view.page > 0 && turnPage(-1),
    "?": () => {
      help.open = !help.open;
      help.firstElementChild.focus();
    },
  };
  return actions[key];
}

function inRow(key) {
  return { j: () => press("row-next"), k: () => press("row-previous"), d: () => press("differences") }[key];
}

document.addEventListener("keydown", (event) => {
  const on = document.getElementById("keys-on");
  if (!on || !on.checked || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("textarea, select, input:not([type=checkbox])")) return;
  const action = dialog.open ? inRow(event.key) : onPage(event.key);
  if (!action) return;
  event.preventDefault();
  action();
});

async function begin() {
  const place = document.getElementById("browser");
  try {
    store.index = await unpack("rows-index");
  } catch (error) {
    place?.replaceChildren(make("p", { class: "missing" }, `This browser cannot open the rows (${error.message}); one of 2023 or later can.`));
    return;
  }
  shownTabs = store.index.tabs.filter((tab) => tab.ids.length > 0);
  if (place && shownTabs.length) {
    browser(place);
    place.append(keyHelp());
    const said = readAddress(location.hash, shownTabs);
    look(said ? said.state : fresh(shownTabs[0]));
    if (said && said.row === null) place.scrollIntoView();
  }
  await followAddress();
  window.addEventListener("hashchange", followAddress);
}

begin();
