"use strict";
(() => {
  const POLL_MS = 1000;
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  const token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const state = { run: new URLSearchParams(location.search).get("run") || "", tip: "", clip: "", data: null, tick: 0 };

  // Text is set by textContent: none of it is markup.
  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const ask = (path, options = {}) => fetch(path, { ...options, headers: { "X-Gco-Token": token } });
  const fetched = async (path, options) => {
    const answer = await ask(path, options);
    const data = await answer.json();
    if (!answer.ok) throw new Error(data.error || answer.statusText);
    return data;
  };
  const points = (value, sign) => {
    if (value === null || value === undefined) return "";
    const decimals = Math.max(0, 3 - Math.abs(value).toFixed(0).length);
    const text = value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    return (sign && value > 0 ? "+" : "") + text;
  };
  const withError = (value, error, sign) =>
    points(value, sign) + (value === null || error === null || error === undefined ? "" : ` ± ${points(error)}`);
  const span = (seconds) => {
    const s = Math.round(seconds), h = Math.floor(s / 3600), m = Math.floor((s % 3600) / 60);
    return h ? `${h} h ${m} min` : m ? `${m} min ${s % 60} s` : `${s} s`;
  };

  // -- the curve ------------------------------------------------------------------------------
  const colour = (role) => getComputedStyle(root).getPropertyValue(`--${role}`).trim();
  const painted = (trace) => {
    const role = trace.meta && trace.meta.role;
    if (!role) return trace;
    const ink = colour(role), copy = { ...trace, line: { ...trace.line, color: ink } };
    if (trace.marker) copy.marker = { ...trace.marker, color: ink, line: { ...trace.marker.line, color: ink } };
    if (trace.error_y) copy.error_y = { ...trace.error_y, color: ink };
    if (trace.meta.band) copy.fillcolor = `${ink}30`;
    return copy;
  };
  const drawCurve = () => {
    if (!state.data || !state.data.curve) return;
    const { data, layout } = structuredClone(state.data.curve);
    const ink = colour("ink"), line = colour("line"), muted = colour("muted");
    for (const axis of ["xaxis", "yaxis"]) Object.assign(layout[axis], { gridcolor: line, linecolor: line, showline: true });
    Object.assign(layout.xaxis, { tickformat: "d", dtick: state.data.used.iteration < 10 ? 1 : undefined });
    layout.font = { ...layout.font, color: ink };
    for (const shape of layout.shapes || []) shape.line.color = muted;
    for (const note of layout.annotations || []) { note.font.color = muted; note.bgcolor = colour("paper"); }
    Plotly.react(byId("curve"), data.map(painted), layout, { responsive: true, displayModeBar: false });
  };

  // -- what is under way ----------------------------------------------------------------------
  const toGo = (status) => {
    const limits = status.limits, used = status.elapsed;
    return limits.seconds ? `${span(Math.max(0, limits.seconds - used))} of ${span(limits.seconds)} left` : span(used);
  };
  const showNow = ({ status, paused }) => {
    const parts = [];
    if (!status) parts.push(element("strong", paused ? "Not running; paused" : "Not running"));
    else {
      const event = status.event;
      const what = { racing: "Race", playing: event.what, searching: event.activity }[status.phase] || "Between iterations";
      parts.push(element("strong", paused ? `${what} (pauses after this iteration)` : what));
      const share = status.phase === "racing" ? event.n_pairs / event.at_most
        : status.phase === "playing" ? event.n_done / Math.max(1, event.n_wanted) : event.done;
      if (share !== null && share !== undefined) {
        const bar = element("progress");
        bar.max = 1;
        bar.value = share;
        parts.push(bar);
      }
      if (status.phase === "racing")
        parts.push(element("span", `${event.n_pairs} of at most ${event.at_most} pairs` +
          (event.gain ? `, gain ${withError(event.gain.mean, event.gain.standard_error, true)}` : "")));
      if (status.phase === "playing") parts.push(element("span", `${event.n_done} of ${event.n_wanted} episodes`));
      if (status.phase === "searching" && (event.detail || event.best)) parts.push(element("span", event.detail || event.best));
      parts.push(element("span", toGo(status)));
      if (status.tokens) parts.push(element("span", `${status.tokens.toLocaleString("en")} tokens`));
      if (status.usd) parts.push(element("span", `$${status.usd.toFixed(2)}` + (status.limits.usd ? ` of $${status.limits.usd}` : "")));
    }
    byId("now").replaceChildren(...parts);
    byId("pause").textContent = paused ? "Resume" : "Pause after this iteration";
    byId("pausing").hidden = !status && !paused;
  };

  // -- what was committed ---------------------------------------------------------------------
  const KINDS = { "+": "added", "-": "removed", "@": "skipped" };
  const showGain = (gain) => {
    byId("film").hidden = byId("diff").hidden = !gain;
    byId("gain").textContent = gain ? `Iteration ${gain.iteration}, commit ${gain.commit}: ${gain.gain} points an episode` : "None yet.";
    if (state.clip !== (gain && gain.commit)) byId("clip").hidden = true;
    const lines = gain ? gain.diff : [];
    byId("diff").firstElementChild.replaceChildren(...lines.map((line) => element("span", line, KINDS[line[0]] || "")));
  };
  const showTrials = (trials) => {
    const head = element("tr"), body = element("tbody"), top = element("thead");
    const columns = [["it"], ["verdict", "text"], ["return"], ["gain"], ["pairs"], ["LOC"], ["at"], ["summary", "text"]];
    head.append(...columns.map(([text, name]) => element("th", text, name)));
    top.append(head);
    for (const t of trials) {
      const row = element("tr");
      const summary = element("td", t.summary, "text long");
      summary.title = t.reason;
      row.append(element("td", t.iteration === null ? "" : String(t.iteration)),
        element("td", t.verdict + (t.in_force ? " *" : ""), `text verdict-${t.verdict}`), element("td", t.score),
        element("td", t.gain), element("td", String(t.pairs ?? "")), element("td", String(t.loc ?? "")),
        element("td", t.when), summary);
      body.append(row);
    }
    byId("trials").replaceChildren(top, body);
  };
  const show = (data) => {
    showNow(data);
    if (data.tip === state.tip && state.data) return;
    Object.assign(state, { tip: data.tip, data });
    document.title = `${data.run} – gco-agent`;
    byId("headline").textContent = data.score ? `${data.title}: ${data.score}` : "The initial policy is being measured";
    if (!data.score) return;
    const counts = Object.entries(data.counts).map(([verdict, n]) => `${n} ${verdict}`).join(", ");
    const used = [`${Math.round(1e6 * data.used.frames).toLocaleString("en-US")} frames`, span(3600 * data.used.hours)];
    if (data.tokens) used.push(`${data.tokens.toLocaleString("en")} tokens`);
    if (data.used.usd) used.push(`$${data.used.usd.toFixed(2)}`);
    byId("counts").textContent = `Initial policy: ${data.initial}. ${counts}. Used: ${used.join(", ")}.`;
    showGain(data.gain);
    showTrials(data.trials);
    byId("policy").textContent = data.policy;
    drawCurve();
  };

  // -- asking ---------------------------------------------------------------------------------
  const listRuns = async () => {
    const { runs: rows, may_act: mayAct } = await fetched("/api/runs");
    state.mayAct = mayAct;
    byId("control").hidden = !mayAct;
    const select = byId("run");
    if (!state.run && rows.length) state.run = (rows.find((row) => row.running) || rows[0]).run;
    select.replaceChildren(...rows.map((row) => {
      const made = element("option", row.run + (row.running ? " (running)" : ""));
      made.value = row.run;
      made.selected = row.run === state.run;
      return made;
    }));
    if (!rows.length) byId("headline").textContent = "There is no run here yet. Start one with: gco-agent run GAME";
  };
  const look = async () => {
    try {
      if (!state.run || state.tick % 10 === 0) await listRuns();
      if (state.run) show(await fetched(`/api/run?run=${encodeURIComponent(state.run)}`));
      byId("state").textContent = state.mayAct ? "This page may pause and fork the run, and leave notes."
        : "Read-only: nothing on this page changes the run.";
      byId("state").className = "";
    } catch (error) {
      byId("state").textContent = `No answer from gco-agent dashboard: ${error.message}`;
      byId("state").className = "lost";
    }
    state.tick += 1;
    root.dataset.ready = "true";
    setTimeout(look, POLL_MS);
  };
  const act = async (what, given) => {
    try {
      const { done } = await fetched(`/api/${what}`, { method: "POST", body: JSON.stringify({ run: state.run, ...given }) });
      byId("done").textContent = done;
      await listRuns();
    } catch (error) {
      byId("done").textContent = error.message;
    }
  };
  const onSubmit = (id, send) => byId(id).addEventListener("submit", (event) => { event.preventDefault(); send(); });

  onSubmit("pausing", () => act(byId("pause").textContent === "Resume" ? "resume" : "pause", {}));
  onSubmit("noting", () => act("note", { text: byId("note").value }));
  onSubmit("forking", () => act("fork", { rev: byId("rev").value, name: byId("name").value }));
  byId("run").addEventListener("change", (event) => { Object.assign(state, { run: event.target.value, tip: "", data: null }); });
  byId("film").addEventListener("click", async () => {
    byId("film").disabled = true;
    byId("film").textContent = "Playing both…";
    try {
      const answer = await ask(`/clip.mp4?run=${encodeURIComponent(state.run)}`);
      if (!answer.ok) throw new Error((await answer.json()).error);
      byId("clip").src = URL.createObjectURL(await answer.blob());
      Object.assign(byId("clip"), { hidden: false });
      state.clip = state.data.gain.commit;
      byId("clip").play().catch(() => {});
    } catch (error) {
      byId("gain").textContent = error.message;
    }
    byId("film").disabled = false;
    byId("film").textContent = "Show it beside the policy before";
  });
  const setTheme = () => { root.dataset.theme = dark.matches ? "dark" : "light"; drawCurve(); };
  dark.addEventListener("change", setTheme);
  setTheme();
  look();
})();
