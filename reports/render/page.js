"use strict";
(function () {
  var data = JSON.parse(document.getElementById("data").textContent);

  // Tables: a click on a heading sorts by it, largest first.
  document.querySelectorAll("table.sortable").forEach(function (table) {
    var heads = table.querySelectorAll("thead th");
    heads.forEach(function (cell, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = cell.textContent;
      cell.textContent = "";
      cell.appendChild(button);
      button.addEventListener("click", function () {
        var body = table.tBodies[0], rows = Array.prototype.slice.call(body.rows);
        var down = cell.getAttribute("aria-sort") !== "descending";
        var key = function (row) { return row.cells[column].dataset.value || row.cells[column].textContent; };
        rows.sort(function (a, b) {
          var x = key(a), y = key(b), order = x !== "" && y !== "" && !isNaN(x) && !isNaN(y) ? x - y : x.localeCompare(y);
          return down ? -order : order;
        });
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        rows.forEach(function (row) { body.appendChild(row); });
      });
    });
  });

  // Charts: quality against what it costs, with the frontier drawn.
  var charts = [];
  function colours() {
    var style = getComputedStyle(document.documentElement);
    var get = function (name) { return style.getPropertyValue(name).trim(); };
    return { text: get("--fg"), grid: get("--line"), point: get("--accent"), line: get("--soft") };
  }
  // A name goes to the side with more room, and down while another stands there.
  function names(points, chart) {
    var context = chart.ctx, area = chart.chartArea, taken = [];
    context.save();
    context.fillStyle = chart.options.color;
    context.font = "12px sans-serif";
    chart.getDatasetMeta(0).data.forEach(function (point, place) {
      var right = point.x > (area.left + area.right) / 2, width = context.measureText(points[place].name).width;
      var left = right ? point.x - 8 - width : point.x + 8;
      var y = point.y < area.top + 16 ? point.y + 14 : point.y - 6;
      var hit = function (t) { return Math.abs(t.y - y) < 13 && t.left < left + width && left < t.right; };
      while (taken.some(hit)) y += 13;
      taken.push({ left: left, right: left + width, y: y });
      context.textAlign = "left";
      context.fillText(points[place].name, left, y);
    });
    context.restore();
  }
  function paint(chart) {
    var c = colours(), o = chart.options;
    o.color = c.text;
    [o.scales.x, o.scales.y].forEach(function (s) { s.title.color = s.ticks.color = c.text; s.grid.color = c.grid; });
    o.plugins.legend.labels.color = c.text;
    chart.data.datasets[0].backgroundColor = c.point;
    chart.data.datasets[1].borderColor = chart.data.datasets[1].backgroundColor = c.line;
    chart.update("none");
  }
  function chart(id, points, label, unit) {
    var canvas = document.getElementById(id);
    if (!canvas || typeof Chart === "undefined" || points.length === 0) return;
    var smaller = unit === "MB";
    var front = points.filter(function (p) {
      return !points.some(function (q) { return q.y >= p.y && (smaller ? q.x < p.x : q.x > p.x) || q.y > p.y && q.x === p.x; });
    }).sort(function (a, b) { return a.x - b.x; });
    var axis = function (title) { return { type: "linear", grace: "5%", title: { display: true, text: title }, ticks: {}, grid: {} }; };
    var made = new Chart(canvas, {
      plugins: [{ id: "names", afterDatasetsDraw: function (drawn) { names(points, drawn); } }],
      data: { datasets: [
        { type: "scatter", label: "model and precision", data: points, pointRadius: 5, clip: false },
        { type: "line", label: "frontier", data: front, borderWidth: 1, pointRadius: 0, showLine: true } ] },
      options: { animation: false, maintainAspectRatio: false,
        scales: { x: axis(label + " (" + unit + ")"), y: axis("average score (%)") },
        plugins: { legend: { labels: { usePointStyle: true, boxWidth: 8, boxHeight: 8 } },
                   tooltip: { callbacks: { label: function (item) { return item.raw.name ? item.raw.name + ": " + item.raw.y.toFixed(1) + " %" : ""; } } } } }
    });
    charts.push(made);
    paint(made);
  }
  chart("chart-speed", data.speed, "throughput", "tokens/s");
  chart("chart-memory", data.memory, data.memory_label, "MB");
  // Colours and sizes follow the screen's scheme, and paper.
  function repaint() { charts.forEach(function (one) { one.resize(); paint(one); }); }
  ["(prefers-color-scheme:dark)", "print"].forEach(function (query) { matchMedia(query).addEventListener("change", repaint); });

  // On paper everything but the samples is open.
  addEventListener("beforeprint", function () { document.querySelectorAll("details.whole").forEach(function (one) { one.open = true; }); });

  // Samples: made on demand, text only ever through textContent.
  var list = document.getElementById("samples"), shown = 0, page = 25, chosen = [];
  function element(tag, text, parent, name) {
    var node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (name) node.className = name;
    if (parent) parent.appendChild(node);
    return node;
  }
  function part(box, title, text, cut) {
    if (text === "" || text === undefined) return;
    element("div", title + (cut ? " (its middle is cut; `h1bench samples` has it all)" : ""), box, "soft");
    element("pre", text, box);
  }
  function open(box, s) {
    var prompt = data.prompts[s.prompt];
    if (prompt.prefix !== undefined) {
      var shared = data.prefixes[prompt.prefix], fold = element("details", undefined, box);
      element("summary", "beginning of the prompt, shared by its subset (" + shared.length + " characters)", fold, "soft");
      fold.addEventListener("toggle", function () { if (fold.open && fold.childNodes.length === 1) element("pre", shared, fold); });
    }
    part(box, "prompt", prompt.text, prompt.cut);
    part(box, "response", s.response, s.response_cut);
    if (s.loglikelihoods) part(box, "log-likelihoods", s.loglikelihoods.join("  "));
    part(box, "extracted", s.extracted);
    part(box, "gold", s.gold);
    if (s.verdict) part(box, "verdict", s.verdict + (s.detail ? ": " + s.detail : ""));
    var facts = "score " + s.score + ", " + (s.prompt_tokens || 0) + " prompt tokens, " + (s.generated_tokens || 0) + " generated";
    if (s.truncated_tokens) facts += ", " + s.truncated_tokens + " cut";
    if (s.seconds) facts += ", " + s.seconds.toFixed(3) + " s";
    element("div", facts, box, "soft");
  }
  function more() {
    chosen.slice(shown, shown + page).forEach(function (s) {
      var box = element("details", undefined, list), head = element("summary", undefined, box);
      var mark = element("span", s.score === 1 ? "✓ " : "✗ ", head, s.score === 1 ? "ok" : "no");
      mark.setAttribute("role", "img");
      mark.setAttribute("aria-label", s.score === 1 ? "right" : "wrong");
      var words = [data.tasks[s.task], s.subset || "", s.id || "#" + s.index, s.repeat ? "repeat " + s.repeat : "", data.variants[s.variant]];
      head.appendChild(document.createTextNode(words.filter(function (x) { return x !== ""; }).join(" · ")));
      box.addEventListener("toggle", function () {
        if (box.open && box.childNodes.length === 1) open(box, s);
      });
    });
    shown = Math.min(chosen.length, shown + page);
    document.getElementById("count").textContent = shown + " of " + chosen.length + " shown";
    document.getElementById("more").hidden = shown === chosen.length;
  }
  function has(s, text) {
    var prompt = data.prompts[s.prompt];
    return [s.id, s.subset, s.response, prompt.text, String(s.index)].some(function (one) { return one && one.toLowerCase().indexOf(text) >= 0; });
  }
  function filter() {
    var value = function (id) { return document.getElementById(id).value; };
    var task = value("by-task"), variant = value("by-variant"), kind = value("by-right"), subset = value("by-subset");
    var text = value("by-text").trim().toLowerCase();
    chosen = data.samples.filter(function (s) {
      return (task === "" || s.task === +task) && (variant === "" || s.variant === +variant) &&
             (subset === "" || s.subset === subset) &&
             (kind === "" || (kind === "differ" ? s.differ === true : (s.score === 1) === (kind === "right"))) &&
             (text === "" || has(s, text));
    });
    list.textContent = "";
    shown = 0;
    more();
  }
  function options(id, names) {
    var select = document.getElementById(id);
    names.forEach(function (name, place) { element("option", name, select).value = place; });
    select.addEventListener("change", filter);
  }
  options("by-task", data.tasks);
  options("by-variant", data.variants);
  var subsets = {};
  data.samples.forEach(function (s) { if (s.subset) subsets[s.subset] = true; });
  Object.keys(subsets).sort().forEach(function (name) { element("option", name, document.getElementById("by-subset")).value = name; });
  document.getElementById("by-subset").addEventListener("change", filter);
  document.getElementById("by-right").addEventListener("change", filter);
  var waiting = 0;
  document.getElementById("by-text").addEventListener("input", function () {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 150);
  });
  document.getElementById("more").addEventListener("click", more);
  filter();
})();
