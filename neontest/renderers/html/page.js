"use strict";
// Adds to a page that can be read without it: the picture of the run, and the filter of the findings.
// Texts of the report are only ever set as text, never as markup.
(() => {
  const byId = (id) => document.getElementById(id);

  const make = (name, text, attributes = {}) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };

  // A link to something inside a closed <details> opens it.
  const reveal = (element) => {
    for (let at = element; at; at = at.parentElement) if (at.localName === "details") at.open = true;
  };
  const show = (id) => {
    const element = byId(id);
    if (!element) return;
    reveal(element);
    element.scrollIntoView({ block: "center" });
    element.focus({ preventScroll: true });
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (link) reveal(byId(link.getAttribute("href").slice(1)));
  });

  // On paper everything is open that is not too long.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open]):not(.long)")];
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of opened) each.open = false; });

  const filter = byId("filter");
  if (filter) {
    const articles = [...document.querySelectorAll("article.finding")];
    const texts = articles.map((each) => each.textContent.toLowerCase());
    const apply = () => {
      const given = new FormData(filter);
      const levels = new Set(given.getAll("level"));
      const words = (given.get("text") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      articles.forEach((each, place) => {
        const { level, check, revision } = each.dataset;
        const fits = levels.has(level)
          && ["", `=${check}`].includes(given.get("check") ?? "")
          && ["", `=${revision}`].includes(given.get("revision") ?? "")
          && words.every((word) => texts[place].includes(word));
        each.hidden = !fits;
        count += fits;
      });
      byId("filter-count").textContent = `${count} of ${articles.length} findings`;
    };
    for (const kind of ["input", "change"]) filter.addEventListener(kind, apply);
    filter.addEventListener("reset", () => setTimeout(apply));
    filter.addEventListener("submit", (event) => event.preventDefault());
    filter.addEventListener("keydown", (event) => {
      if (event.key === "Escape") filter.reset();
    });
    filter.hidden = false;
    apply();
  }

  const source = byId("timeline-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const host = byId("timeline-picture");
  const info = byId("timeline-info");
  const chooser = byId("timeline-walk");
  const NEW = 1, BOUND = 2, ROW = 20, TOP = 22;
  const SHORTEST = 20; // microseconds across the whole picture: nothing measured is finer
  const total = Math.max(data.total, SHORTEST);
  const view = { from: 0, to: total };
  let current = -1;
  let gutter = 0, width = 0;

  const span = (micro) => {
    const seconds = micro / 1e6;
    if (micro === 0) return "0 s";
    if (micro < 1000) return `${Math.round(micro)} µs`;
    if (seconds < 1) return `${+(micro / 1000).toPrecision(3)} ms`;
    if (seconds < 60) return `${+seconds.toPrecision(4)} s`;
    return `${Math.floor(seconds / 60)} m ${String(Math.round(seconds % 60)).padStart(2, "0")} s`;
  };
  const x = (micro) => gutter + ((micro - view.from) / (view.to - view.from)) * width;

  const svg = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // A lane's marks, in the order of their beginning. What falls into one pixel becomes one mark that counts.
  const groups = (items, start, end) => {
    const found = [];
    let last = null;
    for (const item of items) {
      const from = start(item), to = end(item);
      if (to < view.from || from > view.to) continue;
      const left = Math.max(x(from), gutter), right = Math.min(Math.max(x(to), left + 2), gutter + width);
      if (right <= left) continue;
      const tiny = right - left < 3;
      if (tiny && last?.tiny && left < last.right + 0.5) {
        last.items.push(item);
        last.right = Math.max(last.right, right);
      } else {
        last = { left, right, tiny, items: [item] };
        found.push(last);
      }
    }
    return found;
  };

  // A lock begins with the statement that takes it.
  const begun = (lock) => data.statements[lock[1]][0];
  const lanes = [
    { name: "walks", items: data.walks, start: (w) => w[0], end: (w) => w[1],
      style: (w) => (w[4] ? "walk-mark" : "failed"), label: (w) => w[2], tell: tellWalk },
    { name: "visits", items: data.visits, start: (v) => v[0], end: (v) => v[1],
      style: (v) => (v[3] ? (v[2] ? "down" : "up") : "failed"), label: (v) => v[5], tell: tellVisit },
    { name: "statements", items: data.statements, start: (s) => s[0], end: (s) => s[0] + s[1],
      style: (s) => (s[5] ? "rewrite" : "statement"), tell: tellStatement },
    ...data.lanes.map((name, lane) => ({
      name, items: data.locks.filter((each) => each[0] === lane).sort((a, b) => begun(a) - begun(b)),
      start: begun, end: (l) => begun(l) + l[2], style: (l) => `m${l[3]}${l[4] & NEW ? " new" : ""}`,
      worst: (l) => l[3] + (l[4] & NEW ? 10 : 0), tell: tellLock, locks: true,
    })),
  ];

  function tellWalk(walk) {
    return [make("p", `${walk[2]} ${walk[3]}: ${span(walk[1] - walk[0])}${walk[4] ? "" : ", failed"}`)];
  }
  function tellVisit(visit) {
    const walk = data.walks.find((each) => each[0] <= visit[0] && visit[1] <= each[1]);
    const name = walk ? `${walk[2]}: ` : "";
    return [make("p", `${name}${visit[5]}, ${span(visit[1] - visit[0])}${visit[3] ? "" : ", failed"}`)];
  }
  function tellStatement(statement) {
    const visit = data.visits[statement[3]];
    const parts = [make("p", `statement ${statement[2] + 1}, ${span(statement[1])}, in ${visit[5]}`)];
    const row = statement[4] ? byId(`s${statement[2]}`) : null;
    if (!row) return [...parts, make("p", "its text is in the JSON report", { class: "dim" })];
    const [, , sql, locks, where] = row.cells;
    for (const each of sql.children) parts.push(make(each.localName === "code" ? "code" : "p", each.textContent));
    for (const each of locks.children) parts.push(make("p", each.textContent, { class: "dim" }));
    const link = make("a", where.textContent || "in the list", { href: `#s${statement[2]}` });
    const place = make("p");
    place.append(link);
    return [...parts, place];
  }
  function tellLock(lock) {
    const name = lock[5] ?? data.lanes[lock[0]];
    const bound = lock[4] & BOUND ? "about or at most " : "";
    const made = lock[4] & NEW ? ", which the visit made" : "";
    const parts = [make("p", `${data.modes[lock[3]] ?? "a lock"} on ${name}${made}: held ${bound}${span(lock[2])}, by`)];
    return [...parts, ...tellStatement(data.statements[lock[1]])];
  }
  const tell = (group, lane) => {
    if (group.items.length === 1) return info.replaceChildren(...lane.tell(group.items[0]));
    const end = Math.max(...group.items.map(lane.end));
    const text = `${group.items.length} ${lane.locks ? "locks" : lane.name} within ${span(end - lane.start(group.items[0]))}:`
      + " too close to be told apart here, zoom in";
    return info.replaceChildren(make("p", text));
  };

  const ticks = () => {
    const wanted = (view.to - view.from) / Math.max(2, width / 90);
    const power = 10 ** Math.floor(Math.log10(wanted));
    const steps = wanted < 5e6 ? [1, 2, 5, 10].map((each) => each * power) : [5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200].map((each) => each * 1e6);
    const step = steps.find((each) => each >= wanted) ?? wanted;
    const found = [];
    for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) found.push(at);
    return found;
  };
  const fitted = (text, pixels) => {
    const room = Math.floor(pixels / 6.2);
    return text.length <= room ? text : room > 2 ? `${text.slice(0, room - 1)}…` : "";
  };

  const pictured = new Map();
  const draw = () => {
    const outer = host.clientWidth;
    gutter = Math.min(150, Math.round(outer * 0.26));
    width = Math.max(50, outer - gutter - 6);
    const height = TOP + lanes.length * ROW + 4;
    const root = svg("svg", { viewBox: `0 0 ${outer} ${height}`, height, "aria-hidden": "true" });
    pictured.clear();
    let marks = 0;
    for (const at of ticks()) {
      root.append(svg("line", { class: "axis", x1: x(at), x2: x(at), y1: TOP - 4, y2: height }));
      root.append(svg("text", { class: "dimmed", x: x(at) + 3, y: 13 }, span(at)));
    }
    lanes.forEach((lane, row) => {
      const y = TOP + row * ROW;
      if (row === 3) root.append(svg("line", { class: "axis", x1: 0, x2: outer, y1: y, y2: y }));
      const label = svg("text", { class: row < 3 ? "dimmed" : "", x: 6, y: y + 14 }, fitted(lane.name, gutter - 8));
      label.append(svg("title", {}, lane.name));
      root.append(label);
      for (const group of groups(lane.items, lane.start, lane.end)) {
        const shown = lane.worst
          ? group.items.reduce((a, b) => (lane.worst(b) < lane.worst(a) ? b : a))
          : group.items.find((each) => lane.style(each) === "failed" || lane.style(each) === "rewrite") ?? group.items[0];
        const thin = group.items.length > 1 ? 3 : 0;
        const mark = svg("rect", {
          class: `mark ${lane.style(shown)}${thin ? " many" : ""}`, x: group.left.toFixed(1), y: y + 3 + thin,
          width: Math.max(1, group.right - group.left - (group.tiny || lane.locks ? 0 : 0.7)).toFixed(1),
          height: ROW - 6 - 2 * thin, "data-mark": marks,
        });
        pictured.set(String(marks++), { group, lane });
        root.append(mark);
        const text = lane.label && group.items.length === 1 ? fitted(lane.label(shown), group.right - group.left - 6) : "";
        if (text) root.append(svg("text", { class: row ? "on" : "", "pointer-events": "none", x: group.left + 4, y: y + 14 }, text));
      }
    });
    const chosen = data.statements[current];
    if (chosen) {
      const left = Math.max(x(chosen[0]), gutter), right = Math.min(Math.max(x(chosen[0] + chosen[1]), left + 3), gutter + width);
      if (right > left) {
        root.append(svg("rect", { class: "current", x: left - 2, y: TOP + 2 * ROW + 1, width: right - left + 4, height: ROW - 2 }));
      }
    }
    host.replaceChildren(root);
    host.dataset.marks = marks;
    byId("timeline-range").textContent = `${span(view.from)} to ${span(view.to)} of ${span(total)}`;
  };
  let asked = false;
  const redraw = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };

  const look = (from, to) => {
    const length = Math.min(Math.max(to - from, SHORTEST), total);
    view.from = Math.min(Math.max(from, 0), total - length);
    view.to = view.from + length;
    redraw();
  };
  const zoom = (factor, at = (view.from + view.to) / 2) =>
    look(at - (at - view.from) * factor, at + (view.to - at) * factor);
  const move = (part) => {
    const by = (view.to - view.from) * part;
    look(view.from + by, view.to + by);
  };
  const all = () => { chooser.value = ""; look(0, total); };
  const choose = (number) => {
    current = Math.min(Math.max(number, 0), data.statements.length - 1);
    const statement = data.statements[current];
    if (!statement) return;
    const [start, seconds] = statement;
    if (start < view.from || start + seconds > view.to) {
      const length = view.to - view.from;
      look(start - length / 3, start - length / 3 + length);
    }
    info.replaceChildren(...tellStatement(statement));
    redraw();
  };
  const actions = { in: () => zoom(0.5), out: () => zoom(2), left: () => move(-0.3), right: () => move(0.3), all };

  for (const button of document.querySelectorAll("[data-do]")) {
    button.addEventListener("click", () => actions[button.dataset.do]());
  }
  data.walks.forEach((walk, number) => chooser.append(make("option", `${walk[2]} ${walk[3]}`, { value: number })));
  chooser.addEventListener("change", () => {
    const walk = data.walks[chooser.value];
    if (walk) look(walk[0], walk[1]);
    else all();
  });
  host.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const from = current >= 0 ? current : data.statements.findIndex((each) => each[0] >= view.from) - 1;
    const keys = {
      "+": actions.in, "=": actions.in, "-": actions.out, 0: all,
      ArrowRight: () => (event.shiftKey ? actions.right() : choose(from + 1)),
      ArrowLeft: () => (event.shiftKey ? actions.left() : choose(current >= 0 ? current - 1 : 0)),
      Home: () => choose(0), End: () => choose(data.statements.length - 1),
      Enter: () => { if (current >= 0) show(`s${data.statements[current][2]}`); },
    };
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });

  const moment = (event) => view.from + ((event.clientX - host.getBoundingClientRect().left - gutter) / width) * (view.to - view.from);
  host.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== host) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, Math.min(Math.max(moment(event), view.from), view.to));
  }, { passive: false });

  const at = (event) => pictured.get(event.target.dataset?.mark);
  let drag = null;
  host.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    drag = { x: event.clientX, from: view.from, to: view.to, moved: false, mark: at(event) };
  });
  host.addEventListener("pointermove", (event) => {
    if (!drag) {
      const mark = at(event);
      if (mark) tell(mark.group, mark.lane);
      return;
    }
    const by = event.clientX - drag.x;
    if (!drag.moved && Math.abs(by) < 4) return;
    if (!drag.moved) {
      drag.moved = true;
      host.setPointerCapture(event.pointerId);
      host.classList.add("dragging");
    }
    const micro = (by / width) * (drag.to - drag.from);
    look(drag.from - micro, drag.to - micro);
  });
  const drop = (event) => {
    const done = drag;
    drag = null;
    host.classList.remove("dragging");
    if (!done || done.moved || event.type !== "pointerup" || !done.mark) return;
    const { group, lane } = done.mark;
    const start = lane.start(group.items[0]), end = Math.max(...group.items.map(lane.end));
    if (group.items.length > 1 || lane.label) {
      const margin = lane.label && group.items.length === 1 ? 0 : (end - start) * 0.1;
      look(start - margin, end + margin);
      tell(group, lane);
    } else {
      choose(lane.locks ? group.items[0][1] : data.statements.indexOf(group.items[0]));
    }
  };
  host.addEventListener("pointerup", drop);
  host.addEventListener("pointercancel", drop);

  byId("timeline-box").hidden = false;
  info.replaceChildren(make("p", "Point at a mark, or go to it with the keys, to read it here.", { class: "dim" }));
  new ResizeObserver(redraw).observe(host);
  draw();
})();
