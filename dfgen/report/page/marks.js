// What a person says of a trajectory: a good mask, a wrong one (and which tokens are wrong), a wrong
// grade, a note. One entry for each trajectory; the source keeps them, and they can be exported.

const MARKS = { good_mask: "good mask", wrong_mask: "wrong mask", wrong_grade: "wrong grade", note: "has a note", none: "not judged" };
const MASK_MARKS = ["good_mask", "wrong_mask"];
const JUDGE = "dfgen-judge";
const marks = new Map();
// One after the other: of two about a row the last one that is written holds.
let writing = Promise.resolve();

function emptyMark(row) {
  return { trajectory_id: row.id, mask: null, grade: null, note: "", tokens: null, by: nameJudge(), at: null };
}

function nameJudge() {
  return head.judge ?? recall(JUDGE) ?? "";
}

function listMarks(row) {
  const entry = marks.get(row.id);
  if (!entry || isEmpty(entry)) return ["none"];
  return [entry.mask, entry.grade, entry.note ? "note" : null].filter(Boolean);
}

function isEmpty(entry) {
  return !entry.mask && !entry.grade && !entry.note && !entry.tokens;
}

function renderMarkSign(row) {
  const [mark] = listMarks(row);
  if (mark === "none") return null;
  const sign = { good_mask: "●", wrong_mask: "○", wrong_grade: "≠", note: "✎" }[mark];
  return make("span", { class: `judged ${mark}`, title: MARKS[mark] }, ` ${sign}`, aside(MARKS[mark]));
}

function changeMark(row, changes) {
  const entry = { ...(marks.get(row.id) || emptyMark(row)), ...changes, by: nameJudge(), at: new Date().toISOString().slice(0, 19) + "Z" };
  marks.set(row.id, entry);
  writing = writing.then(() => source.writeMark(entry)).catch((error) => tellJudging(`The mark is not kept: ${error.message}`));
  refreshJudging(row);
}

// The same key again takes the mark back.
function judge(mark) {
  if (shown === null) return;
  const entry = marks.get(shown.id) || emptyMark(shown);
  const field = MASK_MARKS.includes(mark) ? "mask" : "grade";
  const changes = { [field]: entry[field] === mark ? null : mark };
  // Picked tokens say what is wrong with a mask; with that they go, too.
  if (field === "mask" && changes.mask !== "wrong_mask") changes.tokens = null;
  changeMark(shown, changes);
  showCorrection(shown);
}

function focusNote() {
  find("view").querySelector(".judging textarea")?.focus();
}

function toggleCorrecting() {
  if (shown === null) return;
  const on = document.body.classList.toggle("correcting");
  find("view").querySelector(".judging .correct")?.setAttribute("aria-pressed", String(on));
  showCorrection(shown);
}

// Tokens that a person says are wrong; begins as the mask itself.
function readCorrection(row) {
  const kept = marks.get(row.id)?.tokens;
  if (kept) return new Set(kept);
  const nodes = [...find("view").querySelectorAll(".sides .masked")];
  return new Set(nodes.map((node) => Number(node.dataset.token)));
}

function showCorrection(row) {
  const on = document.body.classList.contains("correcting");
  const chosen = on ? readCorrection(row) : new Set();
  for (const node of find("view").querySelectorAll(".sides .token")) {
    const wrong = on && chosen.has(Number(node.dataset.token));
    node.classList.toggle("gold", wrong);
    if (on) {
      node.setAttribute("tabindex", "0");
      node.setAttribute("role", "checkbox");
      node.setAttribute("aria-checked", String(wrong));
      // A line break or a blank has no name of its own.
      node.setAttribute("aria-label", `token ${node.dataset.token}: ${showSpace(node.raw)}`);
    } else {
      for (const name of ["tabindex", "role", "aria-checked", "aria-label"]) node.removeAttribute(name);
    }
  }
}

function correctToken(event) {
  const node = event.target.closest?.(".sides .token");
  if (!node || !document.body.classList.contains("correcting") || shown === null) return;
  if (event.type === "keydown" && ![" ", "Enter"].includes(event.key)) return;
  event.preventDefault();
  event.stopPropagation();
  const chosen = readCorrection(shown);
  const token = Number(node.dataset.token);
  if (!chosen.delete(token)) chosen.add(token);
  const at = find("view").querySelectorAll(".sides .token");
  const place = [...at].indexOf(node);
  changeMark(shown, { mask: "wrong_mask", tokens: [...chosen].sort((one, other) => one - other) });
  showCorrection(shown);
  at[place].focus();
}

function renderJudging(row) {
  const button = (mark, key, words) =>
    make("button", { type: "button", data: { mark }, title: key, "aria-pressed": "false", on: { click: () => judge(mark) } }, words);
  const note = make("textarea", { rows: 1, "aria-label": "Note (n)", placeholder: "note", on: { change: (event) => changeMark(row, { note: event.target.value }) } });
  const panel = make(
    "div",
    { class: "judging", role: "group", "aria-label": "Your judgement" },
    button("good_mask", "1", "good mask"),
    button("wrong_mask", "2", "wrong mask"),
    button("wrong_grade", "3", "wrong grade"),
    make("button", { type: "button", class: "correct", title: "Click the tokens that are wrong (e)", "aria-pressed": String(document.body.classList.contains("correcting")), on: { click: toggleCorrecting } }, "correct the mask"),
    note,
    make("span", { class: "told", role: "status" }),
  );
  fillJudging(panel, row);
  return panel;
}

function fillJudging(panel, row) {
  const entry = marks.get(row.id) || emptyMark(row);
  for (const each of panel.querySelectorAll("[data-mark]")) {
    each.setAttribute("aria-pressed", String([entry.mask, entry.grade].includes(each.dataset.mark)));
  }
  panel.querySelector("textarea").value = entry.note;
}

function refreshJudging(row) {
  const panel = find("view").querySelector(".judging");
  if (panel && shown === row) fillJudging(panel, row);
  const item = find("list").querySelector(".item[aria-current] .result");
  item?.querySelector(".judged")?.remove();
  const sign = renderMarkSign(row);
  if (sign) item?.append(sign);
  renderOptions("mark", (mark) => MARKS[mark]);
  renderMarksPanel();
}

function tellJudging(words) {
  const place = find("view").querySelector(".judging .told");
  if (place) place.textContent = words;
}

async function setUpJudging() {
  find("view").addEventListener("click", correctToken, true);
  find("view").addEventListener("keydown", correctToken, true);
  for (const entry of await source.readMarks()) marks.set(entry.trajectory_id, entry);
  if (marks.size && rows.length) refresh();
}
