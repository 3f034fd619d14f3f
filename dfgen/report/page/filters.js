// What narrows the list and what orders it; all of it stands in the address.

// Filters by name: the values that a row has.
const CHOICES = {
  source: (row) => [row.source],
  reason: (row) => (row.reason ? [row.reason] : []),
  kind: (row) => row.kinds,
  role: (row) => row.roles,
  grader: (row) => (row.grader ? [row.grader] : []),
  repairer: (row) => (row.repairer ? [row.repairer] : []),
  finish: (row) => (row.finish && row.finish !== "stop" ? [row.finish] : []),
  mark: (row) => listMarks(row),
  meta: (row) => Object.entries(row.meta || {}).map(([name, value]) => `${name}=${value}`),
};

// Filters by size, which one can sort by, too. `scale` is what a person's number is multiplied by.
const MEASURES = {
  pass: { name: "Pass rate", unit: "%", scale: 0.01, read: (row) => row.pass },
  ratio: { name: "Edit ratio", unit: "%", scale: 0.01, read: (row) => row.ratio },
  share: { name: "Mask share", unit: "%", scale: 0.01, read: (row) => (row.tokens ? row.masked / row.tokens : 0) },
  tokens: { name: "Length", unit: "tokens", scale: 1, read: (row) => row.tokens },
  round: { name: "Repair rounds", unit: "attempts", scale: 1, read: (row) => row.attempts },
  cost: { name: "Cost", unit: "$", scale: 1, read: (row) => row.cost },
  step: { name: "First error", unit: "step", scale: 1, read: (row) => (row.firstStep === null || row.firstStep < 0 ? null : row.firstStep + 1) },
};

const filters = { text: "", sort: "" };
for (const name of [...Object.keys(CHOICES), ...Object.keys(MEASURES)]) filters[name] = "";

function readRange(text) {
  const [low, high] = text.split("..").map((part) => (part.trim() === "" ? null : Number(part)));
  return [low ?? -Infinity, high ?? Infinity];
}

function writeRange(low, high) {
  return low === "" && high === "" ? "" : `${low}..${high}`;
}

// Tests of rows, one for each filter that is set.
function compileFilters() {
  const tests = [];
  for (const [name, read] of Object.entries(CHOICES)) {
    if (filters[name]) tests.push((row) => read(row).includes(filters[name]));
  }
  for (const [name, { read }] of Object.entries(MEASURES)) {
    if (!filters[name]) continue;
    const [low, high] = readRange(filters[name]);
    tests.push((row) => {
      const value = read(row);
      return value !== null && value !== undefined && value >= low && value <= high;
    });
  }
  return tests;
}

function selectRows(search) {
  const tests = compileFilters();
  if (search) tests.push(search);
  const chosen = tests.length ? rows.filter((row) => tests.every((test) => test(row))) : rows.slice();
  return sortRows(chosen);
}

// Equal ones stay in the order of the run, and what has no such size comes last either way.
function sortRows(chosen) {
  const name = filters.sort.replace("-", "");
  if (!Object.hasOwn(MEASURES, name)) return chosen;
  const { read } = MEASURES[name];
  const sign = filters.sort.startsWith("-") ? -1 : 1;
  const last = sign * Infinity;
  return chosen
    .map((row) => [read(row) ?? last, row])
    .sort((one, other) => (one[0] === other[0] ? one[1].index - other[1].index : sign * (one[0] - other[0])))
    .map((pair) => pair[1]);
}

function isNarrowed() {
  return Object.entries(filters).some(([name, value]) => name !== "sort" && value);
}

function countValues(read) {
  const counts = new Map();
  for (const row of rows) for (const value of read(row)) counts.set(value, (counts.get(value) || 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1]);
}

// #<what is shown>&name=value&...
function writeAddress(name) {
  const set = Object.entries(filters).filter(([, value]) => value);
  return `#${[encodeURIComponent(name), ...set.map(([key, value]) => `${key}=${encodeURIComponent(value)}`)].join("&")}`;
}

function readAddress() {
  const [name, ...set] = location.hash.slice(1).split("&");
  const given = new Map();
  for (const each of set) {
    const [key, ...value] = each.split("=");
    if (Object.hasOwn(filters, key)) given.set(key, decodePart(value.join("=")));
  }
  return { name: decodePart(name), given };
}

function decodePart(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
