// The list on the left: what the filters leave.

const BATCH = 100;
let found = [];
let first = 0;
let listed = 0;
let searches = 0;

// All words of the search must occur, in the question, the answers, the reasons or the id.
async function applyFilters() {
  const search = (searches += 1);
  const words = filters.text.toLowerCase().split(/\s+/).filter(Boolean);
  let test = null;
  try {
    test = words.length ? await source.findTexts(words) : null;
  } catch (error) {
    if (search === searches) find("count").textContent = `The search failed: ${error.message}`;
    return;
  }
  if (search !== searches) return;
  found = selectRows(test);
  renderList(0);
  remember();
}

// After rows have come or changed: what was in sight stays there.
async function refreshList() {
  const top = find("list").scrollTop;
  const from = first;
  const words = filters.text.toLowerCase().split(/\s+/).filter(Boolean);
  const search = searches;
  const test = words.length ? await source.findTexts(words).catch(() => undefined) : null;
  // Of a search that fails, or a newer one, the rows in sight stay as they are.
  if (search !== searches || test === undefined) return;
  found = selectRows(test);
  renderList(Math.min(from, Math.max(0, found.length - 1)));
  find("list").scrollTop = top;
}

function renderList(from) {
  const list = find("list");
  list.replaceChildren();
  list.scrollTop = 0;
  first = from;
  listed = from;
  const narrowed = isNarrowed();
  find("count").textContent = narrowed ? `${formatCount(found.length)} of ${nameTrajectories(rows.length)}` : describeWhole();
  find("clear").hidden = !narrowed && !filters.sort;
  if (first) list.append(renderEarlier());
  if (found.length) extendList();
  else list.append(make("li", { class: "none" }, rows.length ? "Nothing fits these filters." : "No masks yet."));
  markCurrent();
}

function describeWhole() {
  const total = Math.max(head.run.total, rows.length);
  return rows.length < total ? `${formatCount(rows.length)} of ${nameTrajectories(total)} of the run` : nameTrajectories(total);
}

function nameTrajectories(count) {
  return `${formatCount(count)} ${count === 1 ? "trajectory" : "trajectories"}`;
}

function renderEarlier() {
  const words = `${formatCount(first)} before these`;
  return make("li", { class: "earlier" }, make("button", { type: "button", class: "link", on: { click: () => renderList(Math.max(0, first - BATCH)) } }, words));
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

function renderItem(row) {
  const prompt = prompts[row.prompt];
  const picture = prompt.pictures[0];
  return make(
    "li",
    {},
    make(
      "button",
      { type: "button", class: "item", data: { id: row.id }, on: { click: () => openRow(row) } },
      picture ? renderSmall(prompt, picture) : make("span", { class: "blank" }),
      make("span", { class: "asked", dir: "auto" }, nameQuestion(prompt)),
      make("span", { class: `result ${row.source}`, dir: "auto" }, renderOutcome(row), renderMarkSign(row)),
    ),
  );
}

// Read when it comes into sight: of a long list most pictures never do.
const sights = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) {
    if (!isIntersecting) continue;
    sights.unobserve(target);
    source.readPicture(target.prompt, 0, false).then((url) => url && target.setAttribute("src", url));
  }
});

function renderSmall(prompt, picture) {
  const image = make("img", { alt: "", decoding: "async", class: picture.exact ? "exact" : null });
  image.prompt = prompt;
  sights.observe(image);
  return image;
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
    const current = shown !== null && item.dataset.id === shown.id;
    if (current) item.setAttribute("aria-current", "true");
    else item.removeAttribute("aria-current");
  }
}

function showInList(row) {
  const place = found.indexOf(row);
  if (place >= 0 && (place < first || place > listed + 3 * BATCH)) renderList(Math.max(0, place - 20));
  while (place >= listed && listed < found.length) {
    find("list").querySelector(".more")?.remove();
    extendList();
  }
  markCurrent();
  const item = find("list").querySelector(".item[aria-current]");
  if (!item) return;
  const list = find("list");
  // On a phone the list is a strip above the trajectory, and the page must not jump back to it.
  if (list.scrollWidth > list.clientWidth) list.scrollLeft = item.offsetLeft - list.offsetLeft - 16;
  else item.scrollIntoView({ block: "nearest" });
}

function move(step) {
  if (!found.length) return;
  const place = shown === null ? -1 : found.indexOf(shown);
  const next = place < 0 ? 0 : Math.min(found.length - 1, Math.max(0, place + step));
  openRow(found[next]);
}
