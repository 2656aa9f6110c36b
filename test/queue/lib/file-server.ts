import { createHash, createHmac } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

// A web server that keeps files by HEAD, PUT and GET, and a check of signatures that knows nothing of Volley's signer.

/** A request that a {@link FileServer} has got. */
export interface SeenRequest {
  readonly method: string;
  /** The path with the query, as it was sent. */
  readonly target: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** Answers a request in place of the server, or returns false. */
type Interruption = (request: SeenRequest, response: ServerResponse) => boolean;

/** A web server on 127.0.0.1. */
export interface FileServer {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** By path, without a query. */
  readonly files: Map<string, Buffer>;
  readonly requests: SeenRequest[];
  /** Asked before each request is answered. */
  interrupt: Interruption;
  close(): Promise<void>;
}

/** Start a server. */
export async function startFileServer(): Promise<FileServer> {
  const files = new Map<string, Buffer>();
  const requests: SeenRequest[] = [];
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const { method = "", url: target = "", headers } = incoming;
    const request = { method, target, headers, body: Buffer.concat(chunks) };
    requests.push(request);
    if (started.interrupt(request, response)) return;
    const path = target.replace(/\?.*/, "");
    const file = files.get(path);
    if (method === "PUT") {
      files.set(path, request.body);
      response.writeHead(file === undefined ? 201 : 204).end();
    } else if (file === undefined) response.writeHead(404).end("no such file");
    else response.writeHead(200, { "content-length": file.length }).end(method === "HEAD" ? undefined : file);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const started: FileServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    files,
    requests,
    interrupt: () => false,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return started;
}

const sha256 = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");
const hmac = (key: string | Buffer, data: string): Buffer => createHmac("sha256", key).update(data).digest();

/** Return the reason why a request to S3 is not signed with this secret for this region (SigV4); undefined when it is. */
export function signatureFault(
  { method, target, headers, body }: SeenRequest,
  { secret, region }: { readonly secret: string; readonly region: string },
): string | undefined {
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([\w;-]+), ?Signature=(\w{64})$/.exec(
      headers.authorization ?? "",
    );
  if (match === null) return "AccessDenied";
  const [, , day = "", itsRegion = "", signed = "", signature = ""] = match;
  if (itsRegion !== region) return "AuthorizationHeaderMalformed";
  const names = signed.split(";");
  const mustBe = Object.keys(headers).filter((name) => name === "host" || name.startsWith("x-amz-"));
  if (mustBe.some((name) => !names.includes(name))) return "AccessDenied";
  if (headers["x-amz-content-sha256"] !== sha256(body)) return "XAmzContentSHA256Mismatch";
  const date = String(headers["x-amz-date"]);
  const [path = "", query = ""] = target.split("?");
  const canonical = [
    method,
    path
      .split("/")
      .map((part) =>
        encodeURIComponent(decodeURIComponent(part)).replace(
          /[!'()*]/g,
          (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
        ),
      )
      .join("/"),
    query,
    ...names.map((name) => `${name}:${String(headers[name]).trim()}`),
    "",
    signed,
    sha256(body),
  ].join("\n");
  const scope = `${day}/${itsRegion}/s3/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", date, scope, sha256(canonical)].join("\n");
  const key = ["s3", "aws4_request"].reduce(hmac, hmac(hmac(`AWS4${secret}`, day), itsRegion));
  return date.startsWith(day) && hmac(key, text).toString("hex") === signature
    ? undefined
    : "SignatureDoesNotMatch";
}
