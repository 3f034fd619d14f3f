// Small charts as SVG: one colour, few lines, the numbers also as words for those who cannot see them.

const WIDE = 360;
const TALL = 150;
const FOOT = 22;
const HEAD = 14;

function frameChart(title, takeaway, chart, table) {
  return make(
    "figure",
    { class: "chart" },
    make("figcaption", {}, make("b", {}, title), takeaway ? make("span", {}, takeaway) : null),
    chart,
    table ? make("details", {}, make("summary", {}, "Numbers"), table) : null,
  );
}

function tabulate(names, lines) {
  return renderTable(names, lines.map((line) => make("tr", {}, line.map((cell) => make("td", {}, String(cell))))));
}

// Columns over an axis. values: heights >= 0; labels: [place 0..n, text] under the axis.
// choose(index): the filters of a column's rows, for those who click it.
function drawColumns(values, { labels, format, describe, choose }) {
  const top = Math.max(...values, 0) || 1;
  const width = WIDE / values.length;
  const ground = TALL - FOOT;
  const chart = draw("svg", { viewBox: `0 0 ${WIDE} ${TALL}`, class: "columns", role: choose ? "group" : "img", "aria-label": values.map(describe).join("; ") });
  chart.append(draw("line", { class: "axis", x1: 0, x2: WIDE, y1: ground + 0.5, y2: ground + 0.5 }));
  const peak = values.indexOf(Math.max(...values));
  values.forEach((value, index) => {
    const height = ((ground - HEAD) * value) / top;
    const bar = draw("rect", {
      x: index * width + 1, y: ground - Math.max(height, value ? 1 : 0),
      width: width - 2, height: Math.max(height, value ? 1 : 0), rx: 1.5,
    });
    const zone = draw("rect", { class: "zone", x: index * width, y: 0, width, height: ground });
    chart.append(draw("g", { class: "bar", ...pickable(value && choose?.(index), describe(value, index)) }, draw("title", {}, describe(value, index)), zone, bar));
    if (index === peak && value) {
      const x = Math.min(WIDE - 12, Math.max(12, (index + 0.5) * width));
      chart.append(draw("text", { class: "value", x, y: ground - height - 4, "text-anchor": "middle" }, format(value)));
    }
  });
  for (const [place, text, anchor] of labels) {
    chart.append(draw("text", { class: "label", x: (place / values.length) * WIDE, y: TALL - 6, "text-anchor": anchor || "middle" }, text));
  }
  return chart;
}

// Rows with a name on the left. lines: [name, value, class].
function drawRows(lines, { format, describe, choose }) {
  const line = 24;
  const left = 165;
  const right = 46;
  const top = Math.max(...lines.map((each) => each[1]), 0) || 1;
  const height = lines.length * line;
  const chart = draw("svg", { viewBox: `0 0 ${WIDE} ${height}`, class: "rows", role: choose ? "group" : "img", "aria-label": lines.map(([name, value]) => describe(name, value)).join("; ") });
  lines.forEach(([name, value, style], index) => {
    const width = Math.max(value ? 1.5 : 0, ((WIDE - left - right) * value) / top);
    const y = index * line;
    chart.append(
      draw(
        "g",
        { class: `bar ${style || ""}`, ...pickable(choose?.(index), describe(name, value)) },
        draw("title", {}, describe(name, value)),
        draw("text", { class: "name", x: left - 8, y: y + 16, "text-anchor": "end" }, clip(name, 27)),
        draw("rect", { x: left, y: y + 5, width, height: line - 10, rx: 2 }),
        draw("text", { class: "value", x: left + width + 6, y: y + 16 }, format(value)),
      ),
    );
  });
  return chart;
}

// One bar of parts, with a legend of words below. parts: [name, value, class].
function drawParts(parts, format = formatCount, choose = undefined) {
  const total = parts.reduce((sum, part) => sum + part[1], 0) || 1;
  const words = parts.map(([name, value]) => `${name} ${formatShare(value / total)}`);
  const chart = draw("svg", { viewBox: `0 0 ${WIDE} 26`, class: "parts", preserveAspectRatio: "none", role: choose ? "group" : "img", "aria-label": words.join("; ") });
  let x = 0;
  for (const [index, [name, value, style]] of parts.entries()) {
    const width = (WIDE * value) / total;
    if (!value) continue;
    chart.append(
      draw("g", { class: `bar ${style}`, ...pickable(choose?.(index), `${name}: ${format(value)}`) }, draw("title", {}, `${name}: ${format(value)}`), draw("rect", { x, y: 0, width: Math.max(0.5, width - 1.5), height: 26, rx: 2 })),
    );
    x += width;
  }
  const legend = make(
    "ul",
    { class: "keys" },
    parts.map(([name, value, style]) =>
      make("li", {}, make("i", { class: style }), name, make("span", { class: "number" }, `${formatShare(value / total)}`), make("span", { class: "count" }, format(value))),
    ),
  );
  return make("div", {}, chart, legend);
}

function clip(text, length) {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

// A bar that stands for rows is a button: it narrows the list to them.
function pickable(changes, words) {
  if (!changes) return {};
  const go = () => pick(changes);
  const press = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    go();
  };
  return { role: "button", tabindex: 0, "aria-label": `${words}; show these`, on: { click: go, keydown: press } };
}
