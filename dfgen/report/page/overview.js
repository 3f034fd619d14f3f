// The figures of the whole run, not only of the trajectories in this file.

let numbers = head.numbers ?? null;

function renderOverview() {
  if (!numbers) {
    find("overview").replaceChildren(make("p", { class: "made" }, "The figures are being counted."), make("section", { class: "marks-panel", id: "marks-panel" }));
    renderMarksPanel();
    return;
  }
  const spread = numbers.distributions;
  const charts = [
    chartPassRates(numbers.groups, spread),
    chartSources(numbers.masks),
    chartRoles(numbers.masks),
    chartPositions(spread),
    chartRatios(numbers.repairs, spread),
    chartKinds(spread),
    chartFirstErrors(numbers.masks),
    chartAttempts(spread),
    chartCost(numbers.repairs, spread),
    chartCourse(numbers.repairs, spread),
    chartRejects(numbers.rejects),
  ];
  const parts = [
    renderRun(),
    renderTiles(),
    numbers.left_out ? make("p", { class: "made" }, numbers.left_out.join(" ")) : null,
    tabulateBlame(numbers.blame),
    make("div", { class: "charts" }, charts.filter(Boolean)),
    renderCurves(numbers.curves),
    make("section", { class: "marks-panel", id: "marks-panel" }),
  ];
  find("overview").replaceChildren(...parts.filter(Boolean));
  renderMarksPanel();
}

function renderRun() {
  const { policy, repairer, created, version } = head.run;
  const parts = [
    policy ? `policy ${policy}` : null,
    repairer ? `repairer ${repairer}` : null,
    `begun ${created.slice(0, 10)}`,
    `dfgen ${version}`,
  ];
  return make("p", { class: "made" }, parts.filter(Boolean).join(" · "));
}

function renderTiles() {
  const { groups, repairs, masks, counts } = numbers;
  const tiles = [];
  if (groups) {
    tiles.push([formatShare(groups.pass_rate), "right at first", `${formatCount(groups.trajectories)} answers to ${formatPlural(groups.prompts, "question")}`]);
  }
  if (repairs) {
    const wrong = counts.repair.input;
    tiles.push([wrong ? formatShare(repairs.accepted / wrong) : "–", "of the wrong ones repaired", `${formatCount(repairs.accepted)} of ${formatCount(wrong)}, in ${formatPlural(repairs.attempts, "attempt")}`]);
    tiles.push([formatShare(repairs.median_edit_ratio), "of the tokens edited", "median of the accepted repairs"]);
  }
  if (masks && masks.masked_share !== null) {
    tiles.push([formatShare(masks.masked_share), "of the tokens in the mask", `${masks.hunks_per_repair.toFixed(1)} edits per repair`]);
  }
  if (repairs && repairs.cost_usd > 0) {
    tiles.push([formatCost(repairs.cost_usd_per_accepted), "per accepted repair", `${formatCost(repairs.cost_usd)} in all`]);
  } else if (repairs && repairs.accepted) {
    const tokens = sumSpent(() => true, countTokens);
    tiles.push([formatCount(tokens / repairs.accepted), "repairer tokens per repair", "read and written, all attempts"]);
  }
  const controls = repairs && repairs.controls;
  if (controls && controls.answered) {
    tiles.push([formatShare(controls.false_edit_rate), "of right answers edited", `${formatCount(controls.changed)} of ${formatCount(controls.answered)} controls: the fewer the better`]);
  }
  if (numbers.demo_truth && numbers.demo_truth.exact_share !== null) {
    tiles.push([formatShare(numbers.demo_truth.exact_share), "of the masks exact", "against the known truth of the drawn pictures"]);
  }
  const blame = numbers.blame && numbers.blame.dfgen;
  if (blame && blame.capture.estimate !== null) {
    const { estimate, low, high } = blame.capture;
    const between = low === null || high === null ? "" : `${formatShare(low)} to ${formatShare(high)}, `;
    tiles.push([formatShare(estimate), "of the lost success lies in the masks", `${between}at ${formatShare(blame.density)} of the tokens`]);
  }
  return make(
    "div",
    { class: "tiles" },
    tiles.map(([value, name, note]) => make("p", { class: "tile" }, make("b", {}, value), make("span", {}, name), make("small", {}, note))),
  );
}

function countTokens(sums) {
  return sums.prompt_tokens + sums.completion_tokens;
}

function sumSpent(wanted, measure) {
  const outcomes = Object.entries(numbers.distributions.attempts_by_outcome);
  return outcomes.reduce((sum, [reason, sums]) => sum + (wanted(reason) ? measure(sums) : 0), 0);
}

function chartPassRates(groups, spread) {
  if (!groups) return null;
  // Groups of one size have a column for each number of right answers; tenths would leave holes.
  const exact = spread && spread.right_per_group;
  const bins = exact || groups.pass_rate_histogram;
  const name = (index) => (exact ? `${index} of ${bins.length - 1}` : `${index * 10}–${index * 10 + 10} %`);
  const never = groups.all_wrong ? ` ${formatCount(groups.all_wrong)} never are: only repairs teach there.` : "";
  const describe = (count, index) => `${name(index)} right: ${formatPlural(count, "question")}`;
  const words = `${formatCount(groups.mixed)} of ${formatCount(groups.prompts)} questions are sometimes right: those carry a signal in GRPO.${never}`;
  const ends = exact ? ["none", "all"] : ["0 %", "100 %"];
  const chart = drawColumns(bins, { labels: [[0, ends[0], "start"], [bins.length / 2, "answers right"], [bins.length, ends[1], "end"]], format: formatCount, describe, choose: (index) => ({ pass: exact ? around(index / (bins.length - 1)) : writeRange(index / 10, (index + 1) / 10) }) });
  return frameChart("Pass rate by question", words, chart, tabulate(["Right", "Questions"], bins.map((count, index) => [name(index), count])));
}

// A range of one value, wide enough for its rounding.
function around(value) {
  return writeRange(Number((value - 0.0001).toFixed(5)), Number((value + 0.0001).toFixed(5)));
}

function chartSources(masks) {
  if (!masks) return null;
  const parts = Object.entries(SOURCES).map(([source, words]) => [words.long, masks.sources[source] || 0, source]);
  return frameChart("Where the masks come from", "Repaired answers have a mask of their own; the others count as a whole.", drawParts(parts, formatCount, (index) => ({ source: parts[index][2] })));
}

function chartRoles(masks) {
  if (!masks || !Object.keys(masks.step_roles).length) return null;
  const parts = ["unchanged", "first", "consequence", "independent"].map((role) => [ROLES[role], masks.step_roles[role] || 0, role]);
  return frameChart("What the steps of wrong answers are", "A consequence only carries on a value that an earlier step got wrong.", drawParts(parts, formatCount, (index) => (parts[index][2] === "unchanged" ? undefined : { role: parts[index][2] })));
}

function chartPositions(spread) {
  if (!spread || !spread.mask_by_position.tokens.some(Boolean)) return null;
  const { tokens, masked } = spread.mask_by_position;
  const shares = tokens.map((count, index) => (count ? masked[index] / count : 0));
  const percent = (index) => `${(index * 100) / shares.length}–${((index + 1) * 100) / shares.length} %`;
  const describe = (share, index) => `${percent(index)} of the answer: ${formatShare(share, 1)} masked`;
  const chart = drawColumns(shares, { labels: [[0, "begin", "start"], [shares.length / 2, "place in the answer"], [shares.length, "end", "end"]], format: (share) => formatShare(share), describe });
  return frameChart("Mask by place in the answer", "Share of the tokens of repaired answers that are in the mask.", chart, tabulate(["Place", "Masked"], shares.map((share, index) => [percent(index), formatShare(share, 1)])));
}

function chartRatios(repairs, spread) {
  if (!spread || !repairs || !repairs.accepted) return null;
  const bins = spread.edit_ratio_histogram;
  const last = Math.max(bins.findLastIndex((count) => count > 0) + 1, bins.length / 2);
  const kept = bins.slice(0, last);
  const percent = (index) => `${(index * 100) / bins.length}–${((index + 1) * 100) / bins.length} %`;
  const chart = drawColumns(kept, { labels: [[0, "0 %", "start"], [last / 2, "tokens changed"], [last, `${(last * 100) / bins.length} %`, "end"]], format: formatCount, describe: (count, index) => `${percent(index)} changed: ${formatPlural(count, "repair")}`, choose: (index) => ({ ratio: writeRange(index / bins.length, (index + 1) / bins.length) }) });
  return frameChart("Edit ratio", `Half of the repairs change at most ${formatShare(repairs.median_edit_ratio)} of the tokens.`, chart, tabulate(["Changed", "Repairs"], kept.map((count, index) => [percent(index), count])));
}

function chartKinds(spread) {
  if (!spread || !Object.keys(spread.hunk_kinds).length) return null;
  const lines = Object.entries(spread.hunk_kinds).map(([kind, count]) => [KINDS[kind] || kind, count, kind]);
  return frameChart("Kinds of edits", "Moves and changes of form are not in the mask.", drawRows(lines, { format: formatCount, choose: (index) => ({ kind: lines[index][2] }), describe: (name, value) => `${name}: ${formatCount(value)}` }));
}

function chartFirstErrors(masks) {
  const places = masks ? Object.entries(masks.first_error_step).filter(([step]) => Number(step) >= 0) : [];
  if (!places.length) return null;
  const counts = new Array(Math.min(20, Math.max(...places.map(([step]) => Number(step))) + 1)).fill(0);
  for (const [step, count] of places) counts[Math.min(counts.length - 1, Number(step))] += count;
  const step = (index) => (index === 19 ? "20+" : String(index + 1));
  const every = Math.ceil(counts.length / 10);
  const labels = counts.map((_, index) => [index + 0.5, step(index)]).filter((_, index) => index % every === 0);
  return frameChart("Step of the first error", "The first step that the repair touches.", drawColumns(counts, { labels, format: formatCount, describe: (count, index) => `step ${step(index)}: ${formatCount(count)}`, choose: (index) => ({ step: index === 19 ? "20.." : around(index + 1) }) }));
}

function chartAttempts(spread) {
  if (!spread || !Object.keys(spread.attempts_by_outcome).length) return null;
  const lines = Object.entries(spread.attempts_by_outcome).map(([reason, sums]) => [nameReason(reason), sums.attempts, reason === "accepted" ? "kept" : "lost"]);
  const until = Object.entries(spread.attempts_until_accepted);
  const first = until.find(([count]) => count === "1");
  const total = until.reduce((sum, [, count]) => sum + count, 0);
  const words = first && total ? `${formatShare(first[1] / total)} of the accepted repairs needed one attempt.` : null;
  return frameChart("What became of the repairer’s attempts", words, drawRows(lines, { format: formatCount, describe: (name, value) => `${name}: ${formatCount(value)}` }));
}

// Money where the repairer has a price, else its tokens: what the refused attempts took of it.
function chartCost(repairs, spread) {
  if (!spread || !repairs || !repairs.attempts) return null;
  const paid = repairs.cost_usd > 0;
  const measure = paid ? (sums) => sums.cost_usd : countTokens;
  const format = paid ? formatCost : formatCount;
  const kept = sumSpent((reason) => reason === "accepted", measure);
  const lost = sumSpent((reason) => reason !== "accepted", measure);
  const each = repairs.accepted ? `, ${format((kept + lost) / repairs.accepted)} per accepted repair` : "";
  const words = `${format(kept + lost)} ${paid ? "" : "tokens "}in all${each}.`;
  const parts = [["accepted attempts", kept, "correct"], ["refused attempts", lost, "lost"]];
  return frameChart("What the repairs cost", words, drawParts(parts, format));
}

// Requests carry no times; shards are worked on in order.
function chartCourse(repairs, spread) {
  const course = spread?.cost_by_shard ?? [];
  if (!repairs || !repairs.attempts || course.length < 2) return null;
  const paid = repairs.cost_usd > 0;
  const format = paid ? formatCost : formatCount;
  const values = course.map((sums) => (paid ? sums.cost_usd : countTokens(sums)));
  const name = ({ first, last }) => (first === last ? `shard ${first}` : `shards ${first}–${last}`);
  let sum = 0;
  const sums = values.map((value) => (sum += value));
  const unit = paid ? "" : " tokens";
  const describe = (value, index) => `${name(course[index])}: ${format(value)}${unit}, ${format(sums[index])}${unit} up to here`;
  const chart = drawColumns(values, { labels: [[0, name(course[0]), "start"], [values.length, name(course.at(-1)), "end"]], format, describe });
  const words = "In the order of the shards, which is that of the work, about: requests carry no times.";
  return frameChart("Cost in the course of the run", words, chart, tabulate(["Shards", paid ? "Dollars" : "Tokens", "So far", "Requests"], course.map((each, index) => [name(each), format(values[index]), format(sums[index]), each.requests])));
}

function chartRejects(rejects) {
  const lines = Object.entries(rejects).flatMap(([stage, reasons]) => Object.entries(reasons).map(([reason, count]) => [stage === "repair" ? nameReason(reason) : `${stage}: ${nameReason(reason)}`, count, "lost", stage === "repair" ? { reason } : undefined]));
  if (!lines.length) return null;
  lines.sort((one, other) => other[1] - one[1]);
  return frameChart("What went no further, and why", "Nothing is dropped in silence: each of these rows is kept with its evidence.", drawRows(lines.slice(0, 12), { format: formatCount, choose: (index) => lines[index][3], describe: (name, value) => `${name}: ${formatCount(value)}` }));
}
