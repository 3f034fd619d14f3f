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

async function openRow(row) {
  if (!row) return;
  await showDetails(row);
  // Somebody who holds j down is further by now.
  if (shown !== row) return;
  showView("trajectories");
  showInList(row);
}

function openId(id) {
  const row = findRow(id);
  if (row) return openRow(row);
  return showMissing(id);
}

// The address names what is shown and what narrows the list, so that both can be pointed at.
function remember() {
  if (!find("overview").hidden) rememberName("overview");
  else if (shown !== null) rememberName(shown.id);
}

function rememberName(name) {
  const hash = writeAddress(name);
  if (location.hash !== hash) history.replaceState(null, "", hash);
}

async function followAddress() {
  const { name, given } = readAddress();
  if (name === "view") return;
  for (const key of Object.keys(filters)) filters[key] = given.get(key) ?? "";
  showFilters();
  await applyFilters();
  if (name === "overview") {
    if (shown === null) await openRow(chooseFirst());
    showView("overview");
  } else if (name) {
    await openId(name);
  } else {
    await openRow(given.size ? found[0] : chooseFirst());
  }
}

// The best example to begin with: one error and its consequences, beside a picture.
function chooseFirst() {
  const tests = [
    (row) => row.roles.join() === "consequence,first" && row.kinds.join() === "substitution" && prompts[row.prompt].pictures.length,
    (row) => row.source === "repair" && prompts[row.prompt].pictures.length,
    (row) => row.source === "repair",
    () => true,
  ];
  for (const test of tests) {
    const row = rows.find(test);
    if (row) return row;
  }
  return null;
}

function switchTheme() {
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  setTheme(now === "dark" ? "light" : "dark");
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  keep("dfgen-theme", theme);
}

function restoreTheme() {
  const theme = recall("dfgen-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
}

function refresh() {
  if (shown !== null) shown = findRow(shown.id) ?? shown;
  renderChoices();
  return refreshList();
}

async function start() {
  restoreTheme();
  restoreFolds();
  if (recall(RAW) === "raw") toggleRaw();
  find("run-name").textContent = head.run.name;
  setUpFinding();
  setUpTips();
  setUpZoom();
  setUpJudging();
  setUpKeys();
  find("theme").addEventListener("click", switchTheme);
  find("to-overview").addEventListener("click", () => showView("overview"));
  find("to-trajectories").addEventListener("click", () => showView("trajectories"));
  if (source.start) await source.start();
  assemble();
  renderOverview();
  renderChoices();
  watchers.push(refresh);
  await followAddress();
  window.addEventListener("hashchange", followAddress);
  document.documentElement.dataset.ready = "true";
}

start();
