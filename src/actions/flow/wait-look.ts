import { pythonRegex } from "../../core/python-regex.ts";
import type { ReadSystem } from "../../core/system.ts";
import { type ConnectionState, countConnections } from "./active-connections.ts";
import { findIn, kernelAddresses, lookAtPort } from "./wait-port.ts";

/** What is waited for. */
export interface WaitRequest {
  readonly host: string;
  readonly port?: number | undefined;
  readonly path?: string | undefined;
  readonly state: "started" | "stopped" | "present" | "absent" | "drained";
  readonly search_regex?: string | undefined;
  readonly connectTimeoutMs: number;
  readonly exclude_hosts?: readonly string[] | undefined;
  readonly active_connection_states: readonly ConnectionState[];
}

/** What one look shows. */
export interface Look {
  readonly holds: boolean;
  readonly match: RegExpExecArray | null;
}

/** Looks once whether what is waited for is so. */
export async function lookOnce(request: WaitRequest, system: ReadSystem, signal: AbortSignal): Promise<Look> {
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
