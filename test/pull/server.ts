import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A web server on loopback. */
export interface FileServer {
  /** The URL of a path, on the server's address or by another name of it. */
  url(path: string, host?: string): URL;
  /** The answers so far: path, status, and the login that was sent. */
  readonly answers: { readonly path: string; readonly status: number; readonly login: string | undefined }[];
  /** The files, by path; a function answers by itself. */
  readonly files: Map<string, Buffer | ((request: IncomingMessage, response: ServerResponse) => void)>;
  close(): Promise<void>;
}

/** Starts a server that knows entity tags, as web servers do. */
export async function startFileServer(): Promise<FileServer> {
  const files: FileServer["files"] = new Map();
  const answers: FileServer["answers"] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    const file = files.get(path);
    response.once("close", () =>
      answers.push({ path, status: response.statusCode, login: request.headers.authorization }),
    );
    if (typeof file === "function") {
      file(request, response);
      return;
    }
    if (file === undefined) {
      response.writeHead(404).end("nothing there\n");
      return;
    }
    const etag = `"${file.length}-${file.subarray(-64).toString("hex").slice(0, 32)}"`;
    const isKnown = request.headers["if-none-match"] === etag;
    response.writeHead(isKnown ? 304 : 200, { etag });
    response.end(isKnown ? undefined : file);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    files,
    answers,
    url: (path, host = "127.0.0.1") => new URL(`http://${host}:${port}${path}`),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
