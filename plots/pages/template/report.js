"use strict";
// Everything here is a convenience: without it the page shows all figures, rows and numbers.
(function () {
  const root = document.documentElement;
  const all = (selector, from) => Array.from((from || document).querySelectorAll(selector));
  const one = (selector, from) => (from || document).querySelector(selector);

  // Theme: the system's until the reader chooses; paper is always light.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const paint = (printing) => {
    root.dataset.theme = printing ? "light" : chosen || (dark.matches ? "dark" : "light");
  };
  paint(false);
  dark.addEventListener("change", () => paint(false));
  const theme = one("#theme");
  if (theme) theme.addEventListener("click", () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    paint(false);
  });

  // Hiding an allocator is one style rule, for figures and tables alike.
  const rules = document.head.appendChild(document.createElement("style"));
  const boxes = all("input[data-hide]");
  const hide = () => {
    const gone = boxes.filter((box) => !box.checked).map((box) => JSON.stringify(box.dataset.hide));
    rules.textContent = gone.map((name) => `svg [data-a=${name}], tr[data-a=${name}]`).join(",") +
      (gone.length ? "{display:none}" : "");
    count();
  };
  boxes.forEach((box) => box.addEventListener("change", hide));
  const everyone = one("#everyone");
  if (everyone) everyone.addEventListener("click", () => {
    const show = boxes.some((box) => !box.checked);
    boxes.forEach((box) => { box.checked = show; });
    hide();
  });

  all("input[name=scale]").forEach((way) => way.addEventListener("change", () => {
    root.classList.toggle("log", way.value === "log" && way.checked);
  }));

  // Tables: sort by a column, missing values always last.
  const key = (row, column) => {
    const cell = row.cells[column];
    const raw = cell.dataset.v !== undefined ? cell.dataset.v : cell.textContent.trim();
    const number = Number(raw);
    return raw === "" ? null : Number.isNaN(number) ? raw.toLowerCase() : number;
  };
  all("thead button[data-sort]").forEach((button) => button.addEventListener("click", () => {
    const head = button.closest("th");
    const table = head.closest("table");
    const up = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    all("th[aria-sort]", table).forEach((th) => th.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up > 0 ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = Array.from(body.rows).map((row) => [key(row, head.cellIndex), row]);
    const missing = rows.filter(([value]) => value === null);
    const present = rows.filter(([value]) => value !== null);
    present.sort(([a], [b]) => {
      if (typeof a !== typeof b) return typeof a === "number" ? -up : up;
      return a < b ? -up : a > b ? up : 0;
    });
    body.append(...present.concat(missing).map(([, row]) => row));
  }));

  // The cell table's filters.
  const cells = one("#cells");
  const filters = all("[data-filter]");
  const wanted = () => filters.map((f) => [f.dataset.filter, f.value.trim().toLowerCase()]);
  function count() {
    const said = one("#count");
    if (!cells || !said) return;
    const hidden = new Set(boxes.filter((box) => !box.checked).map((box) => box.dataset.hide));
    const rows = Array.from(cells.tBodies[0].rows);
    const seen = rows.filter((row) => !row.hidden && !hidden.has(row.dataset.a)).length;
    said.textContent = `${seen} of ${rows.length} rows`;
  }
  const filter = () => {
    const tests = wanted();
    Array.from(cells.tBodies[0].rows).forEach((row) => {
      row.hidden = tests.some(([what, value]) => {
        if (value === "") return false;
        if (what === "text") return !row.textContent.toLowerCase().includes(value);
        return (row.dataset[what] || "").toLowerCase() !== value;
      });
    });
    count();
  };
  if (cells) {
    filters.forEach((f) => f.addEventListener("input", filter));
    filter();
  }

  // Values: the nearest mark under the pointer, or the next one by arrow keys.
  const tip = one("#tip");
  const REACH = 26;
  const read = (group, index) =>
    (group.dataset.b || "") + group.dataset.t.split("|")[index] + (group.dataset.e || "");
  const shown = (element) => getComputedStyle(element).display !== "none";
  const marks = (svg) => all("[data-t]", svg).filter(shown).flatMap((group) => {
    const uses = all("use", group);
    return (uses.length ? uses : [group]).map((mark, index) => ({ group, mark, index }));
  });
  const middle = (mark) => {
    const box = mark.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  };
  const say = (svg, found) => {
    all(".hot", svg).forEach((element) => element.classList.remove("hot"));
    svg.classList.toggle("hot", Boolean(found));
    if (!found) { tip.textContent = ""; return; }
    const label = found.group.dataset.a;
    all("[data-a]", svg).filter((e) => e.dataset.a === label)
      .forEach((element) => element.classList.add("hot"));
    tip.textContent = read(found.group, found.index);
    const [x, y] = middle(found.mark);
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - box.width - 4))}px`;
    tip.style.top = `${Math.max(4, y - box.height - 10)}px`;
  };
  all("figure svg").forEach((svg) => {
    let waiting = false;
    svg.addEventListener("pointermove", (event) => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        let best = null;
        let least = REACH * REACH;
        marks(svg).forEach((found) => {
          const box = found.mark.getBoundingClientRect();
          const dx = Math.max(box.left - event.clientX, 0, event.clientX - box.right);
          const dy = Math.max(box.top - event.clientY, 0, event.clientY - box.bottom);
          if (dx * dx + dy * dy < least) { least = dx * dx + dy * dy; best = found; }
        });
        say(svg, best);
      });
    });
    svg.addEventListener("pointerleave", () => say(svg, null));
  });
  all(".scroll").forEach((box) => {
    const svg = one("svg", box);
    if (!svg) return;
    let place = -1;
    box.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowLeft: -1 };
      if (event.key === "Escape") { place = -1; say(svg, null); return; }
      if (!(event.key in steps)) return;
      const found = marks(svg);
      if (!found.length) return;
      event.preventDefault();
      place = (place + steps[event.key] + found.length) % found.length;
      found[place].mark.scrollIntoView({ block: "nearest", inline: "center" });
      say(svg, found[place]);
    });
    box.addEventListener("blur", () => { place = -1; say(svg, null); });
  });

  // Folded sections: open for printing and when a link points into them.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    folded.forEach((d) => { d.open = true; });
    paint(true);
  });
  addEventListener("afterprint", () => {
    folded.forEach((d) => { d.open = false; });
    paint(false);
  });
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    for (let d = target && target.closest("details"); d; d = d.parentElement.closest("details")) {
      d.open = true;
    }
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
