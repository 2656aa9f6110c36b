import { posix } from "node:path";
import * as v from "valibot";
import {
  type ActionContext,
  ActionFailure,
  type Applied,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { mapLeaves, parseJson } from "../../core/values/value.ts";
import { defineAction } from "../define.ts";
import { exclusive } from "../shared/combinations.ts";
import { describeFile } from "../shared/describe-file.ts";
import {
  attributeAliases,
  describe,
  fileAttributes,
  flag,
  oneOf,
  optionalText,
  text,
} from "../shared/params.ts";
import { firstMatch, parentOf } from "../shared/paths.ts";
import {
  type DownloadRequest,
  type DownloadResponse,
  openDownload,
  type RedirectPolicy,
  readAll,
} from "./download.ts";
import { BODY_FORMATS, writeBody } from "./request-body.ts";
import { pathIn, storeBody } from "./store-body.ts";
import { webParams, webRequest } from "./web-params.ts";
import { isWebUrl } from "./web-url.ts";

const params = v.pipe(
  v.strictObject({
    url: v.pipe(text("The `http:` or `https:` URL."), v.check(isWebUrl, "must be an http or https URL")),
    method: v.optional(v.pipe(text("The request's method."), v.toUpperCase()), "GET"),
    body: v.optional(describe(v.any(), "The request's body: text, or data that `body_format` writes.")),
    body_format: oneOf(
      BODY_FORMATS,
      "raw",
      "`json`, `form-urlencoded` (a dict or a list of pairs) and `form-multipart` (a dict of texts, or of dicts with `filename`, `content` and `mime_type`) write data, and set `Content-Type`; text is sent as it is.",
    ),
    src: optionalText("File to send as the body; of the role, or with `remote_src` of the host."),
    remote_src: flag("Read `src`, and the files of a multipart form, on the host."),
    dest: optionalText("Path of a file for the answer's body, or of an existing directory for it."),
    return_content: flag("Return the answer's body as `content`."),
    status_code: v.optional(
      v.pipe(
        v.union([
          v.pipe(v.number(), v.integer()),
          v.pipe(v.array(v.pipe(v.number(), v.integer())), v.minLength(1)),
        ]),
        v.transform((given): readonly number[] => (typeof given === "number" ? [given] : given)),
        v.description("Status codes that count as success; -1 stands for no answer at all."),
      ),
      [200],
    ),
    follow_redirects: v.optional(
      v.pipe(
        v.picklist(["all", "no", "none", "safe", "urllib2", "yes"]),
        v.description(
          "Redirects to follow: `all` (or `yes`), those of GET and HEAD alone (`safe`, or `no`), or none; `urllib2` follows those of POST as well, but no 307 and 308.",
        ),
      ),
      "safe",
    ),
    creates: optionalText("Path or pattern; when it exists, nothing is asked."),
    removes: optionalText("Path or pattern; when it does not exist, nothing is asked."),
    force: flag("With `dest`: ask for the content even if the server has nothing newer than the file."),
    timeout: v.optional(
      describe(v.pipe(v.number(), v.gtValue(0)), "Seconds of silence after which the request fails."),
      30,
    ),
    unix_socket: optionalText("Path of a Unix socket to talk to, whatever the URL's host is."),
    ca_path: optionalText("Path of certificates (PEM) of the authorities to trust."),
    ...webParams,
    ...fileAttributes,
  }),
  exclusive("body", "src"),
);
type Params = v.InferOutput<typeof params>;

/** The data of a uri task. Every header of the answer is added in lower case, with `_` for `-`. */
interface UriData {
  readonly url: string;
  /** -1 without an answer. */
  readonly status: number;
  readonly msg: string;
  readonly redirected: boolean;
  /** Whole seconds. */
  readonly elapsed: number;
  readonly content?: string;
  readonly json?: unknown;
  readonly cookies?: Readonly<Record<string, string>>;
  readonly cookies_string?: string;
  /** Of the file, with `dest`. */
  readonly path?: string;
  readonly [header: string]: unknown;
}

interface UriChange extends Change {
  readonly unknown: string;
}

type Skipped = Pick<UriData, never> & { readonly stdout: string };

/** Ask a web server. */
export const uri = defineAction<typeof params, UriChange, UriData | Skipped>({
  name: "uri",
  doc: `Ask a web server over HTTP or HTTPS, and return its answer.

- The task fails when the status is not among \`status_code\`; the answer is returned all the same.
- It counts as a change only when it wrote \`dest\`, which it does with every answer but 304.
- JSON is returned as \`json\`, whatever \`return_content\` says, and headers by their names in lower case: \`content_type\`.
- User name and password are sent when the server asks for them (Basic or Digest); to no other server after a redirect.
- Files of a multipart form are sent as they are. (Ansible's module encodes them in Base64.)

Check mode asks nothing: the result is unknown. Without Node on the host, the requests go out of the host through its
SSH connection, except those to a \`unix_socket\`, which need Node there.`,
  params,
  aliases: { user: "url_username", password: "url_password", ...attributeAliases },
  examples: [
    { url: "http://127.0.0.1:8080/health", status_code: [200, 204] },
    {
      url: "https://tracker.example.org/api/tickets",
      method: "POST",
      body_format: "json",
      body: { title: "Deployed" },
      url_username: "deploy",
      url_password: "secret",
      force_basic_auth: true,
      status_code: 201,
    },
  ],
  title: ({ method, url }) => (method === "GET" ? url : `${method} ${url}`),

  async inspect({ creates, removes, method, url }, system) {
    const notRun = (stdout: string): Unchanged<Skipped> =>
      unchanged({ stdout, stdout_lines: [stdout] }, stdout);
    if (creates !== undefined && (await firstMatch(system, creates)) !== null)
      return notRun(`skipped, since '${creates}' exists`);
    if (removes !== undefined && (await firstMatch(system, removes)) === null)
      return notRun(`skipped, since '${removes}' does not exist`);
    return { message: `${method} ${url}`, unknown: "check mode asks no web server" };
  },

  apply: (_change, given, system, context) => ask(given, system, context),
});

const MAX_CONTENT_BYTES = 64 << 20;

const POLICIES: Readonly<Record<Params["follow_redirects"], RedirectPolicy>> = {
  all: "all",
  yes: "all",
  safe: "safe",
  no: "safe",
  none: "none",
  urllib2: "urllib2",
};

async function ask(given: Params, system: System, context: ActionContext): Promise<Applied<UriData>> {
  const start = Date.now();
  const { dest, force } = given;
  const isDirectory = dest !== undefined && (await system.stat(dest))?.type === "directory";
  const file = dest === undefined || isDirectory ? null : await system.stat(dest);
  if (dest !== undefined && (await system.stat(parentOf(dest)))?.type !== "directory")
    throw new VolleyError(
      "ACTION_FAILED",
      `${parentOf(dest)} does not exist; make it first with file({ path, state: "directory" })`,
    );
  const request = await requestFor(given, system, context);
  const since: Readonly<Record<string, string>> =
    file === null || force ? {} : { "if-modified-since": new Date(file.mtimeMs).toUTCString() };
  let response: DownloadResponse;
  try {
    response = await openDownload({ ...request, headers: { ...since, ...request.headers } });
  } catch (thrown) {
    return unanswered(given, thrown, start);
  }
  const answered = describeAnswer(given, response);
  const kept = answered.keepsContent ? new Keeper(response.body, given.url) : undefined;
  const body = kept?.body() ?? response.body;
  let stored: Readonly<Record<string, unknown>> = {};
  let changed = false;
  if (dest !== undefined && response.status !== 304 && given.status_code.includes(response.status)) {
    const path = isDirectory ? pathIn(dest, response) : dest;
    await storeBody({ ...response, body }, { ...given, path, backup: false }, system, context);
    changed = true;
    stored = { path, ...(await describeFile(system, path, context)) };
  } else {
    if (kept !== undefined) await kept.drain();
    else response.close();
    if (file !== null) stored = { path: dest, ...(await describeFile(system, dest!, context)) };
  }
  const data = { ...answered.data(kept?.content), ...stored, elapsed: elapsedSince(start) };
  if (!given.status_code.includes(response.status)) throw wrongStatus(given, data);
  return { changed, data, message: data.msg };
}

function elapsedSince(start: number): number {
  return Math.floor((Date.now() - start) / 1000);
}

async function requestFor(
  given: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<DownloadRequest> {
  const { method, body, src, remote_src, unix_socket, follow_redirects, headers = {} } = given;
  const read = async (path: string): Promise<Buffer> =>
    remote_src
      ? system.readFile(path)
      : posix.isAbsolute(path)
        ? readNamed(path, system)
        : context.asset("files", path).read();
  const { dial } = system;
  if (unix_socket !== undefined && dial !== undefined)
    throw new VolleyError(
      "ACTION_FAILED",
      `${unix_socket} can be talked to on the host alone, which has no Node`,
      {
        hint: "use --via bundle, or command with curl --unix-socket",
      },
    );
  const written =
    src !== undefined
      ? { content: await read(src), type: "application/x-www-form-urlencoded" }
      : body === undefined || body === null
        ? undefined
        : await writeBody(body, given.body_format, read);
  const ownType =
    given.body_format !== "form-multipart" &&
    Object.keys(headers).some((name) => name.toLowerCase() === "content-type");
  const typed =
    written === undefined
      ? headers
      : ownType
        ? headers
        : { ...withoutType(headers), "content-type": written.type };
  return {
    ...(await webRequest({ ...given, headers: typed }, system, context)),
    method,
    body: written?.content,
    redirects: POLICIES[follow_redirects],
    socketPath: unix_socket,
    dial: dial === undefined ? undefined : (host, port) => dial.call(system, host, port),
  };
}

function withoutType(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.toLowerCase() !== "content-type"),
  );
}

async function readNamed(path: string, system: ReadSystem): Promise<Buffer> {
  const content = await system.readIfExists(path);
  if (content !== null) return content;
  throw new VolleyError("ACTION_FAILED", `${path} does not exist on the host; name a file of the role`);
}

/** Holds the content of a body that passes through. */
class Keeper {
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #url: string;
  readonly #chunks: Uint8Array[] = [];
  #size = 0;

  constructor(source: AsyncIterable<Uint8Array>, url: string) {
    this.#source = source;
    this.#url = url;
  }

  async *body(): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.#source) {
      this.#size += chunk.length;
      if (this.#size > MAX_CONTENT_BYTES)
        throw new VolleyError(
          "ACTION_FAILED",
          `the answer of ${this.#url} is longer than ${MAX_CONTENT_BYTES >> 20} MiB`,
        );
      this.#chunks.push(chunk);
      yield chunk;
    }
  }

  async drain(): Promise<void> {
    this.#chunks.push(await readAll(this.#source, MAX_CONTENT_BYTES, this.#url));
  }

  get content(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

const JSON_TYPE = /^[^;]*\/(?:[^;+]+\+)?(?:json|javascript)\s*(?:;|$)/i;

/** Describe an answer under Ansible's names, as soon as its content is known. */
function describeAnswer(given: Params, response: DownloadResponse) {
  const { status, statusText, headers, url, cookies } = response;
  const type = headers["content-type"] ?? "";
  const isJson = JSON_TYPE.test(type);
  const isError = status >= 300;
  const length = headers["content-length"];
  const bare = new URL(url.href);
  // As in Ansible, the URL is told without user name and password once they were used.
  if (bare.username !== "" || bare.password !== "") [bare.username, bare.password] = ["", ""];
  const given_url = new URL(given.url);
  const redirected = url.href !== given_url.href;
  return {
    keepsContent: given.return_content || isJson || (isError && given.status_code.includes(status)),
    data(content: Buffer | undefined): UriData {
      const decoded = content === undefined ? undefined : decode(content, type);
      const json = isJson && decoded !== undefined ? readJson(decoded) : undefined;
      return {
        ...Object.fromEntries(
          Object.entries(headers).map(([name, value]) => [
            name.replaceAll("-", "_"),
            Array.isArray(value) ? value.join(", ") : value,
          ]),
        ),
        ...(headers.location === undefined ? {} : { location: wholeUrl(headers.location, url) }),
        ...(isError
          ? {}
          : {
              cookies: Object.fromEntries(cookies),
              cookies_string: [...cookies].map(([name, value]) => `${name}=${value}`).join("; "),
            }),
        ...(json === undefined ? {} : { json }),
        ...(given.return_content && decoded !== undefined ? { content: decoded } : {}),
        ...(isError && !given.return_content && !isJson && decoded !== undefined ? { body: decoded } : {}),
        url: redirected ? bare.href : given.url,
        status,
        redirected,
        elapsed: 0,
        msg: isError ? `HTTP Error ${status}: ${statusText}` : `OK (${length ?? "unknown"} bytes)`,
      };
    },
  };
}

/** As in Ansible, a place is told as a whole URL; unchanged where it cannot be one. */
function wholeUrl(location: string, from: URL): string {
  try {
    return new URL(location, from).href;
  } catch {
    return location;
  }
}

function decode(content: Buffer, type: string): string {
  const charset = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(type)?.[1] ?? "utf-8";
  if (/^utf-?8$/i.test(charset)) return bytesToText(content);
  try {
    return new TextDecoder(charset).decode(content);
  } catch {
    // A character set that nobody knows.
    return bytesToText(content);
  }
}

/** Read JSON; undefined for other text. A number of too many digits loses some of them. */
function readJson(text: string): unknown {
  try {
    return mapLeaves(parseJson(text), (leaf) => (typeof leaf === "bigint" ? Number(leaf) : leaf));
  } catch {
    return undefined;
  }
}

function wrongStatus(given: Params, data: UriData): ActionFailure<UriData> {
  const wanted = `[${given.status_code.join(", ")}]`;
  const message = `Status code was ${data.status} and not ${wanted}: ${data.msg}`;
  return new ActionFailure("ACTION_FAILED", message, { ...data, msg: message });
}

/** The system's words for errors, which playbooks look for. */
const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "[Errno 111] Connection refused",
  ECONNRESET: "[Errno 104] Connection reset by peer",
  ENOTFOUND: "[Errno -2] Name or service not known",
  EAI_AGAIN: "[Errno -3] Temporary failure in name resolution",
  EHOSTUNREACH: "[Errno 113] No route to host",
  ENETUNREACH: "[Errno 101] Network is unreachable",
  ENOENT: "[Errno 2] No such file or directory",
  ETIMEDOUT: "timed out",
};

/** Report a request without an answer as one of status -1. */
function unanswered(given: Params, thrown: unknown, start: number): Applied<UriData> {
  if (!isVolleyError(thrown) || thrown.code === "CANCELLED") throw thrown;
  // Errors that came of no connection are the task's own, such as a redirect to what is no URL.
  const code = (thrown.cause as NodeJS.ErrnoException | undefined)?.code ?? "";
  const words = WORDS[code];
  const data: UriData = {
    url: given.url,
    status: -1,
    redirected: false,
    elapsed: elapsedSince(start),
    msg: `Request failed: ${words === undefined ? "" : `<urlopen error ${words}> `}${words === undefined ? thrown.message : `(${thrown.message})`}`,
  };
  if (given.status_code.includes(-1)) return { changed: false, data, message: data.msg };
  const failure = wrongStatus(given, data);
  throw new ActionFailure(
    "ACTION_FAILED",
    failure.message,
    failure.data,
    thrown.hint === undefined ? {} : { hint: thrown.hint },
  );
}
