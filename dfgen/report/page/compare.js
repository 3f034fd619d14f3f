// Two runs of the same questions: what changed in grades, repairs and masks, with intervals.

const Z95 = 1.96;
const MOST_CHANGES = 200;

// What is compared for each question: of its rows in one run.
const COMPARED = {
  right: { name: "Right at first", format: (value) => formatShare(value, 1), read: (group) => mean(group.map((row) => (row.source === "correct" ? 1 : 0))) },
  repaired: { name: "Of the wrong ones repaired", format: (value) => formatShare(value, 1), read: (group) => mean(group.filter((row) => row.source !== "correct").map((row) => (row.source === "repair" ? 1 : 0))) },
  ratio: { name: "Edit ratio of repairs", format: (value) => formatShare(value, 1), read: (group) => mean(group.map((row) => row.ratio).filter((value) => value !== null)) },
  share: { name: "Mask share of repaired answers", format: (value) => formatShare(value, 1), read: (group) => mean(group.filter((row) => row.source === "repair").map((row) => row.masked / Math.max(1, row.tokens))) },
  tokens: { name: "Length in tokens", format: (value) => value.toFixed(1), read: (group) => mean(group.map((row) => row.tokens)) },
  attempts: { name: "Repair attempts of wrong answers", format: (value) => value.toFixed(2), read: (group) => mean(group.filter((row) => row.source !== "correct").map((row) => row.attempts)) },
};

function mean(values) {
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}

function groupByQuestion(list, names) {
  const groups = new Map();
  for (const row of list) {
    const name = names[row.prompt].id;
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(row);
  }
  return groups;
}

// Mean difference over questions that both have, paired by question, with its 95 % interval
// (normal approximation: mean ± 1.96 s / √n, s the standard deviation of the differences).
function measureDifference(pairs) {
  const differences = pairs.map(([one, other]) => other - one);
  const count = differences.length;
  const middle = mean(differences);
  if (count < 2) return { count, middle, low: null, high: null };
  const spread = Math.sqrt(differences.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (count - 1));
  const half = (Z95 * spread) / Math.sqrt(count);
  return { count, middle, low: middle - half, high: middle + half };
}

function compareRuns(ours, theirs) {
  const shared = [...ours.keys()].filter((name) => theirs.has(name));
  const lines = Object.values(COMPARED).map(({ name, format, read }) => {
    const pairs = shared.map((id) => [read(ours.get(id)), read(theirs.get(id))]).filter(([one, other]) => one !== null && other !== null);
    return { name, format, one: mean(pairs.map((pair) => pair[0])), other: mean(pairs.map((pair) => pair[1])), ...measureDifference(pairs) };
  });
  const changes = shared
    .map((id) => ({ id, one: COMPARED.right.read(ours.get(id)), other: COMPARED.right.read(theirs.get(id)), rows: [ours.get(id)[0], theirs.get(id)[0]] }))
    .filter(({ one, other }) => one !== other)
    .sort((a, b) => Math.abs(b.other - b.one) - Math.abs(a.other - a.one));
  return { shared: shared.length, lines, changes, moves: countMoves(shared, ours, theirs) };
}

// Of samples with the same number in both runs: from what to what.
function countMoves(shared, ours, theirs) {
  const counts = new Map();
  for (const id of shared) {
    const other = new Map(theirs.get(id).map((row) => [row.sample, row]));
    for (const row of ours.get(id)) {
      if (!other.has(row.sample)) continue;
      const key = `${row.source} ${other.get(row.sample).source}`;
      counts.set(key, (counts.get(key) || 0) + 1);
    }
  }
  return counts;
}

async function loadOther() {
  const { base } = head.other;
  const state = await source.ask("state", {}, base);
  const list = [];
  const names = [];
  for (const [number] of state.parts) {
    const part = await source.ask("part", { part: number }, base);
    const first = names.length;
    names.push(...part.prompts);
    part.rows.id?.forEach((id, at) => {
      const row = {};
      for (const [name, column] of Object.entries(part.rows)) row[name] = column[at];
      row.prompt += first;
      list.push(row);
    });
  }
  return groupByQuestion(list, names);
}

async function showComparison() {
  const panel = find("comparison");
  panel.replaceChildren(make("p", { class: "made" }, "Both runs are being read."));
  showView("comparison");
  await loading;
  const found = compareRuns(groupByQuestion(rows, prompts), await loadOther());
  panel.replaceChildren(
    make("h1", {}, `${head.run.name} and ${head.other.name}`),
    make("p", { class: "made" }, `${formatPlural(found.shared, "question")} in both; differences are the second run less the first, by question, with 95 % intervals.`),
    makeScroll("Differences", renderDifferences(found.lines)),
    make("h2", {}, "What became of each sample"),
    makeScroll("What became of each sample", renderMoves(found.moves)),
    make("h2", {}, `${formatPlural(found.changes.length, "question")} with another share of right answers`),
    make("ol", { class: "changes" }, found.changes.slice(0, MOST_CHANGES).map(renderChange)),
  );
  document.documentElement.dataset.compared = "true";
}

function renderDifferences(lines) {
  const sign = (value, format) => (value === null ? "–" : `${value > 0 ? "+" : ""}${format(value)}`.replace("-", "−"));
  const cells = lines.map(({ name, format, one, other, middle, low, high, count }) =>
    make(
      "tr",
      { class: low !== null && low * high > 0 ? "certain" : null },
      [name, one === null ? "–" : format(one), other === null ? "–" : format(other), sign(middle, format), low === null ? "–" : `${sign(low, format)} to ${sign(high, format)}`, formatCount(count)].map((text) => make("td", {}, text)),
    ),
  );
  return renderTable(["", head.run.name, head.other.name, "Difference", "95 % interval", "Questions"], cells);
}

function renderMoves(moves) {
  const codes = Object.keys(SOURCES);
  const lines = codes.map((from) => make("tr", {}, make("td", {}, SOURCES[from].long), codes.map((to) => make("td", {}, formatCount(moves.get(`${from} ${to}`) || 0)))));
  return renderTable([`${head.run.name} ↓ ${head.other.name} →`, ...codes.map((to) => SOURCES[to].long)], lines);
}

function renderChange({ one, other, rows: [row, second] }) {
  return make(
    "li",
    {},
    make("button", { type: "button", class: "link", on: { click: () => openId(row.id) } }, nameQuestion(prompts[row.prompt])),
    ` ${formatShare(one)} → ${formatShare(other)} right `,
    make("a", { href: `${head.other.base}#${encodeURIComponent(second.id)}` }, `open in ${head.other.name}`),
  );
}

function setUpComparison() {
  const button = find("to-comparison");
  button.hidden = !head.other;
  button.addEventListener("click", showComparison);
}
