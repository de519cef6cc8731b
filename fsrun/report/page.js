"use strict";

// Tables: a click on a heading sorts by its column, the next one the other way round, the third not at all.

function sorted(rows, column, direction) {
  const key = (row) => {
    const cell = row.cells[column];
    const words = cell.textContent.trim();
    return { words, number: "number" in cell.dataset ? Number(cell.dataset.number) : NaN };
  };
  const isEmpty = ({ words, number }) => Number.isNaN(number) && ["", "–", "not run", "not yet"].includes(words);
  const compare = (one, other) => {
    if (isEmpty(one) || isEmpty(other)) return isEmpty(one) - isEmpty(other);
    const [a, b] = [Number.isNaN(one.number), Number.isNaN(other.number)];
    const order = a || b ? a - b || one.words.localeCompare(other.words, "en") : one.number - other.number;
    return order * direction;
  };
  return rows.map((row) => [key(row), row]).sort(([a], [b]) => compare(a, b)).map(([, row]) => row);
}

for (const table of document.querySelectorAll("table")) {
  const headings = [...[...table.tHead.rows].at(-1).cells];
  const original = [...table.tBodies[0].rows];
  headings.forEach((heading, column) => {
    const turns = heading.classList.contains("number")
      ? ["descending", "ascending", "none"] : ["ascending", "descending", "none"];
    heading.querySelector("button").addEventListener("click", () => {
      const now = turns[(turns.indexOf(heading.getAttribute("aria-sort")) + 1) % 3];
      headings.forEach((each) => each.setAttribute("aria-sort", each === heading ? now : "none"));
      table.classList.toggle("sorted", now !== "none");
      const direction = now === "ascending" ? 1 : -1;
      table.tBodies[0].append(...(now === "none" ? original : sorted(original, column, direction)));
    });
  });
}

// Figures: the value nearest to the pointer is shown; with the keyboard one walks along the curves.

for (const figure of document.querySelectorAll("figure")) {
  const svg = figure.querySelector("svg");
  const value = figure.querySelector(".value");
  const panels = JSON.parse(figure.querySelector("script").textContent);
  const lines = panels.flatMap((panel) => panel.lines);
  const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  let at = null; // [line, number of its point]
  dot.setAttribute("r", "3.5");
  dot.setAttribute("visibility", "hidden");
  svg.append(dot);

  const hide = () => {
    value.hidden = true;
    dot.setAttribute("visibility", "hidden");
  };
  const show = (line, number) => {
    const [x, y, text] = line.points[number];
    const name = document.createElement("b");
    at = [line, number];
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", y);
    dot.setAttribute("visibility", "visible");
    name.textContent = line.name;
    value.replaceChildren(name, text);
    value.hidden = false;
    const place = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
    const frame = figure.getBoundingClientRect();
    const left = place.x - frame.left + 12;
    value.style.left = `${Math.max(0, Math.min(left, frame.width - value.offsetWidth))}px`;
    value.style.top = `${Math.max(0, place.y - frame.top - value.offsetHeight - 10)}px`;
  };
  const nearest = (x, y) => {
    let best = null;
    for (const panel of panels) {
      const [left, top, right, bottom] = panel.frame;
      if (x < left || x > right || y < top || y > bottom) continue;
      for (const line of panel.lines) {
        line.points.forEach(([px, py], number) => {
          const away = (px - x) ** 2 + (py - y) ** 2;
          if (best === null || away < best.away) best = { away, line, number };
        });
      }
    }
    return best;
  };
  svg.addEventListener("pointermove", (event) => {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const best = nearest(x, y);
    if (best === null) hide();
    else show(best.line, best.number);
  });
  svg.addEventListener("pointerleave", hide);
  figure.addEventListener("blur", hide);
  figure.addEventListener("keydown", (event) => {
    const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0;
    const across = { ArrowUp: -1, ArrowDown: 1 }[event.key] ?? 0;
    if (event.key === "Escape") hide();
    if ((!along && !across) || lines.length === 0) return;
    event.preventDefault();
    let [line, number] = at ?? [lines[0], along < 0 ? 1 : -1];
    if (across) line = lines[(lines.indexOf(line) + across + lines.length) % lines.length];
    show(line, Math.max(0, Math.min(number + along, line.points.length - 1)));
  });
}
