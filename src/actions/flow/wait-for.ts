import * as v from "valibot";
import {
  type ActionContext,
  ActionFailure,
  type Applied,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { describe, oneOf, optionalText, seconds, textList } from "../shared/params.ts";
import { CONNECTION_STATES, type ConnectionState } from "./active-connections.ts";
import { sleep } from "./sleep.ts";
import { type Look, lookOnce, type WaitRequest } from "./wait-look.ts";

/** What waiting came to, under Ansible's names. */
export interface WaitForData {
  /** Seconds. */
  readonly elapsed: number;
  readonly state: string;
  readonly port?: number;
  readonly path?: string;
  readonly search_regex?: string;
  /** What the groups of `search_regex` matched. */
  readonly match_groups: readonly (string | undefined)[];
  readonly match_groupdict: Readonly<Record<string, string>>;
}

const STATES = ["started", "stopped", "present", "absent", "drained"] as const;
const CONNECTION_NAMES = Object.keys(CONNECTION_STATES) as ConnectionState[];

const params = v.pipe(
  v.strictObject({
    host: v.optional(describe(v.string(), "Name or address to connect to, from the host."), "127.0.0.1"),
    port: v.optional(
      describe(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)), "Port to look at."),
    ),
    path: optionalText("File to look at; give this or `port`."),
    state: oneOf(
      STATES,
      "started",
      "`started` and `present`: the port is open, the path exists, `search_regex` is found. `stopped` and `absent`: the port is closed, the path does not exist, `search_regex` is not found in it. `drained`: nobody is connected to the port.",
    ),
    search_regex: optionalText(
      "Python regular expression to find in the file, or in what the port says first.",
    ),
    timeout: seconds("Seconds to wait at most.", 300),
    delay: seconds("Seconds to wait before looking for the first time.", 0),
    sleep: seconds("Seconds between one look and the next.", 1),
    connect_timeout: seconds("Seconds one connection to the port may take.", 5),
    msg: optionalText("What to fail with instead of what was waited for."),
    exclude_hosts: v.optional(textList("For `drained`: names or addresses whose connections do not count.")),
    active_connection_states: v.optional(
      describe(v.array(v.picklist(CONNECTION_NAMES)), "For `drained`: states in which a connection counts."),
      CONNECTION_NAMES,
    ),
  }),
  v.check(({ port, path }) => port === undefined || path === undefined, "give either port or path"),
  v.check(({ path, state }) => path === undefined || state !== "drained", "state drained needs a port"),
  v.check(
    ({ path, state }) => path === undefined || state !== "stopped",
    "state stopped is for a port; for a path it is absent",
  ),
  v.check(
    ({ port, path, state }) => port !== undefined || path !== undefined || state === "started",
    "say what to wait for with port or path",
  ),
  v.check(
    ({ exclude_hosts, state }) => exclude_hosts === undefined || state === "drained",
    "exclude_hosts needs state drained",
  ),
);

/** Waits for a port or a file. */
export const wait_for = defineAction({
  name: "wait_for",
  doc: `Wait until a port is open or closed, a file is there or gone, or either says something.

It looks from the host the task runs on, and changes nothing: the task is unchanged, with \`elapsed\` in its data, or
fails once \`timeout\` is over. With neither \`port\` nor \`path\` it waits for as long as \`timeout\` says.

Check mode looks once. What is not so yet may become so by what earlier tasks would have changed: then the result is
unknown. (Ansible skips the task.)`,
  params,
  examples: [
    { port: 8080 },
    { path: "/var/lib/app/ready", search_regex: "^done (\\d+)", timeout: 60 },
    { host: "0.0.0.0", port: 80, state: "drained", exclude_hosts: ["10.0.0.1"] },
  ],
  title: ({ host, port, path, timeout }) => path ?? (port === undefined ? `${timeout} s` : `${host}:${port}`),
  async inspect(given, system, context): Promise<Change | Unchanged<WaitForData>> {
    const { port, path, timeout, delay } = given;
    const message = `wait until ${goal(given)}`;
    if (port === undefined && path === undefined) {
      return context.check ? unchanged(undefined, `would wait ${timeout} s`) : { message };
    }
    if (delay > 0 && !context.check) return { message };
    const look = await lookFor(given, timeout * 1000, system, context.signal);
    if (look.holds) return unchanged(dataOf(given, look, Date.now()));
    return { message, unknown: `whether ${goal(given)} is known only by waiting: it is not so now` };
  },
  async apply(_change, given, system, context): Promise<Applied<WaitForData>> {
    return waitFor(given, system, context);
  },
});

/** The last look is a whole one. */
const MIN_LOOK_MS = 1_000;

type Params = v.InferOutput<typeof params>;

async function waitFor(
  given: Params,
  system: ReadSystem,
  { signal }: ActionContext,
): Promise<Applied<WaitForData>> {
  const startedAt = Date.now();
  const until = startedAt + given.timeout * 1000;
  if (given.port === undefined && given.path === undefined) {
    await sleep(given.timeout * 1000, signal);
    return succeed(given, { holds: true, match: null }, startedAt);
  }
  await sleep(given.delay * 1000, signal);
  for (;;) {
    const look = await lookFor(given, until - Date.now(), system, signal);
    if (look.holds) return succeed(given, look, startedAt);
    const left = until - Date.now();
    if (left <= 0) {
      const { elapsed } = dataOf(given, look, startedAt);
      const message = given.msg ?? `waited ${given.timeout} s in vain until ${goal(given)}`;
      throw new ActionFailure("TIMEOUT", message, { elapsed });
    }
    await sleep(Math.min(given.sleep * 1000, left), signal);
  }
}

/** Looks once, for so many milliseconds at most: an expression may take longer. */
async function lookFor(
  given: Params,
  leftMs: number,
  system: ReadSystem,
  signal: AbortSignal,
): Promise<Look> {
  const over = new AbortController();
  const end = (): void => over.abort();
  const timer = setTimeout(end, Math.max(MIN_LOOK_MS, leftMs));
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  try {
    return await lookOnce(requestOf(given), system, over.signal);
  } catch (thrown) {
    if (signal.aborted || !over.signal.aborted) throw thrown;
    return { holds: false, match: null };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  }
}

function succeed(given: Params, look: Look, startedAt: number): Applied<WaitForData> {
  const data = dataOf(given, look, startedAt);
  return { changed: false, data, message: `${goal(given)}: waited ${data.elapsed} s` };
}

function requestOf(given: Params): WaitRequest {
  return { ...given, connectTimeoutMs: given.connect_timeout * 1000 };
}

function dataOf(
  { state, port, path, search_regex }: Params,
  { match }: Look,
  startedAt: number,
): WaitForData {
  return {
    elapsed: Math.round((Date.now() - startedAt) / 1000),
    state,
    ...(port === undefined ? {} : { port }),
    ...(path === undefined ? {} : { path }),
    ...(search_regex === undefined ? {} : { search_regex }),
    match_groups: match === null ? [] : match.slice(1),
    match_groupdict: { ...match?.groups },
  };
}

function goal({ host, port, path, state, search_regex, timeout }: Params): string {
  const gone = state === "stopped" || state === "absent";
  if (path !== undefined) {
    if (search_regex !== undefined) return `${path} ${gone ? "does not hold" : "holds"} /${search_regex}/`;
    return `${path} ${gone ? "is gone" : "exists"}`;
  }
  if (port === undefined) return `${timeout} s are over`;
  const where = `port ${port} of ${host}`;
  if (state === "drained") return `nobody is connected to ${where}`;
  if (gone) return `${where} is closed`;
  return search_regex === undefined ? `${where} is open` : `${where} says /${search_regex}/`;
}
