// What codes of the data are called in the page.

const SOURCES = {
  repair: { name: "Repaired", sign: "✎", long: "wrong, repaired" },
  outcome: { name: "Unrepaired", sign: "✗", long: "wrong, no accepted repair" },
  correct: { name: "Right", sign: "✓", long: "right" },
};

const OPERATIONS = ["kept", "substituted", "deleted", "moved", "form only"];

const KINDS = {
  substitution: "substitution",
  deletion: "deletion",
  insertion: "insertion",
  move: "move",
  format: "form only",
};

const ROLES = {
  first: "first error",
  consequence: "consequence",
  independent: "further error",
  unchanged: "unchanged",
};

const HUNK_ROLES = { root: "root", consequence: "consequence" };

// Reasons that read badly without words of their own; the others lose their underscores.
const REASONS = {
  accepted: "accepted",
  not_finished: "not finished",
  empty: "empty",
  unchanged: "nothing changed",
  over_token_budget: "too many tokens changed",
  over_step_budget: "too many steps changed",
  over_hunk_budget: "too many edits",
  unreadable: "output not readable",
  does_not_apply: "edit does not apply",
  control_characters: "control characters",
  meta_talk: "talks about the answer",
  language: "another language",
  answer_wrong: "answer still wrong",
  answer_only: "only the answer changed",
  leak: "states the answer too early",
  truncated: "answer was cut off",
  too_long: "too long to compare",
  empty_completion: "answer is empty",
};

const FINISHES = {
  stop: "",
  length: "cut off at the length limit",
  content_filter: "stopped by a content filter",
};

// Masks of pairs may come without the question.
function nameQuestion(prompt) {
  return prompt.question || "A question that is not on record";
}

function nameReason(code) {
  return Object.hasOwn(REASONS, code) ? REASONS[code] : code.replaceAll("_", " ");
}

function formatCount(value) {
  return Math.round(value).toLocaleString("en-US");
}

function formatShare(value, digits = 0) {
  return value === null || value === undefined ? "–" : `${(100 * value).toFixed(digits)} %`;
}

function formatCost(value) {
  if (value === 0) return "$0";
  return value < 0.01 ? `$${value.toPrecision(2)}` : `$${value.toFixed(2)}`;
}

function formatPermille(value) {
  if (value === 0) return "< 0.1 %";
  return `${(value / 10).toFixed(value < 100 ? 1 : 0)} %`;
}

function formatPlural(count, word) {
  return `${formatCount(count)} ${word}${count === 1 ? "" : "s"}`;
}

// White space that an edit is about has to be seen.
function showSpace(text) {
  const shown = text.replaceAll("\n", "⏎").replaceAll("\t", "⇥");
  return shown.trim() ? shown : shown.replaceAll(" ", "␣");
}
