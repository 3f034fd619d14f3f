// What hovering, tapping or focusing tells: about a token, and which edit it belongs to.

const tip = find("tip");
let lit = [];

function describeToken(node) {
  const details = find("view").details;
  const line = node.closest(".row");
  const number = [...line.parentNode.children].indexOf(line) - 1;
  const step = details.steps[number];
  const place = Number(node.dataset.place);
  const operation = Number(step.ops[place]);
  const hunk = step.hunks[place] >= 0 ? details.hunks[step.hunks[place]] : null;
  const lines = [];
  if (step.permille) lines.push(["Probability", formatPermille(step.permille[place])]);
  lines.push(["Token", `${formatCount(step.places ? step.places[place] : step.first + place)}, step ${number + 1}`]);
  if (details.hunks.length) lines.push(["Repair", describeOperation(operation, hunk)]);
  lines.push(["In the mask", step.mask[place] === "1" ? "yes" : "no"]);
  if (step.weights) lines.push(["Weight", step.weights[place].toFixed(2)]);
  if (hunk && hunk.role) lines.push(["Cause", HUNK_ROLES[hunk.role]]);
  if (hunk && hunk.reason) lines.push(["Reason", hunk.reason]);
  return [showSpace(step.tokens[place]), lines];
}

function describeOperation(operation, hunk) {
  if (!hunk || operation === 0) return OPERATIONS[operation];
  const text = hunk.right ? `→ ${showSpace(hunk.right)}` : "→ nothing";
  return `${OPERATIONS[operation]} ${clip(text, 60)}`;
}

function describeHunk(node) {
  const hunk = find("view").details.hunks[Number(node.dataset.hunk)];
  if (!hunk) return null;
  const lines = [["Was", hunk.wrong ? clip(showSpace(hunk.wrong), 80) : "nothing"], ["Kind", KINDS[hunk.kind] || hunk.kind]];
  if (hunk.role) lines.push(["Cause", HUNK_ROLES[hunk.role]]);
  if (hunk.reason) lines.push(["Reason", hunk.reason]);
  return [clip(showSpace(hunk.right || "nothing"), 80), lines];
}

function showTip(node) {
  const told = node.classList.contains("token") ? describeToken(node) : describeHunk(node);
  if (!told) return hideTip();
  const [title, lines] = told;
  tip.replaceChildren(
    make("b", {}, title),
    make("dl", {}, lines.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
  );
  tip.hidden = false;
  const box = node.getClientRects()[0] || node.getBoundingClientRect();
  const size = tip.getBoundingClientRect();
  const left = Math.max(8, Math.min(box.left, window.innerWidth - size.width - 8));
  const above = box.top - size.height - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 8 ? above : box.bottom + 8}px`;
  return undefined;
}

function hideTip() {
  tip.hidden = true;
}

// Both sides of an edit, and its line in the table, light up together.
function light(hunk) {
  for (const node of lit) node.classList.remove("lit");
  lit = hunk === undefined || hunk === "-1" ? [] : [...find("view").querySelectorAll(`[data-hunk="${Number(hunk)}"]`)];
  for (const node of lit) node.classList.add("lit");
}

function handlePointer(event) {
  if (!find("view").details) return;
  const target = event.target.closest(".token, ins[data-hunk], .gap[data-hunk]");
  light(event.target.closest("[data-hunk]")?.dataset.hunk);
  if (target && !target.closest("table")) showTip(target);
  else hideTip();
}

function setUpTips() {
  find("view").addEventListener("pointerover", handlePointer);
  find("view").addEventListener("click", handlePointer);
  find("view").addEventListener("pointerleave", () => {
    hideTip();
    light();
  });
  window.addEventListener("scroll", hideTip, { passive: true, capture: true });
}
