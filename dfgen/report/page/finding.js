// The controls of search, filters and order.

const SELECTS = {
  reason: ["Refusal", nameReason],
  kind: ["Kind of edit", (kind) => KINDS[kind] || kind],
  role: ["Step", (role) => ROLES[role] || role],
  grader: ["Grader", (name) => name],
  repairer: ["Repairer", (name) => name],
  finish: ["End", (code) => FINISHES[code] || code],
  mark: ["Mark", (mark) => MARKS[mark] || mark],
  meta: ["Metadata", (entry) => entry],
};
const FIRST_SELECTS = ["reason", "kind", "role"];
const MOST_OPTIONS = 200;

function setFilters(changes) {
  Object.assign(filters, changes);
  showFilters();
  return applyFilters();
}

function clearFilters() {
  const none = Object.fromEntries(Object.keys(filters).map((name) => [name, ""]));
  return setFilters(none);
}

// A bar of a plot was picked: those rows.
function pick(changes) {
  for (const name of Object.keys(filters)) filters[name] = "";
  showView("trajectories");
  return setFilters(changes).then(() => found.length && openRow(found[0]));
}

// The controls say what the filters are, whoever set them.
function showFilters() {
  for (const chip of find("sources").children) {
    chip.setAttribute("aria-pressed", String(chip.dataset.source === filters.source));
  }
  if (find("search") !== document.activeElement) find("search").value = filters.text;
  for (const name of Object.keys(SELECTS)) find(name).value = filters[name];
  find("sort").value = filters.sort;
  for (const [name, { scale }] of Object.entries(MEASURES)) {
    const bounds = filters[name] ? filters[name].split("..") : ["", ""];
    ["low", "high"].forEach((end, place) => {
      const field = find(`${name}-${end}`);
      if (field !== document.activeElement) field.value = bounds[place] === "" ? "" : String(Number((Number(bounds[place]) / scale).toPrecision(6)));
    });
  }
}

function setUpFinding() {
  for (const [name, [words]] of Object.entries(SELECTS)) {
    const select = make("select", { id: name, on: { change: (event) => setFilters({ [name]: event.target.value }) } });
    const place = FIRST_SELECTS.includes(name) ? find("selects") : find("more-selects");
    place.append(make("label", {}, `${words} `, select));
  }
  const orders = Object.entries(MEASURES).flatMap(([name, { name: words }]) => [[`-${name}`, `${words}, highest first`], [name, `${words}, lowest first`]]);
  find("more-selects").append(
    make("label", {}, "Order ", make("select", { id: "sort", on: { change: (event) => setFilters({ sort: event.target.value }) } },
      make("option", { value: "" }, "as in the run"), orders.map(([value, words]) => make("option", { value }, words)))),
  );
  find("measures").append(...Object.entries(MEASURES).map(([name, measure]) => renderMeasure(name, measure)));
  let timer = 0;
  find("search").addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => setFilters({ text: event.target.value }), 120);
  });
  find("clear").addEventListener("click", clearFilters);
  find("open-find").addEventListener("click", () => {
    const open = document.body.classList.toggle("finding");
    find("open-find").setAttribute("aria-expanded", String(open));
    if (open) find("search").focus();
  });
}

function renderMeasure(name, { name: words, unit, scale }) {
  const read = (end) => {
    const text = find(`${name}-${end}`).value.trim();
    return text === "" || Number.isNaN(Number(text)) ? "" : String(Number((Number(text) * scale).toPrecision(8)));
  };
  const change = () => setFilters({ [name]: writeRange(read("low"), read("high")) });
  const field = (end, say) => make("input", { id: `${name}-${end}`, type: "number", step: "any", placeholder: say, "aria-label": `${words} ${say} (${unit})`, on: { change } });
  return make("div", { class: "measure" }, make("span", {}, `${words} `, make("small", {}, unit)), field("low", "from"), field("high", "to"));
}

// What can be chosen, with counts; again whenever rows have come.
function renderChoices() {
  const counts = new Map(countValues(CHOICES.source));
  const chips = [["", "All", rows.length]];
  for (const [code, words] of Object.entries(SOURCES)) {
    if (counts.has(code)) chips.push([code, `${words.sign} ${words.name}`, counts.get(code)]);
  }
  find("sources").replaceChildren(
    ...chips.map(([code, name, count]) =>
      make(
        "button",
        { type: "button", class: "chip", "aria-pressed": "false", data: { source: code }, on: { click: () => setFilters({ source: code }) } },
        name,
        make("span", { class: "number" }, formatCount(count)),
      ),
    ),
  );
  for (const [name, [, words]] of Object.entries(SELECTS)) renderOptions(name, words);
  for (const [name, { read }] of Object.entries(MEASURES)) {
    const values = new Set();
    for (const row of rows) if (values.add(read(row)).size > 2) break;
    find(`${name}-low`).parentNode.hidden = values.size < 2;
  }
  showFilters();
}

function renderOptions(name, words) {
  const select = find(name);
  const values = countValues(CHOICES[name]).slice(0, MOST_OPTIONS);
  if (filters[name] && !values.some(([value]) => value === filters[name])) values.push([filters[name], 0]);
  select.replaceChildren(
    make("option", { value: "" }, "any"),
    ...values.map(([value, count]) => make("option", { value }, `${words(value)} (${formatCount(count)})`)),
  );
  select.closest("label").hidden = !values.length;
}
