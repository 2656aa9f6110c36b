import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));
/** Keeps what the tests make once. Lies below node_modules: compiled code finds its packages there, and tools that search the project skip it. */
export const cache = join(root, "node_modules", ".cache", "volley-test");

const KEPT_BUILDS = 3;

/** The outcome of a command. */
export interface CliEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The built `volley`, as it is with the sources of now: built when it is not there, by one process at a time. Its
 * compiled code is lent to the cache that the environment names, if it is a test's own.
 */
export async function builtCli(): Promise<string> {
  const sources = newestSource();
  const wanted = join(cache, `dist-${sources}`);
  const main = join(wanted, "dist", "cli", "main.js");
  mkdirSync(cache, { recursive: true });
  const lock = join(cache, "builder");
  while (!existsSync(main)) {
    try {
      symlinkSync(String(process.pid), lock);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "EEXIST")
        throw new Error(`${cache} is for the build of the tests, and cannot be written`, { cause: thrown });
      // Left by a process that was killed amid its build; however long that takes, a living one is waited for.
      if (!isBuilding(lock)) rmSync(lock, { force: true });
      await sleep(200);
      continue;
    }
    try {
      if (!existsSync(main)) buildInto(wanted);
    } finally {
      rmSync(lock, { force: true });
    }
  }
  const cacheHome = process.env.XDG_CACHE_HOME;
  if (cacheHome?.startsWith(tmpdir()) === true) copyMissing(keptCode(sources), codeIn(cacheHome));
  return main;
}

// V8's compiled code of the built `volley` is kept from one test file to the next: to compile takes most of a first
// start, and each file has a cache of its own.
const keptCode = (sources: number): string => join(cache, `code-${sources}`);
const codeIn = (cacheHome: string): string => join(cacheHome, "volley", "code");

/** Keeps the compiled code that a test's own cache has more of, when the test file is done. */
export function keepCode(cacheHome: string): void {
  copyMissing(codeIn(cacheHome), keptCode(newestSource()));
  newest = undefined;
}

// V8's compiled code of Volley's own parts of a bundle, for hosts with a home of their own.
const hostCode = (): string => join(cache, `host-code-${newestSource()}`);
const hostCodeIn = (home: string): string => join(home, ".cache", "volley", "compiled");
/** Volley's own parts are larger than what playbooks bring: only they are lent, or each host would get hundreds of files. */
const OWN_PART_BYTES = 100_000;

/** Lend a host, which starts without, the compiled code of earlier hosts: it takes a quarter of an agent's first start. */
export function lendHostCode(home: string): void {
  copyMissing(hostCode(), hostCodeIn(home));
}

/** Keep the compiled code of a host for {@link lendHostCode}. */
export function keepHostCode(home: string): void {
  copyMissing(hostCodeIn(home), hostCode(), OWN_PART_BYTES);
}

/** Copy the files of a size that the other directory has not. Processes that do so at a time each leave whole files. */
function copyMissing(from: string, to: string, minBytes = 0): void {
  if (!existsSync(from)) return;
  mkdirSync(to, { recursive: true, mode: 0o700 });
  const sizeOf = (name: string): number => statSync(join(from, name), { throwIfNoEntry: false })?.size ?? -1;
  // A name that ends with a process's number is a file that is being written.
  const isMissing = (name: string): boolean =>
    !/\.\d+$/.test(name) && !existsSync(join(to, name)) && sizeOf(name) >= minBytes;
  for (const name of readdirSync(from).filter(isMissing)) {
    const temporary = `${to}.${process.pid}`;
    copyFileSync(join(from, name), temporary);
    renameSync(temporary, join(to, name));
  }
}

/** Starts what is started most, to keep its compiled code: a command that is refused keeps none, and most tests refuse. */
function startOnce(main: string): void {
  const directory = mkdtempSync(join(tmpdir(), "volley-first-"));
  const cacheHome = join(directory, "cache");
  const env = { ...process.env, HOME: directory, XDG_CACHE_HOME: cacheHome, XDG_STATE_HOME: directory };
  writeFileSync(join(directory, "package.json"), "{}\n");
  writeFileSync(
    join(directory, "site.ts"),
    `import { debug, definePlaybook } from "volley";
export default definePlaybook([{ hosts: "all", tasks: ({ task }) => void task("Say", debug({ msg: "hi" })) }]);
`,
  );
  for (const args of [
    ["--help"],
    ["run", "site.ts", "-i", "localhost,", "-c", "local"],
    ["check", "site.ts", "--no-types"],
    ["bundle", "site.ts", "-o", "site.run"],
  ])
    execFileSync(process.execPath, [main, ...args], { cwd: directory, env, stdio: "pipe" });
  keepCode(cacheHome);
  rmSync(directory, { recursive: true });
}

function isBuilding(lock: string): boolean {
  try {
    return existsSync(`/proc/${readlinkSync(lock)}`);
  } catch {
    return false;
  }
}

/** Copy the project's dist where it is of the sources of now, as after an installation: to build takes ten times as long. */
function copyDist(to: string): boolean {
  const dist = join(root, "dist");
  // Its time is that of the begin of its build (build.mjs).
  const state = (): string => {
    const { ino, mtimeMs } = statSync(dist);
    return `${ino} ${mtimeMs}`;
  };
  try {
    if (statSync(dist).mtimeMs <= newestSource()) return false;
    const before = state();
    cpSync(dist, to, { recursive: true, filter: (path) => !path.endsWith(".d.ts") });
    if (state() === before) return true;
  } catch {
    // There is none, or it was built again meanwhile.
  }
  rmSync(to, { recursive: true, force: true });
  return false;
}

/** A copy of its own: the project's dist may be built again while tests run. */
function buildInto(wanted: string): void {
  const temporary = join(cache, `new-${process.pid}`);
  if (!copyDist(join(temporary, "dist")))
    execFileSync(process.execPath, ["build.mjs", "--no-types", "--out", join(temporary, "dist")], {
      cwd: root,
      stdio: "pipe",
    });
  // Others may be using the ones before this.
  for (const kind of ["dist-", "code-", "host-code-"]) {
    const builds = readdirSync(cache).filter((name) => name.startsWith(kind));
    for (const name of builds.sort().slice(0, -KEPT_BUILDS)) {
      rmSync(join(cache, name), { recursive: true, force: true });
    }
  }
  cpSync(join(root, "package.json"), join(temporary, "package.json"));
  startOnce(join(temporary, "dist", "cli", "main.js"));
  renameSync(temporary, wanted);
}

/** The time of the newest source, found once for each test file: to look takes a tenth of the time of a command. */
let newest: number | undefined;

function newestSource(): number {
  newest ??= findNewestSource();
  return newest;
}

function findNewestSource(): number {
  const times = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).map(
    (name) => statSync(join(root, "src", name), { throwIfNoEntry: false })?.mtimeMs ?? 0,
  );
  return Math.round(Math.max(statSync(join(root, "build.mjs")).mtimeMs, ...times));
}

/** Runs `volley` to its end; `on` gets the process, to send it signals. */
export async function volley(
  args: readonly string[],
  {
    cwd,
    env = {},
    stdin,
    stdout: output = "pipe",
    on,
  }: {
    readonly cwd: string;
    readonly env?: Readonly<Record<string, string>>;
    /** Default: nothing. */
    readonly stdin?: string;
    /** A descriptor. Default: kept for the result. */
    readonly stdout?: number | "pipe";
    readonly on?: (child: ChildProcess) => void;
  },
): Promise<CliEnd> {
  const child = spawn(process.execPath, [await builtCli(), ...args], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["pipe", output, "pipe"],
  });
  // A command that does not read its input may be gone by then.
  child.stdin?.on("error", () => {}).end(stdin);
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  on?.(child);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}
