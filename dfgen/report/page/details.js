// One trajectory: question, picture, both sides, and how it was checked.

// The row in view; null where the address names one that this page does not have.
let shown = null;

async function showDetails(row) {
  shown = row;
  const [details, prompt] = await Promise.all([source.readDetails(row), source.readPrompt(row)]);
  if (shown !== row) return;
  const view = find("view");
  view.replaceChildren(
    renderQuestion(row, prompt),
    make(
      "div",
      { class: "board" },
      renderPictures(prompt),
      make("div", { class: "answers" }, renderRibbon(row, details), renderDifference(details), renderNotes(row, details), renderJudging(row)),
    ),
    ...[renderGlance(row, prompt)].filter(Boolean),
    make("div", { class: "grounds" }, renderHunks(details), renderChecks(row, details)),
  );
  view.details = details;
  view.prompt = prompt;
  showCorrection(row);
  view.scrollTop = 0;
  document.title = `${nameQuestion(prompt).slice(0, 60)} · dfgen report`;
}

// A link may name a trajectory of the run that this page has not; another one in its place would be
// taken for it.
function showMissing(id) {
  shown = null;
  const view = find("view");
  const { total, name } = head.run;
  const held = rows.length < total ? `It holds ${formatCount(rows.length)} of the ${formatCount(total)} trajectories of the run.` : "It holds all trajectories of the run.";
  view.replaceChildren(
    make(
      "section",
      { class: "missing" },
      make("h1", {}, "This trajectory is not in the page"),
      make("p", {}, "There is no ", make("code", {}, clip(id, 200)), ` here. ${held}`),
      make("p", {}, "To look at any trajectory of a run: ", make("code", {}, `dfgen view ${name}`), ", or a single one in a terminal: ", make("code", {}, `dfgen inspect ${name} --id …`), "."),
      make("button", { type: "button", class: "link", on: { click: () => openRow(chooseFirst()) } }, "Show one that is here"),
    ),
  );
  view.details = null;
  view.prompt = null;
  document.title = "Not in this page · dfgen report";
  showView("trajectories");
  rememberName(id);
  markCurrent();
}

function renderQuestion(row, prompt) {
  const letters = prompt.choices.map((choice, number) =>
    make("li", {}, make("b", {}, `${String.fromCharCode(65 + number)} `), writeText(choice)),
  );
  return make(
    "header",
    { class: "question" },
    make(
      "p",
      { class: "crumbs" },
      make("span", { class: `badge ${row.source}` }, `${SOURCES[row.source].sign} ${SOURCES[row.source].long}`),
      renderGroup(row, prompt),
      make("code", { class: "id", title: row.id }, row.id.length > 20 ? `${row.id.slice(0, 8)}…-${row.sample}` : row.id),
      row.ownId && row.ownId !== row.id ? make("code", { class: "id", title: "your own id" }, row.ownId) : null,
      make(
        "span",
        { class: "turn" },
        make("button", { type: "button", class: "quiet", "aria-label": "Previous (k)", on: { click: () => move(-1) } }, "←"),
        make("button", { type: "button", class: "quiet", "aria-label": "Next (j)", on: { click: () => move(1) } }, "→"),
      ),
    ),
    make("h1", { class: prompt.question.length > 180 ? "long" : null, dir: "auto" }, writeText(nameQuestion(prompt))),
    letters.length ? make("ol", { class: "choices" }, letters) : null,
    prompt.answer ? make("p", { class: "expected" }, "Reference answer ", make("b", {}, writeText(prompt.answer))) : null,
  );
}

function renderPictures(prompt) {
  if (!prompt.pictures.length) return null;
  return make("div", { class: "pictures" }, prompt.pictures.map((picture, index) => renderPicture(prompt, picture, index)));
}

function renderPicture(prompt, picture, index) {
  const name = picture.name || `picture ${index + 1}`;
  const shows = Boolean(picture.width);
  const note = shows ? `${picture.width} × ${picture.height}` : "cannot be shown";
  const image = make("img", { alt: `Picture of the question: ${name}`, class: picture.exact ? "exact" : null, width: picture.width, height: picture.height });
  if (shows) source.readPicture(prompt, index, false).then((url) => url && image.setAttribute("src", url));
  return make(
    "figure",
    {},
    shows
      ? make("button", { type: "button", class: "enlarge", title: "Full size (z)", "aria-label": `Full size: ${name}`, on: { click: () => openZoom(prompt, index) } }, image)
      : make("div", { class: "blank" }, "?"),
    make("figcaption", {}, picture.name ? `${picture.name} · ${note}` : note),
  );
}

// The whole completion as one line: where the gradient flows.
function renderRibbon(row, details) {
  const flags = details.steps.map((step) => step.mask).join("");
  const total = Math.max(1, flags.length);
  const words = `${formatCount(row.masked)} of ${formatPlural(row.tokens, "token")} carry the gradient`;
  const ribbon = draw("svg", { viewBox: `0 0 ${total} 1`, preserveAspectRatio: "none", role: "img", "aria-label": words });
  for (const match of flags.matchAll(/1+/g)) {
    ribbon.append(draw("rect", { x: match.index, y: 0, width: match[0].length, height: 1 }));
  }
  return make("div", { class: `ribbon ${row.source}` }, ribbon, make("p", {}, words), renderSwitches(details));
}

function renderSwitches(details) {
  const switches = [
    ["only-mask", "mask", "Show only what carries the gradient (m)"],
    ["edges", "tokens", "Show where tokens begin (t)"],
  ];
  if (details.steps.some((step) => step.permille)) {
    switches.splice(1, 0, ["doubt", "probability", "Shade tokens by how unlikely they were (p)"]);
  }
  return make(
    "span",
    { class: "switches" },
    switches.map(([name, words, long]) =>
      make(
        "button",
        { type: "button", title: long, data: { name }, "aria-pressed": String(document.body.classList.contains(name)), on: { click: () => toggle(name) } },
        words,
      ),
    ),
  );
}

function renderNotes(row, details) {
  const notes = [];
  const quality = details.quality;
  if (row.source === "correct") notes.push("The grader says it is right, so there is nothing to repair.");
  if (details.reject) notes.push(`No repair: ${nameReason(details.reject.reason)}. ${details.reject.detail}`);
  else if (row.source === "outcome") notes.push("No repair was accepted for this answer.");
  if (FINISHES[details.finish]) notes.push(`The answer was ${FINISHES[details.finish]}.`);
  if (details.repair && details.repair.copyOf) notes.push(`The repair of the identical answer ${details.repair.copyOf} was taken over.`);
  if (details.idsSource === "encoded") notes.push("Imported text: the token ids are its canonical encoding.");
  if (quality && quality.answer_only) notes.push("Only the final answer changed, not the reasoning before it.");
  if (quality && quality.ambiguous) notes.push("Several alignments were equally short; a fixed order chose this one.");
  if (quality && quality.approximate) notes.push("The texts were too long for an exact alignment.");
  return notes.length ? make("ul", { class: "notes" }, notes.map((note) => make("li", {}, note))) : null;
}

function renderHunks(details) {
  if (!details.hunks.length) return null;
  const reasons = details.hunks.some((hunk) => hunk.reason);
  const tested = details.hunks.some((hunk) => hunk.needed !== null);
  const told = details.hunks.some((hunk) => hunk.error);
  const valued = details.hunks.some((hunk) => hunk.value);
  const names = ["Step", "Was", "Is", "Kind", "Cause", "In mask"];
  if (told) names.push("Error of");
  if (tested) names.push("Needed");
  if (valued) names.push("Success before", "after it", "repaired", "Lost", "Won back");
  if (reasons) names.push("Reason given by the repairer");
  const lines = details.hunks.map((hunk, number) =>
    make(
      "tr",
      { data: { hunk: number } },
      make("td", {}, String(hunk.step + 1)),
      make("td", {}, hunk.wrong ? make("del", { class: `run ${styleOf(hunk, "op1")}` }, showSpace(hunk.wrong)) : renderNothing()),
      make("td", {}, hunk.right ? make("ins", { class: `run ${styleOf(hunk, "new")}` }, showSpace(hunk.right)) : renderNothing()),
      make("td", {}, KINDS[hunk.kind] || hunk.kind),
      make("td", {}, HUNK_ROLES[hunk.role] || "–"),
      make("td", {}, hunk.inMask ? "yes" : "no"),
      told ? make("td", {}, hunk.error || "–") : null,
      tested ? make("td", {}, describeNeed(hunk)) : null,
      valued ? VALUES.map((name) => make("td", { class: "number" }, hunk.value ? formatShare(hunk.value[name]) : "–")) : null,
      reasons ? make("td", { class: "reason" }, hunk.reason || "–") : null,
    ),
  );
  return make(
    "section",
    { class: valued ? "hunks wide" : "hunks" },
    make("h2", {}, formatPlural(details.hunks.length, "edit")),
    makeScroll("Edits", renderTable(names, lines)),
    valued ? make("p", { class: "made" }, "Success: the share of the policy’s own continuations that end right, from before the edit’s words, from after the wrong ones, and from after the repaired ones.") : null,
    renderTests(details),
  );
}

// As the value stage computes them: shares of continuations, and their differences.
const VALUES = ["before", "wrong", "repaired", "drop", "gain"];

function describeNeed(hunk) {
  if (hunk.needed === null) return "–";
  const judge = { grader: "grader", model: "repairer" }[hunk.neededBy];
  const weight = hunk.weight === null || hunk.weight === 1 ? "" : `, weight ${hunk.weight}`;
  return `${hunk.needed ? "yes" : "no"} (${judge}${weight})`;
}

function styleOf(hunk, usual) {
  return { move: "op3", format: "op4", deletion: "op2" }[hunk.kind] || usual;
}

function renderNothing() {
  return make("span", { class: "nothing" }, "nothing");
}

function renderTable(names, lines) {
  return make(
    "table",
    {},
    make("thead", {}, make("tr", {}, names.map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, lines),
  );
}

function renderChecks(row, details) {
  const facts = [];
  const verdict = details.verdict;
  if (verdict) {
    const said = verdict.extracted === null ? "no answer found" : `“${verdict.extracted}”`;
    facts.push(["Answer", `${said}, expected “${verdict.expected}”`]);
    facts.push(["Grader", [verdict.grader, verdict.method, verdict.detail].filter(Boolean).join(" · ")]);
  }
  const quality = details.quality;
  if (quality) {
    facts.push(["Edit ratio", `${formatShare(quality.edit_ratio)} of the tokens, ${formatShare(quality.step_edit_ratio)} of the steps`]);
    if (quality.format_only_share) facts.push(["Form only", `${formatShare(quality.format_only_share)} of the changed tokens`]);
  }
  if (details.valueStart !== null && details.valueStart !== undefined) facts.push(["Success", `${formatShare(details.valueStart)} of the policy’s answers to this question are right`]);
  if (details.repair) facts.push(["Repairer", `${details.repair.model} · ${details.repair.protocol}`]);
  if (details.repair && details.repair.alternatives) facts.push(["Agreement", `${formatPlural(details.repair.alternatives, "other accepted repair")}`]);
  const list = make("dl", {}, facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  return make("section", { class: "checks" }, make("h2", {}, "How it was checked"), list, renderSent(details), renderAttempts(details));
}
