"use strict";

// One row opened: the whole life of its prompt in the run. What is open is what the address says (#row=ID).

const dialog = document.getElementById("life");
const kept = { differences: true };

function step(title, text, options = {}) {
  const head = make("header", null, make("h4", null, title), make("div", { class: "chips" }, options.chips));
  const body = make("div", { class: options.quiet ? "text quiet" : "text", dir: "auto" });
  if (options.before === undefined) body.append(text);
  else for (const [kind, part] of wordDifferences(options.before, text)) body.append(kind === "same" ? part : make(kind, null, part));
  const names = ["step", options.chosen ? "chosen" : "", options.current ? "current" : ""].filter(Boolean).join(" ");
  return make("article", { class: names }, head, body, options.after);
}

function part(title, current, ...content) {
  return make("section", { class: current ? "part current" : "part" }, make("h3", null, title), content);
}

function folded(title, text) {
  if (!text) return null;
  return make("details", null, make("summary", null, title), make("div", { class: "text quiet", dir: "auto" }, text));
}

function promptPart(life) {
  const turns = life.turns.map(([role, text]) => step(role, textAt(text)));
  const chips = [chip(life.kind), life.category && chip(life.category), life.split && chip(`split ${life.split}`), life.source && chip(life.source)];
  const related = source.lives.filter((other) => other.id === life.twin_of || other.twin_of === life.id);
  const links = related.map((other) => {
    const name = other.id === life.twin_of ? "the red-team prompt that this twin imitates" : "its benign twin";
    return make("p", { class: "small" }, `See ${name}: `, make("a", { href: `#row=${encodeURIComponent(other.id)}` }, other.id));
  });
  const reference = life.reference === null ? null : folded("Reference answer", textAt(life.reference));
  return part("Prompt", false, make("div", { class: "chips" }, chips.filter(Boolean)), turns, reference, links);
}

function tracePart(life, trace, id) {
  const steps = [step("Initial response", textAt(trace.initial), { chips: [classChip(life, trace.initial_class), trace.initial_flags.map((flag) => chip(flag, "warn"))] })];
  let before = textAt(trace.initial);
  for (const round of trace.rounds) {
    const revision = textAt(round.revision);
    const chips = [classChip(life, round.revision_class), revision === before ? chip("unchanged", "warn") : null, checkChip(round), round.flags.map((flag) => chip(flag, "warn"))];
    if (round.critique) steps.push(step(`Round ${round.number}: critique`, textAt(round.critique), { quiet: true, chips: [chip(`principle ${round.principle}`)] }));
    steps.push(
      step(`Round ${round.number}: revision`, revision, {
        before,
        chips: round.critique ? chips : [chip(`principle ${round.principle}`), ...chips],
        after: make("div", null, folded("Critique request", textAt(round.critique_request)), folded("Revision request", textAt(round.revision_request))),
      }),
    );
    before = revision;
  }
  const number = trace.sample ? `, sample ${trace.sample}` : "";
  return part(`Trace ${trace.id}${number}`, trace.id === id, steps);
}

function checkChip(round) {
  if (round.confirmed === null) return null;
  const p = round.p_better === null ? "no valid verdict" : `p ${figure(round.p_better)}`;
  return round.confirmed ? chip(`confirmed, ${p}`) : chip(`not confirmed, ${p}`, "warn");
}

function leftOpen(whole) {
  return whole ? "" : ", left open";
}

function trainedPart(life) {
  const shown = new Set(life.traces.flatMap((trace) => [trace.initial, ...trace.rounds.map((round) => round.revision)]));
  const named = ([origin, , whole]) => origin + leftOpen(whole);
  const names = life.sft.filter(([, text]) => shown.has(text)).map(named);
  const others = life.sft.filter(([, text]) => !shown.has(text));
  return part(
    "What SFT trained on",
    false,
    names.length ? make("p", null, `From the trace above: ${names.join("; ")}.`) : null,
    others.map((row) => step(named(row), textAt(row[1]))),
  );
}

function pairPart(pair, id) {
  const label = pair.label;
  const sides = ["a", "b"].map((side, place) => {
    const chips = [
      pair.origins[place] ? chip(pair.origins[place]) : null,
      pair.intended === side ? chip("intended to be better") : null,
      label !== null && label.chosen === side ? chip("chosen", "good") : null,
    ];
    return step(`Response ${side}${leftOpen(pair.whole[place])}`, textAt(pair[side]), { chips, chosen: label !== null && label.chosen === side });
  });
  const current = pair.id === id || (label !== null && label.id === id);
  const name = label === null ? `Pair ${pair.id}, not labelled` : `Preference ${label.id}`;
  return part(`${name} (${pair.source})`, current, make("div", { class: "side" }, sides), label === null ? leftOutPart(pair.left_out) : labelPart(pair, label));
}

function leftOutPart(left) {
  if (left === null) return null;
  return make("div", null, make("p", null, `Left out: ${left.reason}; the judge's P(a better) ${figure(left.p_a)}.`), verdictTable(left.verdicts, "a", "b"));
}

function labelPart(pair, label) {
  const facts = [`chosen ${label.chosen}`, `p_chosen ${figure(label.p_chosen)}`, `p_judge ${figure(label.p_judge)}`, `position bias ${figure(label.position_bias)}`, agreement(pair)];
  if (label.weight !== 1) facts.push(`trained on with weight ${figure(label.weight)}`);
  return make("div", null, make("p", null, `Label: ${facts.join("; ")}.`), verdictTable(label.verdicts, "a", "b"));
}

function verdictTable(verdicts, a, b, asked = `P(${a} better)`) {
  const titles = ["Principle", "Order", asked, "Option mass", "log p(A), log p(B)", "Read"];
  const head = make("tr", null, titles.map((title) => make("th", { scope: "col" }, title)));
  const rows = verdicts.map((verdict) => {
    const order = `${verdict.order === "ab" ? a : b} shown first`;
    const read = verdict.invalid === null ? "valid" : `invalid: ${verdict.invalid}`;
    const cells = [order, figure(verdict.p_a), figure(verdict.mass), verdict.logprobs.map(figure).join(", "), read];
    const whose = verdict.judge ? `${verdict.principle}, judge ${verdict.judge}` : verdict.principle;
    return make("tr", null, make("th", { scope: "row" }, whose), cells.map((cell, place) => make("td", { "data-label": titles[place + 1] }, make("span", null, cell))));
  });
  const chains = verdicts.flatMap((verdict) => verdict.chains.map((chain, place) => folded(`Reasoning ${place + 1}: ${verdict.principle}, ${verdict.order === "ab" ? a : b} first`, textAt(chain))));
  return [make("table", null, make("thead", null, head), make("tbody", null, rows)), chains];
}

function comparisonPart(comparison, id) {
  const results = new Map([[1, `${comparison.model} is preferred`], [0, `${comparison.base} is preferred`], [0.5, "a tie"], [null, "no verdict could be read"]]);
  const facts = `${results.get(comparison.win)}; P(${comparison.model} better) ${figure(comparison.p_model)}; position bias ${figure(comparison.position_bias)}.`;
  const table = comparison.verdicts.length ? verdictTable(comparison.verdicts, comparison.model, comparison.base) : make("p", { class: "small" }, "The answers are equal: no judge was asked.");
  return part(`Head to head: ${comparison.model} against ${comparison.base}`, comparison.id === id, make("p", null, facts), table);
}

function readingPart(reading, id) {
  const facts = `${judged(reading)}; by the rules: ${said(reading.label)}; P(complied) ${figure(reading.p_complied)}; position bias ${figure(reading.position_bias)}.`;
  const table = verdictTable(reading.verdicts, "complied", "did not comply", "P(complied)");
  return part(`The judge's reading: ${reading.model}`, reading.id === id, make("p", null, facts), table);
}

function responsesPart(life, id) {
  const rank = (response) => (source.models.indexOf(response.model) + source.models.length + 1) % (source.models.length + 1);
  const sorted = [...life.responses].sort((a, b) => rank(a) - rank(b));
  const sides = sorted.map((response) =>
    step(response.model, textAt(response.text), {
      current: response.id === id,
      chips: [classChip(life, response.label), response.finish === "stop" ? null : chip(`finish ${response.finish}`, "warn"), response.flags.map((flag) => chip(flag, "warn"))],
    }),
  );
  return part("Responses of the measured models", sorted.some((response) => response.id === id), make("div", { class: "side" }, sides));
}

function openRow(id) {
  const row = rowById.get(id);
  const content = row ? lifeOf(row.life, id) : [make("p", null, `The row ${id} is not in this report: it may be outside the sample.`)];
  const place = view.rows.indexOf(row);
  const neighbour = (by, name) => {
    const other = place < 0 ? undefined : view.rows[place + by];
    return make("button", { type: "button", disabled: other === undefined, onclick: () => location.replace(`#row=${encodeURIComponent(other.id)}`) }, name);
  };
  const toggle = make("input", { type: "checkbox", id: "differences" });
  toggle.checked = kept.differences;
  const body = make("div", { class: kept.differences ? "life" : "life plain" }, content);
  toggle.addEventListener("change", () => {
    kept.differences = toggle.checked;
    body.classList.toggle("plain", !toggle.checked);
  });
  const close = make("button", { type: "button", onclick: () => dialog.close() }, "Close");
  const title = make("h2", { id: "life-title" }, "Row ", make("span", { class: "id" }, id));
  const bar = make("div", { class: "bar" }, title, make("label", null, toggle, "Differences"), neighbour(-1, "Previous"), neighbour(1, "Next"), close);
  dialog.replaceChildren(bar, body);
  if (!dialog.open) dialog.showModal();
  close.focus();
  dialog.scrollTop = 0;
  const current = dialog.querySelector(".current");
  if (current && current.offsetTop > 0.8 * dialog.clientHeight) dialog.scrollTop = current.offsetTop - bar.offsetHeight - 80;
}

function lifeOf(life, id) {
  return [
    promptPart(life),
    life.traces.map((trace) => tracePart(life, trace, id)),
    life.sft.length ? trainedPart(life) : null,
    life.pairs.map((pair) => pairPart(pair, id)),
    life.responses.length ? responsesPart(life, id) : null,
    life.comparisons.map((comparison) => comparisonPart(comparison, id)),
    life.readings.map((reading) => readingPart(reading, id)),
  ].filter((each) => each !== null);
}

function decoded(id) {
  try {
    return decodeURIComponent(id);
  } catch {
    return id; // a stray per-cent sign: no id of ours, and shown as it came
  }
}

function followAddress() {
  const found = /^#row=(.+)$/.exec(location.hash);
  if (found) openRow(decoded(found[1]));
  else if (dialog.open) dialog.close();
}

dialog.addEventListener("close", () => {
  if (location.hash.startsWith("#row=")) history.replaceState(null, "", location.href.split("#")[0]);
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
window.addEventListener("hashchange", followAddress);
const place = document.getElementById("browser");
if (place) browser(place);
followAddress();
