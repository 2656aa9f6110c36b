import { randomBytes } from "node:crypto";
import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { textToBytes } from "../../core/values/bytes.ts";
import {
  dictEntries,
  Float,
  isDict,
  isRecord,
  keyText,
  numberText,
  writeJson,
} from "../../core/values/value.ts";
import { restore } from "../../core/values/vars.ts";

/** The ways to write a body. */
export const BODY_FORMATS = ["raw", "json", "form-urlencoded", "form-multipart"] as const;

/** A body, with its content type. */
export interface RequestBody {
  readonly content: Buffer;
  readonly type: string;
}

/** Reads a file that a part of a form names. */
export type ReadPart = (path: string) => Promise<Buffer>;

const FORM_TYPE = "application/x-www-form-urlencoded";

/** Write the body of a request as Ansible's `uri` does; text counts as written already. Fails with `ACTION_FAILED`. */
export async function writeBody(
  given: unknown,
  format: (typeof BODY_FORMATS)[number],
  readPart: ReadPart,
): Promise<RequestBody> {
  const body = restore(given);
  switch (format) {
    case "json":
      return {
        content: textToBytes(textOr(body, () => writeJson(body, { ensureAscii: true }))),
        type: "application/json",
      };
    case "form-urlencoded":
      return { content: Buffer.from(textOr(body, () => writeForm(body))), type: FORM_TYPE };
    case "form-multipart":
      return writeParts(body, readPart);
    case "raw":
      return { content: textToBytes(textOr(body, () => formText(body))), type: FORM_TYPE };
  }
}

function textOr(body: unknown, write: () => string): string {
  return typeof body === "string" ? body : write();
}

/** The text that Python makes of a value in a form. */
function formText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number" || typeof value === "bigint" || value instanceof Float)
    return numberText(value);
  return value === null ? "" : writeJson(value);
}

function writeForm(body: unknown): string {
  const pairs = isDict(body) ? dictEntries(body) : Array.isArray(body) ? body.map(pairOf) : null;
  if (pairs === null)
    throw new VolleyError("ACTION_FAILED", "the body of a form must be a dict, or a list of pairs");
  return pairs
    .flatMap(([key, value]) => (Array.isArray(value) ? value : [value]).map((item) => [key, item] as const))
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([key, value]) => `${encodeForm(keyText(key))}=${encodeForm(formText(value))}`)
    .join("&");
}

function pairOf(pair: unknown): readonly [unknown, unknown] {
  if (Array.isArray(pair) && pair.length === 2) return [pair[0], pair[1]];
  throw new VolleyError("ACTION_FAILED", "the body of a form must be a dict, or a list of pairs");
}

/** Encode text for a form: all but unreserved characters (RFC 3986, section 2.3), with `+` for a space. */
function encodeForm(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");
}

const TYPES: Readonly<Record<string, string>> = {
  ".txt": "text/plain",
  ".html": "text/html",
  ".css": "text/css",
  ".csv": "text/csv",
  ".xml": "text/xml",
  ".json": "application/json",
  ".js": "text/javascript",
  ".pdf": "application/pdf",
  ".zip": "application/zip",
  ".gz": "application/gzip",
  ".tar": "application/x-tar",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".gif": "image/gif",
  ".svg": "image/svg+xml",
};

/** Write a form of several parts (RFC 7578), the content of files as it is. */
async function writeParts(body: unknown, readPart: ReadPart): Promise<RequestBody> {
  if (!isDict(body)) throw new VolleyError("ACTION_FAILED", "the body of a multipart form must be a dict");
  const boundary = `volley-${randomBytes(16).toString("hex")}`;
  const written: Buffer[] = [];
  for (const [key, value] of dictEntries(body)) {
    const { content, filename, type } = await partOf(keyText(key), value, readPart);
    const file = filename === undefined ? "" : `; filename="${quoted(filename)}"`;
    const head = [
      `--${boundary}`,
      `Content-Disposition: form-data; name="${quoted(keyText(key))}"${file}`,
      `Content-Type: ${type}`,
      "",
      "",
    ];
    written.push(Buffer.from(head.join("\r\n")), content, Buffer.from("\r\n"));
  }
  written.push(Buffer.from(`--${boundary}--\r\n`));
  return { content: Buffer.concat(written), type: `multipart/form-data; boundary=${boundary}` };
}

/** Escape a name as browsers do (HTML, multipart/form-data encoding algorithm). */
function quoted(name: string): string {
  return name.replace(
    /["\r\n]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

async function partOf(name: string, value: unknown, readPart: ReadPart) {
  if (!isRecord(value)) return { content: textToBytes(formText(value)), type: "text/plain" };
  const { filename, content, mime_type } = value;
  const path = typeof filename === "string" ? filename : undefined;
  if (path === undefined && content === undefined)
    throw new VolleyError("ACTION_FAILED", `the part "${name}" of the form needs content or filename`);
  const guessed = TYPES[posix.extname(path ?? "").toLowerCase()] ?? "application/octet-stream";
  return {
    content: content === undefined ? await readPart(path!) : textToBytes(formText(content)),
    ...(path === undefined ? {} : { filename: posix.basename(path) }),
    type: typeof mime_type === "string" ? mime_type : path === undefined ? "text/plain" : guessed,
  };
}
