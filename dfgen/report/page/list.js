// The list on the left: search, filters, and what they leave.

const filters = { text: "", source: "", reason: "", kind: "", role: "" };
const BATCH = 100;
let found = rows.map((_, index) => index);
let listed = 0;
let searches = 0;

function matches(row) {
  return (
    (!filters.source || row.source === filters.source) &&
    (!filters.reason || row.reason === filters.reason) &&
    (!filters.kind || row.kinds.includes(filters.kind)) &&
    (!filters.role || row.roles.includes(filters.role))
  );
}

// All words of the search must occur, in the question, the answers, the reasons or the id.
async function applyFilters() {
  const search = (searches += 1);
  const words = filters.text.toLowerCase().split(/\s+/).filter(Boolean);
  const full = words.length ? await readTexts() : null;
  if (search !== searches) return;
  found = [];
  rows.forEach((row, index) => {
    if (!matches(row)) return;
    if (full) {
      const prompt = prompts[row.prompt];
      const text = `${prompt.question}\n${prompt.answer}\n${row.id}\n${row.ownId ?? ""}\n`.toLowerCase() + full[index];
      if (!words.every((word) => text.includes(word))) return;
    }
    found.push(index);
  });
  renderList();
}

function renderList() {
  const list = find("list");
  list.replaceChildren();
  list.scrollTop = 0;
  listed = 0;
  const narrowed = found.length < rows.length;
  find("count").textContent = narrowed
    ? `${formatCount(found.length)} of ${nameTrajectories(rows.length)}`
    : describeWhole();
  find("clear").hidden = !narrowed && !Object.values(filters).some(Boolean);
  if (found.length) extendList();
  else list.append(make("li", { class: "none" }, "Nothing fits these filters."));
  markCurrent();
}

function describeWhole() {
  const { shown: count, total } = head.run;
  return count < total ? `${formatCount(count)} of ${nameTrajectories(total)} of the run` : nameTrajectories(total);
}

function nameTrajectories(count) {
  return `${formatCount(count)} ${count === 1 ? "trajectory" : "trajectories"}`;
}

function extendList() {
  const next = found.slice(listed, listed + BATCH);
  find("list").append(...next.map(renderItem));
  listed += next.length;
  if (listed < found.length) {
    const more = make("li", { class: "more" });
    find("list").append(more);
    new IntersectionObserver((seen, observer) => {
      if (!seen.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      more.remove();
      extendList();
      markCurrent();
    }).observe(more);
  }
}

function renderItem(index) {
  const row = rows[index];
  const prompt = prompts[row.prompt];
  const url = prompt.pictures.length ? readPicture(row.prompt, 0) : null;
  return make(
    "li",
    {},
    make(
      "button",
      { type: "button", class: "item", data: { index }, on: { click: () => openRow(index) } },
      url ? make("img", { src: url, alt: "", loading: "lazy", decoding: "async", class: prompt.pictures[0].exact ? "exact" : null }) : make("span", { class: "blank" }),
      make("span", { class: "asked" }, nameQuestion(prompt)),
      make("span", { class: `result ${row.source}` }, renderOutcome(row)),
    ),
  );
}

function renderOutcome(row) {
  if (row.source === "correct") return ["✓ right"];
  if (row.source === "outcome") return [`✗ ${row.reason ? nameReason(row.reason) : "unrepaired"}`];
  if (!row.edit) return ["✎ repaired"];
  const [was, is] = row.edit;
  return [
    was ? make("del", { class: "run op1" }, was) : make("span", { class: "gap" }, "+"),
    " → ",
    is ? make("ins", { class: "run new" }, is) : make("span", { class: "nothing" }, "nothing"),
  ];
}

function markCurrent() {
  for (const item of find("list").querySelectorAll(".item")) {
    const current = Number(item.dataset.index) === shown;
    if (current) item.setAttribute("aria-current", "true");
    else item.removeAttribute("aria-current");
  }
}

function showInList(index) {
  const place = found.indexOf(index);
  while (place >= listed && listed < found.length) {
    find("list").querySelector(".more")?.remove();
    extendList();
  }
  markCurrent();
  const item = find("list").querySelector(`[data-index="${index}"]`);
  if (!item) return;
  const list = find("list");
  // On a phone the list is a strip above the trajectory, and the page must not jump back to it.
  if (list.scrollWidth > list.clientWidth) list.scrollLeft = item.offsetLeft - list.offsetLeft - 16;
  else item.scrollIntoView({ block: "nearest" });
}

function move(step) {
  if (!found.length) return;
  const place = found.indexOf(shown);
  const next = place < 0 ? 0 : Math.min(found.length - 1, Math.max(0, place + step));
  openRow(found[next]);
}

function countValues(read) {
  const counts = new Map();
  for (const row of rows) for (const value of read(row)) counts.set(value, (counts.get(value) || 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1]);
}

function setUpSelect(id, name, read, words) {
  const select = find(id);
  const values = countValues(read);
  select.append(make("option", { value: "" }, "any"));
  for (const [value, count] of values) select.append(make("option", { value }, `${words(value)} (${formatCount(count)})`));
  select.closest("label").hidden = !values.length;
  select.addEventListener("change", () => setFilter(name, select.value));
}

function setFilter(name, value) {
  filters[name] = value;
  for (const chip of find("sources").children) {
    chip.setAttribute("aria-pressed", String(chip.dataset.source === filters.source));
  }
  return applyFilters();
}

function clearFilters() {
  for (const name of Object.keys(filters)) filters[name] = "";
  find("search").value = "";
  for (const id of ["reason", "kind", "role"]) find(id).value = "";
  return setFilter("source", "");
}

function setUpList() {
  const counts = new Map(countValues((row) => [row.source]));
  const chips = [["", "All", rows.length]];
  for (const [source, words] of Object.entries(SOURCES)) {
    if (counts.has(source)) chips.push([source, `${words.sign} ${words.name}`, counts.get(source)]);
  }
  find("sources").append(
    ...chips.map(([source, name, count]) =>
      make(
        "button",
        { type: "button", class: "chip", "aria-pressed": String(source === ""), data: { source }, on: { click: () => setFilter("source", source) } },
        name,
        make("span", { class: "number" }, formatCount(count)),
      ),
    ),
  );
  setUpSelect("reason", "reason", (row) => (row.reason ? [row.reason] : []), nameReason);
  setUpSelect("kind", "kind", (row) => row.kinds, (kind) => KINDS[kind] || kind);
  setUpSelect("role", "role", (row) => row.roles, (role) => ROLES[role] || role);
  let timer = 0;
  find("search").addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => setFilter("text", event.target.value), 120);
  });
  find("clear").addEventListener("click", clearFilters);
  find("open-find").addEventListener("click", () => {
    const open = document.body.classList.toggle("finding");
    find("open-find").setAttribute("aria-expanded", String(open));
    if (open) find("search").focus();
  });
  renderList();
}
