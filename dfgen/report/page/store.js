// The data of the page: an index of rows in parts, and where the rest comes from. `source` is set by
// from_file.js (this very file holds all) or by the script of `dfgen view` (a program serves it):
//   readDetails(row), readPrompt(row), readPicture(prompt, index, whole) and findTexts(words),
//   which gives a test of rows; all of them promises.

const head = JSON.parse(find("head").textContent);
const rows = [];
const prompts = [];
const places = new Map();
const parts = new Map();
const watchers = [];
let source = null;
// Resolved when all rows are there.
let loading = null;

// A part that was made anew takes the place of the old one.
function takePart(number, { prompts: asked, rows: columns }) {
  const names = Object.keys(columns);
  const made = (columns.id || []).map((_, at) => {
    const row = { part: number, at, index: -1 };
    for (const name of names) row[name] = columns[name][at];
    row.question = row.prompt;
    return row;
  });
  parts.set(number, { prompts: asked, rows: made });
}

// Rows stand in the order of the run, whatever order the parts came in.
function assemble() {
  rows.length = 0;
  prompts.length = 0;
  places.clear();
  for (const number of [...parts.keys()].sort((one, other) => one - other)) {
    const part = parts.get(number);
    const first = prompts.length;
    for (const prompt of part.prompts) prompts.push(prompt);
    for (const row of part.rows) {
      row.index = rows.length;
      row.prompt = first + row.question;
      places.set(row.id, row.index);
      rows.push(row);
    }
  }
  for (const watcher of watchers) watcher();
}

function findRow(id) {
  const index = places.get(id);
  return index === undefined ? null : rows[index];
}
