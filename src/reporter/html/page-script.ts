/**
 * The script of every page, which can be read without it. The script adds a choice of theme, a search, sorting, and
 * each host's tasks on demand. It writes text only as text, so that a page's data cannot become markup.
 */
export const PAGE_SCRIPT = `"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const all = (selector, within) => [...(within || document).querySelectorAll(selector)];
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // Theme: automatic, light, dark.
  const theme = byId("theme");
  const names = { "": "automatic", light: "light", dark: "dark" };
  const useTheme = (name) => {
    if (name === "") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    theme.textContent = "Theme: " + names[name];
  };
  let chosen = "";
  // A browser may refuse storage to files.
  try { chosen = localStorage.getItem("volley-theme") || ""; } catch {}
  useTheme(Object.hasOwn(names, chosen) ? chosen : "");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const order = Object.keys(names);
    const next = order[(order.indexOf(document.documentElement.dataset.theme || "") + 1) % order.length];
    useTheme(next);
    try { localStorage.setItem("volley-theme", next); } catch {}
  });

  // Hosts: their tasks, when they are opened.
  const block = byId("data");
  const data = block === null ? undefined : JSON.parse(block.textContent);
  const duration = (ms) => ms < 1000 ? ms + "ms" : (ms / 1000).toFixed(2) + "s";
  const taskTable = (host) => {
    const [letters, elapsed] = data.hosts[host];
    const body = make("tbody", {});
    let place = 0;
    [...letters].forEach((letter, index) => {
      if (letter === ".") return;
      const state = data.states[letter];
      const [title, action] = data.tasks[index];
      const name = make("th", { scope: "row" }, title, " ", make("span", { className: "dim" }, action));
      body.append(make("tr", {}, name, make("td", { className: state }, state),
        make("td", { className: "n" }, duration(elapsed[place++]))));
    });
    const heads = ["Action", "State", "Time"].map((text, index) =>
      make("th", { scope: "col", className: index === 2 ? "n" : "" }, text));
    return body.children.length === 0
      ? make("p", {}, "No action was begun here.")
      : make("table", {}, make("caption", { className: "vh" }, "Actions of " + host),
        make("thead", {}, make("tr", {}, ...heads)), body);
  };
  const closeHost = (button) => {
    if (button.getAttribute("aria-expanded") !== "true") return;
    button.setAttribute("aria-expanded", "false");
    button.closest("tr").nextElementSibling.remove();
  };
  const openHost = (button, row, host) => {
    const cell = make("td", { colSpan: row.cells.length }, taskTable(host));
    row.after(make("tr", { className: "detail" }, cell));
    button.setAttribute("aria-expanded", "true");
  };
  if (data && data.hosts) for (const row of all("tr[data-host]")) {
    const host = row.dataset.host;
    if (!Object.hasOwn(data.hosts, host)) continue;
    const button = make("button", { type: "button", className: "open-host" }, host);
    button.setAttribute("aria-expanded", "false");
    row.cells[0].replaceChildren(button);
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-expanded") === "true") closeHost(button);
      else openHost(button, row, host);
    });
  }

  // Sorting: by a number where a column has numbers, else by text.
  const valueOf = (cell) => {
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    const text = cell.textContent.trim();
    const number = Number(text.replace(/[^0-9.eE+-]/g, "") || Number.NaN);
    return /^[\\d.\\s]+(?:s|ms|x|%)?$/.test(text) ? number : text === "–" ? -1 : text;
  };
  const compare = (one, other) => typeof one === "number" && typeof other === "number"
    ? one - other
    : String(one).localeCompare(String(other), undefined, { numeric: true });
  for (const table of all("table[data-sortable]")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (head.dataset.sort === "none") return;
      const label = head.querySelector("span") || head;
      const button = make("button", { type: "button", className: "sort" }, ...label.childNodes);
      label.replaceChildren(button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        // Numbers are looked at from the largest.
        const first = head.classList.contains("n") ? "descending" : "ascending";
        const second = first === "ascending" ? "descending" : "ascending";
        const way = before === first ? second : first;
        for (const each of heads) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", way);
        all(".open-host", table).forEach(closeHost);
        const body = table.tBodies[0];
        const sign = way === "ascending" ? 1 : -1;
        const keyed = [...body.rows].map((row) => [valueOf(row.cells[column]), row]);
        keyed.sort((one, other) => sign * compare(one[0], other[0]));
        body.append(...keyed.map(([, row]) => row));
      });
    });
  }

  // Search: hosts, actions, failures, differences and notes that hold all the words.
  const search = byId("search");
  if (search !== null) {
    search.closest(".search").hidden = false;
    let searched;
    const collect = () => [
      ...all("table[data-found]").flatMap((table) => [...table.tBodies[0].rows]
        .filter((row) => !row.classList.contains("detail"))
        .map((row) => ({ element: row, kind: table.dataset.found, counted: row.closest("details") === null }))),
      ...all(".failure").map((element) => ({ element, kind: "failure", counted: true })),
      ...all(".change").map((element) => ({ element, kind: "difference", counted: true })),
      ...all(".notes li").map((element) => ({ element, kind: "note", counted: true })),
    ].map((each) => ({
      ...each,
      text: (each.element.textContent + " " + (each.element.dataset.names || "")).toLowerCase(),
    }));
    const filter = () => {
      const words = search.value.toLowerCase().split(/\\s+/).filter((word) => word !== "");
      if (words.length > 0) all(".open-host").forEach(closeHost);
      searched = searched || collect();
      const counts = new Map();
      for (const { element, kind, text, counted } of searched) {
        const found = words.every((word) => text.includes(word));
        element.toggleAttribute("data-hidden", !found);
        if (counted) counts.set(kind, (counts.get(kind) || 0) + (found ? 1 : 0));
      }
      const told = [...counts].filter(([, count]) => count > 0)
        .map(([kind, count]) => count + " " + kind + (count === 1 ? "" : "s"));
      byId("found").textContent = words.length === 0 ? "" : told.join(", ") || "nothing found";
    };
    let timer;
    search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(filter, 120);
    });
    search.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      search.value = "";
      filter();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (/^(?:INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) return;
      event.preventDefault();
      search.focus();
    });
  }

  // Paper shows everything.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])");
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of opened) details.open = false;
  });
})();
`;
