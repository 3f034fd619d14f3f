// How much of the lost success lies in the masks, beside other masks of the same answers.

const BLAME_MASKS = {
  dfgen: "dfgen’s mask",
  lowest_logprob: "lowest log-prob, as many tokens",
  random: "random, as many tokens",
  first_token: "first token of the mask",
  first_step: "the whole first wrong step",
  suffix: "from the first error to the end",
  answer_only: "the mask’s tokens in the answer",
};

function nameBlameMask(mask) {
  return Object.hasOwn(BLAME_MASKS, mask) ? BLAME_MASKS[mask] : `${mask.replace(/^given_/, "")} (given)`;
}

function tabulateBlame(blame) {
  if (!blame) return null;
  const masks = Object.entries(blame).filter(([, figures]) => figures?.capture);
  if (!masks.length) return null;
  const names = ["Mask", "Holds [95 %]", "Share of the tokens", "Lift [95 %]", "dfgen’s minus it, points"];
  const lines = masks.map(([mask, figures]) => {
    const cells = [
      formatInterval(figures.capture, formatShare),
      formatShare(figures.density, 1),
      formatInterval(figures.lift, (value) => value.toFixed(1)),
      figures.own_minus_this ? formatInterval(figures.own_minus_this, formatPoints) : "",
    ];
    return make(
      "tr",
      { class: mask === "dfgen" ? "certain" : null },
      make("th", { scope: "row" }, nameBlameMask(mask)),
      cells.map((cell) => make("td", {}, cell)),
    );
  });
  return make(
    "figure",
    { class: "chart blame" },
    make("figcaption", {}, make("b", {}, "Where the success was lost"), make("span", {}, describeBlame(blame))),
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Where the success was lost, by mask" }, renderTable(names, lines)),
  );
}

function describeBlame(blame) {
  const drawn = `${formatCount(blame.continuations)} continuations of the prefixes of ${formatPlural(blame.trajectories, "wrong answer")}, ${formatCount(blame.continuations_per_trajectory)} each.`;
  const gain = blame.repair_gain;
  const repaired = gain && gain.estimate !== null ? ` After the repair of the first edit ${formatInterval(gain, formatPoints)} points more of them end right; it gains anything in ${formatShare(blame.gains_above_0_share)} of the answers.` : "";
  return `Share of the drop in right continuations that falls on a mask’s tokens; a lift of 1 is chance. ${drawn}${repaired}`;
}

function formatPoints(value) {
  const points = Math.round(100 * value);
  return points > 0 ? `+${points}` : String(points);
}

function formatInterval({ estimate, low, high }, format) {
  if (estimate === null) return "–";
  const write = (value) => format(value).replace("-", "−");
  return low === null || high === null ? write(estimate) : `${write(estimate)} [${write(low)}, ${write(high)}]`;
}
