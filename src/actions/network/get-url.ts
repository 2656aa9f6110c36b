import { posix } from "node:path";
import * as v from "valibot";
import {
  type ActionContext,
  ActionFailure,
  type Applied,
  type Change,
  failureData,
  unchanged,
} from "../../core/action.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { type AttributeChange, applyAttributes, inspectAttributes } from "../shared/attributes.ts";
import { describeFile } from "../shared/describe-file.ts";
import { attributeAliases, describe, fileAttributes, flag, optionalText, text } from "../shared/params.ts";
import { followLinks, parentOf } from "../shared/paths.ts";
import { writtenInPlace } from "../shared/write-file.ts";
import { type Checksum, resolveChecksum } from "./checksum.ts";
import {
  type DownloadRequest,
  type DownloadResponse,
  downloadText,
  openDownload,
  readAll,
  refusal,
} from "./download.ts";
import { pathIn, storeBody } from "./store-body.ts";
import { webParams, webRequest } from "./web-params.ts";
import { isWebUrl, nameInUrl } from "./web-url.ts";

const params = v.strictObject({
  url: v.pipe(
    text("The `http:` or `https:` URL, or the `file:` URL of a file of the host."),
    v.check((url) => isWebUrl(url) || isFileUrl(url), "must be an http or https URL"),
  ),
  dest: text(
    "Absolute path of the file, or of an existing directory, which gets a file named by the server or the URL.",
  ),
  checksum: v.optional(
    describe(
      v.string(),
      "`sha256:HEX`, or `sha256:URL` of a list that names the file; any digest of Node's.",
    ),
    "",
  ),
  force: flag("Download even if the server has nothing newer than the file."),
  backup: flag("Keep a copy of the replaced file."),
  tmp_dest: optionalText("Directory for the file while it is downloaded. Default: the directory of `dest`."),
  timeout: v.optional(
    describe(v.pipe(v.number(), v.gtValue(0)), "Seconds of silence after which the download fails."),
    10,
  ),
  ...webParams,
  ...fileAttributes,
});
type Params = v.InferOutput<typeof params>;

/** The data of a get_url task, with owner, group, mode, size and state of the file. */
interface GetUrlData {
  readonly url: string;
  readonly dest: string;
  readonly msg: string;
  /** Whole seconds. */
  readonly elapsed: number;
  readonly status_code?: number;
  /** Bytes. */
  readonly size?: number;
  /** SHA-1 of the file before; null without one. */
  readonly checksum_dest?: string | null;
  /** SHA-1 of the download. */
  readonly checksum_src?: string | null;
  readonly md5sum?: string;
  /** Where the download lay until it was complete. */
  readonly src?: string;
  readonly backup_file?: string;
  readonly [name: string]: unknown;
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
- The file is replaced atomically, after the whole download, which lies beside it until then, or in \`tmp_dest\`.
- A link is followed, and its target replaced. (Ansible replaces the link.)
- At most ten redirects are followed; user name and password are sent to no other server.

Check mode sends a HEAD request and downloads nothing; if the answer does not tell whether the content differs, the
result is unknown. (Ansible says changed.)`,
  params,
  aliases: { username: "url_username", password: "url_password", thirsty: "force", ...attributeAliases },
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

function isFileUrl(url: string): boolean {
  return /^file:\/\/(localhost)?\/./i.test(url);
}

/** Open a URL: at its server, or a file of the host. */
async function open(request: DownloadRequest, system: ReadSystem): Promise<DownloadResponse> {
  if (!isFileUrl(request.url)) return openDownload(request);
  const url = new URL(request.url);
  const path = decodeURIComponent(url.pathname);
  const stat = await system.stat(path);
  if (stat?.type !== "file") throw new VolleyError("ACTION_FAILED", `${path} is no file of the host`);
  const body = async function* (): AsyncGenerator<Uint8Array> {
    yield await system.readFile(path);
  };
  return {
    status: 200,
    statusText: "OK",
    headers: { "content-length": String(stat.size) },
    url,
    cookies: new Map(),
    body: request.method === "HEAD" ? (async function* () {})() : body(),
    close: () => {},
  };
}

async function readList(url: string, request: DownloadRequest, system: ReadSystem): Promise<string> {
  if (!isFileUrl(url)) return downloadText({ ...request, url });
  return (await readAll((await open({ ...request, url }, system)).body, 1 << 20, url)).toString("utf8");
}

/** Return a failure as Ansible reports it, with the data known by then. */
function failed(thrown: unknown, { url, dest }: Params, start: number, known: object = {}): unknown {
  if (!isVolleyError(thrown) || thrown.code === "CANCELLED") return thrown;
  const data = {
    url,
    dest,
    elapsed: elapsedSince(start),
    ...known,
    ...(failureData(thrown) as object | undefined),
  };
  const message = failureData(thrown) === undefined ? `Request failed: ${thrown.message}` : thrown.message;
  return new ActionFailure(thrown.code, message, data, {
    cause: thrown,
    ...(thrown.hint === undefined ? {} : { hint: thrown.hint }),
  });
}

function refused(given: Params, response: DownloadResponse, start: number): unknown {
  const { status, statusText } = response;
  return failed(refusal(given.url, response), given, start, {
    status_code: status,
    response: `HTTP Error ${status}: ${statusText}`,
  });
}

function elapsedSince(start: number): number {
  return Math.floor((Date.now() - start) / 1000);
}

async function inspect(given: Params, system: ReadSystem, context: ActionContext) {
  const { url, dest, force } = given;
  const start = Date.now();
  const request = await requestFor(given, system, context);
  const isDirectory = dest.endsWith("/") || (await system.stat(dest))?.type === "directory";
  const guess = isDirectory ? posix.join(dest, nameInUrl(new URL(url))) : await followLinks(system, dest);
  const parent = isDirectory ? dest : parentOf(guess);
  if ((await system.stat(parent))?.type !== "directory" && !context.check)
    throw new VolleyError(
      "ACTION_FAILED",
      `Destination ${parent} does not exist; make it first with file({ path, state: "directory" })`,
    );
  const names = [...new Set([nameInUrl(new URL(url)), posix.basename(guess)])];
  const checksum =
    given.checksum.trim() === ""
      ? undefined
      : await resolveChecksum(given.checksum, names, (list) => readList(list, request, system)).catch(
          (thrown: unknown) => {
            throw failed(thrown, given, start);
          },
        );
  const stat = await system.stat(guess);
  const file = stat?.type === "file" ? stat : null;
  const attributes = await inspectAttributes(system, guess, file, given, context);
  const common = { path: guess, attributes, ...(checksum === undefined ? {} : { checksum }) };
  if (!force && file !== null && checksum !== undefined) {
    if ((await system.checksum(guess, checksum.algorithm)) === checksum.hex) {
      if (attributes === null)
        return unchanged<GetUrlData>({
          ...(await describeFile(system, guess, context)),
          ...EXISTS,
          url,
          dest: guess,
          elapsed: elapsedSince(start),
        });
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
  if (!context.check) return change;
  const predicted = await predict(change, request, given, system, context);
  if ("unchanged" in predicted) return predicted;
  // Later tasks take the place of the file from here.
  return { ...predicted, data: { url, dest: predicted.path ?? given.dest } };
}

const EXISTS = { msg: "file already exists", checksum_dest: null, checksum_src: null } as const;

/** Turn the parameters into a request. */
function requestFor(given: Params, system: ReadSystem, context: ActionContext): Promise<DownloadRequest> {
  if (isFileUrl(given.url))
    return Promise.resolve({ url: given.url, timeoutMs: given.timeout * 1000, signal: context.signal });
  return webRequest(given, system, context);
}

/** Ask the server with HEAD what `apply` would find. */
async function predict(
  change: GetUrlChange,
  request: DownloadRequest,
  given: Params,
  system: ReadSystem,
  context: ActionContext,
) {
  const start = Date.now();
  let response: DownloadResponse;
  try {
    response = await open({ ...request, method: "HEAD", headers: headersFor(change, request) }, system);
  } catch (thrown) {
    if (!isVolleyError(thrown) || thrown.code === "CANCELLED") throw thrown;
    return { ...change, unknown: thrown.message };
  }
  response.close();
  const { status, headers } = response;
  if (status === 405 || status === 501)
    return { ...change, unknown: `the server does not answer HEAD (${status})` };
  if (status !== 200 && status !== 304) throw refused(given, response, start);
  const path = change.directory === undefined ? change.path! : pathIn(change.directory, response);
  const stat = await system.stat(path);
  if (stat === null || change.checksum !== undefined || change.attributes !== null)
    return { ...change, path, diff: { ...change.diff, path } };
  if (status === 304)
    return unchanged<GetUrlData>({
      ...(await describeFile(system, path, context)),
      ...NOT_MODIFIED,
      url: request.url,
      dest: path,
      elapsed: elapsedSince(start),
    });
  const length = headers["content-length"];
  if (length !== undefined && Number(length) !== stat.size) return { ...change, path };
  return { ...change, path, unknown: "only downloading it tells whether its content differs" };
}

const NOT_MODIFIED = { msg: "HTTP Error 304: Not Modified", status_code: 304 } as const;

function headersFor(change: GetUrlChange, request: DownloadRequest): Readonly<Record<string, string>> {
  return {
    ...request.headers,
    ...(change.modifiedSince === undefined ? {} : { "if-modified-since": change.modifiedSince }),
  };
}

async function apply(
  change: GetUrlChange,
  given: Params,
  system: System,
  context: ActionContext,
): Promise<Applied<GetUrlData>> {
  const { url, tmp_dest } = given;
  const start = Date.now();
  const told = async (path: string) => ({
    ...(await describeFile(system, path, context)),
    url,
    dest: path,
    elapsed: elapsedSince(start),
  });
  if (!change.download) {
    if (change.attributes !== null) await applyAttributes(change.attributes, system);
    return { data: { ...(await told(change.path!)), ...EXISTS } };
  }
  if (tmp_dest !== undefined && (await system.stat(tmp_dest))?.type !== "directory")
    throw new VolleyError(
      "ACTION_FAILED",
      `${tmp_dest} is not a directory; tmp_dest must name an existing one`,
    );
  const request = await requestFor(given, system, context);
  let response: DownloadResponse;
  try {
    response = await open({ ...request, headers: headersFor(change, request) }, system);
  } catch (thrown) {
    throw failed(thrown, given, start);
  }
  const { status, headers } = response;
  const path = change.directory === undefined ? change.path! : pathIn(change.directory, response);
  if (status === 304) {
    response.close();
    if (change.attributes !== null) await applyAttributes(change.attributes, system);
    return { changed: change.attributes !== null, data: { ...(await told(path)), ...NOT_MODIFIED } };
  }
  if (status !== 200) throw refused(given, response, start);
  const wanted = { ...given, path, checksum: change.checksum };
  const stored = await storeBody(response, wanted, system, context).catch((thrown: unknown) => {
    throw failed(thrown, given, start, { status_code: status });
  });
  const attributes = stored.replaced
    ? null
    : await inspectAttributes(system, path, await system.lstat(path), given, context);
  if (attributes !== null) await applyAttributes(attributes, system);
  return {
    changed: stored.replaced || attributes !== null,
    ...(stored.written === "in place" ? { message: writtenInPlace(path) } : {}),
    data: {
      ...(await told(path)),
      msg: `OK (${headers["content-length"] ?? "unknown"} bytes)`,
      status_code: status,
      size: stored.size,
      src: stored.temporary,
      checksum_src: stored.sha1,
      checksum_dest: stored.sha1Before,
      md5sum: stored.md5,
      ...(stored.backup === undefined ? {} : { backup_file: stored.backup }),
    },
  };
}
