import * as v from "valibot";
import type { ActionContext } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { describe, flag, optionalText, textList } from "../shared/params.ts";
import type { DownloadRequest, TlsFiles } from "./download.ts";
import { readNetrc } from "./http-auth.ts";
import { parseWebUrl } from "./web-url.ts";

/** The parameters of all actions that ask web servers. */
export const webParams = {
  url_username: optionalText("User name for basic or digest authentication."),
  url_password: v.optional(describe(v.string(), "Password for basic or digest authentication.")),
  force_basic_auth: flag("Send user name and password with the first request, instead of only when asked."),
  headers: v.optional(describe(v.record(v.string(), v.string()), "Additional headers of the request.")),
  http_agent: v.optional(describe(v.string(), "The header `User-Agent`."), "ansible-httpget"),
  use_proxy: flag("Use the proxy of the variables `http_proxy`, `https_proxy` and `no_proxy`.", true),
  validate_certs: flag("Verify the server's certificate.", true),
  client_cert: optionalText("Path of the client's certificate (PEM); it may hold the key too."),
  client_key: optionalText("Path of the client's key (PEM)."),
  ciphers: v.optional(textList("Ciphers of TLS, as OpenSSL names them.")),
  decompress: flag("Decompress an answer of `Content-Encoding: gzip`.", true),
  unredirected_headers: v.optional(
    textList(
      "Names of headers that the target of a redirect does not get; `Authorization` and `Cookie` never reach another server.",
    ),
  ),
  use_gssapi: v.optional(
    v.pipe(
      v.boolean(),
      v.check((wanted) => !wanted, "GSSAPI is not known: give url_username and url_password"),
      v.description("Authenticate with GSSAPI: refused."),
    ),
    false,
  ),
  use_netrc: flag("Take user name and password from the user's `~/.netrc`, if none are given.", true),
};

function webSchema() {
  return v.strictObject(webParams);
}

/** The values of {@link webParams}, with those that each action has of its own. */
export type WebParams = Readonly<v.InferOutput<ReturnType<typeof webSchema>>> & {
  readonly url: string;
  /** Seconds. */
  readonly timeout: number;
  readonly ca_path?: string | undefined;
};

/** Make the request of an action's parameters. Certificates and netrc are read on the host. */
export async function webRequest(
  given: WebParams,
  system: ReadSystem,
  context: ActionContext,
): Promise<DownloadRequest> {
  const { headers = {}, http_agent } = given;
  const ownAgent = Object.keys(headers).some((name) => name.toLowerCase() === "user-agent");
  const ownAuthorization = Object.keys(headers).some((name) => name.toLowerCase() === "authorization");
  const url = parseWebUrl(given.url);
  const known =
    given.use_netrc && given.url_username === undefined && url.username === "" && !ownAuthorization
      ? await readNetrc(system, url.hostname)
      : undefined;
  return {
    url: given.url,
    headers: ownAgent ? headers : { ...headers, "user-agent": http_agent },
    timeoutMs: given.timeout * 1000,
    username: given.url_username ?? known?.username,
    password: given.url_password ?? known?.password,
    forceBasicAuth: given.force_basic_auth || known !== undefined,
    validateCertificates: given.validate_certs,
    tls: await readTlsFiles(given, system),
    unredirectedHeaders: given.unredirected_headers ?? [],
    decompress: given.decompress,
    environment: given.use_proxy ? context.facts.env : undefined,
    signal: context.signal,
  };
}

async function readTlsFiles(
  { ca_path, client_cert, client_key, ciphers }: WebParams,
  system: ReadSystem,
): Promise<TlsFiles> {
  const read = async (path: string | undefined, what: string): Promise<Buffer | undefined> => {
    if (path === undefined) return undefined;
    const content = await system.readIfExists(path);
    if (content === null) throw new VolleyError("ACTION_FAILED", `${path} does not exist; ${what} names it`);
    return content;
  };
  const [ca, cert] = [await read(ca_path, "ca_path"), await read(client_cert, "client_cert")];
  const key = (await read(client_key, "client_key")) ?? cert;
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(ciphers === undefined ? {} : { ciphers: ciphers.join(":") }),
  };
}
