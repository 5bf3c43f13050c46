"use strict";

// What is shown of a row in the list. Every text reaches the page as a text node.

const PAGE = 25;
const SNIPPET = 320;

function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(3)) {
    if (child !== null && child !== undefined) element.append(child);
  }
  return element;
}

// The method's own terms in words; any other name, such as a principle's id, is shown as it is.
const TERMS = { red_team: "red team", benign_twin: "benign twin", bare_refusal: "bare refusal" };

function said(name) {
  return Object.hasOwn(TERMS, name) ? TERMS[name] : name;
}

// A life is drawn in one go, and the numbers of its rows stand for its own texts.
let texts = [];

function drawn(life, draw) {
  texts = life.texts;
  return draw(life);
}

function textAt(number) {
  return texts[number];
}

function chip(text, tone) {
  return make("span", { class: tone ? `chip ${tone}` : "chip" }, said(text));
}

function figure(number) {
  return number === null || number === undefined ? "none" : number.toFixed(2);
}

function lastUserTurn(life) {
  return textAt(life.turns[life.turns.length - 1][1]);
}

// What is good on a harmful prompt is over-refusal on a harmless one.
function classChip(life, label) {
  const tones = life.kind === "red_team" ? { objection: "good", compliance: "warn" } : { objection: "warn", bare_refusal: "warn", evasive: "warn" };
  return chip(label, tones[label]);
}

function flagChips(row) {
  return row.flags.map((flag) => chip(flag, "warn"));
}

function inOrder(life) {
  const { models } = store.index;
  const rank = (response) => (models.indexOf(response.model) + models.length + 1) % (models.length + 1);
  return [...life.responses].sort((a, b) => rank(a) - rank(b));
}

function traceShown(life, place) {
  const trace = life.traces[place];
  const last = trace.rounds[trace.rounds.length - 1];
  const finalClass = last ? last.revision_class : trace.initial_class;
  const chips = [
    chip(`${said(trace.initial_class)} → ${said(finalClass)}`),
    chip(trace.rounds.length === 1 ? "1 round" : `${trace.rounds.length} rounds`),
    flagChips(trace),
  ];
  return { answers: [[null, last ? last.revision : trace.initial]], chips };
}

function pairShown(life, place) {
  const pair = life.pairs[place];
  const { label } = pair;
  if (label === null) return { answers: [[null, pair.a]], chips: [chip(pair.source), chip(pair.agreement, "warn")] };
  const chips = [
    chip(pair.source),
    chip(`p_chosen ${figure(label.p_chosen)}`),
    chip(`position bias ${figure(label.position_bias)}`),
    chip(pair.agreement, pair.agreement === "against intention" ? "warn" : null),
    label.verdicts.some((verdict) => verdict.invalid !== null) ? chip("invalid verdict", "warn") : null,
  ];
  return { answers: [[null, pair[label.chosen]]], chips };
}

function responseShown(life, place) {
  const response = life.responses[place];
  const chips = [
    chip(response.model),
    classChip(life, response.label),
    response.judged === null ? null : chip(response.judged, response.judged === "reading invalid" ? "warn" : null),
    response.finish === "stop" ? null : chip(`finish ${response.finish}`, "warn"),
    flagChips(response),
  ];
  return { answers: [[null, response.text]], chips };
}

function modelsShown(life) {
  return { answers: inOrder(life).map((one) => [[one.model, " ", classChip(life, one.label)], one.text]), chips: [] };
}

const SHOWN = { traces: traceShown, preferences: pairShown, responses: responseShown, models: modelsShown };

// The texts that a search of a row goes through.
const OWN_TEXTS = {
  traces: (life, place) => [life.traces[place].initial, ...life.traces[place].rounds.flatMap((round) => [round.critique, round.revision])],
  preferences: ({ pairs }, place) => [pairs[place].a, pairs[place].b, ...(pairs[place].label?.verdicts ?? []).flatMap((verdict) => verdict.chains)],
  responses: (life, place) => [life.responses[place].text],
  models: (life) => life.responses.map((response) => response.text),
};

function textsOf(tab, life, place) {
  return [...life.turns.map((turn) => turn[1]), ...OWN_TEXTS[tab](life, place)];
}

// The beginning of a text, or, where a query stands further on, what is around it.
function snippet(text, query) {
  const found = query ? text.toLowerCase().indexOf(query.toLowerCase()) : -1;
  const start = found + query.length > SNIPPET ? found - SNIPPET / 4 : 0;
  return (start ? "… " : "") + text.slice(start, start + SNIPPET);
}

function has(text, query) {
  return text.toLowerCase().includes(query.toLowerCase());
}

function listed(tab, row, life, query, href) {
  const { answers, chips } = SHOWN[tab.name](life, tab.places[row]);
  const ask = snippet(lastUserTurn(life), query);
  const told = answers.map(([name, text]) => [name, snippet(textAt(text), query)]);
  const elsewhere = !query || [ask, ...told.map(([, text]) => text)].some((text) => has(text, query))
    ? undefined
    : textsOf(tab.name, life, tab.places[row]).map(textAt).find((text) => has(text, query));
  const link = make(
    "a",
    { href },
    make("div", { class: "ask", dir: "auto" }, ask),
    told.map(([name, text]) => [name === null ? null : make("div", { class: "chips" }, name), make("div", { class: "answer", dir: "auto" }, text)]),
    elsewhere === undefined ? null : make("div", { class: "answer elsewhere", dir: "auto" }, snippet(elsewhere, query)),
    make("div", { class: "chips" }, chip(life.kind), life.category ? chip(life.category) : null, chips),
  );
  return make("li", null, link);
}

// Mark what was searched for, without a change to the text.
function markFound(name, place, query) {
  if (!CSS.highlights) return;
  const ranges = [];
  const wanted = query.toLowerCase();
  const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); wanted && node; node = walker.nextNode()) {
    const text = node.data.toLowerCase();
    if (text.length !== node.data.length) continue; // a letter whose small form is longer
    for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, at + wanted.length);
      ranges.push(range);
    }
  }
  CSS.highlights.set(name, new Highlight(...ranges));
}
