import { once } from "node:events";
import { type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import type { Event } from "../../../src/core/events.ts";
import { startWebServer, type WebServer } from "../../../src/reporter/web/server.ts";
import { until } from "../../lib/patience.ts";
import { START_MS } from "../lib/simulate.ts";

/** A server whose time is that of the events that it is given. */
export interface FedServer extends WebServer {
  feed(events: readonly Event[]): void;
}

/** Starts a server for runs that are made up. */
export async function startFedServer(): Promise<FedServer> {
  let nowMs = START_MS;
  const server = await startWebServer({ generator: "volley 0.1.0", now: () => nowMs });
  return {
    ...server,
    feed(events) {
      for (const event of events) {
        nowMs = event.time;
        server.event(event);
      }
    },
  };
}

/** An answer of the server. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Asks for a page, with the headers given and no others. */
export async function ask(
  url: string,
  {
    method = "GET",
    headers = {},
  }: { readonly method?: string; readonly headers?: Record<string, string> } = {},
): Promise<Answer> {
  const response = await send(url, method, headers);
  let body = "";
  response.setEncoding("utf8");
  for await (const text of response) body += text;
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}

async function send(url: string, method: string, headers: Record<string, string>): Promise<IncomingMessage> {
  const sent = request(url, { method, headers, agent: false });
  sent.end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return response;
}

/** Changes as the page's script gets them. */
export interface ReadFrame {
  readonly id: string;
  readonly sections: readonly string[];
  readonly parts: Readonly<Record<string, string>>;
  readonly cells: readonly (readonly [row: number, cell: number, markup: string])[];
  readonly spoken: string;
  readonly ended?: { readonly data: { readonly hosts: Readonly<Record<string, unknown>> } };
}

/** A viewer without a browser. */
export interface TestViewer {
  readonly frames: readonly ReadFrame[];
  /** Names of events without changes. */
  readonly told: readonly string[];
  readonly isClosed: boolean;
  /** Waits for a frame that the test is looking for. */
  frame(fits: (frame: ReadFrame) => boolean): Promise<ReadFrame>;
  leave(): void;
}

/** Opens the stream of a page. */
export async function view(
  url: string,
  since: string,
  headers: Record<string, string> = {},
): Promise<TestViewer> {
  const response = await send(`${url}events?since=${since}`, "GET", headers);
  if (response.statusCode !== 200) throw new Error(`refused with ${response.statusCode}`);
  const frames: ReadFrame[] = [];
  const told: string[] = [];
  let isClosed = false;
  let rest = "";
  response.setEncoding("utf8");
  response.on("data", (text: string) => {
    const texts = (rest + text).split("\n\n");
    rest = texts.pop() ?? "";
    for (const each of texts) {
      const fields = new Map(
        each
          .split("\n")
          .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
      );
      const name = fields.get("event");
      if (name !== undefined) told.push(name);
      else frames.push({ id: fields.get("id") ?? "", ...JSON.parse(fields.get("data") ?? "") } as ReadFrame);
    }
  });
  response.on("close", () => {
    isClosed = true;
  });
  response.on("error", () => {});
  return {
    frames,
    told,
    get isClosed() {
      return isClosed;
    },
    async frame(fits) {
      await until(() => frames.some(fits));
      return frames.find(fits) as ReadFrame;
    },
    leave: () => void response.destroy(),
  };
}

/** The version that a page has. */
export function versionOf(page: string): string {
  return /data-version="([^"]*)"/.exec(page)?.[1] ?? "";
}
