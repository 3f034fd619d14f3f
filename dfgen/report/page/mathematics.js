// Formulas of LaTeX drawn as MathML by Temml (vendor/), where the page has it: `r` shows the text.
// A formula in marked text keeps its marks: what was changed is wrapped before it is drawn.

const FORMULA = /\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\]|\\\(([\s\S]+?)\\\)|\$(?!\s)((?:[^$\n\\]|\\.)+?)(?<!\s)\$(?!\d)/g;
const LONGEST_FORMULA = 2000;
const MOST_EXPANSIONS = 500;
const MARK_CLASS = /^m-(op[1-4]|new)-(\d+|x)$/;
const RAW = "dfgen-raw";

function canDraw() {
  return typeof temml !== "undefined";
}

function toggleRaw() {
  keep(RAW, document.body.classList.toggle("raw") ? "raw" : "drawn");
}

function listFormulas(text) {
  return [...text.matchAll(FORMULA)]
    .map((match) => ({ start: match.index, end: match.index + match[0].length, tex: match.slice(1).find((part) => part !== undefined), display: match[1] !== undefined || match[2] !== undefined, head: match[0].startsWith("$") && !match[0].startsWith("$$") ? 1 : 2 }))
    .filter(({ tex }) => tex.length <= LONGEST_FORMULA);
}

// The MathML of a formula; null where it is none. The only command beyond TeX is our own class.
function drawTex(tex, display) {
  const place = make("span", {});
  try {
    temml.render(tex, place, {
      displayMode: display, throwOnError: true, maxExpand: MOST_EXPANSIONS,
      trust: (context) => context.command === "\\class" && MARK_CLASS.test(context.class),
    });
  } catch {
    return null;
  }
  for (const node of place.querySelectorAll("[class]")) {
    const match = node.getAttribute("class").match(MARK_CLASS);
    if (!match) continue;
    node.setAttribute("class", `run ${match[1]}`);
    if (match[2] !== "x") node.dataset.hunk = match[2];
  }
  return place.firstChild;
}

// Plain text with its formulas drawn, for questions and answers to choose from.
function writeText(text) {
  if (!canDraw()) return [text];
  const nodes = [];
  let at = 0;
  for (const { start, end, tex, display } of listFormulas(text)) {
    const drawn = drawTex(tex, display);
    if (!drawn) continue;
    nodes.push(text.slice(at, start), make("span", { class: "formula" }, make("span", { class: "tex" }, text.slice(start, end)), drawn));
    at = end;
  }
  return [...nodes, text.slice(at)];
}

function rawOf(node) {
  if (node.raw !== undefined) return node.raw;
  if (node.nodeType === 3) return node.data;
  return node.classList.contains("gap") ? "" : [...node.childNodes].map(rawOf).join("");
}

function markOf(node) {
  const match = node.nodeType === 1 && node.classList.contains("run") ? node.className.match(/op[1-4]|new/) : null;
  return match ? `m-${match[0]}-${node.dataset.hunk ?? "x"}` : "";
}

// Marked text: its nodes stay, hidden behind the drawn formula, so that nothing is lost.
function drawFormulas(container) {
  if (!canDraw()) return;
  const nodes = [...container.childNodes];
  const marks = [];
  let text = "";
  const places = nodes.map((node) => {
    const raw = rawOf(node);
    const place = { node, start: text.length, end: text.length + raw.length };
    const mark = markOf(node);
    for (let at = 0; at < raw.length; at += 1) marks.push(mark);
    text += raw;
    return place;
  });
  for (const { start, end, tex, display, head: skip } of listFormulas(text)) {
    const inside = places.filter((place) => place.start < end && place.end > start && place.end > place.start);
    const own = marks.slice(start + skip, start + skip + tex.length);
    const drawn = drawMarked(tex, own, display);
    if (!drawn || !inside.length || inside.some((place) => place.node.parentNode !== container)) continue;
    const before = text.slice(inside[0].start, start);
    const after = text.slice(end, inside.at(-1).end);
    const hidden = make("span", { class: "tex" });
    const formula = make("span", { class: "formula" }, hidden, make("span", { class: "drawn" }, before, drawn, after));
    container.insertBefore(formula, inside[0].node);
    for (let node = inside[0].node; node; ) {
      const next = node === inside.at(-1).node ? null : node.nextSibling;
      hidden.append(node);
      node = next;
    }
  }
}

function drawMarked(tex, marks, display) {
  if (!marks.some(Boolean)) return drawTex(tex, display);
  const drawn = drawTex(wrapMarks(tex, marks), display);
  if (drawn) return drawn;
  // The change cuts through a command: the formula as a whole is marked then.
  const mark = marks.find(Boolean);
  return drawTex(`\\class{${mark}}{${tex}}`, display);
}

// Marks go round whole atoms of TeX: a command is not cut.
function wrapMarks(tex, marks) {
  let out = "";
  let open = "";
  const change = (mark) => {
    if (mark === open) return;
    if (open) out += "}";
    if (mark) out += `\\class{${mark}}{`;
    open = mark;
  };
  for (const match of tex.matchAll(/\\[a-zA-Z]+\s*|\\.|[\s\S]/g)) {
    const mark = marks.slice(match.index, match.index + match[0].length).find(Boolean) ?? "";
    // Braces and scripts belong to what stands around them, unless all of it changed alike.
    change("{}^_&".includes(match[0]) && mark !== open ? "" : mark);
    out += match[0];
  }
  change("");
  return out;
}
