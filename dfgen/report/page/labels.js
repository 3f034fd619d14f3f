// Marks leave the page here: as rows, and as labels that a benchmark scores masks against; and the
// marks of a second person come in, to see how far two people agree.

function listEntries() {
  return [...marks.values()].filter((entry) => !isEmpty(entry)).sort((one, other) => (one.trajectory_id < other.trajectory_id ? -1 : 1));
}

function writeLines(entries) {
  return entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
}

// A label needs a repair to compare with, and tokens that somebody vouches for: those of the mask
// where it was called good, those that were picked where it was not.
async function makeLabels() {
  const labels = [];
  for (const entry of listEntries()) {
    const row = findRow(entry.trajectory_id);
    if (!row || row.source !== "repair" || !(entry.mask === "good_mask" || entry.tokens)) continue;
    const label = labelRow(entry, await source.readDetails(row));
    if (label) labels.push(label);
  }
  return labels;
}

function labelRow(entry, details) {
  // Of a very long answer the page holds pieces, whose bytes nobody can count.
  if (details.steps.some((step) => step.places)) return null;
  const encoder = new TextEncoder();
  const chosen = entry.mask === "good_mask" ? null : new Set(entry.tokens);
  const spans = [];
  let at = 0;
  for (const step of details.steps) {
    step.tokens.forEach((token, place) => {
      const end = at + encoder.encode(token).length;
      // What stands beside something missing is marked and not wrong: labels, as those of corpora
      // do, mark no token for an insertion.
      const wrong = chosen ? chosen.has(step.first + place) : step.mask[place] === "1" && step.ops[place] !== "0";
      if (wrong && end > at) {
        const last = spans.at(-1);
        if (last && last[1] === at) last[1] = end;
        else spans.push([at, end]);
      }
      at = end;
    });
  }
  const text = (read) => details.steps.map(read).join("");
  return {
    id: entry.trajectory_id,
    wrong: text((step) => step.tokens.join("")),
    right: text((step) => step.repair.map((piece) => piece[0]).join("")),
    spans,
    by: entry.by,
  };
}

// A download is offered as a data: address: nothing is sent anywhere.
function saveText(name, text) {
  const bytes = new TextEncoder().encode(text);
  let binary = "";
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  const link = make("a", { href: `data:application/octet-stream;base64,${btoa(binary)}`, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

// Cohen's kappa (1960) of two lists of equal length; null where chance alone would agree always.
function measureKappa(ours, theirs) {
  const total = ours.length;
  if (!total) return null;
  const share = (list, value) => list.filter((each) => each === value).length / total;
  const agreed = ours.filter((value, place) => value === theirs[place]).length / total;
  const chance = [...new Set(ours)].reduce((sum, value) => sum + share(ours, value) * share(theirs, value), 0);
  return chance === 1 ? null : (agreed - chance) / (1 - chance);
}

function compareJudges(theirs) {
  const both = [];
  for (const entry of theirs) {
    const own = marks.get(entry.trajectory_id);
    if (own && !isEmpty(own) && !isEmpty(entry)) both.push([own, entry]);
  }
  const masks = both.filter(([own, entry]) => own.mask && entry.mask);
  const columns = (pairs, read) => [pairs.map(([own]) => read(own)), pairs.map(([, entry]) => read(entry))];
  return {
    mask: { rows: masks.length, kappa: measureKappa(...columns(masks, (entry) => entry.mask)) },
    grade: { rows: both.length, kappa: measureKappa(...columns(both, (entry) => entry.grade || "right_grade")) },
  };
}

function readLines(text) {
  const entries = [];
  text.split("\n").forEach((line, number) => {
    if (!line.trim()) return;
    let entry = null;
    try {
      entry = JSON.parse(line);
    } catch {
      // Told below.
    }
    if (typeof entry?.trajectory_id !== "string") throw new Error(`line ${number + 1} is no mark`);
    entries.push(entry);
  });
  return entries;
}

async function takeOthers(event) {
  const [file] = event.target.files;
  if (!file) return;
  const said = find("agreement-said");
  try {
    const { mask, grade } = compareJudges(readLines(await file.text()));
    const write = ({ rows: count, kappa }) => `${kappa === null ? "–" : kappa.toFixed(2)} (${formatPlural(count, "row")} judged by both)`;
    said.textContent = `Cohen’s κ with ${file.name}: masks ${write(mask)}, grades ${write(grade)}.`;
  } catch (error) {
    said.textContent = `${file.name} cannot be read as marks: ${error.message}.`;
  }
}

function renderMarksPanel() {
  const entries = listEntries();
  const panel = find("marks-panel");
  if (!panel) return;
  const count = (test) => entries.filter(test).length;
  panel.replaceChildren(
    make("h2", {}, "Your judgement"),
    make(
      "p",
      {},
      entries.length
        ? `${formatPlural(entries.length, "trajectory").replace("trajectorys", "trajectories")} marked: ${count((entry) => entry.mask === "good_mask")} good masks, ${count((entry) => entry.mask === "wrong_mask")} wrong ones, ${count((entry) => entry.grade)} wrong grades, ${count((entry) => entry.note)} notes.`
        : "Nothing marked yet: 1 good mask, 2 wrong mask, 3 wrong grade, n note, e correct the mask.",
    ),
    make(
      "p",
      { class: "actions" },
      make("button", { type: "button", id: "save-marks", on: { click: () => saveText("marks.jsonl", writeLines(listEntries())) } }, "Export marks (JSONL)"),
      make("button", { type: "button", id: "save-labels", on: { click: async () => saveText("labels.jsonl", writeLines(await makeLabels())) } }, "Export labels for mask_quality"),
      make("label", {}, "Marks of a second person ", make("input", { type: "file", id: "others", accept: ".jsonl", on: { change: takeOthers } })),
      head.judge === undefined
        ? make("label", {}, "Your name ", make("input", { id: "judge-name", value: nameJudge(), on: { change: (event) => keep(JUDGE, event.target.value) } }))
        : null,
    ),
    make("p", { id: "agreement-said", role: "status" }),
  );
}
