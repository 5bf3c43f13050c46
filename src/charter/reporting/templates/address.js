"use strict";

// What is listed and what is open stand in the address, so that a link leads to both:
// #tab=responses&f.Model=dpo&q=words&order=...&page=2&row=ID. What is as it is at first is left out.

const view = { tab: null, chosen: {}, query: "", order: null, page: 0, rows: [], hits: null, searched: "" };

function fresh(tab) {
  return { tab, chosen: {}, query: "", order: null, page: 0 };
}

function addressOf(state, first, row) {
  const said = new URLSearchParams();
  if (state.tab && state.tab !== first) said.set("tab", state.tab.name);
  for (const [facet, value] of Object.entries(state.chosen)) if (value) said.set(`f.${facet}`, value);
  if (state.query) said.set("q", state.query);
  if (state.order) said.set("order", state.order);
  if (state.page) said.set("page", state.page + 1);
  if (row !== undefined) said.set("row", row);
  const text = said.toString();
  return text ? `#${text}` : "";
}

// What an address says: a view and a row; nothing where it names a place of the page, or nothing.
function readAddress(hash, tabs) {
  if (!hash.includes("=")) return null;
  const said = new URLSearchParams(hash.slice(1));
  const state = fresh(tabs.find((tab) => tab.name === said.get("tab")) ?? tabs[0]);
  for (const facet of state.tab?.facets ?? []) {
    const value = said.get(`f.${facet.name}`);
    if (facet.values.includes(value)) state.chosen[facet.name] = value;
  }
  state.query = (said.get("q") ?? "").trim();
  const order = said.get("order");
  state.order = state.tab && Object.hasOwn(state.tab.orders, order) ? order : null;
  state.page = Math.max(0, Math.trunc(Number(said.get("page"))) - 1 || 0);
  return { state, row: said.get("row") };
}
