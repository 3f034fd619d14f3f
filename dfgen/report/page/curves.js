// Learning curves that a study or a training run wrote: means over the seeds, with their range.

const CURVE_TALL = 190;
const CURVE_LEFT = 34;

function renderCurves(charts) {
  if (!charts || !charts.length) return null;
  return make(
    "section",
    { class: "learning" },
    make("h2", {}, "Learning curves"),
    make("div", { class: "charts" }, charts.map(chartCurves)),
  );
}

function chartCurves({ title, curves }) {
  const ends = curves.map(({ name, points }) => {
    const [step, mean, low, high, count] = points[points.length - 1];
    return [name, formatFigure(step), formatFigure(mean), count > 1 ? `${formatFigure(low)} to ${formatFigure(high)}` : "–", count];
  });
  const most = Math.max(...curves.flatMap(({ points }) => points.map((point) => point[4])));
  const words = most > 1 ? `Lines are means of up to ${most} runs, shades their range.` : null;
  const keys = make("ul", { class: "keys curves" }, curves.map(({ name }, index) => make("li", {}, make("i", { class: `curve-${index}` }), name)));
  return frameChart(title || "All runs", words, make("div", {}, drawCurves(curves), keys), tabulate(["Curve", "Last step", "Mean", "Range", "Runs"], ends));
}

function drawCurves(curves) {
  const all = curves.flatMap(({ points }) => points);
  const [first, last] = spanOf(all.map((point) => point[0]));
  const [lowest, highest] = spanOf(all.flatMap((point) => [point[2], point[3]]));
  const ground = CURVE_TALL - FOOT;
  const x = (step) => CURVE_LEFT + ((WIDE - CURVE_LEFT - 4) * (step - first)) / (last - first || 1);
  const y = (value) => HEAD + ((ground - HEAD) * (highest - value)) / (highest - lowest || 1);
  const spoken = curves.map(({ name, points }) => `${name}: ${formatFigure(points[0][1])} to ${formatFigure(points[points.length - 1][1])}`);
  const chart = draw("svg", { viewBox: `0 0 ${WIDE} ${CURVE_TALL}`, class: "lines", role: "img", "aria-label": spoken.join("; ") });
  for (const value of new Set([lowest, highest])) {
    chart.append(
      draw("line", { class: "axis", x1: CURVE_LEFT, x2: WIDE, y1: y(value), y2: y(value) }),
      draw("text", { class: "label", x: CURVE_LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, formatFigure(value)),
    );
  }
  chart.append(
    draw("text", { class: "label", x: CURVE_LEFT, y: CURVE_TALL - 6, "text-anchor": "start" }, formatFigure(first)),
    draw("text", { class: "label", x: (CURVE_LEFT + WIDE) / 2, y: CURVE_TALL - 6, "text-anchor": "middle" }, "step"),
    draw("text", { class: "label", x: WIDE, y: CURVE_TALL - 6, "text-anchor": "end" }, formatFigure(last)),
  );
  curves.forEach(({ name, points }, index) => {
    const line = points.map(([step, mean]) => `${x(step)},${y(mean)}`).join(" ");
    const above = points.map(([step, , , high]) => `${x(step)},${y(high)}`);
    const below = points.map(([step, , low]) => `${x(step)},${y(low)}`).reverse();
    const shape = points.length > 1 ? draw("polyline", { points: line }) : draw("circle", { cx: x(points[0][0]), cy: y(points[0][1]), r: 3 });
    chart.append(draw("g", { class: `curve curve-${index}` }, draw("title", {}, spoken[index]), draw("polygon", { points: [...above, ...below].join(" ") }), shape));
  });
  return chart;
}

function spanOf(values) {
  return [values.reduce((one, other) => Math.min(one, other)), values.reduce((one, other) => Math.max(one, other))];
}

function formatFigure(value) {
  return Number(value.toPrecision(3)).toLocaleString("en-US", { maximumSignificantDigits: 3 });
}
