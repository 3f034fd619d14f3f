// The data of the page: the index at once, packs of trajectories when they are needed.

const head = JSON.parse(find("head").textContent);
const rows = head.rows;
const prompts = head.prompts;
const packs = new Map();

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

async function readDetails(index) {
  const pack = await readPack(Math.floor(index / head.packRows));
  return pack[index % head.packRows];
}

function readPicture(prompt, index) {
  const block = find(`picture-${prompt}-${index}`);
  return block ? block.textContent : null;
}

// The full texts of all trajectories in lower case, decoded at the first search that needs them.
let texts = null;

function readTexts() {
  texts ??= Promise.all(
    rows.map(async (_, index) => {
      const details = await readDetails(index);
      const parts = details.steps.map(
        (step) => `${step.tokens.join("")}\n${step.repair.map((piece) => piece[0]).join("")}`,
      );
      const reasons = details.hunks.map((hunk) => hunk.reason || "");
      return [...parts, ...reasons].join("\n").toLowerCase();
    }),
  );
  return texts;
}
