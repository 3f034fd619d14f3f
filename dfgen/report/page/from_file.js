// The page as one file: the index at once, packs of trajectories when they are needed.

const packs = new Map();
// The full texts of all trajectories in lower case, decoded at the first search that needs them.
let texts = null;

async function unpack(number) {
  const text = atob(find(`pack-${number}`).textContent);
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

function readPack(number) {
  if (!packs.has(number)) packs.set(number, unpack(number));
  return packs.get(number);
}

async function readPacked(row) {
  const pack = await readPack(Math.floor(row.at / head.packRows));
  return pack[row.at % head.packRows];
}

function readTexts() {
  texts ??= Promise.all(
    rows.map(async (row) => {
      const details = await readPacked(row);
      const pieces = details.steps.map(
        (step) => `${step.tokens.join("")}\n${step.repair.map((piece) => piece[0]).join("")}`,
      );
      const reasons = details.hunks.map((hunk) => hunk.reason || "");
      return [...pieces, ...reasons, nameAnswer(row)].join("\n").toLowerCase();
    }),
  );
  return texts;
}

function nameAnswer(row) {
  const prompt = prompts[row.prompt];
  return `${prompt.question}\n${prompt.answer}\n${row.id}\n${row.ownId ?? ""}`;
}

async function findTexts(words) {
  const full = await readTexts();
  return (row) => words.every((word) => full[row.index].includes(word));
}

// Marks stay in this browser, under the name of the run.
const KEPT_MARKS = `dfgen-marks:${head.run.name}:${head.run.created}`;

function recallMarks() {
  try {
    const entries = JSON.parse(recall(KEPT_MARKS) ?? "[]");
    return Array.isArray(entries) ? entries : [];
  } catch {
    return [];
  }
}

source = {
  live: false,
  readMarks: async () => recallMarks(),
  writeMark: async (entry) => keep(KEPT_MARKS, JSON.stringify([...recallMarks().filter((other) => other.trajectory_id !== entry.trajectory_id), entry])),
  readDetails: readPacked,
  readPrompt: async (row) => prompts[row.prompt],
  readPicture: async (prompt, index) => find(`picture-${prompts.indexOf(prompt)}-${index}`)?.textContent ?? null,
  findTexts,
};
takePart(0, head.part);
