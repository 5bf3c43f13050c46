"use strict";

// Word-level differences of two texts: [["same" | "del" | "ins", text], ...]. Joining all but "ins" gives the first
// text, all but "del" the second.

const LARGEST_TABLE = 16_000_000; // cells; above it a text counts as rewritten
const SHORTEST_ISLAND = 2; // words

function words(text) {
  return text.match(/[\p{L}\p{N}\p{M}_'\u2019]+|\s+|[^]/gu) ?? [];
}

function wordDifferences(before, after) {
  const a = words(before);
  const b = words(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const middle = changes(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const runs = [["same", a.slice(0, start)], ...middle, ["same", a.slice(a.length - end)]];
  return merged(withoutIslands(runs)).map(([kind, parts]) => [kind, parts.join("")]);
}

function nWords(parts) {
  return parts.filter((part) => /[\p{L}\p{N}]/u.test(part)).length;
}

function changes(a, b) {
  if (a.length * b.length > LARGEST_TABLE) return [["del", a], ["ins", b]];
  const width = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] =
        a[i] === b[j]
          ? longest[(i + 1) * width + j + 1] + 1
          : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const runs = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      runs.push(["same", [a[i]]]);
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) {
      runs.push(["del", [a[i]]]);
      i += 1;
    } else {
      runs.push(["ins", [b[j]]]);
      j += 1;
    }
  }
  return merged(runs);
}

// A lone common word between two changes reads worse than one longer change.
function withoutIslands(runs) {
  const full = runs.filter(([, parts]) => parts.length > 0);
  const split = full.flatMap(([kind, parts], place) => {
    const inside = place > 0 && place < full.length - 1;
    return kind === "same" && inside && nWords(parts) < SHORTEST_ISLAND ? [["del", parts], ["ins", parts]] : [[kind, parts]];
  });
  const ordered = [];
  for (let place = 0; place < split.length; ) {
    if (split[place][0] === "same") {
      ordered.push(split[place]);
      place += 1;
      continue;
    }
    const stop = split.findIndex(([kind], other) => other > place && kind === "same");
    const group = split.slice(place, stop < 0 ? split.length : stop);
    for (const wanted of ["del", "ins"]) ordered.push(...group.filter(([kind]) => kind === wanted));
    place += group.length;
  }
  return ordered;
}

function merged(runs) {
  const result = [];
  for (const [kind, parts] of runs) {
    const last = result[result.length - 1];
    if (last && last[0] === kind) last[1] = last[1].concat(parts);
    else if (parts.length > 0) result.push([kind, parts]);
  }
  return result;
}
