// The two sides of a trajectory, step by step, in marked tokens.

function renderDifference(details) {
  const paired = details.steps.some((step) => step.repair.length);
  const table = make("div", { class: paired ? "sides" : "sides single", role: "table" });
  table.append(renderHeads(details, paired));
  let fenced = false;
  details.steps.forEach((step, number) => {
    const text = step.tokens.join("");
    const fences = text.split("```").length - 1;
    table.append(renderStep(details, step, number, paired, fenced || fences > 0));
    if (fences % 2) fenced = !fenced;
  });
  return table;
}

function renderHeads(details, paired) {
  const verdict = details.verdict;
  const said = verdict && verdict.extracted !== null ? verdict.extracted : null;
  const right = details.right;
  const heads = [
    make("div", { class: "gutter", role: "columnheader" }, aside("Step")),
    make(
      "div",
      { class: "wrong", role: "columnheader" },
      make("b", {}, "Policy’s answer"),
      renderVerdict(right, said),
    ),
  ];
  if (paired) {
    const repaired = details.repair && details.repair.verdict;
    heads.push(
      make(
        "div",
        { class: "right", role: "columnheader" },
        make("b", {}, "Repair"),
        repaired ? renderVerdict(repaired.correct, repaired.extracted) : null,
      ),
    );
  }
  return make("div", { class: "row heads", role: "row" }, heads);
}

function renderVerdict(right, said) {
  const words = right ? "right" : "wrong";
  return make(
    "span",
    { class: `verdict ${words}` },
    make("span", { "aria-hidden": "true" }, right ? "✓ " : "✗ "),
    words,
    said === null || said === undefined ? null : make("span", { class: "said" }, ` · ${said}`),
  );
}

function renderStep(details, step, number, paired, code = false) {
  const changed = paired && step.role !== null && step.role !== "unchanged";
  const touched = changed || step.repair.some((piece) => piece[1] >= 0) || step.gaps.length > 0;
  const cells = [
    make(
      "div",
      { class: "gutter", role: "rowheader" },
      make("span", { class: "number" }, aside("Step "), String(number + 1)),
      changed ? make("span", { class: `role ${step.role}` }, ROLES[step.role] || step.role) : null,
    ),
    make("div", { class: "wrong", role: "cell" }, renderTokens(details, step)),
  ];
  if (paired) cells.push(make("div", { class: "right", role: "cell" }, renderPieces(details, step)));
  for (const text of cells.flatMap((cell) => [...cell.querySelectorAll(".text")])) {
    // In code a dollar is a dollar.
    if (code) text.classList.add("code");
    else drawFormulas(text);
  }
  return make("div", { class: `row${touched ? " touched" : ""}`, role: "row" }, cells);
}

function renderTokens(details, step) {
  const text = make("div", { class: "text" });
  const gaps = new Map(step.gaps);
  let run = null;
  step.tokens.forEach((token, place) => {
    if (gaps.has(place)) {
      text.append(renderGap(details, gaps.get(place)));
      run = null;
    }
    if (token === "") return;
    const operation = Number(step.ops[place]);
    const hunk = step.hunks[place];
    let word = token;
    if (operation === 0) run = null;
    else if (!run || run.operation !== operation || run.hunk !== hunk) {
      // The space that a token begins with is not what the eye should be drawn to.
      word = token.trimStart() || token;
      if (word !== token) {
        text.append(renderToken(step, place, token.slice(0, -word.length), 0));
      }
      const node = make("del", {
        class: `run op${operation}`,
        "aria-label": OPERATIONS[operation],
        data: hunk >= 0 ? { hunk } : {},
      });
      text.append(node);
      run = { node, operation, hunk };
    }
    (run ? run.node : text).append(renderToken(step, place, word, operation));
  });
  if (gaps.has(step.tokens.length)) text.append(renderGap(details, gaps.get(step.tokens.length)));
  trimEnd(text);
  return text;
}

// The word is the whole token, or the rest of one whose first space stands before it.
function renderToken(step, place, word, operation) {
  const masked = step.mask[place] === "1";
  const anchor = masked && step.ops[place] === "0" && step.role !== null;
  const rest = step.tokens[place].length > word.length && operation !== 0;
  const names = ["token", masked && "masked", anchor && "anchor", rest && "rest"];
  const node = make(
    "span",
    { class: names.filter(Boolean).join(" "), data: { place, token: step.places ? step.places[place] : step.first + place } },
    operation ? showLoneSpace(word) : word,
  );
  node.raw = word;
  if (step.permille) {
    node.style.setProperty("--doubt", String(1 - Math.sqrt(step.permille[place] / 1000)));
  }
  return node;
}

function renderGap(details, hunks) {
  const missing = hunks.map((number) => details.hunks[number].right).join(" ");
  return make(
    "span",
    { class: "gap", role: "img", "aria-label": `missing here: ${missing}`, data: { hunk: hunks[0] ?? -1 } },
    "+",
  );
}

function renderPieces(details, step) {
  const text = make("div", { class: "text" });
  for (const [piece, hunk] of step.repair) {
    if (hunk < 0) {
      text.append(piece);
      continue;
    }
    const kind = details.hunks[hunk].kind;
    const style = { move: "op3", format: "op4" }[kind] || "new";
    const word = piece.trimStart() || piece;
    text.append(
      piece.slice(0, piece.length - word.length),
      Object.assign(make("ins", { class: `run ${style}`, "aria-label": `new, ${KINDS[kind]}`, data: { hunk } }, showLoneSpace(word)), { raw: word }),
    );
  }
  trimEnd(text);
  return text;
}

// A mark on white space alone would be invisible at the end of a line.
function showLoneSpace(text) {
  return text.trim() ? text : text.replaceAll(" ", "␣").replaceAll("\n", "⏎\n").replaceAll("\t", "⇥");
}

// The line break that ends a step is drawn by the row itself.
function trimEnd(text) {
  let last = text.lastChild;
  while (last && last.nodeType === 1 && last.className.includes("token")) last = last.lastChild;
  if (last && last.nodeType === 3) last.data = last.data.replace(/\n+$/, "");
}
