// Draws every chart of the page over its still picture, as wide as its place, and shows the row of the table behind a mark.
(() => {
  "use strict";
  const tip = document.createElement("div");
  tip.className = "chart-tip";
  tip.setAttribute("aria-hidden", "true"); // what it shows stands in the table

  const hide = () => { tip.hidden = true; };
  const show = (table, row, x, y) => {
    const heads = table.querySelectorAll("thead th");
    const cells = table.querySelectorAll("tbody tr")[row].children;
    tip.replaceChildren(...Array.from(cells, (cell, at) => {
      const line = document.createElement("div");
      const name = document.createElement("span");
      name.textContent = heads[at].textContent;
      line.append(name, ` ${cell.textContent.trim()}`);
      return line;
    }));
    tip.hidden = false;
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(x + 14, room))}px`;
    tip.style.top = `${y + 16 + tip.offsetHeight > window.innerHeight ? Math.max(8, y - 16 - tip.offsetHeight) : y + 16}px`;
  };

  const start = (figure) => {
    const live = figure.querySelector(".live");
    const spec = JSON.parse(figure.querySelector("script").textContent);
    const table = figure.querySelector("table");
    const options = {
      mode: "vega-lite", renderer: "svg", actions: false, ast: true, hover: false, defaultStyle: false,
      tooltip: (_handler, event, _item, value) => {
        if (value && Number.isInteger(value.row)) show(table, value.row, event.clientX, event.clientY);
        else hide();
      },
    };
    let width = 0, view = null;
    new ResizeObserver(([entry]) => {
      const now = Math.floor(entry.contentRect.width);
      if (now === 0 || now === width) return; // folded, or on paper
      const isFirst = width === 0;
      width = now;
      if (view) view.width(width).runAsync();
      else if (isFirst) {
        vegaEmbed(live, { ...spec, width }, options).then((drawn) => {
          view = drawn.view;
          figure.classList.add("is-live");
          if (view.width() !== width) view.width(width).runAsync();
        });
      }
    }).observe(live);
  };

  hide();
  document.body.append(tip);
  window.addEventListener("scroll", hide, { passive: true });
  document.querySelectorAll("figure.drawn").forEach(start);
})();
