import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { bytesToText } from "../../core/values/bytes.ts";
import { failLookup } from "./fail-lookup.ts";

/** The longest answer, in bytes. */
const MAX_BYTES = 16_777_216;
const MAX_REDIRECTS = 10;

const isOn = (value: unknown, fallback: boolean): boolean =>
  value === undefined || value === null ? fallback : /^(?:yes|on|true|1)$/i.test(String(value));

function headersOf(options: Readonly<Record<string, unknown>>): Record<string, string> {
  const {
    headers,
    username,
    url_username: urlUser = username,
    password,
    url_password: urlPassword = password,
  } = options;
  const given =
    headers instanceof Map
      ? [...headers]
      : typeof headers === "object" && headers !== null
        ? Object.entries(headers)
        : [];
  const authorization =
    typeof urlUser === "string"
      ? {
          authorization: `Basic ${Buffer.from(`${urlUser}:${String(urlPassword ?? "")}`).toString("base64")}`,
        }
      : {};
  return {
    "user-agent": String(options.http_agent ?? "ansible-httpget"),
    ...authorization,
    ...Object.fromEntries(given.map(([name, value]) => [String(name), String(value)])),
  };
}

function get(
  url: URL,
  options: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const send = url.protocol === "https:" ? requestHttps : requestHttp;
  return new Promise((done, reject) => {
    const request = send(url, {
      headers: headersOf(options),
      signal,
      ...(url.protocol === "https:" ? { rejectUnauthorized: isOn(options.validate_certs, true) } : {}),
    });
    request.once("response", done);
    request.once("error", reject);
    request.end();
  });
}

async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    size += (chunk as Buffer).length;
    if (size > MAX_BYTES) throw new Error(`the answer has more than ${MAX_BYTES} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

/** Fetch a URL as the lookup `url` does: its lines or, without `split_lines`, its text as one item. */
export async function fetchUrl(
  url: string,
  options: Readonly<Record<string, unknown>>,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const limit = AbortSignal.timeout(Number(options.timeout ?? 10) * 1000);
  const ends = signal === undefined ? limit : AbortSignal.any([limit, signal]);
  let text: string;
  try {
    let at = new URL(url);
    let response = await get(at, options, ends);
    for (let left = MAX_REDIRECTS; response.headers.location !== undefined && left > 0; left--) {
      if ((response.statusCode ?? 0) < 300 || (response.statusCode ?? 0) >= 400) break;
      response.resume();
      at = new URL(response.headers.location, at);
      response = await get(at, options, ends);
    }
    const body = await bodyOf(response);
    const { statusCode = 0, statusMessage = "" } = response;
    if (statusCode >= 400)
      return failLookup(`Received HTTP error for ${url} : HTTP Error ${statusCode}: ${statusMessage}`);
    text = bytesToText(body);
  } catch (error) {
    if (error instanceof Error && error.name !== "VolleyError")
      return failLookup(`Failed lookup url for ${url} : ${error.message}`);
    throw error;
  }
  if (!isOn(options.split_lines, true)) return [text];
  return text === "" ? [] : text.replace(/\r?\n$/, "").split(/\r?\n/);
}
