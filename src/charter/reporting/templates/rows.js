"use strict";

// The rows of the run, as they are listed and filtered. Every text reaches the page as a text node.

const source = JSON.parse(document.getElementById("rows-data").textContent);
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

function textAt(number) {
  return source.texts[number];
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

function listTrace(life, trace) {
  const last = trace.rounds[trace.rounds.length - 1];
  const finalClass = last ? last.revision_class : trace.initial_class;
  return {
    id: trace.id,
    life,
    answer: textAt(last ? last.revision : trace.initial),
    chips: [
      chip(`${said(trace.initial_class)} → ${said(finalClass)}`),
      chip(trace.rounds.length === 1 ? "1 round" : `${trace.rounds.length} rounds`),
      trace.flags.map((flag) => chip(flag, "warn")),
    ],
    texts: [trace.initial, ...trace.rounds.flatMap((round) => [round.critique, round.revision])],
    facets: {
      Flag: trace.flags.length ? trace.flags : ["no flag"],
      "Final class": [finalClass],
      Principle: [...new Set(trace.rounds.map((round) => round.principle))],
    },
  };
}

function agreement(pair) {
  const { label } = pair;
  if (label === null) return "not labelled";
  if (pair.intended === null) return "no side intended";
  if (label.agrees === null) return "judge undecided";
  return label.agrees ? "agrees with intention" : "against intention";
}

function listPair(life, pair) {
  const label = pair.label;
  const invalid = label !== null && label.verdicts.some((verdict) => verdict.invalid !== null);
  const verdicts = label === null ? [] : label.verdicts;
  return {
    id: label === null ? pair.id : label.id,
    other: pair.id,
    life,
    answer: label === null ? textAt(pair.a) : textAt(pair[label.chosen]),
    chips: [
      chip(pair.source),
      label === null ? chip("not labelled", "warn") : chip(`p_chosen ${figure(label.p_chosen)}`),
      label === null ? null : chip(`position bias ${figure(label.position_bias)}`),
      label === null ? null : chip(agreement(pair), label.agrees === false ? "warn" : null),
      invalid ? chip("invalid verdict", "warn") : null,
    ],
    texts: [pair.a, pair.b, ...verdicts.flatMap((verdict) => verdict.chains)],
    facets: {
      Source: [pair.source],
      Label: [agreement(pair), ...(invalid ? ["has an invalid verdict"] : [])],
      Principle: [...new Set(verdicts.map((verdict) => verdict.principle))],
    },
    unsure: label === null ? Infinity : label.p_chosen,
    bias: label === null ? -1 : label.position_bias,
  };
}

const hasReadings = source.lives.some((life) => life.readings.length > 0);

function readingOf(life, response) {
  return life.readings.find((reading) => reading.response === response.id);
}

function judged(reading) {
  if (reading === undefined) return "not read by the judge";
  if (reading.p_complied === null) return "reading invalid";
  if (reading.p_complied === 0.5) return "judge undecided";
  return reading.p_complied > 0.5 ? "judged to comply" : "judged not to comply";
}

function listResponse(life, response) {
  const reading = readingOf(life, response);
  return {
    id: response.id,
    life,
    answer: textAt(response.text),
    chips: [
      chip(response.model),
      classChip(life, response.label),
      reading === undefined ? null : chip(judged(reading), reading.p_complied === null ? "warn" : null),
      response.finish === "stop" ? null : chip(`finish ${response.finish}`, "warn"),
      response.flags.map((flag) => chip(flag, "warn")),
    ],
    texts: [response.text],
    facets: {
      Model: [response.model],
      Label: [response.label],
      Flag: response.flags.length ? response.flags : ["no flag"],
      Finish: [response.finish],
      ...(hasReadings ? { "Judge's reading": [judged(reading)] } : {}),
    },
  };
}

const ORDERS = {
  "in the run's order": null,
  "least sure first": (a, b) => a.unsure - b.unsure,
  "most position bias first": (a, b) => b.bias - a.bias,
};

function tabOf(name, title, kind, list, orders) {
  const rows = source.lives.flatMap((life) => life[kind].map((item) => list(life, item)));
  for (const row of rows) {
    const { life } = row;
    row.texts.push(...life.turns.map((turn) => turn[1]));
    row.facets = { Kind: [life.kind], Category: [life.category || "no category"], ...row.facets };
  }
  return { name, title, rows, orders, facets: rows.length ? Object.keys(rows[0].facets) : [] };
}

const tabs = [
  tabOf("traces", "Traces", "traces", listTrace, ["in the run's order"]),
  tabOf("preferences", "Preferences", "pairs", listPair, Object.keys(ORDERS)),
  tabOf("responses", "Responses", "responses", listResponse, ["in the run's order"]),
];

const rowById = new Map();
for (const tab of tabs) {
  for (const row of tab.rows) {
    const judged = [...row.life.comparisons, ...row.life.readings].map((one) => one.id);
    row.ids = [row.id, ...(row.other ? [row.other] : []), row.life.id, ...judged];
    for (const id of row.ids) {
      if (!rowById.has(id) || id === row.id || id === row.other) rowById.set(id, row);
    }
  }
}

function textsWith(query) {
  const wanted = query.toLowerCase();
  const found = new Set();
  source.texts.forEach((text, number) => {
    if (text.toLowerCase().includes(wanted)) found.add(number);
  });
  return found;
}

function matching(tab, chosen, query, order) {
  const found = query ? textsWith(query) : null;
  const wanted = query.toLowerCase();
  const rows = tab.rows.filter(
    (row) =>
      Object.entries(chosen).every(([facet, value]) => !value || row.facets[facet].includes(value)) &&
      (found === null || row.ids.some((id) => id.toLowerCase().includes(wanted)) || row.texts.some((number) => found.has(number))),
  );
  return ORDERS[order] ? rows.sort(ORDERS[order]) : rows;
}
