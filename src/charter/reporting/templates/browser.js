"use strict";

// The list of rows: tabs, filters, search, paging.

const view = { tab: null, chosen: {}, query: "", order: null, page: 0, rows: [] };

function browser(place) {
  const shown = tabs.filter((tab) => tab.rows.length > 0);
  const strip = make("div", { class: "tabs", role: "tablist", "aria-label": "Kinds of rows" });
  const panel = make("div", { role: "tabpanel", id: "rows-panel" });

  function select(tab, focus) {
    Object.assign(view, { tab, chosen: {}, query: "", order: tab.orders[0], page: 0 });
    for (const button of strip.children) {
      const selected = button.id === `tab-${tab.name}`;
      button.setAttribute("aria-selected", String(selected));
      button.tabIndex = selected ? 0 : -1;
      if (selected && focus) button.focus();
    }
    panel.setAttribute("aria-labelledby", `tab-${tab.name}`);
    fillPanel(panel, tab);
  }

  function step(event) {
    const moves = { ArrowRight: 1, ArrowLeft: -1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const next = shown.indexOf(view.tab) + moves[event.key] + shown.length;
    select(shown[next % shown.length], true);
  }

  for (const tab of shown) {
    const title = `${tab.title} (${tab.rows.length})`;
    const properties = { type: "button", role: "tab", id: `tab-${tab.name}`, "aria-controls": panel.id };
    strip.append(make("button", { ...properties, onclick: () => select(tab, false), onkeydown: step }, title));
  }
  place.append(strip, panel);
  select(shown[0], false);
}

function fillPanel(panel, tab) {
  const found = make("span", { class: "found", "aria-live": "polite" });
  const list = make("ol", { class: "rows" });
  const pagers = [pager(refresh, true), pager(refresh, false)];

  function refresh(changed) {
    if (changed) {
      view.rows = matching(tab, view.chosen, view.query, view.order);
      view.page = 0;
    }
    const first = view.page * PAGE;
    const n = view.rows.length;
    found.textContent = n ? `${n} of ${tab.rows.length} rows, page ${view.page + 1} of ${Math.ceil(n / PAGE)}` : "No row matches.";
    list.replaceChildren(...view.rows.slice(first, first + PAGE).map(listed));
    list.start = first + 1;
    for (const each of pagers) each.update();
  }

  pagers[0].element.prepend(found);
  panel.replaceChildren(filters(tab, () => refresh(true)), pagers[0].element, list, pagers[1].element);
  refresh(true);
}

function filters(tab, changed) {
  const search = make("input", { type: "search", placeholder: "Words in any text, or an id" });
  search.addEventListener("input", () => {
    view.query = search.value.trim();
    changed();
  });
  const bar = make("div", { class: "filters" }, make("label", { class: "search" }, "Search", search));
  for (const facet of tab.facets) {
    const counts = new Map();
    for (const row of tab.rows) for (const value of row.facets[facet]) counts.set(value, (counts.get(value) ?? 0) + 1);
    if (counts.size < 2) continue;
    const options = [...counts.keys()].sort().map((value) => make("option", { value }, `${said(value)} (${counts.get(value)})`));
    bar.append(choice(facet, [make("option", { value: "" }, "any"), ...options], (value) => {
      view.chosen[facet] = value;
      changed();
    }));
  }
  if (tab.orders.length > 1) {
    bar.append(choice("Order", tab.orders.map((order) => make("option", { value: order }, order)), (value) => {
      view.order = value;
      changed();
    }));
  }
  return bar;
}

function choice(label, options, picked) {
  const select = make("select", null, options);
  select.addEventListener("change", () => picked(select.value));
  return make("label", null, label, select);
}

function pager(refresh, top) {
  const turn = (by) => () => {
    view.page += by;
    refresh(false);
    if (!top) document.getElementById("rows-panel").scrollIntoView();
  };
  const back = make("button", { type: "button", onclick: turn(-1) }, "Previous page");
  const on = make("button", { type: "button", onclick: turn(1) }, "Next page");
  function update() {
    back.disabled = view.page === 0;
    on.disabled = (view.page + 1) * PAGE >= view.rows.length;
  }
  return { element: make("div", { class: "paging" }, back, on), update };
}

function listed(row) {
  const { life } = row;
  const link = make(
    "a",
    { href: `#row=${encodeURIComponent(row.id)}` },
    make("div", { class: "ask", dir: "auto" }, lastUserTurn(life).slice(0, SNIPPET)),
    make("div", { class: "answer", dir: "auto" }, row.answer.slice(0, SNIPPET)),
    make("div", { class: "chips" }, chip(life.kind), life.category ? chip(life.category) : null, row.chips),
  );
  return make("li", null, link);
}
