// Keys, and the dialog that lists them.

const KEYS = [
  ["j", "next trajectory", () => move(1)],
  ["k", "previous trajectory", () => move(-1)],
  ["/", "search", () => focusSearch()],
  ["o", "overview or trajectories", () => showView(find("overview").hidden ? "overview" : "trajectories")],
  ["m", "show only what carries the gradient", () => toggle("only-mask")],
  ["p", "shade tokens by how unlikely they were", () => toggle("doubt")],
  ["t", "show where tokens begin", () => toggle("edges")],
  ["d", "dark or light", () => switchTheme()],
  ["?", "this help", () => find("help").showModal()],
];

function toggle(name) {
  const on = document.body.classList.toggle(name);
  find("view").querySelector(`.switches [data-name="${name}"]`)?.setAttribute("aria-pressed", String(on));
}

function focusSearch() {
  showView("trajectories");
  find("search").focus();
  find("search").select();
}

function handleKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || find("help").open) return;
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
  if (!["j", "k"].includes(event.key) || find("overview").hidden) entry[2]();
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
  find("open-help").addEventListener("click", () => find("help").showModal());
  document.addEventListener("keydown", handleKey);
}
