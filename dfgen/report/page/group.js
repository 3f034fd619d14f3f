// All answers to one question at a glance: right and wrong, their masks on one scale, where they agree.

const TALLEST_STRIP = 60;

// The marks beside the badge; each opens its trajectory, or says that this page has it not.
function renderGroup(row, prompt) {
  if (prompt.group.length < 2) return null;
  const marks = prompt.group.map((member) => {
    const words = `Sample ${member.sample}: ${member.right ? "right" : "wrong"}`;
    const id = nameMember(prompt, member);
    const label = findRow(id) ? words : `${words}, not in this ${source.live ? "list" : "file"}`;
    return make(
      "button",
      {
        type: "button", class: `mark ${member.right ? "right" : "wrong"}${findRow(id) ? "" : " away"}`, title: label, "aria-label": label,
        "aria-current": member.sample === row.sample ? "true" : null, on: { click: () => openId(id) },
      },
      member.right ? "✓" : "✗",
    );
  });
  return make("span", { class: "group", role: "group", "aria-label": "All answers to this question" }, marks);
}

function nameMember(prompt, member) {
  return member.id || `${prompt.id}-${member.sample}`;
}

function renderGlance(row, prompt) {
  const members = prompt.group.filter((member) => member.tokens !== undefined);
  if (prompt.group.length < 2 || !members.length) return null;
  const longest = Math.max(...members.map((member) => member.tokens), 1);
  const right = prompt.group.filter((member) => member.right).length;
  return make(
    "section",
    { class: "glance", id: "glance" },
    make(
      "h2",
      {},
      `The group: ${formatCount(right)} of ${formatCount(prompt.group.length)} right `,
      make("button", { type: "button", class: "link", title: "g", on: { click: () => showSideBySide(prompt) } }, "side by side"),
    ),
    make("ol", {}, prompt.group.map((member) => make("li", {}, renderMember(row, prompt, member, longest)))),
    renderAgreement(prompt, members, longest),
  );
}

function renderMember(row, prompt, member, longest) {
  const known = member.tokens !== undefined;
  const masked = known ? countMasked(member) : 0;
  const words = known ? `${formatCount(masked)} of ${formatCount(member.tokens)}` : "no mask";
  const id = nameMember(prompt, member);
  return make(
    "button",
    {
      type: "button", class: `member ${member.right ? "right" : "wrong"}`, "aria-current": member.sample === row.sample ? "true" : null,
      title: findRow(id) ? null : "not in this page", on: { click: () => openId(id) },
    },
    make("span", { class: "sign" }, make("span", { "aria-hidden": "true" }, member.right ? "✓" : "✗"), aside(`sample ${member.sample}, ${member.right ? "right" : "wrong"},`)),
    make("span", { class: "said", dir: "auto" }, member.said ?? "–"),
    known ? drawBar(member, longest) : make("span"),
    make("span", { class: "number" }, words),
  );
}

function countMasked(member) {
  let sum = 0;
  for (let at = 0; at < member.mask.length; at += 2) sum += (member.mask[at + 1] ?? member.tokens) - member.mask[at];
  return sum;
}

// One token is one unit in every bar of the group.
function drawBar(member, longest) {
  const bar = draw("svg", { viewBox: `0 0 ${longest} 1`, preserveAspectRatio: "none", class: `bar ${member.source}`, "aria-hidden": "true" });
  bar.append(draw("rect", { class: "whole", x: 0, y: 0, width: member.tokens, height: 1 }));
  for (let at = 0; at < member.mask.length; at += 2) {
    const end = member.mask[at + 1] ?? member.tokens;
    bar.append(draw("rect", { class: "part", x: member.mask[at], y: 0, width: end - member.mask[at], height: 1 }));
  }
  return bar;
}

// Edits that several repairs of the group make, and the answers that several samples give.
function renderAgreement(prompt, members, longest) {
  const repaired = members.filter((member) => member.source === "repair");
  const edits = countEqual(repaired.map((member) => new Set(member.edits.map(([was, is]) => `${was.trim() || "nothing"} → ${is.trim() || "nothing"}`))));
  const answers = countEqual(members.filter((member) => member.said).map((member) => new Set([member.said])));
  const lines = [];
  for (const [edit, count] of edits.slice(0, 3)) lines.push(`${count} of ${repaired.length} repairs: ${edit}`);
  for (const [answer, count] of answers.slice(0, 3)) lines.push(`${count} of ${members.length} answer “${answer}”`);
  const strip = repaired.length > 1 ? drawStrip(repaired, longest) : null;
  if (!lines.length && !strip) return null;
  return make(
    "div",
    { class: "agreement" },
    make("h3", {}, "Where they agree"),
    strip,
    lines.length ? make("ul", {}, lines.map((line) => make("li", { dir: "auto" }, line))) : null,
  );
}

function countEqual(sets) {
  const counts = new Map();
  for (const set of sets) for (const value of set) counts.set(value, (counts.get(value) || 0) + 1);
  return [...counts].filter(([, count]) => count > 1).sort((one, other) => other[1] - one[1]);
}

// How many of the repairs' masks hold each place, on the scale of the bars.
function drawStrip(members, longest) {
  const cells = Math.min(TALLEST_STRIP, longest);
  const counts = new Array(cells).fill(0);
  for (const { mask, tokens } of members) {
    const touched = new Set();
    for (let at = 0; at < mask.length; at += 2) {
      const end = mask[at + 1] ?? tokens;
      for (let cell = Math.floor((mask[at] * cells) / longest); cell <= Math.floor(((end - 1) * cells) / longest); cell += 1) touched.add(cell);
    }
    for (const cell of touched) counts[cell] += 1;
  }
  const most = Math.max(...counts);
  const words = `At most ${most} of ${members.length} masks hold the same place`;
  const strip = draw("svg", { viewBox: `0 0 ${cells} 1`, preserveAspectRatio: "none", class: "strip", role: "img", "aria-label": words });
  counts.forEach((count, cell) => {
    if (!count) return;
    const part = draw("rect", { x: cell, y: 0, width: 1, height: 1 }, draw("title", {}, `${count} of ${members.length} masks`));
    part.style.opacity = String(count / members.length);
    strip.append(part);
  });
  return make("div", { class: "member" }, make("span"), make("span", { class: "said" }, "all masks"), strip, make("span"));
}

// The texts of all samples that the page has, in columns.
async function showSideBySide(prompt) {
  const dialog = find("sides");
  const here = prompt.group.map((member) => [member, findRow(nameMember(prompt, member))]).filter(([, row]) => row);
  const all = await Promise.all(here.map(([, row]) => source.readDetails(row)));
  const columns = here.map(([member, row], place) =>
    make(
      "article",
      { class: "column" },
      make(
        "h3",
        {},
        make("button", { type: "button", class: "link", on: { click: () => { dialog.close(); openRow(row); } } }, `Sample ${member.sample}`),
        renderVerdict(member.right, member.said),
      ),
      all[place].steps.map((step) => make("div", { class: "wrong" }, renderTokens(all[place], step))),
    ),
  );
  const away = prompt.group.length - here.length;
  dialog.replaceChildren(
    make("form", { method: "dialog" }, make("h2", {}, nameQuestion(prompt)), make("button", { type: "submit", "aria-label": "Close" }, "✕")),
    away ? make("p", { class: "made" }, `${formatPlural(away, "answer")} of the group ${away === 1 ? "is" : "are"} not in this page.`) : "",
    make("div", { class: "columns", tabindex: "0", role: "group", "aria-label": "Answers side by side" }, columns),
  );
  dialog.showModal();
}
