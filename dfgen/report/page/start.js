// Which view is shown, under which address, in which colours; and the beginning of it all.

function showView(name) {
  const overview = name === "overview";
  find("overview").hidden = !overview;
  find("trajectories").hidden = overview;
  document.querySelector(".lead").hidden = overview;
  find("to-overview").setAttribute("aria-pressed", String(overview));
  find("to-trajectories").setAttribute("aria-pressed", String(!overview));
  find("main").scrollTop = 0;
  hideTip();
  remember();
}

async function openRow(index) {
  await showDetails(index);
  // Somebody who holds j down is further by now.
  if (shown !== index) return;
  showView("trajectories");
  showInList(index);
}

// The address names what is shown, so that a trajectory can be pointed at.
function remember() {
  const name = find("overview").hidden ? rows[shown]?.id : "overview";
  if (name === undefined) return;
  const hash = `#${encodeURIComponent(name)}`;
  if (location.hash !== hash) history.replaceState(null, "", hash);
}

function readAddress() {
  let name = "";
  try {
    name = decodeURIComponent(location.hash.slice(1));
  } catch {
    return chooseFirst();
  }
  const index = rows.findIndex((row) => row.id === name);
  return index >= 0 ? index : chooseFirst();
}

// The best example to begin with: one error and its consequences, beside a picture.
function chooseFirst() {
  const tests = [
    (row) => row.roles.join() === "consequence,first" && row.kinds.join() === "substitution" && prompts[row.prompt].pictures.length,
    (row) => row.source === "repair" && prompts[row.prompt].pictures.length,
    (row) => row.source === "repair",
  ];
  for (const test of tests) {
    const index = rows.findIndex(test);
    if (index >= 0) return index;
  }
  return 0;
}

function switchTheme() {
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  setTheme(now === "dark" ? "light" : "dark");
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("dfgen-theme", theme);
  } catch {
    // Some browsers give a file no storage; the choice then lasts as long as the page.
  }
}

function restoreTheme() {
  try {
    const theme = localStorage.getItem("dfgen-theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch {
    // As above.
  }
}

async function start() {
  restoreTheme();
  find("run-name").textContent = head.run.name;
  setUpList();
  setUpTips();
  setUpKeys();
  renderOverview();
  find("theme").addEventListener("click", switchTheme);
  find("to-overview").addEventListener("click", () => showView("overview"));
  find("to-trajectories").addEventListener("click", () => showView("trajectories"));
  window.addEventListener("hashchange", () => {
    if (location.hash === "#overview") showView("overview");
    else if (location.hash !== "#view") openRow(readAddress());
  });
  const overview = location.hash === "#overview";
  await openRow(readAddress());
  if (overview) showView("overview");
  document.documentElement.dataset.ready = "true";
}

start();
