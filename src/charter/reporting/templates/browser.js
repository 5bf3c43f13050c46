"use strict";

// The list of rows: tabs, filters, search, paging.

const WAIT = 150; // milliseconds after a letter before what is written is searched for
const RUN_ORDER = "in the run's order";
let shownTabs = [];
const parts = {};
let turn = 0;

function address(row) {
  return addressOf(view, shownTabs[0], row);
}

function say(row) {
  history.replaceState(null, "", address(row) || location.href.split("#")[0]);
}

function browser(place) {
  const strip = make("div", { class: "tabs", role: "tablist", "aria-label": "Kinds of rows" });
  const panel = make("div", { role: "tabpanel", id: "rows-panel" });
  Object.assign(parts, { strip, panel });

  function step(event) {
    const moves = { ArrowRight: 1, ArrowLeft: -1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const next = shownTabs.indexOf(view.tab) + moves[event.key] + shownTabs.length;
    const tab = shownTabs[next % shownTabs.length];
    pick(tab);
    document.getElementById(`tab-${tab.name}`).focus();
  }

  for (const tab of shownTabs) {
    const title = `${tab.title} (${tab.ids.length})`;
    const properties = { type: "button", role: "tab", id: `tab-${tab.name}`, "aria-controls": panel.id };
    strip.append(make("button", { ...properties, onclick: () => pick(tab), onkeydown: step }, title));
  }
  place.replaceChildren(strip, panel);
}

function pick(tab) {
  look(fresh(tab));
  say();
}

// List what a view says.
function look(state) {
  Object.assign(view, state);
  for (const button of parts.strip.children) {
    const selected = button.id === `tab-${view.tab.name}`;
    button.setAttribute("aria-selected", String(selected));
    button.tabIndex = selected ? 0 : -1;
  }
  const { panel } = parts;
  panel.setAttribute("aria-labelledby", `tab-${view.tab.name}`);
  parts.found = make("span", { class: "found", role: "status" });
  parts.list = make("ol", { class: "rows" });
  parts.pagers = [pager(true), pager(false)];
  parts.pagers[0].element.prepend(parts.found);
  panel.replaceChildren(filters(view.tab), parts.pagers[0].element, parts.list, parts.pagers[1].element);
  parts.ready = refresh();
}

function change(what) {
  Object.assign(view, what, { page: 0 });
  parts.ready = refresh();
  say();
}

// Show what the view asks for; whoever asks later is answered instead.
async function refresh() {
  const mine = ++turn;
  const isWanted = () => mine === turn;
  parts.panel.setAttribute("aria-busy", "true");
  if (view.query !== view.searched) {
    const { query } = view;
    const told = (share) => { parts.found.textContent = `Searching: ${Math.round(100 * share)} %`; };
    const hits = query ? await search(query, isWanted, told) : null;
    if (!isWanted()) return;
    Object.assign(view, { hits, searched: query });
  }
  const { tab } = view;
  view.rows = matching(tab, view.chosen, view.hits && view.hits.get(tab.name), view.order);
  view.page = Math.min(view.page, Math.max(0, Math.ceil(view.rows.length / PAGE) - 1));
  const first = view.page * PAGE;
  const rows = view.rows.slice(first, first + PAGE);
  const lives = await Promise.all(rows.map((row) => lifeAt(tab.lives[row])));
  if (!isWanted()) return;
  const n = view.rows.length;
  parts.found.textContent = n ? `${n} of ${tab.ids.length} rows, page ${view.page + 1} of ${Math.ceil(n / PAGE)}` : "No row matches.";
  const drawRow = (row, place) => drawn(lives[place], (life) => listed(tab, row, life, view.query, address(tab.ids[row])));
  parts.list.replaceChildren(...rows.map(drawRow));
  parts.list.start = first + 1;
  for (const each of parts.pagers) each.update();
  markFound("found-list", parts.list, view.query);
  parts.panel.setAttribute("aria-busy", "false");
}

function filters(tab) {
  const search = make("input", { type: "search", id: "rows-search", placeholder: "Words in any text, or an id", value: view.query });
  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    parts.panel.setAttribute("aria-busy", "true");
    waiting = setTimeout(() => change({ query: search.value.trim() }), WAIT);
  });
  const bar = make("div", { class: "filters" }, make("label", { class: "search" }, "Search", search));
  for (const facet of tab.facets) {
    if (facet.values.length < 2) continue;
    const counts = facet.values.map(() => 0);
    for (const values of facet.rows) for (const value of values) counts[value] += 1;
    const names = facet.values.map((value, number) => [value, `${said(value)} (${counts[number]})`]).sort(([a], [b]) => (a < b ? -1 : 1));
    const set = (value) => change({ chosen: { ...view.chosen, [facet.name]: value } });
    bar.append(choice(facet.name, [["", "any"], ...names], view.chosen[facet.name] ?? "", set));
  }
  const orders = Object.keys(tab.orders);
  if (orders.length) {
    const names = [["", RUN_ORDER], ...orders.map((order) => [order, order])];
    bar.append(choice("Order", names, view.order ?? "", (order) => change({ order: order || null })));
  }
  return bar;
}

function choice(label, options, chosen, picked) {
  const select = make("select", null, options.map(([value, name]) => make("option", { value, selected: value === chosen }, name)));
  select.addEventListener("change", () => picked(select.value));
  return make("label", null, label, select);
}

function turnPage(by) {
  view.page += by;
  parts.ready = refresh();
  say();
}

function pager(top) {
  const turned = (by) => () => {
    turnPage(by);
    if (!top) parts.panel.scrollIntoView();
  };
  const back = make("button", { type: "button", onclick: turned(-1) }, "Previous page");
  const on = make("button", { type: "button", onclick: turned(1) }, "Next page");
  function update() {
    back.disabled = view.page === 0;
    on.disabled = (view.page + 1) * PAGE >= view.rows.length;
  }
  return { element: make("div", { class: "paging" }, back, on), update };
}
