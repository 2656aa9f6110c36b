import { execFile, execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { carryBundle } from "../../src/controller/prepare/carry.ts";
import { DOWNLOAD_LIMITS } from "../../src/pull/download.ts";
import { type PullEnd, type PullOptions, pull } from "../../src/pull/pull.ts";
import { PULL_SCRIPT } from "../../src/pull/script.ts";
import { parseSource } from "../../src/pull/source.ts";
import { bootId, machineId, processStart } from "../../src/system/this-process.ts";
import { hasSshKeygen, type Keyring, makeKeyring } from "../bundle/signing/lib.ts";
import { makeProject, scratchDirectory } from "../e2e/lib/project.ts";
import { tasks } from "../e2e/lib/sources.ts";
import { type FileServer, startFileServer } from "./server.ts";

const scratch = scratchDirectory();
const hasGit = spawnSync("git", ["--version"]).status === 0;

// The first task leaves a mark in the home, and the second fails where the vars say so.
const site = tasks(
  'task("Mark", copy({ content: "here\\n", dest: facts.env.HOME + "/mark" }));',
  'task("Work", shell("test ! -e \\"$HOME/broken\\""));',
);
const inventory = "all:\n  hosts:\n    web1:\n    web2:\n";

describe.skipIf(!hasSshKeygen)("with ssh-keygen (skipped: no ssh-keygen of OpenSSH here)", () => {
  let keys: Keyring;
  let server: FileServer;
  let older: Buffer;
  let newer: Buffer;
  let unsigned: Buffer;
  let defaults: PullOptions;
  const home = (name: string): string => join(process.env.HOME!, name);
  const from = (place: string | URL, options: Partial<PullOptions> = {}): Promise<PullEnd> =>
    pull(parseSource(String(place), scratch()), { ...defaults, ...options });
  const refusal = async (
    place: string | URL,
    code: string,
    words: RegExp,
    options: Partial<PullOptions> = {},
  ): Promise<void> => {
    await expect(from(place, options)).rejects.toMatchObject({ code, message: expect.stringMatching(words) });
    expect(existsSync(home("mark")), "nothing was run").toBe(false);
  };

  beforeAll(async () => {
    keys = makeKeyring(scratch());
    keys.make("ops");
    keys.make("eve");
    const project = makeProject(scratch(), { "site.ts": site, "hosts.yaml": inventory });
    const carry = async (key?: string): Promise<Buffer> =>
      (
        await carryBundle({
          playbook: project.path("site.ts"),
          cwd: project.directory,
          inventory: [project.path("hosts.yaml")],
          ...(key === undefined ? {} : { signingKey: keys.path(key) }),
        })
      ).bytes;
    [older, newer, unsigned] = [await carry("ops"), await carry("ops"), await carry()];
    defaults = {
      signers: keys.allow(`ops@example.com ${keys.publicKey("ops")}`),
      ...{ host: "web1", check: false, diff: false, onlyIfChanged: false, allowOlder: false, isQuiet: true },
    };
  });
  beforeEach(async () => {
    server = await startFileServer();
    return () => server.close();
  });
  beforeEach(() => {
    for (const directory of [process.env.XDG_CACHE_HOME!, process.env.XDG_STATE_HOME!])
      rmSync(join(directory, "volley", "pull"), { recursive: true, force: true });
    for (const name of ["mark", "broken"]) rmSync(home(name), { force: true });
  });
  afterAll(() => rmSync(home("mark"), { force: true }));

  test("a bundle is fetched once and carried out each time, or only when something has changed", async () => {
    server.files.set("/site.run", older);
    const url = server.url("/site.run");
    const first = await from(url);
    expect(first).toMatchObject({ exitCode: 0 });
    expect(first.line).toMatch(
      /^web1: 2 total actions .* 2 changed.* \(site\.ts of 20\S+Z, signed by ops@example\.com\)$/,
    );
    expect(readFileSync(home("mark"), "utf8")).toBe("here\n");
    rmSync(home("mark"));
    expect((await from(url)).line).toMatch(/2 changed/);
    expect(existsSync(home("mark"))).toBe(true);
    expect((await from(url, { onlyIfChanged: true })).line).toMatch(/^web1: unchanged since 20\S+Z/);
    expect((await from(url, { onlyIfChanged: true, host: "web2" })).line).toMatch(/^web2: 2 total actions/);
    expect(server.answers.map(({ status }) => status)).toEqual([200, 304, 304, 304]);
    // A run that failed is done again.
    server.files.set("/site.run", newer);
    writeFileSync(home("broken"), "");
    const failed = await from(url, { onlyIfChanged: true });
    expect(failed).toMatchObject({ exitCode: 2, line: expect.stringMatching(/1 failed.*One Work: /) });
    rmSync(home("broken"));
    expect(await from(url, { onlyIfChanged: true })).toMatchObject({
      exitCode: 0,
      line: expect.stringMatching(/2 total actions/),
    });
    expect(server.answers.map(({ status }) => status).slice(4)).toEqual([200, 304]);
  });

  test("check mode changes nothing, and counts as no run", async () => {
    writeFileSync(join(scratch(), "site.run"), older);
    const end = await from("site.run", { check: true });
    expect(end).toMatchObject({ exitCode: 0, line: expect.stringMatching(/^web1: check: 2 total actions/) });
    expect(existsSync(home("mark"))).toBe(false);
    expect((await from("site.run", { onlyIfChanged: true })).line).toMatch(/1 changed|2 changed/);
  });

  test("nothing is run of a bundle that is changed, unsigned, or another's", async () => {
    const changed = Buffer.from(older);
    changed[changed.length >> 1]! ^= 1;
    server.files.set("/changed", changed).set("/unsigned", unsigned).set("/site.run", older);
    server.files.set("/cut", older.subarray(0, -10_000)).set("/page", Buffer.from("<html>Log in</html>\n"));
    await refusal(server.url("/changed"), "SIGNATURE_REFUSED", /was changed after it was signed/);
    await refusal(server.url("/unsigned"), "SIGNATURE_REFUSED", /is not signed/);
    await refusal(server.url("/cut"), "SIGNATURE_REFUSED", /is not signed|damaged/);
    await refusal(server.url("/page"), "SIGNATURE_REFUSED", /is not signed/);
    const signers = keys.allow(`eve@example.com ${keys.publicKey("eve")}`);
    await refusal(server.url("/site.run"), "SIGNATURE_REFUSED", /not signed by an allowed signer/, {
      signers,
    });
    await refusal(server.url("/site.run"), "SIGNATURE_REFUSED", /./, { signer: "eve@example.com" });
    await refusal(server.url("/site.run"), "PATTERN_UNKNOWN", /not made for "web9"/, { host: "web9" });
  });

  test("a bundle that was refused leaves the one before in its place", async () => {
    server.files.set("/site.run", older);
    await from(server.url("/site.run"));
    rmSync(home("mark"));
    server.files.set("/site.run", unsigned);
    await refusal(server.url("/site.run"), "SIGNATURE_REFUSED", /is not signed/);
    server.files.set("/site.run", older);
    expect((await from(server.url("/site.run"))).exitCode).toBe(0);
    expect(server.answers.map(({ status }) => status)).toEqual([200, 200, 304]);
  });

  test("an older bundle is refused, unless it is asked for", async () => {
    server.files.set("/site.run", newer);
    await from(server.url("/site.run"));
    rmSync(home("mark"));
    server.files.set("/site.run", older);
    await refusal(
      server.url("/site.run"),
      "SIGNATURE_REFUSED",
      /was signed at .* before the bundle that was carried out/,
    );
    expect((await from(server.url("/site.run"), { allowOlder: true })).exitCode).toBe(0);
    expect((await from(server.url("/site.run"))).exitCode).toBe(0);
  });

  test("a download is bounded, whole, and led nowhere else", async () => {
    const limits = { ...DOWNLOAD_LIMITS, bytes: 1_000 };
    const half = older.subarray(0, older.length >> 1);
    server.files
      .set("/large", older)
      .set("/endless", (_request, response) => void response.write(older))
      .set("/cut", (_request, response) => {
        response.writeHead(200, { "content-length": older.length });
        response.write(half, () => response.destroy());
      })
      .set("/silent", () => {})
      .set("/away", (_request, response) => response.writeHead(302, { location: "ftp://127.0.0.1/x" }).end())
      .set("/circle", (_request, response) => response.writeHead(302, { location: "/circle" }).end())
      .set("/moved", (_request, response) =>
        response.writeHead(301, { location: server.url("/site.run", "localhost").href }).end(),
      )
      .set("/site.run", older);
    await refusal(server.url("/large"), "PULL_FAILED", /more than 1000 bytes/, { limits });
    await refusal(server.url("/endless"), "PULL_FAILED", /more than 1000 bytes/, { limits });
    await refusal(server.url("/cut"), "PULL_FAILED", /cannot download .*: the connection was cut|terminated/);
    await refusal(server.url("/silent"), "PULL_FAILED", /the server is silent/, {
      limits: { ...DOWNLOAD_LIMITS, silentMs: 50 },
    });
    await refusal(server.url("/away"), "PULL_FAILED", /leads from http:\/\/ to ftp:/);
    await refusal(server.url("/circle"), "PULL_FAILED", /leads on more than 5 times/);
    await refusal(server.url("/none"), "PULL_FAILED", /answers 404/);
    server.files.set("/unasked", (_request, response) => void response.writeHead(304).end());
    await refusal(server.url("/unasked"), "PULL_FAILED", /answers 304/);
    // The login is for this server alone, and in no message.
    const url = server.url("/moved");
    url.username = "ann";
    url.password = "open sesame";
    expect((await from(url)).exitCode).toBe(0);
    expect(server.answers.slice(-2).map(({ login }) => login)).toEqual([
      `Basic ${Buffer.from("ann:open sesame").toString("base64")}`,
      undefined,
    ]);
    url.username = "";
    url.password = "";
    writeFileSync(home(".netrc"), "machine 127.0.0.1 login bob password hush\n", { mode: 0o600 });
    try {
      expect((await from(url)).exitCode).toBe(0);
    } finally {
      rmSync(home(".netrc"));
    }
    expect(server.answers.slice(-2).map(({ login }) => login)).toEqual([
      `Basic ${Buffer.from("bob:hush").toString("base64")}`,
      undefined,
    ]);
    url.username = "ann";
    url.password = "open sesame";
    url.pathname = "/none";
    await expect(from(url)).rejects.toMatchObject({ message: expect.not.stringContaining("sesame") });
    rmSync(home("mark"));
    const location = "ftp://ann:sesame@127.0.0.1/x?sesame";
    server.files.set("/led", (_request, response) => response.writeHead(302, { location }).end());
    await refusal(
      server.url("/led"),
      "PULL_FAILED",
      /leads from http:\/\/ to ftp:\/\/ann:\*+@127\.0\.0\.1\/x\?\*+$/,
    );
  });

  test("a proxy of the environment is heeded", async () => {
    // A proxy is asked for whole URLs.
    server.files.set("http://bundles.invalid/site.run", older);
    process.env.http_proxy = server.url("/").href;
    try {
      expect((await from("http://bundles.invalid/site.run")).exitCode).toBe(0);
      process.env.http_proxy = "http://ann:sesame@127.0.0.1:1";
      const words = /: through the proxy http:\/\/ann:\*+@127\.0\.0\.1:1\/: the connection was refused$/;
      rmSync(home("mark"));
      await refusal("http://bundles.invalid/site.run", "PULL_FAILED", words);
    } finally {
      delete process.env.http_proxy;
    }
  });

  test("two pulls do not work at the same time", async () => {
    writeFileSync(join(scratch(), "site.run"), older);
    await from("site.run");
    rmSync(home("mark"));
    const directory = join(process.env.XDG_CACHE_HOME!, "volley", "pull");
    const pid = process.ppid;
    const holder = { run: "pull-1", host: "x", controller: "volley pull x", since: new Date().toISOString() };
    const line = JSON.stringify({ ...holder, pid, start: processStart(pid), boot: bootId(), turn: true });
    writeFileSync(join(directory, `lock-${machineId()}`), `${line}\n`);
    await refusal("site.run", "LOCKED", /volley pull x/, { lockWaitMs: 0 });
  });

  test("others must not be able to exchange the allowed signers, nor the vars", async () => {
    writeFileSync(join(scratch(), "site.run"), older);
    const signers = keys.allow(`ops@example.com ${keys.publicKey("ops")}`);
    chmodSync(signers, 0o666);
    await refusal("site.run", "PULL_FAILED", /others than root and you could exchange/, { signers });
    await refusal("site.run", "USAGE", /cannot read .*none/, { signers: join(scratch(), "none") });
    await refusal("site.run", "PULL_FAILED", /others than root and you could exchange/, { vars: signers });
  });

  test.each([["curl"], ["wget"]])("the script does the same by %s, without Node for itself", async (tool) => {
    if (spawnSync(tool, ["--version"]).error !== undefined) return;
    // Of the two tools only this one is on the path.
    const bin = mkdtempSync(join(scratch(), "bin-"));
    const tools = [
      "sh",
      "ssh-keygen",
      "head",
      "tail",
      "tr",
      "fold",
      "wc",
      "od",
      "cksum",
      "mkdir",
      "find",
      "rm",
      "mv",
    ];
    for (const name of [...tools, "expr", "id", "readlink", "cat", tool])
      symlinkSync(
        execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim(),
        join(bin, name),
      );
    writeFileSync(join(bin, "pull.sh"), PULL_SCRIPT);
    const env = { ...process.env, PATH: bin, VOLLEY_NODE: process.execPath };
    const script = (
      path: string,
      signer = "",
      login = "",
    ): Promise<{ readonly code: number; readonly said: string }> =>
      new Promise((resolve) => {
        const args = [
          join(bin, "pull.sh"),
          server.url(path).href.replace("://", `://${login}`),
          defaults.signers,
          signer,
          "--local",
          "web1",
        ];
        execFile(join(bin, "sh"), args, { env }, (error, stdout, stderr) =>
          resolve({ code: Number(error?.code ?? 0), said: `${stdout}${stderr}` }),
        );
      });
    const changed = Buffer.from(older);
    changed[changed.length >> 1]! ^= 1;
    server.files.set("/changed", changed).set("/unsigned", unsigned).set("/site.run", older);
    server.files.set("/unsigned?sesame", unsigned);
    expect(await script("/changed")).toMatchObject({
      code: 1,
      said: expect.stringMatching(/^volley: \S+ was changed after/),
    });
    expect(await script("/unsigned")).toMatchObject({
      code: 1,
      said: expect.stringMatching(/is not signed\n$/),
    });
    expect(await script("/none")).toMatchObject({
      code: 1,
      said: expect.stringMatching(/^volley: cannot download \S+: \S[^\n]+\n$/),
    });
    for (const path of ["/none?sesame", "/unsigned?sesame"])
      expect(await script(path, "", "ann:sesame@")).toMatchObject({
        code: 1,
        said: expect.not.stringContaining("sesame"),
      });
    expect(await script("/site.run", "eve@example.com")).toMatchObject({ code: 1 });
    expect(existsSync(home("mark"))).toBe(false);
    expect(await script("/site.run", "ops@example.com")).toMatchObject({
      code: 0,
      said: expect.stringMatching(/web1: 2 total actions/),
    });
    expect(existsSync(home("mark"))).toBe(true);
    // The server is away: what is kept is not run again as if it were the newest.
    server.files.delete("/site.run");
    expect(await script("/site.run")).toMatchObject({ code: 1 });
  });

  test.skipIf(!hasGit)("a git repository: its branches, and files in it (skipped: no git here)", async () => {
    const tree = join(scratch(), "tree");
    const bare = join(scratch(), "bundles.git");
    const git = (...args: readonly string[]): string =>
      execFileSync("git", ["-C", tree, "-c", "user.name=x", "-c", "user.email=x@example.com", ...args], {
        encoding: "utf8",
        stdio: "pipe",
      });
    mkdirSync(join(tree, "run"), { recursive: true });
    git("init", "-q", "-b", "main");
    writeFileSync(join(tree, "site.run"), older);
    git("add", ".");
    git("commit", "-qm", "One");
    git("switch", "-qc", "staging");
    writeFileSync(join(tree, "run", "new.run"), newer);
    symlinkSync("run/new.run", join(tree, "latest.run"));
    symlinkSync("run", join(tree, "current"));
    git("add", ".");
    git("commit", "-qm", "Two");
    git("clone", "-q", "--bare", tree, bare);
    execFileSync("git", ["-C", bare, "symbolic-ref", "HEAD", "refs/heads/main"]);
    expect((await from(bare)).exitCode).toBe(0);
    expect((await from(bare, { onlyIfChanged: true })).line).toMatch(/^web1: unchanged/);
    expect((await from(`git+file://${bare}#staging:run/new.run`)).exitCode).toBe(0);
    rmSync(home("mark"));
    await refusal(`${bare}#:run/new.run`, "PULL_FAILED", /has no file run\/new\.run/);
    for (const [path, why] of [
      ["latest.run", "latest.run is a link, and links are not followed"],
      ["current/new.run", "current is a link, and links are not followed"],
      ["run", "run is a directory"],
      ["site.run/new.run", "site.run is a file"],
    ] as const)
      await refusal(
        `${bare}#staging:${path}`,
        "PULL_FAILED",
        new RegExp(`: staging has no file ${path}: ${why}$`),
      );
    await refusal(`${bare}#nothing`, "PULL_FAILED", /it has no nothing/);
    await refusal(`${bare}-none.git`, "PULL_FAILED", /does not (?:exist|appear)/);
    server.files.set("/x.git/info/refs?service=git-upload-pack", (_request, response) =>
      response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end(),
    );
    const login = server.url("/x.git").href.replace("://", "://sesame@");
    await expect(from(`git+${login}`)).rejects.toMatchObject({
      code: "PULL_FAILED",
      message: expect.not.stringContaining("sesame"),
    });
    // Refused by its size, or because git may write no more.
    const limits = { ...DOWNLOAD_LIMITS, bytes: 1_000 };
    await refusal(`${bare}#staging`, "PULL_FAILED", /^cannot pull \S+: ./, { limits });
  });
});
