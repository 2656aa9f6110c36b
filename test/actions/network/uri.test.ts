import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readNetrc } from "../../../src/actions/network/http-auth.ts";
import { uri } from "../../../src/actions/network/uri.ts";
import { makeSandbox, pass, type Sandbox, testsWorkDirectly } from "../harness.ts";

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let sandbox: Sandbox;
let asked: Asked[];
let base: string;
const servers: Server[] = [];

const md5 = (text: string): string => createHash("md5").update(text).digest("hex");

/** A server that answers by path, and keeps what it was asked. */
function makeServer(): Server {
  return createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      asked.push({ method, url, headers, body: Buffer.concat(chunks).toString("utf8") });
      const { pathname, searchParams } = new URL(url, "http://x");
      const send = (status: number, sent: Record<string, string | string[]>, body: string | Buffer = "") =>
        response.writeHead(status, { ...sent, "content-length": String(Buffer.byteLength(body)) }).end(body);
      const { authorization = "" } = headers;
      if (pathname === "/json")
        send(200, { "content-type": "application/json", "X-Served-By": "a" }, '{"a":[1,2.5,null]}');
      else if (pathname === "/problem")
        send(422, { "content-type": "application/problem+json" }, '{"title":"no"}');
      else if (pathname === "/broken") send(200, { "content-type": "application/json" }, "{nope");
      else if (pathname === "/status")
        send(Number(searchParams.get("code")), { "content-type": "text/plain" }, "said");
      else if (pathname === "/moved")
        send(Number(searchParams.get("code")), {
          location: "/text",
          "set-cookie": ["s=1; Path=/", 'b="2"; HttpOnly'],
        });
      else if (pathname === "/gzip") send(200, { "content-encoding": "gzip" }, gzipSync("unpacked"));
      else if (pathname === "/latin1")
        send(200, { "content-type": "text/plain; charset=iso-8859-1" }, Buffer.from([0x68, 0xe9]));
      else if (pathname === "/basic")
        authorization === `Basic ${Buffer.from("ann:p:w").toString("base64")}`
          ? send(200, {}, "in")
          : send(401, { "www-authenticate": 'Basic realm="r"' });
      else if (pathname === "/digest") {
        const of = (name: string): string => new RegExp(`${name}="?([^",]+)`).exec(authorization)?.[1] ?? "";
        const middle = `n1:${of("nc")}:${of("cnonce")}:auth:${md5(`${method}:${url}`)}`;
        const isRight =
          authorization.startsWith("Digest ") && of("response") === md5(`${md5("ann:r:p:w")}:${middle}`);
        if (isRight) send(200, {}, "in");
        else
          send(401, { "www-authenticate": 'Digest realm="r", qop="auth,auth-int", nonce="n1", opaque="o"' });
      } else if (headers["if-modified-since"] !== undefined) response.writeHead(304).end();
      else send(200, { "content-type": "text/plain" }, "some text\n");
    });
  });
}

beforeEach(async () => {
  sandbox = makeSandbox();
  asked = [];
  const server = makeServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return () => sandbox[Symbol.dispose]();
});

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

type Params = Parameters<typeof uri>[0];
const run = (path: string, given: Partial<Params> = {}) =>
  pass(uri({ url: base + path, ...given }), sandbox.system, sandbox.context());

describe("uri, its answer", () => {
  it("has JSON, headers in lower case, and no content unless wanted", async () => {
    const { state, data } = await run("/json");
    expect(state).toBe("unchanged");
    expect(data).toMatchObject({
      url: `${base}/json`,
      status: 200,
      msg: "OK (18 bytes)",
      json: { a: [1, 2.5, null] },
      content_type: "application/json",
      x_served_by: "a",
      redirected: false,
      cookies: {},
      cookies_string: "",
      elapsed: expect.any(Number),
    });
    expect(data).not.toHaveProperty("content");
    expect((await run("/json", { return_content: true })).data).toMatchObject({
      content: '{"a":[1,2.5,null]}',
    });
    expect((await run("/broken")).data).not.toHaveProperty("json");
    expect((await run("/text")).data).not.toHaveProperty("json");
  });

  it("is read in its own character set, and unpacked", async () => {
    expect((await run("/latin1", { return_content: true })).data).toMatchObject({ content: "hé" });
    expect((await run("/gzip", { return_content: true })).data).toMatchObject({ content: "unpacked" });
    const { data } = await run("/gzip", { return_content: true, decompress: false });
    expect(data).not.toMatchObject({ content: "unpacked" });
  });

  it("fails the task for another status than those wanted, with all of its data", async () => {
    await expect(run("/problem")).rejects.toMatchObject({
      code: "ACTION_FAILED",
      message: "Status code was 422 and not [200]: HTTP Error 422: Unprocessable Entity",
      data: { status: 422, json: { title: "no" }, url: `${base}/problem`, redirected: false },
    });
    await expect(run("/status?code=500", { return_content: true })).rejects.toMatchObject({
      data: { content: "said" },
    });
    const { data } = await run("/status?code=404", { status_code: [200, 404] });
    expect(data).toMatchObject({ status: 404, msg: "HTTP Error 404: Not Found", body: "said" });
    await expect(run("/text", { status_code: 201 })).rejects.toThrow("Status code was 200 and not [201]: OK");
  });

  it("may be missing: then the status is -1", async () => {
    const port = await new Promise<number>((resolve) => {
      const closed = createServer();
      closed.listen(0, "127.0.0.1", () => {
        const found = (closed.address() as AddressInfo).port;
        closed.close(() => resolve(found));
      });
    });
    const url = `http://127.0.0.1:${port}/`;
    const ask = (given: Partial<Params>) => pass(uri({ url, ...given }), sandbox.system, sandbox.context());
    await expect(ask({})).rejects.toMatchObject({
      message: expect.stringMatching(/^Status code was -1 and not \[200\]: Request failed: /),
      data: { status: -1, url, redirected: false },
    });
    expect((await ask({ status_code: [-1] })).data).toMatchObject({ status: -1 });
  });
});

describe("uri, redirects", () => {
  it.each([
    ["GET", "302", undefined, ["GET", "GET"]],
    ["HEAD", "307", undefined, ["HEAD", "HEAD"]],
    ["POST", "302", "all", ["POST", "GET"]],
    ["POST", "307", "all", ["POST", "POST"]],
    ["PUT", "303", "yes", ["PUT", "GET"]],
    ["POST", "301", "urllib2", ["POST", "GET"]],
  ] as const)("%s of %s with follow_redirects %s", async (method, code, follow_redirects, methods) => {
    const body = method === "POST" || method === "PUT" ? { body: "x" } : {};
    const { data } = await run(`/moved?code=${code}`, {
      method,
      ...body,
      ...(follow_redirects === undefined ? {} : { follow_redirects }),
    });
    expect(asked.map((each) => each.method)).toEqual(methods);
    expect(asked[1]?.body).toBe(methods[1] === "POST" ? "x" : "");
    expect(asked[1]?.headers["content-type"] === undefined).toBe(methods[1] !== "POST");
    expect(data).toMatchObject({
      redirected: true,
      url: `${base}/text`,
      cookies: { s: "1", b: '"2"' },
      cookies_string: 's=1; b="2"',
    });
    expect(asked[1]?.headers.cookie).toBe('s=1; b="2"');
  });

  it.each([
    ["POST", "302", "safe"],
    ["POST", "308", "urllib2"],
    ["GET", "301", "none"],
  ] as const)("%s of %s are not followed with %s", async (method, code, follow_redirects) => {
    const { data } = await run(`/moved?code=${code}`, {
      method,
      follow_redirects,
      status_code: [Number(code)],
    });
    expect(asked).toHaveLength(1);
    expect(data).toMatchObject({
      status: Number(code),
      location: expect.stringMatching(/^http:.*\/text$/),
      redirected: false,
    });
  });

  it("leave out the headers that are named", async () => {
    await run("/moved?code=302", {
      headers: { "X-Token": "t", "X-Kept": "k" },
      unredirected_headers: ["x-token"],
    });
    expect(asked.map(({ headers }) => [headers["x-token"], headers["x-kept"]])).toEqual([
      ["t", "k"],
      [undefined, "k"],
    ]);
  });
});

describe("uri, its request", () => {
  it.each<[string, Partial<Params>, string, string]>([
    ["text as it is", { body: "a b" }, "application/x-www-form-urlencoded", "a b"],
    [
      "JSON",
      { body_format: "json", body: { b: [true, null], a: "é" } },
      "application/json",
      '{"b": [true, null], "a": "\\u00e9"}',
    ],
    ["JSON that is written already", { body_format: "json", body: '{"x":1}' }, "application/json", '{"x":1}'],
    [
      "a form",
      { body_format: "form-urlencoded", body: { b: true, a: [1, 2], c: "x y~é/*", d: null } },
      "application/x-www-form-urlencoded",
      "b=True&a=1&a=2&c=x+y~%C3%A9%2F%2A",
    ],
    [
      "a form of pairs",
      {
        body_format: "form-urlencoded",
        body: [
          ["n", "1"],
          ["n", "2"],
        ],
      },
      "application/x-www-form-urlencoded",
      "n=1&n=2",
    ],
    ["its own content type", { body: "<x/>", headers: { "Content-Type": "text/xml" } }, "text/xml", "<x/>"],
  ])("sends %s", async (_what, given, type, body) => {
    await run("/text", { method: "post", ...given });
    expect(asked[0]).toMatchObject({ method: "POST", body });
    expect(asked[0]?.headers).toMatchObject({
      "content-type": type,
      "content-length": String(Buffer.byteLength(body)),
    });
  });

  it("sends the parts of a form, with files of the host and of the role", async () => {
    mkdirSync(join(sandbox.root, "srv"));
    mkdirSync(join(sandbox.role, "files"));
    writeFileSync(join(sandbox.root, "srv/data.bin"), "on the host");
    writeFileSync(join(sandbox.role, "files/page.html"), "of the role");
    const form = (body: Record<string, unknown>, remote_src = false) =>
      run("/text", { method: "POST", body_format: "form-multipart", body, remote_src });
    await form({
      field: "value",
      page: { filename: "page.html" },
      note: { content: "c", filename: "n.txt", mime_type: "text/x" },
    });
    await form({ data: { filename: "/srv/data.bin" } }, true);
    const parts = (index: number): string => {
      const { headers, body } = asked[index]!;
      const boundary = /^multipart\/form-data; boundary=(\S+)$/.exec(headers["content-type"] ?? "")?.[1];
      return body.replaceAll(boundary ?? "?", "B").replaceAll("\r\n", "\n");
    };
    expect(parts(0)).toBe(`--B
Content-Disposition: form-data; name="field"
Content-Type: text/plain

value
--B
Content-Disposition: form-data; name="page"; filename="page.html"
Content-Type: text/html

of the role
--B
Content-Disposition: form-data; name="note"; filename="n.txt"
Content-Type: text/x

c
--B--
`);
    expect(parts(1)).toContain(
      'name="data"; filename="data.bin"\nContent-Type: application/octet-stream\n\non the host\n',
    );
    await expect(form({ x: { mime_type: "a/b" } })).rejects.toThrow(
      'the part "x" of the form needs content or filename',
    );
  });

  it("sends a file of the role, or of the host", async () => {
    mkdirSync(join(sandbox.role, "files"));
    writeFileSync(join(sandbox.role, "files/up"), "of the role");
    writeFileSync(join(sandbox.root, "up"), "of the host");
    await run("/text", { method: "PUT", src: "up" });
    await run("/text", { method: "PUT", src: "/up", remote_src: true });
    expect(asked.map(({ body }) => body)).toEqual(["of the role", "of the host"]);
  });

  it.each(["/basic", "/digest"])("answers the challenge of %s, once", async (path) => {
    const { data } = await run(path, { url_username: "ann", url_password: "p:w", return_content: true });
    expect(data).toMatchObject({ status: 200, content: "in" });
    expect(asked).toHaveLength(2);
    await expect(run(path, { url_username: "ann", url_password: "no" })).rejects.toMatchObject({
      data: { status: 401 },
    });
    expect(asked).toHaveLength(4);
  });

  it("sends user name and password at once when told to, and names itself", async () => {
    await run("/basic", { url_username: "ann", url_password: "p:w", force_basic_auth: true });
    await run("/text", { http_agent: "me/1" });
    expect(asked.map(({ headers }) => headers["user-agent"])).toEqual(["ansible-httpget", "me/1"]);
  });

  it.skipIf(testsWorkDirectly())("goes to a Unix socket", async () => {
    const socket = join(sandbox.root, "s");
    const server = makeServer();
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const call = uri({ url: "http://localhost/json", unix_socket: socket });
    const { data } = await pass(call, sandbox.system, sandbox.context());
    expect(data).toMatchObject({ json: { a: [1, 2.5, null] } });
    expect(asked[0]?.headers.host).toBe("localhost");
  });

  it.runIf(testsWorkDirectly())("cannot go to a Unix socket of a host without Node", async () => {
    await expect(run("/text", { unix_socket: "/run/x" })).rejects.toThrow(
      /can be talked to on the host alone/,
    );
  });

  it("fails after silence", async () => {
    const silent = createServer(() => {});
    servers.push(silent);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
    await expect(pass(uri({ url, timeout: 0.2 }), sandbox.system, sandbox.context())).rejects.toMatchObject({
      message: expect.stringContaining("timed out"),
      data: { status: -1 },
    });
  });
});

describe("uri, on the host", () => {
  it("writes the answer to a file, or into a directory", async () => {
    mkdirSync(join(sandbox.root, "srv"));
    const { state, data } = await run("/text", { dest: "/srv/page", mode: "0600" });
    expect(state).toBe("changed");
    expect(data).toMatchObject({ path: "/srv/page", mode: "0600", size: 10, state: "file", status: 200 });
    expect(readFileSync(join(sandbox.root, "srv/page"), "utf8")).toBe("some text\n");
    expect(statSync(join(sandbox.root, "srv/page")).mode & 0o777).toBe(0o600);
    expect((await run("/json", { dest: "/srv" })).data).toMatchObject({
      path: "/srv/json",
      json: { a: [1, 2.5, null] },
    });
    expect(readFileSync(join(sandbox.root, "srv/json"), "utf8")).toBe('{"a":[1,2.5,null]}');
    await expect(run("/text", { dest: "/none/x" })).rejects.toThrow(/\/none does not exist/);
  });

  it("asks for something newer, unless force is set", async () => {
    writeFileSync(join(sandbox.root, "page"), "old");
    const again = await run("/text", { dest: "/page", status_code: [200, 304] });
    expect(again).toMatchObject({ state: "unchanged", data: { status: 304, path: "/page" } });
    await expect(run("/text", { dest: "/page" })).rejects.toThrow("Status code was 304 and not [200]");
    expect((await run("/text", { dest: "/page", force: true })).state).toBe("changed");
    expect(readFileSync(join(sandbox.root, "page"), "utf8")).toBe("some text\n");
  });

  it("asks nothing when creates or removes say so, nor in check mode", async () => {
    writeFileSync(join(sandbox.root, "made"), "");
    expect((await run("/text", { creates: "/made" })).data).toEqual({
      stdout: "skipped, since '/made' exists",
      stdout_lines: ["skipped, since '/made' exists"],
    });
    expect((await run("/text", { removes: "/gone" })).state).toBe("unchanged");
    const checked = await pass(
      uri({ url: `${base}/text` }),
      sandbox.system,
      sandbox.context({ check: true }),
    );
    expect(checked.state).toBe("unknown");
    expect(asked).toEqual([]);
    expect((await run("/text", { removes: "/mad*", creates: "/gone" })).data).toMatchObject({ status: 200 });
  });

  it("reads netrc", async () => {
    const system = {
      ...sandbox.system,
      readIfExists: async (path: string) =>
        path === "~/.netrc"
          ? Buffer.from(
              'machine a.example login ann password "p w"\nmacdef x\nmachine no\n\nmachine b login bob\npassword q\ndefault login any password z\n',
            )
          : null,
    };
    expect(await readNetrc(system, "a.example")).toEqual({ username: "ann", password: "p w" });
    expect(await readNetrc(system, "b")).toEqual({ username: "bob", password: "q" });
    expect(await readNetrc(system, "no")).toEqual({ username: "any", password: "z" });
  });
});

it("names wrong parameters", () => {
  expect(() => uri({ url: "ftp://x/y" })).toThrow(/must be an http or https URL/);
  expect(() => uri({ url: "http://x", body: "a", src: "b" })).toThrow(
    "parameters are mutually exclusive: body|src",
  );
  expect(() => uri({ url: "http://x", use_gssapi: true })).toThrow(/GSSAPI is not known/);
});
