"use strict";
// The treemap: squarified rectangles of one folder and, inside them, of its folders. It only ever writes text.
(() => {
  const root = JSON.parse(document.getElementById("tree").textContent);
  const map = document.getElementById("map");
  const where = document.getElementById("where");
  const status = document.getElementById("status");
  const HEAD = 38, GAP = 4, LEAST = 2;
  let path = [root];

  const units = ["kB", "MB", "GB", "TB"];
  const sizeText = (bytes) => {
    if (bytes < 999.5) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
    let power = 1;
    while (power < 4 && bytes >= 999.5 * 1000 ** power) power++;
    const scaled = bytes / 1000 ** power;
    return `${scaled.toFixed(scaled >= 99.95 ? 0 : 1)} ${units[power - 1]}`;
  };
  const shareText = (part, whole) => whole ? `${(100 * part / whole).toFixed(1)} %` : "";
  const nameOf = (one) => one.rest ? "other objects" : one.name;
  const sentence = (one, whole) =>
    `${one.rest ? `${one.prefix} (objects directly here, and small folders)` : one.prefix || root.name}: ` +
    `${sizeText(one.bytes)}, ${one.objects.toLocaleString("en")} object${one.objects === 1 ? "" : "s"}` +
    (whole ? `, ${shareText(one.bytes, whole)} of what is shown` : "");

  const partsOf = (folder) => {
    const parts = folder.children.slice();
    if (folder.restObjects || folder.restBytes)
      parts.push({ rest: true, prefix: folder.prefix, objects: folder.restObjects, bytes: folder.restBytes, children: [] });
    return parts.sort((a, b) => b.bytes - a.bytes);
  };

  // Bruls, Huizing, van Wijk: rows are laid along the shorter side while the worst proportion gets better.
  const squarify = (parts, x, y, width, height) => {
    const total = parts.reduce((sum, one) => sum + one.bytes, 0);
    const placed = [];
    if (!total || width <= 0 || height <= 0) return placed;
    const scale = width * height / total;
    const items = parts.filter((one) => one.bytes > 0).map((one) => ({ one, area: one.bytes * scale }));
    const worst = (row, area, side) => {
      const most = row[0].area, least = row[row.length - 1].area;
      return Math.max(side * side * most / (area * area), area * area / (side * side * least));
    };
    let next = 0;
    while (next < items.length) {
      const side = Math.min(width, height), row = [items[next++]];
      let area = row[0].area;
      while (next < items.length) {
        const more = items[next].area;
        if (worst([...row, items[next]], area + more, side) > worst(row, area, side)) break;
        row.push(items[next++]);
        area += more;
      }
      const thick = area / side;
      let along = 0;
      for (const { one, area: own } of row) {
        const long = own / thick;
        placed.push(width >= height
          ? { one, x, y: y + along, width: thick, height: long }
          : { one, x: x + along, y, width: long, height: thick });
        along += long;
      }
      if (width >= height) { x += thick; width -= thick; } else { y += thick; height -= thick; }
    }
    return placed;
  };

  const make = (kind, names, text) => {
    const element = document.createElement(kind);
    element.className = names;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const draw = () => {
    const folder = path[path.length - 1];
    const width = map.clientWidth, height = map.clientHeight;
    map.replaceChildren();
    where.replaceChildren(...path.map((one, depth) => {
      const button = make("button", "", depth ? `${one.name}/` : root.name);
      button.type = "button";
      if (depth === path.length - 1) button.setAttribute("aria-current", "true");
      else button.addEventListener("click", () => { path = path.slice(0, depth + 1); draw(); map.querySelector(".cell")?.focus(); });
      return button;
    }));
    status.textContent = sentence(folder);
    squarify(partsOf(folder), 0, 0, width, height).forEach((place, number) => cell(folder, place, number, 0, 0));
  };

  const cell = (folder, place, number, left, top, parents) => {
    const { one } = place, inner = Boolean(parents), opens = one.children.length > 0;
    const element = make(opens ? "button" : "div", `cell t${number % 6}${inner ? " inner" : ""}${one.rest ? " rest" : ""}`);
    if (opens) element.type = "button";
    else { element.tabIndex = inner ? -1 : 0; element.setAttribute("role", "img"); }
    if (inner && opens) element.tabIndex = -1;
    element.style.left = `${left + place.x}px`;
    element.style.top = `${top + place.y}px`;
    element.style.width = `${place.width}px`;
    element.style.height = `${place.height}px`;
    if (place.width < 44 || place.height < 22) element.classList.add("small");
    const text = sentence(one, path[path.length - 1].bytes);
    element.title = text;
    element.setAttribute("aria-label", opens ? `${text}. Opens the folder.` : text);
    element.append(make("span", "name", nameOf(one)));
    if (place.height >= HEAD) element.append(make("span", "size", sizeText(one.bytes)));
    const show = () => { status.textContent = text; };
    element.addEventListener("focus", show);
    element.addEventListener("mouseenter", show);
    if (opens) element.addEventListener("click", () => {
      path = [...path, ...(parents || []), one];
      draw();
      map.querySelector(".cell")?.focus();
    });
    map.append(element);
    if (inner || !opens || place.width < 90 || place.height < HEAD + 40) return;
    squarify(partsOf(one), 0, 0, place.width - 2 * GAP, place.height - HEAD - GAP - 4)
      .filter((below) => below.width > LEAST && below.height > LEAST)
      .forEach((below) => cell(one, below, number, place.x + GAP, place.y + HEAD + 4, [one]));
  };

  const up = () => { if (path.length > 1) { path.pop(); draw(); map.querySelector(".cell")?.focus(); } };

  // Arrows go to the nearest rectangle in their direction; Escape and Backspace leave the folder.
  const TURNS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
  map.addEventListener("keydown", (event) => {
    if (event.key === "Escape" || event.key === "Backspace") { event.preventDefault(); up(); return; }
    const turn = TURNS[event.key], from = document.activeElement;
    if (!turn || !map.contains(from)) return;
    event.preventDefault();
    const middle = (element) => [element.offsetLeft + element.offsetWidth / 2, element.offsetTop + element.offsetHeight / 2];
    const [x, y] = middle(from);
    let best = null, least = Infinity;
    for (const other of map.querySelectorAll(".cell:not(.inner)")) {
      const [ox, oy] = middle(other), ahead = (ox - x) * turn[0] + (oy - y) * turn[1];
      if (other === from || ahead <= 1) continue;
      const aside = Math.abs((ox - x) * turn[1]) + Math.abs((oy - y) * turn[0]);
      if (ahead + 2 * aside < least) { least = ahead + 2 * aside; best = other; }
    }
    best?.focus();
  });

  if (!root.bytes) { map.hidden = true; status.textContent = "Nothing is stored here, so there is nothing to draw."; return; }
  let width = 0;
  new ResizeObserver(() => { if (map.clientWidth !== width) { width = map.clientWidth; draw(); } }).observe(map);
  width = map.clientWidth;
  draw();
})();
