import { randomBytes } from "node:crypto";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { VolleyError } from "../../core/errors.ts";
import type { Event } from "../../core/events.ts";
import { html, type Page, pagePolicy, renderPage, type Served } from "../html/page.ts";
import { admit } from "./access.ts";
import { createLiveRun, type LiveRun } from "./live-run.ts";
import { LIVE_SCRIPT, LIVE_STYLES } from "./live-script.ts";
import { openViewers } from "./viewers.ts";

/** A server on a loopback port that shows runs, one after the other, to any number of viewers. */
export interface WebServer {
  /** The address, with the token that opens it. */
  readonly url: string;
  event(event: Event): void;
  /** Give viewers the last state, and close the port: each takes at most {@link CLOSING_MS}. */
  close(): Promise<void>;
}

/** The options of the server. */
export interface WebServerOptions {
  /** Default: 0, any free port. */
  readonly port?: number;
  /** The maker of the page: `volley 0.1.0`. */
  readonly generator: string;
  /** Milliseconds since the epoch. Default: `Date.now`. */
  readonly now?: () => number;
}

const ADDRESS = "127.0.0.1";
const TOKEN_BYTES = 24;
/** Once a second is soon enough to look at; painting takes most of the time of a page. The clock goes on without events. */
const FRAME_MS = 1_000;
const CLOSING_MS = 1_000;
const MAX_VIEWERS = 50;
const MAX_CONNECTIONS = 200;

const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": `${pagePolicy({ styles: LIVE_STYLES, script: LIVE_SCRIPT })}; frame-ancestors 'none'`,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/** Start the server. Fails with `USAGE` when the port cannot be had. */
export async function startWebServer({
  port = 0,
  generator,
  now = Date.now,
}: WebServerOptions): Promise<WebServer> {
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  let live: LiveRun | undefined;
  let run = 0;
  let isStale = false;
  let timer: NodeJS.Timeout | undefined;
  const viewers = openViewers(() => ({
    page: run,
    version: live?.version ?? 0,
    since: (version) => live?.changesSince(version),
  }));

  const refresh = (): void => {
    isStale = false;
    live?.refresh(now());
  };
  const draw = (): void => {
    if (viewers.size === 0) return;
    refresh();
    viewers.bring();
  };
  const watch = (response: ServerResponse, from: string): void => {
    const [page, version] = from.split(".").map(Number) as [number, number?];
    response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream" });
    response.flushHeaders();
    viewers.add(response, page, version ?? 0);
    timer ??= setInterval(draw, FRAME_MS).unref();
  };
  const showPage = (response: ServerResponse, isWall: boolean): void => {
    if (live !== undefined && !live.ended) refresh();
    answer(response, 200, "text/html", pageOf({ live, run, isWall, generator }));
  };

  const server = createServer((request, response) => {
    const admission = admit(request, token);
    if ("status" in admission)
      return answer(response, admission.status, "text/plain", `${admission.reason}\n`);
    const { path, query } = admission;
    const host = query.get("host");
    if (path === "") return showPage(response, query.has("wall"));
    if (path === "events" && viewers.size < MAX_VIEWERS)
      return watch(response, String(request.headers["last-event-id"] ?? query.get("since") ?? ""));
    if (path === "events") return answer(response, 503, "text/plain", "Too many pages are open.\n");
    const tasks = path === "tasks" && host !== null ? live?.tasksOf(host) : undefined;
    if (tasks !== undefined) return answer(response, 200, "application/json", JSON.stringify(tasks));
    return answer(response, 404, "text/plain", "There is no such page.\n");
  });
  server.maxConnections = MAX_CONNECTIONS;
  // The server must not keep a process that has nothing else to wait for: such a run is broken, and is told so.
  server.unref();
  server.on("connection", (socket) => socket.unref());
  const bound = await listen(server, port);

  return {
    url: `http://${ADDRESS}:${bound}/${token}/`,
    event(event) {
      if (event.type === "run:start") {
        live = createLiveRun(generator);
        run++;
        viewers.reload();
      }
      live?.add(event);
      isStale = true;
    },
    async close() {
      clearInterval(timer);
      if (isStale && viewers.size > 0) refresh();
      await viewers.close(CLOSING_MS);
      // A page that is being sent is sent to its end.
      const closed = new Promise<unknown>((resolve) => server.close(resolve));
      const limit = new AbortController();
      await Promise.race([closed, sleep(CLOSING_MS, undefined, { signal: limit.signal }).catch(() => {})]);
      limit.abort();
      server.closeAllConnections();
    },
  };
}

/** Bind the port; returns its number. */
async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, ADDRESS, resolve);
  }).catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === "EADDRINUSE" ? "another program uses it" : (cause.code ?? cause.message);
    throw new VolleyError("USAGE", `cannot open port ${port} of ${ADDRESS}: ${why}`, {
      cause,
      hint: "give --web another port, or none for any free port",
    });
  });
  // A connection that cannot be accepted is no fault of the run.
  server.on("error", () => {});
  return (server.address() as AddressInfo).port;
}

function answer(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, {
    ...HEADERS,
    "content-type": `${type}; charset=utf-8`,
    "content-length": Buffer.byteLength(text),
    ...(status === 200 ? {} : { connection: "close" }),
  });
  response.end(text);
}

function pageOf({
  live,
  run,
  isWall,
  generator,
}: {
  readonly live: LiveRun | undefined;
  readonly run: number;
  readonly isWall: boolean;
  readonly generator: string;
}): string {
  const version = `${run}.${live?.version ?? 0}`;
  const served: Served = {
    styles: LIVE_STYLES,
    script: LIVE_SCRIPT,
    attributes: html` data-version="${version}"${live?.ended !== true && html` data-live`}${isWall && html` data-wall`}`,
    controls: isWall ? html`<a href="./">All details</a> ` : html`<a href="?wall">For a wall</a> `,
    notice: html`<p id="connection" role="status"></p><p id="spoken" class="vh" role="status"></p>`,
  };
  const waiting: Page = {
    title: "The run is being prepared",
    subtitle: html`its hosts appear here when it begins`,
    sections: [],
    generator,
  };
  return renderPage(live?.page() ?? waiting, served);
}
