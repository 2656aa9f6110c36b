/**
 * Return the script of a page, which can be read without it. The script adds a choice of theme, a search, sorting, and
 * each host's tasks on demand. The script writes text only as text, so that a page's data cannot become markup. `more`
 * is code that goes on in the same scope.
 */
export function pageScript(more = ""): string {
  return `"use strict";
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
  let data = block === null ? undefined : JSON.parse(block.textContent);
  let hasTasks = (host) => Boolean(data && data.hosts) && Object.hasOwn(data.hosts, host);
  let showTasks = (cell, host) => cell.replaceChildren(taskTable(data, host));
  const duration = (ms) => ms < 1000 ? ms + "ms" : (ms / 1000).toFixed(2) + "s";
  const taskTable = ({ hosts, states, tasks }, host) => {
    const [letters, elapsed] = hosts[host];
    const body = make("tbody", {});
    let place = 0;
    [...letters].forEach((letter, index) => {
      if (letter === ".") return;
      const state = states[letter];
      const [title, action] = tasks[index];
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
  const openHost = (button) => {
    const row = button.closest("tr");
    const cell = make("td", { colSpan: row.cells.length });
    showTasks(cell, row.dataset.host);
    row.after(make("tr", { className: "detail" }, cell));
    button.setAttribute("aria-expanded", "true");
  };

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
  let beforeReading = () => {};
  const sortTable = (table, column, way) => {
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    table.tHead.rows[0].cells[column].setAttribute("aria-sort", way);
    beforeReading();
    all(".open-host", table).forEach(closeHost);
    const body = table.tBodies[0];
    const sign = way === "ascending" ? 1 : -1;
    const keyed = [...body.rows].map((row) => [valueOf(row.cells[column]), row]);
    keyed.sort((one, other) => sign * compare(one[0], other[0]));
    body.append(...keyed.map(([, row]) => row));
  };
  const onSort = (head) => {
    // Numbers are looked at from the largest.
    const first = head.classList.contains("n") ? "descending" : "ascending";
    const second = first === "ascending" ? "descending" : "ascending";
    const table = head.closest("table");
    sortTable(table, head.cellIndex, head.getAttribute("aria-sort") === first ? second : first);
    table.dataset.sorted = head.cellIndex;
  };

  // The buttons of hosts and columns, in the page or in what will be put into it.
  const addButtons = (within) => {
    for (const row of all("tr[data-host]", within)) {
      const host = row.dataset.host;
      if (!hasTasks(host) || row.querySelector(".open-host") !== null) continue;
      const button = make("button", { type: "button", className: "open-host" }, host);
      button.setAttribute("aria-expanded", "false");
      row.cells[0].replaceChildren(button);
    }
    for (const head of all("table[data-sortable] > thead > tr:first-child > th", within)) {
      if (head.dataset.sort === "none" || head.querySelector(".sort") !== null) continue;
      const label = head.querySelector("span") || head;
      label.replaceChildren(make("button", { type: "button", className: "sort" }, ...label.childNodes));
    }
  };
  addButtons(document);
  document.addEventListener("click", ({ target }) => {
    const host = target.closest(".open-host");
    if (host !== null && host.getAttribute("aria-expanded") === "true") closeHost(host);
    else if (host !== null) openHost(host);
    const column = target.closest(".sort");
    if (column !== null) onSort(column.closest("th"));
  });

  // Search: hosts, actions, failures, differences and notes that hold all the words.
  const search = byId("search");
  let searched;
  let searchAgain = () => {};
  if (search !== null) {
    search.closest(".search").hidden = false;
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
      if (searched === undefined) beforeReading();
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
    searchAgain = () => {
      searched = undefined;
      if (search.value !== "") filter();
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
${more}})();
`;
}

/** The script of a page that is complete in itself. */
export const PAGE_SCRIPT = pageScript();
