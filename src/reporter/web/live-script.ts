import { pageScript } from "../html/script.ts";
import { PAGE_STYLES } from "../html/styles.ts";

/** The style of a page that is served: that of every page, and of progress, hosts at work and a display on a wall. */
export const LIVE_STYLES = `${PAGE_STYLES}
.head a { flex: none; margin-left: auto; padding: 0.2rem 0; }
#connection { padding: 0.5rem 0.75rem; border-left: 4px solid var(--changed); background: var(--raised); max-width: none; }
#connection:empty { display: none; }
.progress p { margin: 0 0 0.25rem; max-width: none; font-variant-numeric: tabular-nums; }
.progress .bar { height: 0.6rem; margin: 0 0 0.75rem; background: var(--raised); border: 1px solid var(--line); }
.of-done { fill: var(--ok); } .of-failed { fill: var(--failed); } .of-working { fill: var(--wait); }
.running, .away { color: var(--changed); }
.connecting, .connected, .uploading, .starting, .facts, .ending, .barrier { color: var(--skipped); }
.waiting { color: var(--dim); }
/* Rows that are not seen cost nothing: each is laid out and painted by itself. */
[data-live] .hosts, [data-live] .hosts > :is(thead, tbody) { display: block; min-width: 62rem; }
[data-live] .hosts > thead { position: sticky; top: 0; z-index: 1; background: var(--raised); }
[data-live] .hosts > * > tr { display: grid; grid-template-columns: 8rem 19rem minmax(10rem, 1fr); grid-auto-flow: column;
  grid-auto-columns: 5.6rem; }
[data-live] .hosts > thead th { position: static; display: flex; flex-direction: column; justify-content: end; width: auto; min-width: 0; white-space: normal; }
[data-live] .hosts > tbody > tr { content-visibility: auto; contain-intrinsic-block-size: auto 1.7rem; }
[data-live] .hosts > tbody > tr > * { width: auto; min-width: 0; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
[data-live] .hosts > tbody > tr.detail { display: block; content-visibility: visible; }
[data-live] .hosts > tbody > tr.detail > td { display: block; white-space: normal; }
[data-live] .hosts [data-hidden] { display: none; }
[data-live] main > section:not(#summary, #hosts) { content-visibility: auto; contain-intrinsic-block-size: auto 20rem; }
.now { color: var(--dim); }
[data-wall] { font-size: clamp(0.9rem, 0.8vw, 2rem); }
[data-wall] body { max-width: none; }
[data-wall] .toolbar, [data-wall] .skip, [data-wall] footer, [data-wall] .legend, [data-wall] .tiles + h3,
[data-wall] .plays, [data-wall] main > section:not(#summary, #failures, #hosts),
[data-wall] #hosts > details, [data-wall] .failure details, [data-wall] .hosts > thead,
[data-wall] .hosts > tbody > tr > :nth-child(n+3) { display: none; }
[data-wall] h2 { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
[data-wall] .progress p { font-size: 1.6rem; }
[data-wall] .progress .bar { height: 1.25rem; }
[data-wall] .tiles > div { display: flex; gap: 0.75rem; padding: 0.35rem 0.6rem; flex-wrap: wrap; align-items: baseline; }
[data-wall] .tiles ul { display: flex; flex-wrap: wrap; gap: 0 0.75rem; }
[data-wall] section { margin-bottom: 0.5rem; }
[data-wall] .scroll { max-height: none; border: 0; overflow: visible; }
[data-wall] .hosts, [data-wall] .hosts > tbody { display: block; min-width: 0; }
[data-wall] .hosts > tbody { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 0.25rem; }
[data-wall] .hosts > tbody > tr { display: block; padding: 0.1rem 0.4rem; background: var(--raised); border-radius: 4px; }
[data-wall] .hosts > tbody > tr > :nth-child(-n+2) { display: block; border: 0; padding: 0; min-width: 0; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
[data-wall] .hosts > tbody > tr > th { font-weight: 600; }
`;

/** The script of a page that is served: the changes that the server sends are put where they belong. */
export const LIVE_SCRIPT = pageScript(`
  // The live page. Changes wait until what they change can be seen.
  const root = document.documentElement;
  const parse = (text) => Object.assign(document.createElement("template"), { innerHTML: text }).content;
  const onPage = { hasTasks, showTasks };
  const askTasks = async (cell, host) => {
    try {
      const answer = await fetch("tasks?host=" + encodeURIComponent(host));
      if (answer.ok) cell.replaceChildren(taskTable(await answer.json(), host));
    } catch {}
  };
  if (root.dataset.live !== undefined) {
    hasTasks = () => true;
    showTasks = (cell, host) => {
      cell.append("…");
      askTasks(cell, host);
    };
    addButtons(document);
  }

  // The reader's changes to an element stay.
  const KEPT = new Set(["open", "aria-sort", "aria-expanded", "data-hidden", "data-sorted"]);
  const keyOf = (node) => node.nodeType === 1 ? node.dataset.key || node.dataset.host : undefined;
  const fits = (old, fresh) => old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);
  const change = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== 1) {
      old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes])
      if (!KEPT.has(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes)
      if (!KEPT.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    changeChildren(old, fresh);
  };
  /** The node that becomes the fresh one: of its key, else the next of its kind; text only where it stands. */
  const matchOf = (child, at, keyed) => {
    if (keyOf(child) !== undefined) return keyed.get(keyOf(child));
    let each = at;
    while (each !== null && child.nodeType === 1 && !fits(each, child)) each = each.nextSibling;
    return each !== null && fits(each, child) ? each : undefined;
  };
  const changeChildren = (old, fresh) => {
    const keyed = new Map([...old.children].map((child) => [keyOf(child), child]));
    let at = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const match = matchOf(child, at, keyed);
      if (match === undefined || !fits(match, child)) {
        old.insertBefore(child, at);
        continue;
      }
      // A node that stays where it is keeps its focus and its place of scrolling.
      while (keyOf(match) === undefined && at !== match) {
        const next = at.nextSibling;
        at.remove();
        at = next;
      }
      if (match === at) at = at.nextSibling;
      else old.insertBefore(match, at);
      change(match, child);
    }
    while (at !== null) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  const seen = new Set();
  const watched = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) seen.add(target);
      else seen.delete(target);
    }
    if (!document.hidden) put();
  });
  let rows = [];
  const findRows = () => {
    for (const row of rows) if (!row.isConnected) { watched.unobserve(row); seen.delete(row); }
    rows = all("table.hosts > tbody > tr[data-host]");
    for (const row of rows) watched.observe(row);
  };
  const parts = new Map();
  const cells = new Map();

  const putPart = (id, text) => {
    const element = byId(id);
    const tables = all("table[data-sorted]", element);
    const opened = all(".open-host[aria-expanded=true]", element);
    opened.forEach(closeHost);
    const fresh = parse(text);
    addButtons(fresh);
    changeChildren(element, fresh);
    if (id === "hosts") findRows();
    for (const table of tables) {
      const column = Number(table.dataset.sorted);
      const way = table.tHead.rows[0].cells[column].getAttribute("aria-sort");
      if (table.isConnected && way !== null) sortTable(table, column, way);
    }
    for (const button of opened) if (button.isConnected) openHost(button);
  };
  const putCells = (changed) => {
    const fresh = parse("<table>" + changed.map(([, texts]) =>
      "<tr>" + [...texts.values()].join("") + "</tr>").join("") + "</table>").querySelectorAll("tr");
    changed.forEach(([row, texts], index) => {
      const found = [...fresh[index].cells];
      for (const place of texts.keys()) rows[row].cells[place].replaceWith(found.shift());
      const detail = rows[row].nextElementSibling;
      if (detail !== null && detail.classList.contains("detail")) refreshTasks(detail.cells[0], rows[row].dataset.host);
    });
  };
  const waiting = new Set();
  const refreshTasks = (cell, host) => {
    if (waiting.has(host)) return;
    waiting.add(host);
    setTimeout(() => {
      waiting.delete(host);
      if (cell.isConnected && root.dataset.live !== undefined) askTasks(cell, host);
    }, 2000);
  };
  const isSeen = (id) => id === "contents" || seen.has(byId(id));
  /** Put what is seen, or everything. */
  const put = (everything) => {
    const hosts = parts.get("hosts");
    for (const [id, text] of [...parts]) {
      // Cells count rows of the latest table.
      if (!everything && id !== "hosts" && !isSeen(id)) continue;
      parts.delete(id);
      putPart(id, text);
    }
    const changed = [...cells].filter(([row]) => everything || seen.has(rows[row]));
    if (changed.length > 0) putCells(changed);
    for (const [row] of changed) cells.delete(row);
    return changed.length > 0 || hosts !== undefined;
  };
  beforeReading = () => put(true);
  addEventListener("beforeprint", () => put(true));

  // Sections come and go with what they show.
  const arrange = (ids) => {
    const main = byId("main");
    for (const section of all("section", main)) if (!ids.includes(section.id)) section.remove();
    let before = byId("spoken");
    for (const id of ids) {
      let section = byId(id);
      if (section === null) {
        section = make("section", { id });
        section.setAttribute("aria-labelledby", id + "-title");
        watched.observe(section);
      }
      if (before.nextElementSibling !== section) before.after(section);
      before = section;
    }
  };

  let latest;
  let spokenAt = -Infinity;
  let drawing;
  let isBehind = false;
  let freeAt = 0;
  const speak = () => {
    if (latest === undefined || byId("spoken").textContent === latest.spoken) return;
    if (!latest.ended && performance.now() - spokenAt < 20000) return;
    spokenAt = performance.now();
    byId("spoken").textContent = latest.spoken;
  };
  // A page that takes long is drawn less often: a fiftieth of the time is its own, from here to the end of painting.
  // On a machine that is busy otherwise that would be long: two seconds are enough.
  const draw = (from) => {
    isBehind = false;
    document.title = latest.title;
    if (root.dataset.live !== undefined) put(false);
    speak();
    const painted = new MessageChannel();
    painted.port1.onmessage = () => {
      painted.port1.close();
      drawing = undefined;
      freeAt = performance.now() + Math.min(2000, 50 * (performance.now() - from));
      if (isBehind) drawSoon();
    };
    painted.port2.postMessage(null);
  };
  const drawSoon = () => {
    isBehind = drawing !== undefined;
    if (isBehind) return;
    if (document.hidden) document.title = latest.title;
    // A page that is not seen has no frames, until it is.
    drawing = setTimeout(() => requestAnimationFrame(() => draw(performance.now())), Math.max(0, freeAt - performance.now()));
  };
  const finish = ({ data: tasks }) => {
    delete root.dataset.live;
    data = tasks === null ? undefined : tasks;
    ({ hasTasks, showTasks } = onPage);
    put(true);
    searchAgain();
    document.title = latest.title;
    speak();
    byId("connection").textContent = "The run is over. This page is complete, and needs Volley no longer; volley report writes it as a file.";
  };

  findRows();
  all("main > section").forEach((section) => watched.observe(section));
  const source = new EventSource("events?since=" + root.dataset.version);
  source.onmessage = ({ data: text }) => {
    latest = JSON.parse(text);
    arrange(latest.sections);
    for (const [id, part] of Object.entries(latest.parts)) parts.set(id, part);
    if (latest.parts.hosts !== undefined) cells.clear();
    for (const [row, cell, markup] of latest.cells) {
      if (!cells.has(row)) cells.set(row, new Map());
      cells.get(row).set(cell, markup);
    }
    if (latest.ended) finish(latest.ended);
    else drawSoon();
  };
  source.onopen = () => { if (root.dataset.live !== undefined) byId("connection").textContent = ""; };
  source.onerror = () => {
    if (root.dataset.live === undefined) source.close();
    else byId("connection").textContent = "The connection to Volley is lost: trying again.";
  };
  source.addEventListener("reload", () => location.reload());
  source.addEventListener("over", () => {
    source.close();
    if (root.dataset.live !== undefined)
      byId("connection").textContent = "Volley has ended, before the run had an end. This is as far as it was seen.";
  });
`);
