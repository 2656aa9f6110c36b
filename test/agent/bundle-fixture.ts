import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { carryBundle } from "../../src/controller/prepare/carry.ts";
import { type Job, type JobOptions, PROTOCOL_VERSION, type WireEvent } from "../../src/core/protocol.ts";
import { textToBytes } from "../../src/core/values/bytes.ts";

/** A project in a temporary directory, with its bundle in a file beside it. */
export interface BundledProject {
  readonly directory: string;
  readonly file: string;
  readonly bytes: Buffer;
  readonly id: string;
  path(name: string): string;
  [Symbol.dispose](): void;
}

/** Files by name. Files that begin with `#!` are executable. Bytes other than UTF-8 are as `core/values/bytes.ts` writes them. */
export type ProjectFiles = Readonly<Record<string, string>>;

/** Writes a project's files and bundles its `site.ts`, for the hosts of `inventory.yml` if there is one. */
export async function bundleProject(
  given: ProjectFiles | ((directory: string) => ProjectFiles),
): Promise<BundledProject> {
  const directory = mkdtempSync(join(tmpdir(), "volley-bundle-"));
  const files = typeof given === "function" ? given(directory) : given;
  for (const [name, content] of Object.entries({ "package.json": "{}", ...files })) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), textToBytes(content), {
      mode: content.startsWith("#!") ? 0o755 : 0o644,
    });
  }
  const { bytes, id } = await withCache(join(directory, "cache"), () =>
    carryBundle({
      playbook: "site.ts",
      cwd: directory,
      ...("inventory.yml" in files ? { inventory: ["inventory.yml"] } : {}),
    }),
  );
  const file = join(directory, "site.run");
  writeFileSync(file, bytes);
  return {
    directory,
    file,
    bytes,
    id,
    path: (name) => join(directory, name),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Builds are kept in the user's cache: not those of tests. */
async function withCache<T>(directory: string, work: () => Promise<T>): Promise<T> {
  const { XDG_CACHE_HOME } = process.env;
  process.env.XDG_CACHE_HOME = directory;
  try {
    return await work();
  } finally {
    if (XDG_CACHE_HOME === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = XDG_CACHE_HOME;
  }
}

/** The output of a process and its end. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a bundle is started. */
export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Standard input. Default: none. */
  readonly input?: string;
  /** Called once the process is there. */
  readonly onStart?: (child: ChildProcess) => void;
}

/** Runs `sh FILE ARGS` to its end. */
export function runBundle(file: string, args: readonly string[], options: StartOptions = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn("/bin/sh", [file, ...args], {
      env: options.env ?? homeOf(file),
      cwd: options.cwd ?? "/",
      stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    child.stdin?.on("error", () => {}).end(options.input);
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
    options.onStart?.(child);
  });
}

/** Return an environment with a home of the project's own, because a run keeps its files on a host in the home. */
function homeOf(file: string): NodeJS.ProcessEnv {
  const home = join(dirname(file), "home");
  mkdirSync(home, { recursive: true });
  return { ...process.env, HOME: home };
}

/** A bundle's end of the protocol, as a controller sees it. */
export interface Target {
  readonly events: readonly WireEvent[];
  /** Lines on standard output that are no JSON. */
  readonly noise: readonly string[];
  readonly ended: Promise<Ended>;
  /** Says one thing: a string as it is, anything else as a line of JSON. */
  say(what: unknown): void;
  hangUp(): void;
  /** The next event of this type, also when it is there already. */
  event<T extends WireEvent["type"]>(type: T): Promise<Extract<WireEvent, { readonly type: T }>>;
}

/** Starts a bundle as a controller does: `sh FILE --target ID`. */
export function startTarget({ file, id }: Pick<BundledProject, "file" | "id">): Target {
  const events: WireEvent[] = [];
  const noise: string[] = [];
  const waiting = new Set<() => void>();
  let child: ChildProcess | undefined;
  let buffered = "";
  const ended = new Promise<Ended>((resolve, reject) => {
    const started = spawn("/bin/sh", [file, "--target", id], { stdio: "pipe", cwd: "/", env: homeOf(file) });
    child = started;
    let stdout = "";
    let stderr = "";
    started.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      buffered += text;
      const lines = buffered.split("\n");
      buffered = lines.pop() ?? "";
      for (const line of lines) {
        try {
          events.push(JSON.parse(line) as WireEvent);
        } catch {
          noise.push(line);
        }
      }
      for (const wake of waiting) wake();
    });
    started.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    // The process may end before it has read all input.
    started.stdin.on("error", () => {});
    started.once("error", reject);
    started.once("close", (code) => {
      resolve({ code, stdout, stderr });
      for (const wake of waiting) wake();
    });
  });
  let isOver = false;
  void ended.then(() => {
    isOver = true;
    for (const wake of waiting) wake();
  });
  return {
    events,
    noise,
    ended,
    say: (what) => void child?.stdin?.write(typeof what === "string" ? what : `${JSON.stringify(what)}\n`),
    hangUp: () => void child?.stdin?.end(),
    event: async (type) => {
      for (;;) {
        const found = events.find((event) => event.type === type);
        if (found !== undefined) return found as never;
        if (isOver) throw new Error(`it ended without ${type}: ${JSON.stringify(await ended)}`);
        await new Promise<void>((resolve) => {
          const wake = (): void => {
            waiting.delete(wake);
            resolve();
          };
          waiting.add(wake);
        });
      }
    },
  };
}

/** A job for a bundle's first `plays` plays. */
export function jobFor(plays: number, options: Partial<JobOptions> = {}, vars: Job["vars"] = {}): Job {
  return {
    protocol: PROTOCOL_VERSION,
    host: "web1",
    groups: [],
    vars,
    inventoryGroups: {},
    hostVars: {},
    plays: Array.from({ length: plays }, (_, index) => index),
    options: { check: false, diff: false, tags: [], skipTags: [], barriers: true, ...options },
  };
}
