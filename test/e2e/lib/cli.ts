import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));
/** Lies below node_modules: compiled code finds its packages there, and tools that search the project skip it. */
const cache = join(root, "node_modules", ".cache", "volley-test");

const KEPT_BUILDS = 3;

/** The outcome of a command. */
export interface CliEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The built `volley`, as it is with the sources of now: built when it is not there, by one process at a time. */
export async function builtCli(): Promise<string> {
  const wanted = join(cache, `dist-${newestSource()}`);
  const main = join(wanted, "dist", "cli", "main.js");
  mkdirSync(cache, { recursive: true });
  const lock = join(cache, "builder");
  while (!existsSync(main)) {
    try {
      symlinkSync(String(process.pid), lock);
    } catch {
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
  return main;
}

/**
 * The directory of V8's compiled code of the built `volley`, kept from one test file to the next: to compile takes most
 * of a first start, and each file has a cache of its own.
 */
export function keptCode(): string {
  return join(cache, `code-${newestSource()}`);
}

function isBuilding(lock: string): boolean {
  try {
    return existsSync(`/proc/${readlinkSync(lock)}`);
  } catch {
    return false;
  }
}

/** A copy of its own: the project's dist may be built again while tests run. */
function buildInto(wanted: string): void {
  const temporary = join(cache, `new-${process.pid}`);
  execFileSync(process.execPath, ["build.mjs", "--no-types", "--out", join(temporary, "dist")], {
    cwd: root,
    stdio: "pipe",
  });
  // Others may be using the ones before this.
  for (const kind of ["dist-", "code-"]) {
    const builds = readdirSync(cache).filter((name) => name.startsWith(kind));
    for (const name of builds.sort().slice(0, -KEPT_BUILDS)) {
      rmSync(join(cache, name), { recursive: true, force: true });
    }
  }
  cpSync(join(root, "package.json"), join(temporary, "package.json"));
  renameSync(temporary, wanted);
}

function newestSource(): number {
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
