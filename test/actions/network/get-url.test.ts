import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer, request as httpRequest, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { openDownload } from "../../../src/actions/network/download.ts";
import { get_url } from "../../../src/actions/network/get-url.ts";
import { proxyFor } from "../../../src/actions/network/proxy.ts";
import { PATIENCE_MS, underLimit } from "../../lib/patience.ts";
import { checkApplyAgain, makeSandbox, pass, snapshot } from "../harness.ts";

const BODY = "the content of the tool\n";
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

function listen(server: Server): Promise<number> {
  servers.push(server);
  return new Promise((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)),
  );
}

/** A web server with a tool, its checksums, and ways to go wrong; `log` has every request. */
async function serve(modified = new Date("2020-01-01T00:00:00Z")) {
  const log: string[] = [];
  const send = (response: ServerResponse, headers: Record<string, string> = {}) => {
    response.writeHead(200, { "content-length": String(BODY.length), ...headers });
    response.end(BODY);
  };
  const server = createServer((request, response) => {
    const { method = "", url = "", headers } = request;
    log.push(`${method} ${url}`);
    const since = headers["if-modified-since"];
    if (url === "/tool.tar") {
      if (since !== undefined && modified <= new Date(since)) response.writeHead(304).end();
      else send(response);
    } else if (url === "/sums") response.end(`${sha256("other")}  other.tar\n${sha256(BODY)} *./tool.tar\n`);
    else if (url === "/moved") response.writeHead(302, { location: "/tool.tar" }).end();
    else if (url === "/circle") response.writeHead(302, { location: "/circle" }).end();
    else if (url === "/named?id=1")
      send(response, { "content-disposition": 'attachment; filename="../real name.tar"' });
    else if (url === "/cut") {
      response.writeHead(200, { "content-length": "100" });
      response.write("short");
      setImmediate(() => response.destroy());
    } else if (url === "/silent") response.writeHead(200, { "content-length": "5" }).write("a");
    else if (url === "/private") {
      if (headers.authorization === `Basic ${Buffer.from("alice:p:w").toString("base64")}`) send(response);
      else response.writeHead(401).end();
    } else if (url === "/header") {
      if (headers["x-token"] === "t1") send(response);
      else response.writeHead(403).end();
    } else if (url === "/no-head") {
      if (method === "HEAD") response.writeHead(405).end();
      else send(response);
    } else if (url === "/docs/") send(response);
    else response.writeHead(404).end();
  });
  return { url: `http://127.0.0.1:${await listen(server)}`, log };
}

describe("get_url", () => {
  test("downloads once; with a checksum that fits it asks the server no more", async () => {
    using sandbox = makeSandbox();
    const { url, log } = await serve();
    mkdirSync(join(sandbox.root, "srv"));
    const call = get_url({
      url: `${url}/tool.tar`,
      dest: "/srv/tool.tar",
      checksum: `sha256:${sha256(BODY)}`,
      mode: "0600",
    });
    const { check, first, second } = await checkApplyAgain(sandbox, call);
    expect(log).toEqual(["HEAD /tool.tar", "GET /tool.tar"]);
    expect(check.change?.diff).toMatchObject({
      path: "/srv/tool.tar",
      before: null,
      attributes: { mode: ["", "0600"] },
    });
    expect(first.data).toMatchObject({
      dest: "/srv/tool.tar",
      status_code: 200,
      size: BODY.length,
      checksum_src: createHash("sha1").update(BODY).digest("hex"),
      checksum_dest: null,
      md5sum: createHash("md5").update(BODY).digest("hex"),
      mode: "0600",
      state: "file",
      elapsed: expect.any(Number),
    });
    expect(second.data).toMatchObject({ msg: "file already exists" });
    expect(readFileSync(join(sandbox.root, "srv/tool.tar"), "utf8")).toBe(BODY);
    expect(statSync(join(sandbox.root, "srv/tool.tar")).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(sandbox.root, "srv"))).toEqual(["tool.tar"]);
  });

  test("without a checksum it asks whether there is anything newer", async () => {
    using sandbox = makeSandbox();
    const { url, log } = await serve();
    const call = get_url({ url: `${url}/tool.tar`, dest: "/tool.tar" });
    await checkApplyAgain(sandbox, call);
    const file = join(sandbox.root, "tool.tar");
    const checked = await pass(call, sandbox.system, sandbox.context({ check: true }));
    expect(checked).toMatchObject({ state: "unchanged", data: { status_code: 304 } });
    expect(log).toEqual(["HEAD /tool.tar", "GET /tool.tar", "GET /tool.tar", "HEAD /tool.tar"]);
    // Older than the server's, with other content.
    writeFileSync(file, "old");
    utimesSync(file, 1, 1);
    expect((await pass(call, sandbox.system, sandbox.context({ check: true }))).state).toBe("changed");
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("changed");
    expect(readFileSync(file, "utf8")).toBe(BODY);
    // Older, but the same: nothing is replaced, and check mode says that it cannot know.
    utimesSync(file, 1, 1);
    expect((await pass(call, sandbox.system, sandbox.context({ check: true }))).state).toBe("unknown");
    const before = snapshot(sandbox.root);
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("unchanged");
    expect(snapshot(sandbox.root)).toEqual(before);
  });

  test("force downloads though nothing is newer, and backup keeps what is replaced", async () => {
    using sandbox = makeSandbox();
    const { url, log } = await serve();
    writeFileSync(join(sandbox.root, "tool.tar"), "mine");
    const call = get_url({ url: `${url}/tool.tar`, dest: "/tool.tar", force: true, backup: true });
    const { state, data } = await pass(call, sandbox.system, sandbox.context());
    expect(state).toBe("changed");
    expect(readFileSync(join(sandbox.root, data?.backup_file ?? ""), "utf8")).toBe("mine");
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("unchanged");
    expect(log).toEqual(["GET /tool.tar", "GET /tool.tar"]);
  });

  test("only attributes are changed when only they differ", async () => {
    using sandbox = makeSandbox();
    writeFileSync(join(sandbox.root, "tool.tar"), BODY, { mode: 0o644 });
    const call = get_url({
      url: "http://127.0.0.1:1/x",
      dest: "/tool.tar",
      checksum: `sha256:${sha256(BODY)}`,
      mode: 0o755,
    });
    const { check } = await checkApplyAgain(sandbox, call);
    expect(check.change?.diff).toEqual({ path: "/tool.tar", attributes: { mode: ["0644", "0755"] } });
    expect(readFileSync(join(sandbox.root, "tool.tar"), "utf8")).toBe(BODY);
  });

  test("a list of checksums is read from its URL", async () => {
    using sandbox = makeSandbox();
    const { url, log } = await serve();
    await checkApplyAgain(
      sandbox,
      get_url({ url: `${url}/tool.tar`, dest: "/t", checksum: `sha256:${url}/sums` }),
    );
    expect(log.filter((line) => line === "GET /tool.tar")).toHaveLength(1);
    const absent = get_url({ url: `${url}/absent.tar`, dest: "/u", checksum: `sha256:${url}/sums` });
    await expect(pass(absent, sandbox.system, sandbox.context())).rejects.toThrow(
      /sums has no checksum for absent.tar or u/,
    );
  });

  test("a download that is not what it should be is thrown away, the old file kept", async () => {
    using sandbox = makeSandbox();
    const { url } = await serve();
    writeFileSync(join(sandbox.root, "tool.tar"), "old");
    const before = snapshot(sandbox.root);
    const wrong = get_url({
      url: `${url}/tool.tar`,
      dest: "/tool.tar",
      checksum: `sha256:${sha256("else")}`,
    });
    await expect(pass(wrong, sandbox.system, sandbox.context())).rejects.toThrow(
      /The checksum for .* did not match .*; it was /,
    );
    const cut = get_url({ url: `${url}/cut`, dest: "/tool.tar", force: true });
    await expect(pass(cut, sandbox.system, sandbox.context())).rejects.toMatchObject({
      code: "ACTION_FAILED",
    });
    expect(snapshot(sandbox.root)).toEqual(before);
  });

  test("into a directory, under the name the server or the URL gives", async () => {
    using sandbox = makeSandbox();
    const { url } = await serve();
    mkdirSync(join(sandbox.root, "srv"));
    const named = get_url({ url: `${url}/named?id=1`, dest: "/srv" });
    for (const state of ["changed", "unchanged"])
      expect((await pass(named, sandbox.system, sandbox.context())).state).toBe(state);
    expect(readdirSync(join(sandbox.root, "srv"))).toEqual(["real name.tar"]);
    await pass(get_url({ url: `${url}/moved`, dest: "/srv/" }), sandbox.system, sandbox.context());
    expect(readdirSync(join(sandbox.root, "srv"))).toEqual(["real name.tar", "tool.tar"]);
    await pass(get_url({ url: `${url}/docs/`, dest: "/srv/" }), sandbox.system, sandbox.context());
    expect(readdirSync(join(sandbox.root, "srv"))).toEqual(["index.html", "real name.tar", "tool.tar"]);
  });

  test("a link is followed", async () => {
    using sandbox = makeSandbox();
    const { url } = await serve();
    writeFileSync(join(sandbox.root, "real"), "old");
    symlinkSync("real", join(sandbox.root, "link"));
    await pass(
      get_url({ url: `${url}/tool.tar`, dest: "/link", force: true }),
      sandbox.system,
      sandbox.context(),
    );
    expect(readFileSync(join(sandbox.root, "real"), "utf8")).toBe(BODY);
  });

  test("sends headers, and name and password once asked", async () => {
    using sandbox = makeSandbox();
    const { url, log } = await serve();
    const run = (call: ReturnType<typeof get_url>) => pass(call, sandbox.system, sandbox.context());
    await run(get_url({ url: `${url}/header`, dest: "/a", headers: { "X-Token": "t1" } }));
    await run(get_url({ url: `${url}/private`, dest: "/b", url_username: "alice", url_password: "p:w" }));
    expect(log).toEqual(["GET /header", "GET /private", "GET /private"]);
    await run(
      get_url({
        url: `${url}/private`,
        dest: "/c",
        url_username: "alice",
        url_password: "p:w",
        force_basic_auth: true,
      }),
    );
    expect(log).toHaveLength(4);
    await expect(run(get_url({ url: `${url}/private`, dest: "/d" }))).rejects.toThrow("401");
  });

  test("credentials are not sent where a redirect leads", async () => {
    const seen: (string | undefined)[] = [];
    const other = createServer((request, response) => {
      seen.push(request.headers.authorization, request.headers.cookie, request.headers["x-kept"] as string);
      response.end("x");
    });
    const port = await listen(other);
    const first = createServer((_request, response) =>
      response.writeHead(302, { location: `http://127.0.0.1:${port}/` }).end(),
    );
    const url = `http://127.0.0.1:${await listen(first)}/`;
    const headers = { Authorization: "Bearer t", Cookie: "c", "X-Kept": "k" };
    (
      await openDownload({
        url,
        timeoutMs: PATIENCE_MS,
        username: "u",
        password: "p",
        forceBasicAuth: true,
        headers,
      })
    ).close();
    expect(seen).toEqual([undefined, undefined, "k"]);
  });

  test("a redirect to what is no URL, and a server that falls silent, are told as such", async () => {
    const server = createServer((request, response) => {
      const to = { "/bad": "http://[bad/", "/file": "file:///etc/passwd" }[request.url ?? ""];
      if (to !== undefined) return void response.writeHead(302, { location: to }).end();
      response.writeHead(200, { "content-length": "10" });
      response.write("half");
    });
    const url = `http://u:p4ss@127.0.0.1:${await listen(server)}`;
    const failure = async (path: string, { environment = {}, timeoutMs = PATIENCE_MS } = {}) => {
      const { body } = await openDownload({ url: `${url}${path}`, timeoutMs, environment });
      for await (const _chunk of body);
    };
    await expect(failure("/bad")).rejects.toMatchObject({
      code: "ACTION_FAILED",
      message: expect.stringMatching(/\/bad redirects to http:\/\/\[bad\/, which is not a URL$/),
    });
    await expect(failure("/bad")).rejects.not.toThrow(/p4ss/);
    await expect(failure("/file")).rejects.toThrow(/redirects to file:.*: only http and https are known/);
    await underLimit(0.5, async (seconds) => {
      const thrown = await failure("/stall", { timeoutMs: seconds * 1_000 }).catch((error: Error) => error);
      expect(thrown).toMatchObject({ code: "TIMEOUT" });
      return thrown?.message.endsWith(`/stall sent nothing for ${seconds} s, after 4 bytes`) || undefined;
    });
    const environment = { http_proxy: "http://u:s3cret@[bad" };
    await expect(failure("/stall", { environment })).rejects.toMatchObject({
      message: "the proxy http://u:***@[bad is not a URL",
      hint: expect.stringContaining("http_proxy"),
    });
    server.closeAllConnections();
  });

  test("what goes wrong is said", async () => {
    using sandbox = makeSandbox();
    const { url } = await serve();
    const run = (path: string, options = {}) =>
      pass(get_url({ url: `${url}${path}`, dest: "/x", ...options }), sandbox.system, sandbox.context());
    await expect(run("/none")).rejects.toThrow(/the server answers 404/);
    await expect(run("/circle")).rejects.toThrow(/redirects more than 10 times/);
    await expect(run("/silent", { timeout: 0.2 })).rejects.toThrow();
    await expect(run("/tool.tar", { dest: "/no/such/x" })).rejects.toThrow(
      /\/no\/such does not exist; make it first/,
    );
    await expect(run("/tool.tar", { checksum: "crc:12" })).rejects.toThrow(
      /write it as sha256:HEX or sha256:URL/,
    );
    await expect(
      pass(get_url({ url: "http://127.0.0.1:1/x", dest: "/x" }), sandbox.system, sandbox.context()),
    ).rejects.toThrow(/the connection was refused/);
    expect(existsSync(join(sandbox.root, "x"))).toBe(false);
    expect(readdirSync(sandbox.root)).toEqual([]);
  });

  test("check mode does not guess", async () => {
    using sandbox = makeSandbox();
    const { url } = await serve();
    const check = (path: string) =>
      pass(
        get_url({ url: path.startsWith("/") ? url + path : path, dest: "/x" }),
        sandbox.system,
        sandbox.context({ check: true }),
      );
    expect((await check("/no-head")).change?.unknown).toMatch(/does not answer HEAD/);
    expect((await check("http://127.0.0.1:1/")).change).toMatchObject({
      unknown: expect.stringMatching(/refused/),
      data: { url: "http://127.0.0.1:1/", dest: "/x" },
    });
    await expect(check("/none")).rejects.toThrow("404");
  });

  test("wrong parameters are named", () => {
    for (const url of ["ftp://h/x", "http://", "x.tar"])
      expect(() => get_url({ url, dest: "/x" })).toThrow(/parameter "url": must be an http or https URL/);
    // @ts-expect-error: a misspelt parameter
    expect(() => get_url({ url: "http://x", dst: "/x" })).toThrow(
      /unknown parameter "dst"; did you mean "dest"\?/,
    );
    // @ts-expect-error: one is missing
    expect(() => get_url({ url: "http://x" })).toThrow(/parameter "dest" is required/);
  });
});

describe("proxies", () => {
  test("are chosen as curl chooses them", () => {
    const of = (url: string, env: Record<string, string>) => proxyFor(new URL(url), env)?.href ?? null;
    expect(of("http://a.org/", { http_proxy: "http://p:3128" })).toBe("http://p:3128/");
    expect(of("http://a.org/", { HTTP_PROXY: "http://p:3128" })).toBeNull();
    expect(of("https://a.org/", { HTTPS_PROXY: "p:3128" })).toBe("http://p:3128/");
    expect(of("https://a.org/", { all_proxy: "p:1" })).toBe("http://p:1/");
    for (const [list, excluded] of [
      ["a.org", true],
      [".a.org", true],
      ["*", true],
      ["b.org, www.a.org", true],
      ["a.org:8080", false],
      ["ba.org", false],
      ["w.a.org", false],
    ] as const)
      expect(of("http://www.a.org/", { http_proxy: "p", no_proxy: list }) === null, list).toBe(excluded);
  });

  test.each([
    ["http://a.org/", "A.org", true],
    ["http://www.a.org/", "a.org.", true],
    ["http://[::1]/", "::1", true],
    ["http://[::1]/", "[::1]", true],
    ["http://[::1]:8080/", "[::1]:8080", true],
    ["http://[::1]/", "[::1]:8080", false],
    ["http://[fd00::7]/", "fd00::/8", true],
    ["http://[::1]/", "fd00::/8", false],
    ["http://10.1.2.3/", "10.0.0.0/8", true],
    ["http://10.1.2.3/", "10.1.0.0/24", false],
    ["http://10.1.2.3/", "10.1.0.0/240", false],
    ["http://10.1.2.3/", "2.3", false],
    ["http://a.org/", "10.0.0.0/8", false],
  ])("%s and no_proxy=%s: %s", (url, no_proxy, excluded) => {
    expect(proxyFor(new URL(url), { http_proxy: "p", no_proxy }) === null).toBe(excluded);
  });

  test("http goes through them", async () => {
    using sandbox = makeSandbox();
    const asked: string[] = [];
    const proxy = createServer((request, response) => {
      asked.push(request.url ?? "", request.headers["proxy-authorization"] ?? "");
      httpRequest(request.url ?? "", (answer) => answer.pipe(response)).end();
    });
    const { url } = await serve();
    const env = { http_proxy: `http://u:p@127.0.0.1:${await listen(proxy)}` };
    const call = get_url({ url: `${url}/tool.tar`, dest: "/x" });
    await pass(call, sandbox.system, sandbox.context({ facts: { env } }));
    expect(asked).toEqual([`${url}/tool.tar`, `Basic ${Buffer.from("u:p").toString("base64")}`]);
    await pass(
      get_url({ url: `${url}/tool.tar`, dest: "/y", use_proxy: false }),
      sandbox.system,
      sandbox.context({ facts: { env } }),
    );
    expect(asked).toHaveLength(2);
  });

  test.runIf(spawnSync("openssl", ["version"]).status === 0)(
    "https goes through a tunnel, and certificates are verified",
    async () => {
      const directory = mkdtempSync(join(tmpdir(), "volley-tls-"));
      const [key, cert] = [join(directory, "key"), join(directory, "cert")];
      const made = spawnSync("openssl", [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-days",
        "1",
        "-keyout",
        key,
        "-out",
        cert,
      ]);
      expect(made.status).toBe(0);
      const secure = createTlsServer(
        { key: readFileSync(key), cert: readFileSync(cert) },
        (_request, response) => response.end(BODY),
      );
      rmSync(directory, { recursive: true });
      const url = `https://localhost:${await listen(secure as unknown as Server)}/`;
      const tunnels: string[] = [];
      const proxy = createServer();
      proxy.on("connect", (request, socket) => {
        tunnels.push(request.url ?? "");
        const through = connect(Number(request.url?.split(":")[1]), "127.0.0.1", () => {
          socket.write("HTTP/1.1 200 OK\r\n\r\n");
          through.pipe(socket).pipe(through);
        });
        for (const end of [through, socket]) end.on("error", () => {});
      });
      const environment = { https_proxy: `http://127.0.0.1:${await listen(proxy)}` };
      const direct = await openDownload({ url, timeoutMs: PATIENCE_MS, validateCertificates: false });
      expect(direct.status).toBe(200);
      direct.close();
      await expect(openDownload({ url, timeoutMs: PATIENCE_MS })).rejects.toThrow(
        /certificate is self-signed/,
      );
      const tunnelled = await openDownload({
        url,
        timeoutMs: PATIENCE_MS,
        validateCertificates: false,
        environment,
      });
      let text = "";
      for await (const chunk of tunnelled.body) text += Buffer.from(chunk).toString();
      expect(text).toBe(BODY);
      await expect(openDownload({ url, timeoutMs: PATIENCE_MS, environment })).rejects.toThrow(
        /through the proxy .*certificate is self-signed/,
      );
      expect(tunnels).toEqual([new URL(url).host, new URL(url).host]);
    },
  );
});
