import { createHash, getHashes, randomBytes } from "node:crypto";
import { posix } from "node:path";
import * as v from "valibot";
import { type ActionContext, type Applied, type Change, unchanged } from "../../core/action.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, Stat, System, Written } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import {
  type AttributeChange,
  applyAttributes,
  type FileAttributes,
  inspectAttributes,
  NEW_FILE_MODE,
} from "../shared/attributes.ts";
import { describe, fileAttributes, flag, optionalText, text } from "../shared/params.ts";
import { followLinks, parentOf } from "../shared/paths.ts";
import { makeBackup, writtenInPlace } from "../shared/write-file.ts";
import {
  type DownloadRequest,
  type DownloadResponse,
  decodeName,
  downloadText,
  isWebUrl,
  openDownload,
  refusal,
} from "./download.ts";

const params = v.strictObject({
  url: v.pipe(text("The `http:` or `https:` URL."), v.check(isWebUrl, "must be an http or https URL")),
  dest: text(
    "Absolute path of the file, or of an existing directory, which gets a file named by the server or the URL.",
  ),
  checksum: optionalText(
    "`sha256:HEX`, or `sha256:URL` of a list that names the file; any digest of Node's.",
  ),
  force: flag("Download even if the server has nothing newer than the file."),
  backup: flag("Keep a copy of the replaced file."),
  headers: v.optional(describe(v.record(v.string(), v.string()), "Additional headers of the request.")),
  timeout: v.optional(
    describe(v.pipe(v.number(), v.gtValue(0)), "Seconds of silence after which the download fails."),
    10,
  ),
  url_username: optionalText("User name for basic authentication."),
  url_password: v.optional(describe(v.string(), "Password for basic authentication.")),
  force_basic_auth: flag("Send user name and password with the first request, instead of only when asked."),
  use_proxy: flag("Use the proxy of the variables `http_proxy`, `https_proxy` and `no_proxy`.", true),
  validate_certs: flag("Verify the server's certificate.", true),
  ...fileAttributes,
});
type Params = v.InferOutput<typeof params>;

/** The data of a get_url task. */
interface GetUrlData {
  readonly url: string;
  readonly dest: string;
  readonly msg: string;
  readonly status_code?: number;
  /** Bytes. */
  readonly size?: number;
  /** SHA-1, as in Ansible. */
  readonly checksum_dest?: string;
  readonly backup_file?: string;
}

interface GetUrlChange extends Change {
  readonly diff: Diff;
  /** Absent for a directory: the server's answer names the file. */
  readonly path?: string;
  readonly directory?: string;
  readonly checksum?: Checksum;
  /** HTTP date for `If-Modified-Since`. */
  readonly modifiedSince?: string;
  readonly attributes: AttributeChange | null;
  /** False when only attributes differ. */
  readonly download: boolean;
}

/** Download a file. */
export const get_url = defineAction({
  name: "get_url",
  doc: `Download a file over HTTP or HTTPS.

- With a \`checksum\`, a file that matches it is left alone without a request, and a download that does not match is
  discarded.
- Without one, an existing file is downloaded only if the server has something newer (\`If-Modified-Since\`), and
  replaced only if its content differs. \`force\` downloads it in any case.
- The file is replaced atomically, after the whole download.
- A link is followed, and its target replaced. (Ansible replaces the link.)
- At most ten redirects are followed; user name and password are sent to no other server.

Check mode sends a HEAD request and downloads nothing; if the answer does not tell whether the content differs, the
result is unknown. (Ansible says changed.) \`tmp_dest\` does not exist: a download lies beside the file until it is
complete.`,
  params,
  examples: [
    {
      url: "https://example.org/tool-1.2.tar.gz",
      dest: "/usr/local/src/tool-1.2.tar.gz",
      checksum: "sha256:https://example.org/SHA256SUMS",
      mode: "0644",
    },
  ],
  title: ({ dest }) => dest,
  inspect,
  apply,
});

function requestFor(given: Params, context: ActionContext): DownloadRequest {
  return {
    url: given.url,
    headers: given.headers ?? {},
    timeoutMs: given.timeout * 1000,
    username: given.url_username,
    password: given.url_password,
    forceBasicAuth: given.force_basic_auth,
    validateCertificates: given.validate_certs,
    environment: given.use_proxy ? context.facts.env : undefined,
    signal: context.signal,
  };
}

/** Return the last part of a URL's path; `index.html` when it is empty. */
function nameInUrl(url: URL): string {
  return decodeName(url.pathname.slice(url.pathname.lastIndexOf("/") + 1)) || "index.html";
}

async function inspect(given: Params, system: ReadSystem, context: ActionContext) {
  const { url, dest, force } = given;
  const request = requestFor(given, context);
  const isDirectory = dest.endsWith("/") || (await system.stat(dest))?.type === "directory";
  const guess = isDirectory ? posix.join(dest, nameInUrl(new URL(url))) : await followLinks(system, dest);
  const parent = isDirectory ? dest : parentOf(guess);
  if ((await system.stat(parent))?.type !== "directory" && !context.check)
    throw new VolleyError(
      "ACTION_FAILED",
      `${parent} does not exist; make it first with file({ path, state: "directory" })`,
    );
  const names = [...new Set([nameInUrl(new URL(url)), posix.basename(guess)])];
  const checksum =
    given.checksum === undefined
      ? undefined
      : await resolveChecksum(given.checksum, names, (list) => downloadText({ ...request, url: list }));
  const stat = await system.stat(guess);
  const file = stat?.type === "file" ? stat : null;
  const attributes = await inspectAttributes(system, guess, file, given, context);
  const common = { path: guess, attributes, ...(checksum === undefined ? {} : { checksum }) };
  if (!force && file !== null && checksum !== undefined) {
    if ((await system.checksum(guess, checksum.algorithm)) === checksum.hex) {
      if (attributes === null)
        return unchanged<GetUrlData>({ url, dest: guess, msg: "file already exists", size: file.size });
      return { ...common, download: false, diff: attributes.diff } satisfies GetUrlChange;
    }
  }
  const modifiedSince =
    force || file === null || checksum !== undefined || isDirectory
      ? undefined
      : new Date(file.mtimeMs).toUTCString();
  const change: GetUrlChange = {
    ...common,
    download: true,
    ...(isDirectory ? { directory: dest } : {}),
    ...(modifiedSince === undefined ? {} : { modifiedSince }),
    diff: {
      path: guess,
      ...(file === null ? { before: null } : {}),
      binary: true,
      ...(attributes === null ? {} : { attributes: attributes.diff.attributes }),
    },
    message: `download ${url}`,
  };
  // Without a checksum only the download tells whether the file changes; apply reports it.
  return context.check ? predict(change, request, system) : change;
}

/** Ask the server with HEAD what `apply` would find. */
async function predict(change: GetUrlChange, request: DownloadRequest, system: ReadSystem) {
  let response: DownloadResponse;
  try {
    response = await openDownload({ ...request, method: "HEAD", headers: headersFor(change, request) });
  } catch (thrown) {
    if (!isVolleyError(thrown) || thrown.code === "CANCELLED") throw thrown;
    return { ...change, unknown: thrown.message };
  }
  response.close();
  const { status, headers } = response;
  if (status === 405 || status === 501)
    return { ...change, unknown: `the server does not answer HEAD (${status})` };
  if (status !== 200 && status !== 304) throw refusal(request.url, response);
  const path = change.directory === undefined ? change.path! : pathIn(change.directory, response);
  const stat = await system.stat(path);
  if (stat === null || change.checksum !== undefined || change.attributes !== null)
    return { ...change, path, diff: { ...change.diff, path } };
  if (status === 304)
    return unchanged<GetUrlData>({ url: request.url, dest: path, msg: "not modified", status_code: 304 });
  const length = headers["content-length"];
  if (length !== undefined && Number(length) !== stat.size) return { ...change, path };
  return { ...change, path, unknown: "only downloading it tells whether its content differs" };
}

function headersFor(change: GetUrlChange, request: DownloadRequest): Readonly<Record<string, string>> {
  return {
    ...request.headers,
    ...(change.modifiedSince === undefined ? {} : { "if-modified-since": change.modifiedSince }),
  };
}

/** Return the path of a download within a directory: named by the server (RFC 6266), else by the URL. */
function pathIn(directory: string, { headers, url }: DownloadResponse): string {
  const disposition = headers["content-disposition"] ?? "";
  const encoded = /filename\*=(?:UTF-8|utf-8)''([^;\s]+)/.exec(disposition)?.[1];
  const plain =
    /filename="((?:[^"\\]|\\.)*)"/.exec(disposition)?.[1] ?? /filename=([^;\s]+)/.exec(disposition)?.[1];
  const name = posix.basename(
    encoded === undefined ? (plain ?? "").replace(/\\(.)/g, "$1") : decodeName(encoded),
  );
  return posix.join(directory, /^\.{0,2}$/.test(name) ? nameInUrl(url) : name);
}

async function apply(
  change: GetUrlChange,
  given: Params,
  system: System,
  context: ActionContext,
): Promise<Applied<GetUrlData>> {
  const { url } = given;
  if (!change.download) {
    if (change.attributes !== null) await applyAttributes(change.attributes, system);
    return { data: { url, dest: change.path!, msg: "file already exists" } };
  }
  const request = requestFor(given, context);
  const response = await openDownload({ ...request, headers: headersFor(change, request) });
  const { status } = response;
  const path = change.directory === undefined ? change.path! : pathIn(change.directory, response);
  if (status === 304) {
    response.close();
    if (change.attributes !== null) await applyAttributes(change.attributes, system);
    return {
      changed: change.attributes !== null,
      data: { url, dest: path, msg: "not modified", status_code: status },
    };
  }
  if (status !== 200) throw refusal(url, response);
  const stored = await storeBody(response, { ...given, path, checksum: change.checksum }, system, context);
  const attributes = stored.replaced
    ? null
    : await inspectAttributes(system, path, await system.lstat(path), given, context);
  if (attributes !== null) await applyAttributes(attributes, system);
  return {
    changed: stored.replaced || attributes !== null,
    ...(stored.written === "in place" ? { message: writtenInPlace(path) } : {}),
    data: {
      url,
      dest: path,
      msg: `OK (${stored.size} bytes)`,
      status_code: status,
      size: stored.size,
      checksum_dest: stored.sha1,
      ...(stored.backup === undefined ? {} : { backup_file: stored.backup }),
    },
  };
}

/** The file that receives an answer's body. */
interface StoreRequest extends FileAttributes {
  readonly path: string;
  readonly checksum?: Checksum | undefined;
  readonly backup: boolean;
}

/** The outcome of {@link storeBody}. */
interface Stored {
  /** False when the file had the same content already. */
  readonly replaced: boolean;
  readonly written?: Written;
  /** Bytes. */
  readonly size: number;
  readonly sha1: string;
  readonly backup?: string;
}

/**
 * Write an answer's body beside its file, check it, set the attributes, then replace the file. The
 * temporary file is removed when the body fails its check or equals the file.
 */
async function storeBody(
  response: DownloadResponse,
  request: StoreRequest,
  system: System,
  context: ActionContext,
): Promise<Stored> {
  const { path, checksum } = request;
  const before = await system.lstat(path);
  const temporary = posix.join(parentOf(path), `.volley-download-${randomBytes(6).toString("hex")}`);
  const sha1 = createHash("sha1");
  const checked = checksum === undefined ? undefined : createHash(checksum.algorithm);
  let size = 0;
  let broken: unknown;
  const body = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of response.body) {
        sha1.update(chunk);
        checked?.update(chunk);
        size += chunk.length;
        yield chunk;
      }
    } catch (thrown) {
      broken = thrown;
      throw thrown;
    }
  };
  try {
    try {
      await system.writeFile(temporary, body(), { mode: 0o600 });
    } catch (thrown) {
      // The download's own error says more than the error of writing.
      throw broken ?? thrown;
    }
    const found = checked?.digest("hex");
    if (checksum !== undefined && found !== checksum.hex) {
      throw new VolleyError(
        "ACTION_FAILED",
        `${response.url.href} is not what it should be: its ${checksum.algorithm} is ${found}, not ${checksum.hex}`,
      );
    }
    const digest = sha1.digest("hex");
    if (before?.type === "file" && before.size === size && (await system.checksum(path, "sha1")) === digest)
      return { replaced: false, size, sha1: digest };
    await dress(temporary, before, request, system, context);
    const backup = request.backup ? await makeBackup(system, path) : undefined;
    const { mode, uid, gid } = (await system.lstat(temporary))!;
    const written = await system.writeFile(path, { copyOf: temporary }, { mode, uid, gid });
    return { replaced: true, written, size, sha1: digest, ...(backup === undefined ? {} : { backup }) };
  } finally {
    await system.remove(temporary);
  }
}

async function dress(
  path: string,
  before: Stat | null,
  wanted: FileAttributes,
  system: System,
  context: ActionContext,
): Promise<void> {
  if (before?.type === "file" && (before.uid !== system.uid || before.gid !== system.gid))
    await system.chown(path, before.uid, before.gid);
  await system.chmod(path, before?.type === "file" ? before.mode : NEW_FILE_MODE);
  const attributes = await inspectAttributes(system, path, await system.lstat(path), wanted, context);
  if (attributes !== null) await applyAttributes(attributes, system);
}

/** The digest that a file must have. */
interface Checksum {
  /** Name in node:crypto. */
  readonly algorithm: string;
  /** In lower case. */
  readonly hex: string;
}

/** Resolve `sha256:HEX`, or `sha256:URL` of a list of checksums that names the file. Fails with `ACTION_FAILED`. */
async function resolveChecksum(
  given: string,
  names: readonly string[],
  readList: (url: string) => Promise<string>,
): Promise<Checksum> {
  const [, algorithm = "", value = ""] = /^([A-Za-z0-9-]+):(.+)$/.exec(given.trim()) ?? [];
  const name = algorithm.toLowerCase().replace(/^sha-/, "sha");
  if (!getHashes().includes(name))
    throw new VolleyError("ACTION_FAILED", `cannot check ${given}: write it as sha256:HEX or sha256:URL`);
  const isUrl = /^https?:\/\//.test(value);
  const hex = isUrl ? findInList(await readList(value), names) : value.replace(/\s/g, "");
  if (hex === null)
    throw new VolleyError("ACTION_FAILED", `${value} has no checksum for ${names.join(" or ")}`);
  if (!/^[0-9a-f]+$/i.test(hex))
    throw new VolleyError("ACTION_FAILED", `${given} is not a hexadecimal checksum`);
  return { algorithm: name, hex: hex.toLowerCase() };
}

/** Find a checksum in the output of `sha256sum`, in its `--tag` form, or in a file that holds nothing else. */
function findInList(list: string, names: readonly string[]): string | null {
  const lines = list.split(/\r?\n/).filter((line) => line.trim() !== "");
  const only = lines.length === 1 ? /^\s*([0-9a-fA-F]{32,})\s*$/.exec(lines[0] ?? "")?.[1] : undefined;
  if (only !== undefined) return only;
  for (const line of lines) {
    const plain = /^\\?([0-9a-fA-F]{32,})\s+\*?(?:\.\/)?(.+?)\s*$/.exec(line);
    const tagged = /^\S+ \((?:\.\/)?(.+)\) = ([0-9a-fA-F]{32,})\s*$/.exec(line);
    const [hex, name] = plain ? [plain[1], plain[2]] : [tagged?.[2], tagged?.[1]];
    if (hex !== undefined && name !== undefined && names.includes(name)) return hex;
  }
  return null;
}
