import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type BundleSource, fetchScript } from "../../src/image/fetch-script.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";

const scratch = scratchDirectory();
const BUNDLE = Buffer.from("echo a bundle\n".repeat(5_000));
const ID = createHash("sha256").update(BUNDLE).digest("hex");

/** The programs that fetch, of those that are here. */
const CLIENTS = ["curl", "wget", "python3"].filter(
  (name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0,
);

const paths = new Map<string | undefined, string>();
let server: Server;
let url: string;
let requests: string[] = [];
let directory: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push(request.url!);
    if (request.url === "/site.run") response.end(BUNDLE);
    else if (request.url === "/moved") response.writeHead(302, { location: "/site.run" }).end();
    else if (request.url === "/other") response.end("<html>Log in to this network first</html>");
    else if (request.url === "/cut") {
      response.writeHead(200, { "content-length": BUNDLE.length });
      response.write(BUNDLE.subarray(0, 1_000), () => response.destroy());
    } else response.writeHead(404).end("there is no such file");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());
beforeEach(() => {
  requests = [];
  directory = mkdtempSync(join(scratch(), "machine "));
});

/** A directory with the shell's usual tools and one program that fetches. */
function pathWith(client: string | undefined): string {
  const made = paths.get(client);
  if (made !== undefined) return made;
  const tools = mkdtempSync(join(scratch(), "tools-"));
  for (const name of [
    "rm",
    "mv",
    "cp",
    "sha256sum",
    "mkdir",
    "rmdir",
    ...(client === undefined ? [] : [client]),
  ]) {
    // The program on PATH may be a shim, which needs more programs.
    const find =
      name === "python3" ? ["python3", "-c", "import sys; print(sys.executable)"] : ["which", name];
    const { stdout } = spawnSync(find[0]!, find.slice(1), { encoding: "utf8" });
    symlinkSync(stdout.trim(), join(tools, name));
  }
  paths.set(client, tools);
  return tools;
}

/** Run the script, with the server in this process. */
async function fetchBy(
  client: string | undefined,
  source: BundleSource,
): Promise<{ readonly code: number; readonly stderr: string }> {
  const script = join(directory, "fetch.sh");
  writeFileSync(script, fetchScript(source, ID));
  return await new Promise((resolve) => {
    execFile(
      "/bin/sh",
      [script],
      { env: { ...process.env, PATH: pathWith(client) } },
      (error, _stdout, stderr) => resolve({ code: error === null ? 0 : (error.code as number), stderr }),
    );
  });
}

describe.each(CLIENTS)("a bundle is fetched with %s", (client) => {
  it("once, also where the place has moved", async () => {
    expect(await fetchBy(client, { url: `${url}/moved` })).toEqual({ code: 0, stderr: "" });
    expect(readFileSync(join(directory, "site.run")).equals(BUNDLE)).toBe(true);
    expect(requests).toEqual(["/moved", "/site.run"]);
    expect(await fetchBy(client, { url: `${url}/moved` })).toEqual({ code: 0, stderr: "" });
    expect(requests).toHaveLength(2);
  });

  it.each([
    ["another file", "/other", `its SHA-256 is not ${ID}`],
    ["no file", "/none", "cannot fetch the bundle from http"],
  ])("%s: is refused with a line, and nothing is left", async (_name, path, told) => {
    const { code, stderr } = await fetchBy(client, { url: `${url}${path}` });
    expect(code).toBe(3);
    expect(stderr).toContain(told);
    expect(readdirSync(directory)).toEqual(["fetch.sh"]);
  });

  it("its lines, which a console shows, have no secret of the URL", async () => {
    const secret = url.replace("://", "://ann:sesame@");
    const { code, stderr } = await fetchBy(client, { url: `${secret}/none?sesame` });
    expect(code).toBe(3);
    expect(stderr).toMatch(/cannot fetch the bundle from http:\/\/ann:\*+@\S+\/none\?\*+\n$/);
    expect(stderr).not.toContain("sesame");
  });
});

it.skipIf(CLIENTS.length === 0)(
  "a transfer that is cut leaves nothing, and the next one a whole bundle",
  async () => {
    const [client] = CLIENTS;
    expect((await fetchBy(client, { url: `${url}/cut` })).code).toBe(3);
    expect(readdirSync(directory)).toEqual(["fetch.sh"]);
    expect((await fetchBy(client, { url: `${url}/site.run` })).code).toBe(0);
  },
);

it("a bundle of earlier is replaced", async () => {
  writeFileSync(join(directory, "site.run"), "an older one");
  expect((await fetchBy(CLIENTS[0], { url: `${url}/site.run` })).code).toBe(0);
  expect(readFileSync(join(directory, "site.run")).equals(BUNDLE)).toBe(true);
});

it("a machine without a program that fetches is told so, with an exit code that nobody tries again", async () => {
  expect(await fetchBy(undefined, { url })).toEqual({
    code: 97,
    stderr: "volley: the bundle cannot be fetched: curl, wget or python3 is needed here\n",
  });
});

it("a machine without the volume is told so", async () => {
  mkdirSync(join(directory, "empty"));
  const { code, stderr } = await fetchBy(undefined, "volume");
  expect(stderr).toBe("volley: there is no volume cidata with the bundle here\n");
  expect(code).toBe(3);
});
