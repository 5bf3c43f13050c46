"use strict";

// One row opened: the whole life of its prompt in the run. What is open is what the address says.

const dialog = document.getElementById("life");
const kept = { differences: true, against: "" };

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
  const related = [[life.twin_of, "the red-team prompt that this twin imitates"], ...life.twins.map((id) => [id, "its benign twin"])];
  const links = related
    .filter(([id]) => lifeOf(id) !== undefined)
    .map(([id, name]) => make("p", { class: "small" }, `See ${name}: `, make("a", { href: address(id) }, id)));
  const reference = life.reference === null ? null : folded("Reference answer", textAt(life.reference));
  return part("Prompt", false, make("div", { class: "chips" }, chips.filter(Boolean)), turns, reference, links);
}

function tracePart(life, trace, id) {
  const steps = [step("Initial response", textAt(trace.initial), { chips: [classChip(life, trace.initial_class), trace.initial_flags.map((flag) => chip(flag, "warn"))] })];
  let before = textAt(trace.initial);
  for (const round of trace.rounds) {
    const revision = textAt(round.revision);
    const chips = [classChip(life, round.revision_class), revision === before ? chip("unchanged", "warn") : null, checkChip(round), flagChips(round)];
    if (round.critique) steps.push(step(`Round ${round.number}: critique`, textAt(round.critique), { quiet: true, chips: [chip(`principle ${round.principle}`)] }));
    steps.push(
      step(`Round ${round.number}: revision`, revision, {
        before,
        chips: round.critique ? chips : [chip(`principle ${round.principle}`), ...chips],
        after: make("div", null, textAt(round.critique_request) ? folded("Critique request", textAt(round.critique_request)) : null, folded("Revision request", textAt(round.revision_request))),
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
    const title = `Response ${side}${leftOpen(pair.whole[place])}`;
    return { name: `response ${side}`, title, text: textAt(pair[side]), options: { chips, chosen: label !== null && label.chosen === side } };
  });
  const current = pair.id === id || (label !== null && label.id === id);
  const name = label === null ? `Pair ${pair.id}, not labelled` : `Preference ${label.id}`;
  return part(`${name} (${pair.source})`, current, beside(sides), label === null ? leftOutPart(pair.left_out) : labelPart(pair, label));
}

function leftOutPart(left) {
  if (left === null) return null;
  return make("div", null, make("p", null, `Left out: ${left.reason}; the judge's P(a better) ${figure(left.p_a)}.`), verdictTable(left.verdicts, "a", "b"));
}

function labelPart(pair, label) {
  const facts = [`chosen ${label.chosen}`, `p_chosen ${figure(label.p_chosen)}`, `p_judge ${figure(label.p_judge)}`, `position bias ${figure(label.position_bias)}`, pair.agreement];
  if (label.weight !== 1) facts.push(`trained on with weight ${figure(label.weight)}`);
  return make("div", null, make("p", null, `Label: ${facts.join("; ")}.`), verdictTable(label.verdicts, "a", "b"));
}

function verdictTable(verdicts, a, b, asked = `P(${a} better)`) {
  const titles = ["Principle", "Order", asked, "Option mass", "log p(A), log p(B)", "Read"];
  const rows = verdicts.map((verdict) => {
    const order = `${verdict.order === "ab" ? a : b} shown first`;
    const read = verdict.invalid === null ? "valid" : `invalid: ${verdict.invalid}`;
    const whose = verdict.judge ? `${verdict.principle}, judge ${verdict.judge}` : verdict.principle;
    return [whose, order, figure(verdict.p_a), figure(verdict.mass), verdict.logprobs.map(figure).join(", "), read];
  });
  const chains = verdicts.flatMap((verdict) => verdict.chains.map((chain, place) => folded(`Reasoning ${place + 1}: ${verdict.principle}, ${verdict.order === "ab" ? a : b} first`, textAt(chain))));
  return [tableOf(titles, rows), chains];
}

// A table whose rows are headed by their first cell; on a phone each cell says its column.
function tableOf(titles, rows) {
  const cell = (text, place) => make("td", { "data-label": titles[place + 1] }, make("span", null, text));
  const row = ([first, ...others]) => make("tr", null, make("th", { scope: "row" }, first), others.map(cell));
  const head = make("tr", null, titles.map((title) => make("th", { scope: "col" }, title)));
  return make("table", null, make("thead", null, head), make("tbody", null, rows.map(row)));
}

function comparisonPart(comparison, id) {
  const results = new Map([[1, `${comparison.model} is preferred`], [0, `${comparison.base} is preferred`], [0.5, "a tie"], [null, "no verdict could be read"]]);
  const facts = `${results.get(comparison.win)}; P(${comparison.model} better) ${figure(comparison.p_model)}; position bias ${figure(comparison.position_bias)}.`;
  const table = comparison.verdicts.length ? verdictTable(comparison.verdicts, comparison.model, comparison.base) : make("p", { class: "small" }, "The answers are equal: no judge was asked.");
  return part(`Head to head: ${comparison.model} against ${comparison.base}`, comparison.id === id, make("p", null, facts), table);
}

function readingPart(reading, id) {
  const facts = `${reading.judged}; by the rules: ${said(reading.label)}; P(complied) ${figure(reading.p_complied)}; position bias ${figure(reading.position_bias)}.`;
  const table = verdictTable(reading.verdicts, "complied", "did not comply", "P(complied)");
  return part(`The judge's reading: ${reading.model}`, reading.id === id, make("p", null, facts), table);
}

function ratingsPart(ratings) {
  const said = (one) => (one.win === null ? "skipped" : one.win === 0.5 ? "a tie" : `${one.win === 1 ? one.model : one.base} is preferred`);
  const rows = ratings.map((one) => [one.rater, said(one), `${one.model} against ${one.base}`, one.question]);
  return part("People's ratings", false, tableOf(["Rater", "Said", "Of", "Asked"], rows));
}

// Texts side by side; where one is chosen, each other shows in what words it differs from it.
function beside(sides) {
  const place = make("div", { class: "side" });
  const draw = () => {
    const before = sides.find((side) => side.name === kept.against);
    place.replaceChildren(...sides.map((side) => step(side.title, side.text, before && side !== before ? { ...side.options, before: before.text } : side.options)));
  };
  const names = [["", "nothing"], ...sides.map((side) => [side.name, side.name])];
  const known = sides.some((side) => side.name === kept.against) ? kept.against : "";
  const against = choice("Compare with", names, known, (name) => {
    kept.against = name;
    draw();
  });
  draw();
  return [sides.length > 1 ? make("div", { class: "against" }, against) : null, place];
}

function responsesPart(life, id) {
  const sides = inOrder(life).map((response) => ({
    name: response.model,
    title: response.model,
    text: textAt(response.text),
    options: {
      current: response.id === id,
      chips: [classChip(life, response.label), response.finish === "stop" ? null : chip(`finish ${response.finish}`, "warn"), flagChips(response)],
    },
  }));
  return part("Responses of the measured models", life.responses.some((response) => response.id === id), beside(sides));
}

let opening = 0;

async function openRow(id) {
  const mine = ++opening;
  const number = lifeOf(id);
  const life = number === undefined ? null : await lifeAt(number);
  await parts.ready; // the rows beside it
  if (mine === opening) showRow(id, life ? drawn(life, () => partsOf(life, id)) : [make("p", null, `The row ${id} is not in this report: it may be outside the sample.`)]);
}

function showRow(id, content) {
  const place = view.rows.findIndex((row) => view.tab.ids[row] === id || view.tab.also[row] === id);
  const neighbour = (by, name) => {
    const other = place < 0 ? undefined : view.rows[place + by];
    const follow = () => location.replace(address(view.tab.ids[other]));
    return make("button", { type: "button", id: `row-${name.toLowerCase()}`, disabled: other === undefined, onclick: follow }, name);
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
  markFound("found-life", body, view.query);
}

function partsOf(life, id) {
  return [
    promptPart(life),
    life.traces.map((trace) => tracePart(life, trace, id)),
    life.sft.length ? trainedPart(life) : null,
    life.pairs.map((pair) => pairPart(pair, id)),
    life.responses.length ? responsesPart(life, id) : null,
    life.ratings.length ? ratingsPart(life.ratings) : null,
    life.comparisons.map((comparison) => comparisonPart(comparison, id)),
    life.readings.map((reading) => readingPart(reading, id)),
  ].filter((each) => each !== null);
}

async function followAddress() {
  const said = readAddress(location.hash, shownTabs);
  if (said && said.state.tab && addressOf(said.state, shownTabs[0]) !== address()) look(said.state);
  if (said && said.row !== null) await openRow(said.row);
  else if (dialog.open) dialog.close();
}

dialog.addEventListener("close", () => {
  opening += 1;
  if (location.hash.includes("row=")) say();
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
