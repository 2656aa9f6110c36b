import { posix } from "node:path";
import type { ActionContext } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { type DownloadRequest, openDownload, refusal } from "../network/download.ts";
import { decodeName } from "../network/web-url.ts";
import { failureText } from "../shared/run-tool.ts";
import { APT_ENVIRONMENT } from "./apt-get.ts";

// Package files: what they hold, and fetching them.

/** The package in a .deb. */
export interface DebFile {
  readonly name: string;
  readonly architecture: string;
  readonly version: string;
  /** Path or URL. */
  readonly from: string;
}

const FORMAT = `\${Package} \${Architecture} \${Version}`;

/** Read which package a .deb on the host holds. Fails with `ACTION_FAILED`. */
export async function readDeb(
  path: string,
  system: ReadSystem,
  context: Pick<ActionContext, "signal">,
): Promise<DebFile> {
  return show(path, [path], system, context);
}

async function show(
  from: string,
  args: readonly string[],
  system: ReadSystem,
  { signal }: Pick<ActionContext, "signal">,
  input?: Uint8Array,
): Promise<DebFile> {
  const asked = await system.query(["dpkg-deb", "--show", "--showformat", FORMAT, ...args], {
    env: APT_ENVIRONMENT,
    signal,
    ...(input === undefined ? {} : { input }),
  });
  if (asked.code !== 0)
    throw new VolleyError("ACTION_FAILED", `Unable to install package ${from}: ${failureText(asked)}`);
  const [name = "", architecture = "", version = ""] = asked.stdout.trim().split(" ");
  return { name, architecture, version, from };
}

const TIMEOUT_MS = 60_000;

function requestFor(url: string, { facts, signal }: ActionContext): DownloadRequest {
  return { url, timeoutMs: TIMEOUT_MS, environment: facts.env, signal };
}

/** Read which package the .deb behind a URL holds, from the beginning of the file alone. Fails with `ACTION_FAILED`. */
export async function readRemoteDeb(
  url: string,
  system: ReadSystem,
  context: ActionContext,
): Promise<DebFile> {
  const response = await openDownload(requestFor(url, context));
  if (response.status !== 200) throw refusal(url, response);
  let head = Buffer.alloc(0);
  try {
    for await (const chunk of response.body) {
      head = Buffer.concat([head, chunk]);
      const length = controlEnd(head);
      if (length === null) break;
      if (head.length < length) continue;
      return await show(url, ["-"], system, context, head.subarray(0, length));
    }
  } finally {
    response.close();
  }
  throw new VolleyError("ACTION_FAILED", `Unable to install package ${url}: it is no Debian package`);
}

const AR_MAGIC = "!<arch>\n";
const AR_HEADER_BYTES = 60;
/** Control archives have a few kilobytes; a larger one would have to be held in memory. */
const MAX_HEAD_BYTES = 16 << 20;

/** Return the number of bytes up to the end of the control archive, as far as `head` tells; null when it is no .deb. */
export function controlEnd(head: Uint8Array): number | null {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  if (bytes.length >= AR_MAGIC.length && bytes.toString("latin1", 0, AR_MAGIC.length) !== AR_MAGIC)
    return null;
  let at = AR_MAGIC.length;
  while (at + AR_HEADER_BYTES <= bytes.length) {
    const name = bytes.toString("latin1", at, at + 16).trim();
    const size = Number(bytes.toString("latin1", at + 48, at + 58).trim());
    if (!Number.isSafeInteger(size) || size < 0 || size > MAX_HEAD_BYTES) return null;
    const end = at + AR_HEADER_BYTES + size;
    if (name.startsWith("control.tar")) return end;
    if (name.startsWith("data.tar")) return null;
    at = end + (size % 2);
  }
  return at + AR_HEADER_BYTES;
}

/** Download a .deb to a temporary directory of the host, and return its path. Fails with `ACTION_FAILED`. */
export async function downloadDeb(url: string, system: System, context: ActionContext): Promise<string> {
  const response = await openDownload(requestFor(url, context));
  if (response.status !== 200) throw refusal(url, response);
  const directory = await system.temporaryDirectory();
  // apt reads package files as a user of its own.
  await system.chmod(directory, 0o755);
  const name = posix.basename(decodeName(response.url.pathname)).replace(/[^A-Za-z0-9.+~_-]/g, "_");
  const path = posix.join(directory, name.endsWith(".deb") ? name : `${name || "package"}.deb`);
  await system.writeFile(path, response.body, { mode: 0o644 });
  return path;
}
