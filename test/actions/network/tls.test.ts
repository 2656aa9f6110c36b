import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, connect, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDownload } from "../../../src/actions/network/download.ts";
import { PATIENCE_MS } from "../../lib/patience.ts";

const servers: Server[] = [];
const listen = async (server: Server): Promise<number> => {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
};

/** A proxy that leads every tunnel to its own machine, or accepts tunnels and is silent then. */
function makeProxy(isSilent = false): Server {
  return createHttpServer().on("connect", (request, socket) => {
    socket.on("error", () => {}).write("HTTP/1.1 200 OK\r\n\r\n");
    if (isSilent) return;
    const through = connect(Number(request.url?.split(":").at(-1)), "127.0.0.1");
    through.on("error", () => {});
    through.pipe(socket).pipe(through);
  });
}

describe.skipIf(spawnSync("openssl", ["version"]).status !== 0)("TLS (skipped: no openssl here)", () => {
  let directory: string;
  let ca: Buffer;
  const path = (name: string): string => join(directory, name);
  const openssl = (...args: readonly string[]): void => {
    execFileSync("openssl", args, { stdio: "pipe" });
  };
  const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

  /** Start a server whose certificate the authority has signed. Returns its port. */
  async function serve(names: string, days = 1): Promise<number> {
    writeFileSync(path("names"), `subjectAltName=${names}\n`);
    openssl("req", ...KEY, "-subj", "/CN=server", "-keyout", path("key"), "-out", path("request"));
    openssl(
      ...["x509", "-req", "-in", path("request"), "-CA", path("ca"), "-CAkey", path("ca.key")],
      ...["-set_serial", "1", "-days", String(days), "-extfile", path("names"), "-out", path("cert")],
    );
    return listen(
      createHttpsServer({ key: readFileSync(path("key")), cert: readFileSync(path("cert")) }, (_, response) =>
        response.end("here"),
      ),
    );
  }

  const get = async (
    url: string,
    {
      tls = { ca },
      proxy,
      timeoutMs = PATIENCE_MS,
    }: { tls?: object; proxy?: number; timeoutMs?: number } = {},
  ): Promise<number> => {
    const environment = proxy === undefined ? {} : { https_proxy: `http://ann:hush@127.0.0.1:${proxy}` };
    const response = await openDownload({ url, timeoutMs, tls, environment });
    response.close();
    return response.status;
  };

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "volley-tls-"));
    openssl("req", "-x509", ...KEY, "-subj", "/CN=CA", "-keyout", path("ca.key"), "-out", path("ca"));
    ca = readFileSync(path("ca"));
  });
  afterAll(() => {
    for (const server of servers) server.close();
    rmSync(directory, { recursive: true });
  });

  test("a certificate is of the server's name, of today, and of a known authority", async () => {
    const port = await serve("DNS:localhost,IP:127.0.0.1");
    expect(await get(`https://localhost:${port}/`)).toBe(200);
    await expect(get(`https://localhost:${port}/`, { tls: {} })).rejects.toThrow(
      /: its certificate is not signed by an authority this host knows$/,
    );
    const other = await serve("DNS:other.example");
    await expect(get(`https://localhost:${other}/`)).rejects.toThrow(
      /: its certificate is for another name$/,
    );
    const old = await serve("DNS:localhost", -1);
    await expect(get(`https://localhost:${old}/`)).rejects.toThrow(/: its certificate has expired$/);
    const plain = await listen(createHttpServer((_, response) => response.end()));
    await expect(get(`https://localhost:${plain}/`)).rejects.toThrow(/: it does not speak TLS$/);
  });

  test("the same holds through a proxy, also for a server without a name", async () => {
    const port = await serve("DNS:localhost,IP:127.0.0.1");
    const proxy = await listen(makeProxy());
    expect(await get(`https://localhost:${port}/`, { proxy })).toBe(200);
    expect(await get(`https://127.0.0.1:${port}/`, { proxy })).toBe(200);
    const other = await serve("DNS:other.example");
    await expect(get(`https://127.0.0.1:${other}/`, { proxy })).rejects.toThrow(
      new RegExp(
        `through the proxy http://ann:\\*\\*\\*@127\\.0\\.0\\.1:${proxy}/: its certificate is for another`,
      ),
    );
  });

  test("a server that is silent behind its proxy is given up", async () => {
    const proxy = await listen(makeProxy(true));
    await expect(get("https://localhost/", { proxy, timeoutMs: 100 })).rejects.toMatchObject({
      code: "TIMEOUT",
      message: expect.stringMatching(/did not answer within 0\.1 s$/),
    });
  });
});
