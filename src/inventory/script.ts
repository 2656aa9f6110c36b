import { execFile } from "node:child_process";
import { didYouMean, type SourceLocation, VolleyError } from "../core/errors.ts";
import { makeSecret } from "../core/secret.ts";
import { commandLine } from "../core/unix/shell-words.ts";
import { Data, type Dict, dictEntries, isDict, isRecord, makeDict, parseJson } from "../core/values/value.ts";

import {
  addChild,
  addHosts,
  declareGroup,
  entry,
  groupScope,
  invalid,
  type ReadContext,
  setGroupVar,
} from "./draft.ts";
import { textOf } from "./files.ts";

const TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;
const HOSTS_ASKED_AT_ONCE = 4;
/** The limit for the nesting of a var. */
const MAX_DEPTH = 100;
const GROUP_KEYS = ["hosts", "children", "vars"];

/** The program of an inventory, and its surroundings. */
export interface ScriptOptions {
  /** An absolute path. */
  readonly path: string;
  readonly cwd: string;
  readonly signal?: AbortSignal;
}

function run(options: ScriptOptions, file: string, args: readonly string[]): Promise<string> {
  const { path, cwd, signal } = options;
  const command = commandLine([file, ...args]);
  return new Promise((resolve, reject) => {
    const limits = {
      cwd,
      timeout: TIMEOUT_MS,
      maxBuffer: MAX_OUTPUT_BYTES,
      encoding: "buffer" as const,
      ...(signal === undefined ? {} : { signal }),
    };
    execFile(path, [...args], limits, (error, stdout, stderr) => {
      if (error === null) {
        try {
          return resolve(textOf(stdout, command));
        } catch (thrown) {
          return reject(thrown);
        }
      }
      if (signal?.aborted === true) {
        return reject(new VolleyError("CANCELLED", `${command} was cancelled`, { cause: error }));
      }
      const said = stderr.toString("utf8").trim().split("\n").slice(-5).join("\n");
      const hint = said === "" ? {} : { hint: `It said: ${said}` };
      const ended =
        typeof error.code === "number" ? `exited with code ${error.code}` : `could not be run: ${error.code}`;
      const reason = error.killed === true ? `gave no answer within ${TIMEOUT_MS / 1000} s` : ended;
      reject(invalid(`the inventory script ${command} ${reason}`, { file }, { ...hint, cause: error }));
    });
  });
}

function parse(text: string, file: string, what: string): Dict {
  let parsed: unknown;
  try {
    parsed = parseJson(text);
  } catch (cause) {
    const begins = text.trim() === "" ? "nothing" : JSON.stringify(text.trim().slice(0, 60));
    throw invalid(`${what} must be JSON, but is ${begins}`, { file }, { cause });
  }
  if (!isDict(parsed)) throw invalid(`${what} must be a JSON object`, { file });
  return parsed;
}

function names(value: unknown, what: string, file: string): readonly string[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every((name) => typeof name === "string")) return value;
  throw invalid(`${what} must be a list of names`, { file });
}

/** Replace the stand-ins of `ansible-inventory` in a value: `{ __ansible_vault: … }` becomes a secret, `{ __ansible_unsafe: … }` data. */
function openable(value: unknown, file: string, depth = 0): unknown {
  if (depth > MAX_DEPTH) throw invalid(`a var is nested more than ${MAX_DEPTH} levels deep`, { file });
  if (Array.isArray(value)) return value.map((item) => openable(item, file, depth + 1));
  if (!isDict(value)) return value;
  const { __ansible_vault: vault, __ansible_unsafe: unsafe } = value instanceof Map ? {} : value;
  if (typeof vault === "string") return makeSecret({ kind: "vault", text: vault }, { location: { file } });
  if (typeof unsafe === "string") return new Data(unsafe);
  return makeDict(dictEntries(value).map(([key, inner]) => [key, openable(inner, file, depth + 1)]));
}

function vars(value: unknown, what: string, file: string): readonly (readonly [string, unknown])[] {
  if (value === undefined || value === null) return [];
  if (isDict(value)) return dictEntries(value).map(([name, inner]) => [String(name), openable(inner, file)]);
  throw invalid(`${what} must be an object`, { file });
}

/** Read the output of `--list` into a draft. Fail with `INVENTORY_INVALID`. */
export function readInventoryJson(context: ReadContext, listing: Dict): void {
  const { draft, file } = context;
  const location: SourceLocation = { file };
  const sections = new Map(dictEntries(listing).map(([name, body]) => [String(name), body]));
  for (const [name, body] of sections) {
    if (name === "_meta") continue;
    const group = declareGroup(draft, name, location);
    const parts = Array.isArray(body) ? { hosts: body } : (body ?? {});
    if (!isRecord(parts)) throw invalid(`group ${name} must be an object or a list of hosts`, { file });
    const unknown = Object.keys(parts).find((key) => !GROUP_KEYS.includes(key));
    if (unknown !== undefined) {
      throw invalid(`group ${name} has an unknown key "${unknown}"${didYouMean(unknown, GROUP_KEYS)}`, {
        file,
      });
    }
    for (const host of names(parts.hosts, `hosts of group ${name}`, file))
      addHosts(context, group, host, location);
    for (const child of names(parts.children, `children of group ${name}`, file)) {
      declareGroup(draft, child, location);
      addChild(group, child, location);
    }
    for (const [key, value] of vars(parts.vars, `vars of group ${name}`, file)) {
      setGroupVar(group, key, entry(context, value, groupScope(name)));
    }
  }
  const meta = vars(sections.get("_meta"), "_meta", file).find(([key]) => key === "hostvars")?.[1];
  for (const [host, values] of vars(meta, "_meta.hostvars", file)) {
    // In Ansible, vars alone do not make a host.
    if (draft.hosts.has(host)) readHostVars(context, host, values);
  }
}

function readHostVars(context: ReadContext, host: string, values: unknown): void {
  const pairs = vars(values, `vars of host ${host}`, context.file);
  const known = context.draft.hosts.get(host);
  for (const [key, value] of pairs) known?.set(key, entry(context, value, `host ${host}`));
}

/**
 * Run an executable inventory with `--list` and read its JSON into a draft. Without `_meta` it is run with `--host` for
 * each host, as in Ansible's older protocol. A run has 60 s. Fail with `INVENTORY_INVALID`.
 */
export async function readScriptInventory(context: ReadContext, options: ScriptOptions): Promise<void> {
  const { file } = context;
  const listing = parse(await run(options, file, ["--list"]), file, `the output of ${file} --list`);
  const before = new Set(context.draft.hosts.keys());
  readInventoryJson(context, listing);
  if (dictEntries(listing).some(([key]) => key === "_meta")) return;
  const pending = [...context.draft.hosts.keys()].filter((host) => !before.has(host));
  const ask = async (): Promise<void> => {
    for (let host = pending.shift(); host !== undefined; host = pending.shift()) {
      const text = await run(options, file, ["--host", host]);
      readHostVars(
        context,
        host,
        text.trim() === "" ? {} : parse(text, file, `the output of ${file} --host ${host}`),
      );
    }
  };
  await Promise.all(Array.from({ length: HOSTS_ASKED_AT_ONCE }, ask));
}
