"use strict";
(function () {
  var data = JSON.parse(document.getElementById("data").textContent);
  var style = getComputedStyle(document.documentElement);
  function colour(name) { return style.getPropertyValue(name).trim(); }

  // Tables: a click on a heading sorts by it.
  document.querySelectorAll("table.sortable").forEach(function (table) {
    table.querySelectorAll("thead th").forEach(function (cell, column) {
      var button = document.createElement("button");
      button.textContent = cell.textContent;
      cell.textContent = "";
      cell.appendChild(button);
      var down = true;
      button.addEventListener("click", function () {
        var body = table.tBodies[0];
        var rows = Array.prototype.slice.call(body.rows);
        var key = function (row) { return row.cells[column].dataset.value || row.cells[column].textContent; };
        rows.sort(function (a, b) {
          var x = key(a), y = key(b), order = x !== "" && y !== "" && !isNaN(x) && !isNaN(y) ? x - y : x.localeCompare(y);
          return down ? -order : order;
        });
        down = !down;
        rows.forEach(function (row) { body.appendChild(row); });
      });
    });
  });

  // Charts: quality against what it costs, with the frontier drawn.
  function chart(id, points, label, unit) {
    var canvas = document.getElementById(id);
    if (!canvas || typeof Chart === "undefined" || points.length === 0) return;
    var smaller = unit === "MB";
    var front = points.filter(function (p) {
      return !points.some(function (q) { return q.y >= p.y && (smaller ? q.x < p.x : q.x > p.x) || q.y > p.y && q.x === p.x; });
    }).sort(function (a, b) { return a.x - b.x; });
    var text = colour("--fg"), grid = colour("--line");
    var names = { id: "names", afterDatasetsDraw: function (drawn) {
      var context = drawn.ctx, area = drawn.chartArea;
      context.save();
      context.fillStyle = text;
      context.font = "12px sans-serif";
      drawn.getDatasetMeta(0).data.forEach(function (point, place) {
        var right = point.x > (area.left + area.right) / 2;  // the name goes to the side with more room
        context.textAlign = right ? "right" : "left";
        context.fillText(points[place].name, point.x + (right ? -8 : 8), point.y + (point.y < area.top + 16 ? 14 : -6));
      });
      context.restore();
    } };
    new Chart(canvas, {
      plugins: [names],
      data: { datasets: [
        { type: "scatter", label: "model and precision", data: points, backgroundColor: colour("--accent"), pointRadius: 5, clip: false },
        { type: "line", label: "frontier", data: front, borderColor: colour("--soft"), borderWidth: 1, backgroundColor: colour("--soft"), pointRadius: 0, showLine: true } ] },
      options: { animation: false, maintainAspectRatio: false, color: text,
        scales: { x: { type: "linear", title: { display: true, text: label + " (" + unit + ")", color: text }, ticks: { color: text }, grid: { color: grid } },
                  y: { title: { display: true, text: "average score (%)", color: text }, ticks: { color: text }, grid: { color: grid } } },
        plugins: { legend: { labels: { color: text } },
                   tooltip: { callbacks: { label: function (item) { return item.raw.name ? item.raw.name + ": " + item.raw.y.toFixed(1) + " %" : ""; } } } } }
    });
  }
  chart("chart-speed", data.speed, "throughput", "tokens/s");
  chart("chart-memory", data.memory, "memory", "MB");

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
    element("div", title + (cut ? " (cut; `h1bench samples` has it all)" : ""), box, "soft");
    element("pre", text, box);
  }
  function open(box, s) {
    part(box, "prompt", s.prompt, s.prompt_cut);
    part(box, "response", s.response, s.response_cut);
    if (s.loglikelihoods.length) part(box, "log-likelihoods", s.loglikelihoods.join("  "));
    part(box, "extracted", s.extracted);
    part(box, "gold", s.gold);
    if (s.verdict) part(box, "verdict", s.verdict + (s.detail ? ": " + s.detail : ""));
    var facts = s.prompt_tokens + " prompt tokens, " + s.generated_tokens + " generated";
    if (s.truncated_tokens) facts += ", " + s.truncated_tokens + " cut";
    if (s.seconds) facts += ", " + s.seconds.toFixed(3) + " s";
    element("div", facts, box, "soft");
  }
  function more() {
    chosen.slice(shown, shown + page).forEach(function (s) {
      var box = element("details", undefined, list), head = element("summary", undefined, box);
      element("span", s.score === 1 ? "✓ " : "✗ ", head, s.score === 1 ? "ok" : "no");
      head.appendChild(document.createTextNode([data.tasks[s.task], s.subset, s.id || s.index, data.variants[s.variant]].filter(function (x) { return x !== ""; }).join(" · ")));
      box.addEventListener("toggle", function () {
        if (box.open && box.childNodes.length === 1) open(box, s);
      });
    });
    shown = Math.min(chosen.length, shown + page);
    document.getElementById("count").textContent = shown + " of " + chosen.length + " shown";
    document.getElementById("more").hidden = shown === chosen.length;
  }
  // The models disagree on a document when one has it right and another does not.
  var right = {}, wrong = {};
  function key(s) { return JSON.stringify([s.task, s.subset, s.id, s.index]); }
  data.samples.forEach(function (s) { (s.score === 1 ? right : wrong)[key(s)] = true; });
  function filter() {
    var value = function (id) { return document.getElementById(id).value; };
    var task = value("by-task"), variant = value("by-variant"), kind = value("by-right"), subset = value("by-subset");
    chosen = data.samples.filter(function (s) {
      return (task === "" || s.task === +task) && (variant === "" || s.variant === +variant) &&
             (subset === "" || s.subset === subset) &&
             (kind === "" || (kind === "differ" ? right[key(s)] && wrong[key(s)] : (s.score === 1) === (kind === "right")));
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
  document.getElementById("more").addEventListener("click", more);
  filter();
})();
