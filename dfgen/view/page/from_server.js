// The page as `dfgen view` serves it: parts of the index one after the other, the rest when asked
// for, and again what changes while the run is at work.

const POLL_MS = 2000;
const PATIENCE_MS = 400;
const KEPT_ROWS = 40;
const stamps = new Map();
const kept = new Map();

async function ask(name, values = {}, base = "") {
  const query = new URLSearchParams(values).toString();
  const response = await fetch(`${base}${name}?${query}`, { cache: "no-store" }).catch((error) => {
    throw new Error(`the server does not answer (${error.message})`);
  });
  if (!response.ok) throw new Error((await response.text()) || `the server says ${response.status}`);
  return response.json();
}

// The last rows looked at, with their questions.
function askRow(row) {
  const key = `${row.id} ${stamps.get(row.part)}`;
  if (!kept.has(key)) {
    kept.set(key, ask("row", { part: row.part, id: row.id }));
    kept.get(key).catch(() => kept.delete(key));
    if (kept.size > KEPT_ROWS) kept.delete(kept.keys().next().value);
  }
  return kept.get(key);
}

const pictures = new Map();

function askPicture(prompt, index, whole) {
  const key = `${prompt.id} ${index} ${whole}`;
  if (!pictures.has(key)) {
    pictures.set(key, ask("picture", { part: findPart(prompt), prompt: prompt.id, number: index, size: whole ? "whole" : "small" }).then(({ url }) => url));
    if (pictures.size > 500) pictures.delete(pictures.keys().next().value);
  }
  return pictures.get(key);
}

const partsOf = new Map();

function findPart(prompt) {
  return partsOf.get(prompt.id) ?? 0;
}

async function loadPart(number) {
  const part = await ask("part", { part: number });
  takePart(number, part);
  for (const prompt of part.prompts) partsOf.set(prompt.id, number);
  stamps.set(number, part.stamp);
}

// Everything that is new or has changed, shown at short intervals while it comes in.
async function loadAll(state) {
  let told = performance.now();
  let changed = false;
  const current = new Set(state.parts.map(([number]) => number));
  for (const number of [...parts.keys()]) {
    if (current.has(number)) continue;
    parts.delete(number);
    stamps.delete(number);
    changed = true;
  }
  for (const [number, stamp] of state.parts) {
    if (stamps.get(number) === stamp) continue;
    try {
      await loadPart(number);
    } catch (error) {
      tellServer(`Shard ${number} cannot be read: ${error.message}`);
      continue;
    }
    changed = true;
    if (performance.now() - told > PATIENCE_MS) {
      assemble();
      told = performance.now();
    }
  }
  if (changed) assemble();
  document.documentElement.dataset.loaded = "true";
  return changed;
}

// Of a run at work they may be of a moment ago; then they are asked for again.
async function refreshNumbers() {
  numbers = await ask("numbers");
  renderOverview();
}

function tellServer(words) {
  find("served").textContent = words;
}

function describeProgress({ progress, total }) {
  const { prompts: asked, masks } = progress;
  return masks < asked ? `at work: ${masks} of ${asked} shards have masks, ${formatCount(total)} rows` : "";
}

async function watch() {
  try {
    const state = await ask("state");
    head.run.total = state.total;
    tellServer(describeProgress(state));
    if ((await loadAll(state)) || numbers?.stale) await refreshNumbers();
  } catch (error) {
    tellServer(error.message);
  }
  setTimeout(watch, POLL_MS);
}

// The first part that matters is enough to begin with; the others follow.
async function startServed() {
  const state = await ask("state");
  head.run.total = state.total;
  tellServer(describeProgress(state));
  if (!state.parts.length) {
    loading = Promise.resolve();
    setTimeout(watch, POLL_MS);
    return;
  }
  const { name } = readAddress();
  const { part } = name && name !== "overview" ? await ask("where", { id: name }) : { part: null };
  await loadPart(part ?? state.parts[0][0]);
  loading = loadAll(state).catch((error) => tellServer(error.message));
  loading.then(prepareRest);
}

// What takes the server longer and nobody waits for: texts to search in, and the figures.
async function prepareRest() {
  await ask("search").catch(() => {});
  await refreshNumbers().catch((error) => tellServer(error.message));
  setTimeout(watch, POLL_MS);
}

async function searchServed(words) {
  const found = new Map(Object.entries(await ask("search", { text: words.join(" ") })).map(([part, at]) => [Number(part), new Set(at)]));
  return (row) => found.get(row.part)?.has(row.at) ?? false;
}

async function sendMark(entry) {
  const response = await fetch("mark", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(entry) });
  if (!response.ok) throw new Error(await response.text());
}

source = {
  live: true,
  start: startServed,
  readDetails: async (row) => (await askRow(row)).details,
  readPrompt: async (row) => (await askRow(row)).prompt,
  readPicture: askPicture,
  findTexts: searchServed,
  readMarks: () => ask("marks"),
  writeMark: sendMark,
  ask,
};
