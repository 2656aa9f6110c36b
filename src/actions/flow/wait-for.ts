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
import { pythonRegex } from "../../core/values/python-regex.ts";
import { defineAction } from "../define.ts";
import { describeFile } from "../shared/describe-file.ts";
import { describe, oneOf, optionalText, seconds, textList } from "../shared/params.ts";
import { expandPath } from "../shared/paths.ts";
import { sleep } from "./pause.ts";
import {
  CONNECTION_STATES,
  type ConnectionState,
  countConnections,
  findIn,
  kernelAddresses,
  lookAtPort,
} from "./wait-port.ts";

/** The result of waiting, under Ansible's names. */
interface WaitForData {
  /** Seconds. */
  readonly elapsed: number;
  /** As given; of a path that exists, `file` or `directory`, with its owner and mode beside. */
  readonly state: string;
  readonly port: number | null;
  readonly path: string | null;
  readonly search_regex: string | null;
  /** The text that each group of `search_regex` matched. */
  readonly match_groups: readonly (string | null)[];
  readonly match_groupdict: Readonly<Record<string, string | null>>;
  readonly uid?: number;
  readonly gid?: number;
  readonly owner?: string;
  readonly group?: string;
  readonly mode?: string;
  readonly size?: number;
}

const STATES = ["started", "stopped", "present", "absent", "drained"] as const;
const CONNECTION_NAMES = Object.keys(CONNECTION_STATES) as ConnectionState[];

const params = v.pipe(
  v.strictObject({
    host: v.optional(describe(v.string(), "Name or address to connect to, from the host."), "127.0.0.1"),
    port: v.optional(
      describe(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)), "The port."),
    ),
    path: optionalText("The file; give this or `port`."),
    state: oneOf(
      STATES,
      "started",
      "`started` and `present`: the port is open, the path exists, `search_regex` is found. `stopped` and `absent`: the port is closed, the path does not exist, `search_regex` is not found in it. `drained`: the port has no connections.",
    ),
    search_regex: optionalText(
      "Python regular expression to find in the file, or in the first data from the port.",
    ),
    timeout: seconds("Seconds to wait at most.", 300),
    delay: seconds("Seconds to wait before the first check.", 0),
    sleep: seconds("Seconds between two checks.", 1),
    connect_timeout: seconds("Seconds one connection to the port may take.", 5),
    msg: optionalText("The message of a failure. Default: a description of the condition."),
    exclude_hosts: v.optional(textList("For `drained`: names or addresses whose connections do not count.")),
    active_connection_states: v.optional(
      describe(
        v.array(
          v.picklist(CONNECTION_NAMES, ({ input }) => `unknown active_connection_state (${input}) defined`),
        ),
        "For `drained`: states in which a connection counts.",
      ),
      CONNECTION_NAMES,
    ),
  }),
  v.check(
    ({ port, path }) => port === undefined || path === undefined,
    "port and path parameter can not both be passed to wait_for",
  ),
  v.check(
    ({ path, state }) => path === undefined || state !== "drained",
    "state=drained should only be used for checking a port in the wait_for module",
  ),
  v.check(
    ({ path, state }) => path === undefined || state !== "stopped",
    "state=stopped should only be used for checking a port in the wait_for module: for a path it is absent",
  ),
  v.check(
    ({ port, path, state }) => port !== undefined || path !== undefined || state === "started",
    "say what to wait for with port or path",
  ),
  v.check(
    ({ exclude_hosts, state }) => exclude_hosts === undefined || state === "drained",
    "exclude_hosts should only be with state=drained",
  ),
);

/** Wait for a port or a file. */
export const wait_for = defineAction({
  name: "wait_for",
  doc: `Wait until a port is open or closed, a file exists or is gone, or a text is found in either.

It checks from the host the task runs on, and changes nothing: the task is unchanged, with \`elapsed\` in its data, or
fails after \`timeout\`. With neither \`port\` nor \`path\` it waits for the whole \`timeout\`.

Check mode checks once. If the condition does not hold, the result is unknown, because earlier tasks might have made it
hold. (Ansible skips the task.)`,
  params,
  examples: [
    { port: 8080 },
    { path: "/var/lib/app/ready", search_regex: "^done (\\d+)", timeout: 60 },
    { host: "0.0.0.0", port: 80, state: "drained", exclude_hosts: ["10.0.0.1"] },
  ],
  title: ({ host, port, path, timeout }) => path ?? (port === undefined ? `${timeout} s` : `${host}:${port}`),
  async inspect(params, system, context): Promise<Change | Unchanged<WaitForData>> {
    const given = await expanded(params, system, context);
    const { port, path, timeout, delay } = given;
    const message = `wait until ${goal(given)}`;
    if (port === undefined && path === undefined) {
      return context.check ? unchanged(undefined, `would wait ${timeout} s`) : { message };
    }
    if (delay > 0 && !context.check) return { message };
    const look = await lookFor(given, timeout * 1000, system, context.signal);
    if (look.holds) return unchanged(await dataOf(given, look, Date.now(), system, context));
    return { message, unknown: `whether ${goal(given)} is known only by waiting: it is not so now` };
  },
  async apply(_change, given, system, context): Promise<Applied<WaitForData>> {
    return waitFor(await expanded(given, system, context), system, context);
  },
});

/** The least time for one check: the last one must not be cut short. */
const MIN_LOOK_MS = 1_000;

type Params = v.InferOutput<typeof params>;

/** Expand `~` and variables in the path, as Ansible does. */
async function expanded(given: Params, system: ReadSystem, { facts }: ActionContext): Promise<Params> {
  const { path } = given;
  return path === undefined ? given : { ...given, path: await expandPath(system, path, facts.env) };
}

async function waitFor(
  given: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<Applied<WaitForData>> {
  const { signal } = context;
  const startedAt = Date.now();
  const until = startedAt + given.timeout * 1000;
  const succeed = async (look: Look): Promise<Applied<WaitForData>> => {
    const data = await dataOf(given, look, startedAt, system, context);
    return { changed: false, data, message: `${goal(given)}: waited ${data.elapsed} s` };
  };
  await sleep(given.delay * 1000, signal);
  if (given.port === undefined && given.path === undefined) {
    await sleep(given.timeout * 1000, signal);
    return succeed({ holds: true, match: null });
  }
  for (;;) {
    const look = await lookFor(given, until - Date.now(), system, signal);
    if (look.holds) return succeed(look);
    const left = until - Date.now();
    if (left <= 0) {
      const message = given.msg ?? `Timeout when waiting for ${wanted(given)}`;
      throw new ActionFailure("TIMEOUT", message, { elapsed: secondsSince(startedAt) });
    }
    await sleep(Math.min(given.sleep * 1000, left), signal);
  }
}

/** Check once, for at most `leftMs` milliseconds: a regular expression might take longer. */
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

function requestOf(given: Params): WaitRequest {
  return { ...given, connectTimeoutMs: given.connect_timeout * 1000 };
}

function secondsSince(startedAt: number): number {
  return Math.round((Date.now() - startedAt) / 1000);
}

async function dataOf(
  { state, port, path, search_regex }: Params,
  { match }: Look,
  startedAt: number,
  system: ReadSystem,
  context: ActionContext,
): Promise<WaitForData> {
  const there = path === undefined ? {} : await describeFile(system, path, context);
  return {
    elapsed: secondsSince(startedAt),
    ...{ state, port: port ?? null, path: path ?? null, search_regex: search_regex ?? null },
    match_groups: match === null ? [] : match.slice(1).map((group) => group ?? null),
    match_groupdict: Object.fromEntries(
      Object.entries(match?.groups ?? {}).map(([name, group]) => [name, group ?? null]),
    ),
    ...there,
  };
}

/** The words for what did not come, as scripts know them from Ansible. */
function wanted({ host, port, path, state, search_regex }: Params): string {
  const gone = state === "stopped" || state === "absent";
  const place = path ?? `${host}:${port}`;
  if (path !== undefined && gone && search_regex === undefined) return `${path} to be absent.`;
  if (state === "drained") return `${place} to drain`;
  if (path === undefined && gone) return `${place} to stop.`;
  if (search_regex !== undefined)
    return `search string ${search_regex} ${gone ? "to go from" : "in"} ${place}`;
  return path === undefined ? place : `file ${path}`;
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

/** The condition to wait for. */
interface WaitRequest {
  readonly host: string;
  readonly port?: number | undefined;
  readonly path?: string | undefined;
  readonly state: "started" | "stopped" | "present" | "absent" | "drained";
  readonly search_regex?: string | undefined;
  readonly connectTimeoutMs: number;
  readonly exclude_hosts?: readonly string[] | undefined;
  readonly active_connection_states: readonly ConnectionState[];
}

/** The outcome of one check. */
interface Look {
  readonly holds: boolean;
  readonly match: RegExpExecArray | null;
}

/** Check once whether the condition holds. */
async function lookOnce(request: WaitRequest, system: ReadSystem, signal: AbortSignal): Promise<Look> {
  const { port, path, state, search_regex } = request;
  const regex = search_regex === undefined ? undefined : pythonRegex(search_regex, { multiline: true });
  const wantsGone = state === "stopped" || state === "absent";
  if (path !== undefined) {
    const { there, match } = await lookAtPath(system, path, regex, signal);
    return { holds: there !== wantsGone, match };
  }
  if (port === undefined) return { holds: true, match: null };
  if (state === "drained") return { holds: (await connected(request, port, system)) === 0, match: null };
  const { open, match } = await lookAtPort({
    host: request.host,
    port,
    timeoutMs: request.connectTimeoutMs,
    regex: wantsGone ? undefined : regex,
    signal,
    ...(system.dial === undefined ? {} : { dial: system.dial }),
  });
  if (wantsGone) return { holds: !open, match: null };
  return { holds: open && (regex === undefined || match !== null), match };
}

async function lookAtPath(
  system: ReadSystem,
  path: string,
  regex: RegExp | undefined,
  signal: AbortSignal,
): Promise<{ readonly there: boolean; readonly match: RegExpExecArray | null }> {
  if (regex === undefined) return { there: (await system.stat(path)) !== null, match: null };
  const text = (await system.readIfExists(path))?.toString("utf8");
  const match = text === undefined ? null : await findIn(regex, text, signal);
  return { there: match !== null, match };
}

async function connected(
  { host, exclude_hosts = [], active_connection_states }: WaitRequest,
  port: number,
  system: ReadSystem,
): Promise<number> {
  return countConnections(system, {
    port,
    local: await kernelAddresses(host),
    excluded: (await Promise.all(exclude_hosts.map(kernelAddresses))).flat(),
    states: active_connection_states,
  });
}
