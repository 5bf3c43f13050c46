"use strict";

// The rows as the page holds them: an index of all, and chunks of lives, each opened when it is needed.

const MOST_OPEN = 300; // chunks, of some 400 kB; the one that was used longest ago is closed first

async function unpack(id) {
  const letters = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place += 1) bytes[place] = letters.charCodeAt(place);
  const opened = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(opened).text());
}

const store = { index: null, open: new Map(), lifeById: null };

function chunkAt(number) {
  const { open } = store;
  const chunk = open.get(number) ?? unpack(`rows-chunk-${number}`);
  open.delete(number);
  open.set(number, chunk);
  if (open.size > MOST_OPEN) open.delete(open.keys().next().value);
  return chunk;
}

function chunkOf(life) {
  const { starts } = store.index.lives;
  let low = 0;
  for (let high = starts.length; high - low > 1; ) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= life) low = middle;
    else high = middle;
  }
  return low;
}

// A life with the texts that its numbers stand for.
async function lifeAt(number) {
  const place = chunkOf(number);
  const chunk = await chunkAt(place);
  return { ...chunk.lives[number - store.index.lives.starts[place]], texts: chunk.texts };
}

// The number of the life that a row, a prompt, a comparison or a reading belongs to.
function lifeOf(id) {
  if (store.lifeById === null) {
    const { ids, also } = store.index.lives;
    store.lifeById = new Map();
    ids.forEach((own, life) => [own, ...also[life]].forEach((each) => store.lifeById.set(each, life)));
    for (const tab of store.index.tabs) {
      tab.ids.forEach((own, row) => store.lifeById.set(own, tab.lives[row]));
      tab.also.forEach((other, row) => other === null || store.lifeById.set(other, tab.lives[row]));
    }
  }
  return store.lifeById.get(id);
}

// Which rows of each tab have a query in one of their texts or ids; nothing once nobody waits for it any more.
async function search(query, isWanted, told) {
  const wanted = query.toLowerCase();
  const { lives, tabs } = store.index;
  const hits = new Map(tabs.map((tab) => [tab.name, new Uint8Array(tab.ids.length)]));
  const rows = tabs.map(() => 0);
  const named = (id) => id !== null && id !== undefined && id.toLowerCase().includes(wanted);
  for (let number = 0; number < lives.starts.length; number += 1) {
    const chunk = await chunkAt(number);
    if (!isWanted()) return null;
    const found = chunk.texts.map((text) => text.toLowerCase().includes(wanted));
    const start = lives.starts[number];
    const ids = chunk.lives.map((life, place) => named(life.id) || lives.also[start + place].some(named));
    tabs.forEach((tab, which) => {
      const hit = hits.get(tab.name);
      for (; rows[which] < tab.ids.length && tab.lives[rows[which]] < start + chunk.lives.length; rows[which] += 1) {
        const row = rows[which];
        const place = tab.lives[row] - start;
        const texts = textsOf(tab.name, chunk.lives[place], tab.places[row]);
        if (ids[place] || named(tab.ids[row]) || named(tab.also[row]) || texts.some((text) => found[text])) hit[row] = 1;
      }
    });
    told((number + 1) / lives.starts.length);
  }
  return hits;
}

// The rows of a tab that filters and a search leave, in an order.
function matching(tab, chosen, hits, order) {
  const wanted = tab.facets.filter((facet) => chosen[facet.name]).map((facet) => [facet.rows, facet.values.indexOf(chosen[facet.name])]);
  const rows = [];
  for (let row = 0; row < tab.ids.length; row += 1) {
    if (hits !== null && !hits[row]) continue;
    if (wanted.every(([values, value]) => values[row].includes(value))) rows.push(row);
  }
  const by = tab.orders[order];
  return by ? rows.sort((a, b) => (by[a] ?? Infinity) - (by[b] ?? Infinity) || a - b) : rows;
}
