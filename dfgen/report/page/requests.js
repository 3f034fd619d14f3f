// What the policy and the repairer were asked, word for word; pictures stand as their numbers.

function renderChat(messages) {
  return make(
    "div",
    { class: "chat" },
    messages.map(({ role, parts }) =>
      make(
        "div",
        { class: "message" },
        make("b", {}, role),
        make("pre", { dir: "auto", tabindex: "0", role: "group", "aria-label": role }, parts.map((part) => (typeof part === "number" ? make("span", { class: "picture" }, `picture ${part}`) : part))),
      ),
    ),
  );
}

// Made when it is opened: most are never looked at.
function renderFolded(words, content) {
  const folded = make("details", {}, make("summary", {}, words));
  folded.addEventListener("toggle", () => folded.append(content()), { once: true });
  return folded;
}

function renderAsked(messages, words) {
  return messages ? renderFolded(words, () => renderChat(messages)) : null;
}

// The prompt that the policy answered, and why requests are not shown where they are not.
function renderSent(details) {
  const { sent } = details;
  if (!sent) return null;
  const why = sent.why ? make("p", { class: "made" }, sent.why) : null;
  return make("div", { class: "sent" }, renderAsked(sent.policy, "What the policy was asked"), why);
}

// Of each edit that the repairer was asked about once more: what came back decides "Needed".
function renderTests(details) {
  const tests = details.hunks.map((hunk, place) => [place + 1, hunk.test]).filter(([, test]) => test);
  if (!tests.length) return null;
  return make(
    "ol",
    { class: "attempts tests" },
    tests.map(([place, test]) =>
      make(
        "li",
        {},
        make("span", { class: "outcome" }, `Edit ${place} taken back: ${nameReason(test.reason)}`),
        test.detail ? make("span", { class: "detail" }, ` ${test.detail}`) : null,
        renderPrice(test),
        renderAsked(details.sent?.tests[test.number], "What the repairer was asked"),
        renderReturned(test),
      ),
    ),
  );
}

function renderReturned(attempt) {
  return make("details", {}, make("summary", {}, "What the repairer returned"), make("pre", { dir: "auto", tabindex: "0", role: "group", "aria-label": "returned text" }, attempt.text));
}

function renderPrice(attempt) {
  const cost = attempt.cost ? ` · ${formatCost(attempt.cost)}` : "";
  const written = attempt.written === null ? "? tokens" : formatPlural(attempt.written, "token");
  return make("span", { class: "price" }, ` ${attempt.read === null ? "?" : formatCount(attempt.read)} + ${written}${cost}`);
}

function renderAttempts(details) {
  if (!details.attempts.length) return null;
  return make(
    "ol",
    { class: "attempts" },
    details.attempts.map((attempt, number) =>
      make(
        "li",
        { class: attempt.accepted ? "accepted" : "refused" },
        make("span", { class: "outcome" }, `${attempt.accepted ? "✓ accepted" : `✗ refused: ${nameReason(attempt.reason)}`}`),
        attempt.detail ? make("span", { class: "detail" }, ` ${attempt.detail}`) : null,
        renderPrice(attempt),
        renderAsked(details.sent?.requests[number], "What the repairer was asked"),
        renderReturned(attempt),
      ),
    ),
  );
}
