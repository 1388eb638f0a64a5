"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const COLUMNS = ["iteration", "verdict", "summary", "commit", "inForce", "mean", "score", "gain", "loc",
    "cyclomatic", "nestedIf", "usd", "when"];
  const MARKS = { accepted: ["circle", 9], rejected: ["x-thin-open", 7], reported: ["diamond", 12], initial: ["square", 12],
    failed: ["triangle-down-open", 10], "rolled-back": ["arrow-left", 11], "by hand": ["star", 11] };
  const CHUNK = 100, PAGE = 100, STRETCH = 120;
  const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)");
  const state = { run: 0, trial: 0, first: 0, filter: "" };
  const unpacked = new Map();

  // -- text: never markup ---------------------------------------------------------------------
  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const points = (value, sign) => {
    if (value === null || value === undefined) return "–";
    const decimals = Math.max(0, 3 - Math.abs(value).toFixed(0).length);
    return (sign && value > 0 ? "+" : "") + value.toFixed(decimals);
  };
  const trialOf = (run, index) => {
    const row = data.runs[run].trials[index];
    return Object.fromEntries(COLUMNS.map((name, i) => [name, row[i]]));
  };
  const nameOf = (trial) => (trial.iteration === null ? "A commit by hand" : `Iteration ${trial.iteration}`);

  // -- colours --------------------------------------------------------------------------------
  const colour = (role) => getComputedStyle(root).getPropertyValue(`--${role}`).trim();
  const faint = (hex) => `${hex}30`;
  const verdictColour = (verdict) => colour({ accepted: "accepted", failed: "failed", reported: "reported",
    initial: "initial" }[verdict] || "rejected");
  const painted = (trace) => {
    const role = trace.meta && trace.meta.role;
    if (!role) return trace;
    const ink = colour(role);
    const copy = { ...trace, line: { ...trace.line, color: ink } };
    if (trace.marker) copy.marker = { ...trace.marker, color: ink, line: { ...trace.marker.line, color: ink } };
    if (trace.error_y) copy.error_y = { ...trace.error_y, color: ink };
    if (trace.meta.band) copy.fillcolor = faint(ink);
    return copy;
  };
  const layoutOf = (given) => {
    const ink = colour("ink"), line = colour("line"), muted = colour("muted");
    const axis = (of) => ({ ...of, gridcolor: line, linecolor: line, tickcolor: line, showline: true });
    const layout = structuredClone(given);
    Object.assign(layout, { xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis), font: { ...layout.font, color: ink } });
    layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: ink };
    layout.hoverlabel = { bgcolor: colour("raised"), bordercolor: line, font: { color: ink } };
    for (const shape of layout.shapes || []) shape.line.color = muted;
    for (const note of layout.annotations || []) { note.font.color = muted; note.bgcolor = colour("paper"); }
    return layout;
  };
  const CONFIG = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

  // -- drawings -------------------------------------------------------------------------------
  const drawCurve = (id, axis) => {
    const figure = data[id];
    const traces = figure.data.map((trace) => painted(trace.meta.places ? { ...trace, x: trace.meta.places[axis] } : trace));
    const layout = layoutOf(figure.layout);
    if (layout.xaxis.title) layout.xaxis.title = { text: data.axes[axis] };
    const last = Math.max(0, ...traces.flatMap((trace) => trace.meta.places ? trace.x : []));
    if (axis === "iteration" && last <= 12) layout.xaxis.dtick = 1; // no half iterations
    return Plotly.react(byId(id), traces, layout, CONFIG);
  };
  const drawLineage = () => {
    const { x, y, edges } = data.runs[state.run].lineage;
    const half = Math.floor(STRETCH / 2);
    const begin = Math.max(0, Math.min(state.trial - half, x.length - STRETCH));
    const end = Math.min(x.length, begin + STRETCH);
    const lines = { x: [], y: [] };
    for (const [from, to] of edges) {
      if (to < begin || to >= end) continue;
      lines.x.push(x[from], x[to], null);
      lines.y.push(y[from], y[to], null);
    }
    const shown = Array.from({ length: end - begin }, (_, i) => begin + i);
    const trials = shown.map((i) => trialOf(state.run, i));
    const inks = trials.map((trial) => verdictColour(trial.verdict));
    const marks = trials.map((trial) => MARKS[trial.verdict] || ["circle", 9]);
    const traces = [
      { type: "scatter", mode: "lines", line: { width: 1, color: colour("muted") }, hoverinfo: "skip", ...lines },
      { type: "scatter", mode: "markers", hoverinfo: "text", x: shown.map((i) => x[i]), y: shown.map((i) => y[i]), customdata: shown,
        text: trials.map((t) => `${t.iteration === null ? "by hand" : t.iteration} ${t.verdict} ${points(t.mean)}`),
        marker: { symbol: marks.map(([symbol]) => symbol), color: inks,
          size: marks.map(([, size], i) => size * (shown[i] === state.trial ? 1.7 : 1)),
          line: { width: shown.map((i) => (i === state.trial ? 3 : 1.5)), color: inks } } },
    ];
    const layout = layoutOf({ ...data.layout, showlegend: false, yaxis: { visible: false },
      xaxis: { zeroline: false, automargin: true, title: { text: "iteration" }, tickformat: "d" } });
    const lowest = Math.min(...shown.map((i) => y[i]), -1);
    Object.assign(layout.yaxis, { range: [lowest - 0.6, 0.6], fixedrange: true });
    const room = Math.max(0.7, (x[end - 1] - x[begin]) * 0.04);
    layout.xaxis.range = [x[begin] - room, x[end - 1] + room];
    if (x[end - 1] - x[begin] <= 12) layout.xaxis.dtick = 1;
    byId("stretch").textContent = end - begin < x.length
      ? `Trials ${begin + 1} to ${end} of ${x.length} are drawn, around the selected one.` : "";
    return Plotly.react(byId("lineage"), traces, layout, { ...CONFIG, displayModeBar: false });
  };
  const currentAxis = () => document.querySelector('input[name="axis"]:checked').value;
  // A drawing is made when it is about to be seen: the first must not wait for the others.
  const drawings = { curve: () => drawCurve("curve", currentAxis()), seeds: () => drawCurve("seeds", "iteration"),
    complexity: () => drawCurve("complexity", currentAxis()), lineage: drawLineage };
  const drawn = new Set();
  const draw = (id) => (drawn.has(id) ? drawings[id]() : Promise.resolve());
  const drawAll = () => Promise.all([...drawn].map(draw));
  const reveal = (id) => {
    if (drawn.has(id)) return Promise.resolve();
    drawn.add(id);
    return draw(id).then(() => onClick[id] && byId(id).on("plotly_click", onClick[id]));
  };

  // -- one trial ------------------------------------------------------------------------------
  const inflate = (packed) => {
    const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
  };
  const unpack = async (run, chunk) => {
    const key = `${run}/${chunk}`;
    if (!unpacked.has(key)) unpacked.set(key, inflate(data.runs[run].chunks[chunk]).json());
    return unpacked.get(key);
  };
  const loadPlotly = async () => {
    const script = byId("plotly"), loaded = element("script", await inflate(script.textContent).text());
    script.replaceWith(loaded);
  };
  const KINDS = { "+": "added", "-": "removed", "@": "skipped", " ": "" };
  const showDiff = (details) => {
    const pre = byId("trial-diff");
    const told = details.cut ? "Left out to keep this file small." : details.diff === undefined
      ? "No candidate." : details.diff === "" ? "No change." : null;
    if (told !== null) return pre.replaceChildren(element("span", told, "skipped"));
    pre.replaceChildren(...details.diff.split("\n").map((line) => element("span", line, KINDS[line[0]])));
  };
  const fillTable = (table, caption, heads, rows) => {
    const head = element("thead"), body = element("tbody"), top = element("tr");
    for (const [text, className] of heads) {
      const cell = element("th", text, className);
      cell.scope = "col";
      top.append(cell);
    }
    head.append(top);
    body.append(...rows);
    table.replaceChildren(element("caption", caption), head, body);
  };
  const rowOf = (cells) => {
    const row = element("tr");
    for (const [content, className] of cells) {
      const cell = element("td", typeof content === "string" ? content : undefined, className);
      if (typeof content !== "string") cell.append(content);
      row.append(cell);
    }
    return row;
  };
  const showSeeds = (details) => {
    const number = (value) => (value === null ? "" : String(Number(value.toFixed(3))));
    const seeds = details.seeds || [];
    const raced = seeds.some(([, , parent]) => parent !== null);
    const rows = seeds.map(([seed, own, parent, steps, outcome, detail]) => {
      const gain = parent === null ? "" : points(own - parent, true);
      return rowOf([[String(seed)], [number(own)], ...(raced ? [[number(parent)], [gain]] : []),
        [steps.toLocaleString("en")], [outcome, "text"], [detail, "text long"]]);
    });
    const caption = raced ? "Returns of the candidate and its parent" : "Returns of the policy";
    fillTable(byId("trial-seeds"), rows.length ? caption : "No episodes", [["seed"], ["return"],
      ...(raced ? [["parent"], ["gain"]] : []), ["steps"], ["ended by", "text"], ["detail", "text"]], rows);
  };
  const showFacts = (trial) => {
    const facts = [["return", `${trial.score || "–"} (± standard error)`],
      ["gain", trial.gain || "–"],
      ["size", `${trial.loc ?? "–"} lines, cyclomatic ${trial.cyclomatic ?? "–"}, if nested ${trial.nestedIf ?? "–"} deep`],
      ["when", trial.when], ["commit", trial.commit], ["in a terminal", `git show ${trial.commit}`]];
    if (trial.usd !== null) facts.splice(3, 0, ["price", `$${trial.usd.toFixed(4)}`]);
    byId("trial-facts").replaceChildren(...facts.map(([name, value]) => {
      const pair = element("div");
      pair.append(element("dt", name), element("dd", value));
      return pair;
    }));
  };
  const showClip = (figure, clip, prefix = "") => {
    const video = figure.querySelector("video");
    figure.hidden = !clip;
    if (!clip) return video.removeAttribute("src");
    const [caption, file] = clip;
    video.src = `data:video/mp4;base64,${file}`;
    figure.querySelector("figcaption").textContent = `${prefix}${caption} Left: the policy before; right: the candidate.`;
  };
  const showDecisive = (figure) => {
    const { run, trial } = figure.dataset;
    figure.querySelector("video").autoplay = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    showClip(figure, data.runs[run].clips[trial], `${nameOf(trialOf(run, trial))}. `);
  };
  const choose = async (index, { focus = false } = {}) => {
    const { trials } = data.runs[state.run];
    state.trial = Math.max(0, Math.min(index, trials.length - 1));
    const chosen = state.trial, run = state.run;
    const trial = trialOf(run, chosen);
    byId("trial-heading").textContent = `${nameOf(trial)}: ${trial.verdict}${trial.inForce ? ", in force" : ""}`;
    byId("trial-heading").className = `verdict-${trial.verdict}`;
    byId("trial-summary").textContent = trial.summary;
    byId("iteration").value = trial.iteration ?? "";
    byId("previous").disabled = chosen === 0;
    byId("next").disabled = chosen === trials.length - 1;
    showFacts(trial);
    showClip(byId("trial-clip"), data.runs[run].clips[chosen]);
    markRow();
    draw("lineage");
    const details = (await unpack(run, Math.floor(chosen / CHUNK)))[chosen % CHUNK];
    if (chosen !== state.trial || run !== state.run) return;
    byId("trial-reason").textContent = details.reason;
    showDiff(details);
    showSeeds(details);
    byId("trial-feedback").hidden = !details.feedback;
    byId("trial-feedback").querySelector("pre").textContent = details.feedback ?? "";
    byId("trial").dataset.shown = String(chosen);
    if (focus) byId("lineage").scrollIntoView({ block: "start" });
  };

  // -- the table ------------------------------------------------------------------------------
  const filtered = () => {
    const { trials } = data.runs[state.run];
    const all = trials.map((_, i) => i);
    return state.filter ? all.filter((i) => trials[i][1] === state.filter) : all;
  };
  const drawTable = () => {
    const indices = filtered();
    state.first = Math.max(0, Math.min(state.first, indices.length - 1));
    const shown = indices.slice(state.first, state.first + PAGE);
    const rows = shown.map((i) => {
      const trial = trialOf(state.run, i);
      const button = element("button", trial.iteration === null ? "by hand" : String(trial.iteration));
      button.type = "button";
      button.setAttribute("aria-label", `Show ${nameOf(trial)}, ${trial.verdict}`);
      button.addEventListener("click", () => choose(i, { focus: true }));
      const row = rowOf([[button], [trial.verdict + (trial.inForce ? " *" : ""), `text verdict-${trial.verdict}`],
        [trial.score || "–"], [trial.gain],
        [String(trial.loc ?? "")], [String(trial.cyclomatic ?? "")], [trial.commit.slice(0, 9), "mono"],
        [trial.summary, "text long"]]);
      row.dataset.trial = String(i);
      return row;
    });
    fillTable(byId("trials"), "Trials, oldest first; * is in force. Return and gain ± standard error.",
      [["it"], ["verdict", "text"], ["return"], ["gain"], ["LOC"], ["CC"], ["commit"], ["summary", "text"]], rows);
    byId("page-where").textContent = indices.length
      ? `${state.first + 1} to ${state.first + shown.length} of ${indices.length}` : "none";
    byId("page-back").disabled = state.first === 0;
    byId("page-on").disabled = state.first + PAGE >= indices.length;
    markRow();
  };
  const markRow = () => {
    for (const row of byId("trials").querySelectorAll("tr[aria-current]")) row.removeAttribute("aria-current");
    const row = byId("trials").querySelector(`tr[data-trial="${state.trial}"]`);
    if (row) row.setAttribute("aria-current", "true");
  };
  const turnTo = (first) => { state.first = first; drawTable(); };
  const chooseRun = (run) => {
    Object.assign(state, { run, first: 0 });
    const { trials } = data.runs[run];
    const standing = trials.findIndex((row) => row[4]);
    drawTable();
    return choose(standing < 0 ? trials.length - 1 : standing);
  };

  const onClick = {
    lineage: ({ points: [point] }) => { if (point.curveNumber === 1) choose(point.customdata); },
    curve: ({ points: [point] }) => {
      if (!point.customdata) return;
      const [run, trial] = point.customdata;
      if (run !== state.run) { if (byId("run")) byId("run").value = String(run); Object.assign(state, { run, first: 0 }); drawTable(); }
      choose(trial);
    },
  };

  // -- what people do -------------------------------------------------------------------------
  const setTheme = (theme) => {
    root.dataset.theme = theme;
    byId("theme").setAttribute("aria-pressed", String(theme === "dark"));
  };
  const wire = () => {
    byId("theme").addEventListener("click", () => { setTheme(root.dataset.theme === "dark" ? "light" : "dark"); drawAll(); });
    systemIsDark.addEventListener("change", (e) => { setTheme(e.matches ? "dark" : "light"); drawAll(); });
    for (const radio of document.querySelectorAll('input[name="axis"]'))
      radio.addEventListener("change", () => { draw("curve"); draw("complexity"); });
    byId("previous").addEventListener("click", () => choose(state.trial - 1));
    byId("next").addEventListener("click", () => choose(state.trial + 1));
    byId("next-accepted").addEventListener("click", () => {
      const { trials } = data.runs[state.run];
      const found = trials.findIndex((row, i) => i > state.trial && row[1] === "accepted");
      choose(found < 0 ? trials.findIndex((row) => row[1] === "accepted") : found);
    });
    byId("iteration").addEventListener("change", (event) => {
      const found = data.runs[state.run].trials.findIndex((row) => row[0] === Number(event.target.value));
      if (found >= 0) choose(found);
    });
    byId("lineage").addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      choose(state.trial + by);
    });
    byId("filter").addEventListener("change", (event) => { state.filter = event.target.value; turnTo(0); });
    byId("page-back").addEventListener("click", () => turnTo(state.first - PAGE));
    byId("page-on").addEventListener("click", () => turnTo(state.first + PAGE));
    if (byId("run")) byId("run").addEventListener("change", (event) => chooseRun(Number(event.target.value)));
    const watcher = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) { watcher.unobserve(target); reveal(target.id); }
    }, { rootMargin: "600px 0px" });
    for (const id of Object.keys(drawings)) watcher.observe(byId(id));
    window.addEventListener("beforeprint", () => Object.keys(drawings).forEach(reveal));
  };

  setTheme(systemIsDark.matches ? "dark" : "light");
  document.querySelectorAll(".decisive").forEach(showDecisive);
  loadPlotly().then(() => reveal("curve")).then(() => { wire(); return chooseRun(0); }).then(() => { root.dataset.ready = "true"; });
})();
