// Keys, and the dialog that lists them.

const KEYS = [
  ["j", "next trajectory", () => move(1)],
  ["k", "previous trajectory", () => move(-1)],
  ["/", "search", () => focusSearch()],
  ["z", "picture at full size; there: drag, + and -, 1 to 9, c compares two", () => openZoom(find("view").prompt, 0)],
  ["g", "all answers of the group side by side", () => find("view").prompt && showSideBySide(find("view").prompt)],
  ["1", "mark: good mask", () => judge("good_mask")],
  ["2", "mark: wrong mask", () => judge("wrong_mask")],
  ["3", "mark: wrong grade", () => judge("wrong_grade")],
  ["n", "write a note on this trajectory", () => focusNote()],
  ["e", "correct the mask: click tokens", () => toggleCorrecting()],
  ["o", "overview or trajectories", () => showView(find("overview").hidden ? "overview" : "trajectories")],
  ["m", "show only what carries the gradient", () => toggle("only-mask")],
  ["p", "shade tokens by how unlikely they were", () => toggle("doubt")],
  ["t", "show where tokens begin", () => toggle("edges")],
  ["r", "mathematics drawn or as text", () => toggleRaw()],
  ["h", "fold or unfold what explains the page", () => toggleLead()],
  ["d", "dark or light", () => switchTheme()],
  ["?", "this help", () => find("help").showModal()],
];

// What these do makes no sense to somebody who does not see a trajectory.
const OF_TRAJECTORIES = ["j", "k", "z", "g", "1", "2", "3", "n", "e"];

function toggle(name) {
  const on = document.body.classList.toggle(name);
  find("view").querySelector(`.switches [data-name="${name}"]`)?.setAttribute("aria-pressed", String(on));
}

const LEAD = "dfgen-lead";

function toggleLead() {
  const folded = document.body.classList.toggle("folded");
  find("fold").setAttribute("aria-expanded", String(!folded));
  keep(LEAD, folded ? "folded" : "open");
}

function restoreFolds() {
  if (recall(LEAD) === "folded") toggleLead();
}

function focusSearch() {
  showView("trajectories");
  find("search").focus();
  find("search").select();
}

function handleKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "Escape") {
    hideTip();
    return;
  }
  const entry = KEYS.find(([key]) => key === event.key);
  if (!entry) return;
  event.preventDefault();
  if (OF_TRAJECTORIES.includes(event.key) && find("trajectories").hidden) return;
  entry[2]();
}

function setUpKeys() {
  find("help").append(
    make("h2", { id: "help-title" }, "How to read this"),
    make("p", {}, "Left, the answer as the policy sampled it; right, the repair of a stronger model. The two are aligned token by token. Tokens that the repair changed are the ones that were wrong: a trainer lets the gradient flow there. Hover or tap a token for its probability."),
    make("h3", {}, "Keys"),
    make("dl", { class: "keymap" }, KEYS.map(([key, words]) => make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, words)))),
    make("form", { method: "dialog" }, make("button", { type: "submit" }, "Close")),
  );
  find("help").addEventListener("click", (event) => {
    if (event.target === find("help")) find("help").close();
  });
  find("fold").addEventListener("click", toggleLead);
  find("open-help").addEventListener("click", () => find("help").showModal());
  document.addEventListener("keydown", handleKey);
}
