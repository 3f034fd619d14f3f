// Pictures at full size: zoom, drag, and two of them side by side under one movement.

const zoom = { prompt: null, shown: [0], scale: 1, x: 0, y: 0, fit: true };
const WHEEL = 1.0015;
const LARGEST_SCALE = 16;

async function openZoom(prompt, index) {
  if (!prompt || !prompt.pictures.length) return;
  Object.assign(zoom, { prompt, shown: [index], fit: true, x: 0, y: 0 });
  find("zoom").showModal();
  await renderZoom();
}

async function renderZoom() {
  const { prompt, shown: places } = zoom;
  const urls = await Promise.all(places.map((place) => source.readPicture(prompt, place, true)));
  const panes = places.map((place, order) => renderPane(prompt.pictures[place], place, urls[order]));
  find("zoom").replaceChildren(
    make(
      "div",
      { class: "zoom-bar" },
      prompt.pictures.length > 1 ? prompt.pictures.map((picture, place) => renderTab(picture, place)) : null,
      prompt.pictures.length > 1 ? make("button", { type: "button", "aria-pressed": String(places.length > 1), on: { click: switchCompare } }, "compare (c)") : null,
      make("span", { class: "zoom-size", role: "status" }),
      make("button", { type: "button", "aria-label": "Smaller (-)", on: { click: () => scaleBy(1 / 1.5) } }, "−"),
      make("button", { type: "button", "aria-label": "Larger (+)", on: { click: () => scaleBy(1.5) } }, "+"),
      make("button", { type: "button", on: { click: () => setScale(1) } }, "1 : 1"),
      make("button", { type: "button", on: { click: fitZoom } }, "fit"),
      make("button", { type: "button", "aria-label": "Close (z)", on: { click: () => find("zoom").close() } }, "✕"),
    ),
    make("div", { class: "panes" }, panes),
  );
  for (const image of find("zoom").querySelectorAll("img")) image.decode().then(place, place);
  place();
  // Whatever had the focus is gone; without one, keys would go to the page behind.
  find("zoom").querySelector(".pane").focus();
}

function renderTab(picture, place) {
  const on = zoom.shown.includes(place);
  return make("button", { type: "button", "aria-pressed": String(on), title: picture.name || null, on: { click: () => showPicture(place) } }, String(place + 1));
}

function renderPane(picture, place, url) {
  const name = picture.name || `picture ${place + 1}`;
  const body = url ? make("img", { src: url, alt: `Picture of the question: ${name}`, draggable: "false", class: "exact" }) : make("p", { class: "blank" }, "cannot be shown");
  const pane = make("figure", { class: "pane", tabindex: "0", "aria-label": `${name}; arrow keys move it` }, body);
  pane.facts = picture;
  pane.addEventListener("wheel", handleWheel, { passive: false });
  pane.addEventListener("pointerdown", startDrag);
  return pane;
}

function showPicture(place) {
  if (place >= zoom.prompt.pictures.length) return;
  zoom.shown = zoom.shown.length > 1 ? [zoom.shown[0], place] : [place];
  renderZoom();
}

function switchCompare() {
  const count = zoom.prompt.pictures.length;
  if (count < 2) return;
  zoom.shown = zoom.shown.length > 1 ? [zoom.shown[0]] : [zoom.shown[0], (zoom.shown[0] + 1) % count];
  zoom.fit = true;
  renderZoom();
}

// A scale of 1 is a pixel of the original on a pixel of the page, whatever size the copy here has.
function place() {
  const panes = [...find("zoom").querySelectorAll(".pane")];
  if (zoom.fit) {
    const sizes = panes.map((pane) => Math.min(pane.clientWidth / (pane.facts.width || 1), pane.clientHeight / (pane.facts.height || 1)));
    zoom.scale = Math.min(LARGEST_SCALE, Math.max(0.01, Math.min(...sizes)));
    zoom.x = zoom.y = 0;
  }
  for (const pane of panes) {
    const image = pane.querySelector("img");
    if (!image) continue;
    image.style.width = `${pane.facts.width * zoom.scale}px`;
    image.style.height = `${pane.facts.height * zoom.scale}px`;
    image.style.transform = `translate(calc(-50% + ${zoom.x}px), calc(-50% + ${zoom.y}px))`;
    image.classList.toggle("exact", zoom.scale > 2);
  }
  const facts = panes[0]?.facts;
  const size = find("zoom").querySelector(".zoom-size");
  if (facts && size) size.textContent = `${facts.width} × ${facts.height} · ${Math.round(zoom.scale * 100)} %`;
}

function setScale(scale) {
  zoom.fit = false;
  zoom.scale = Math.min(LARGEST_SCALE, Math.max(0.05, scale));
  place();
}

function scaleBy(factor) {
  const before = zoom.scale;
  setScale(before * factor);
  zoom.x *= zoom.scale / before;
  zoom.y *= zoom.scale / before;
  place();
}

function fitZoom() {
  zoom.fit = true;
  place();
}

function handleWheel(event) {
  event.preventDefault();
  scaleBy(WHEEL ** -event.deltaY);
}

function startDrag(event) {
  const pane = event.currentTarget;
  const from = [event.clientX - zoom.x, event.clientY - zoom.y];
  pane.setPointerCapture(event.pointerId);
  const drag = (move) => {
    zoom.fit = false;
    zoom.x = move.clientX - from[0];
    zoom.y = move.clientY - from[1];
    place();
  };
  pane.addEventListener("pointermove", drag);
  pane.addEventListener("pointerup", () => pane.removeEventListener("pointermove", drag), { once: true });
}

const ZOOM_STEP = 60;
const ZOOM_KEYS = {
  z: () => find("zoom").close(),
  c: switchCompare,
  0: fitZoom,
  "+": () => scaleBy(1.5),
  "=": () => scaleBy(1.5),
  "-": () => scaleBy(1 / 1.5),
  ArrowLeft: () => shift(ZOOM_STEP, 0),
  ArrowRight: () => shift(-ZOOM_STEP, 0),
  ArrowUp: () => shift(0, ZOOM_STEP),
  ArrowDown: () => shift(0, -ZOOM_STEP),
};

function shift(x, y) {
  zoom.fit = false;
  zoom.x += x;
  zoom.y += y;
  place();
}

function handleZoomKey(event) {
  if (Object.hasOwn(ZOOM_KEYS, event.key)) ZOOM_KEYS[event.key]();
  else if (/^[1-9]$/.test(event.key)) showPicture(Number(event.key) - 1);
  else return;
  event.preventDefault();
}

function setUpZoom() {
  find("zoom").addEventListener("keydown", handleZoomKey);
  window.addEventListener("resize", () => find("zoom").open && place());
}
