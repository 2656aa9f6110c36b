import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isVolleyError } from "../../../src/core/errors.ts";
import { createCommands, evaluateConfig } from "../../../src/transport/ssh-config/evaluate.ts";
import { readSshConfig } from "../../../src/transport/ssh-config/read.ts";
import type { AlgorithmNames } from "../../../src/transport/ssh-config/values.ts";
import { drawFrom } from "../../fuzz/lib/random.ts";
import { type Dump, dumpOf, readDump } from "./lib/dump.ts";
import { type GeneratedFiles, type Ground, generateFiles, NAMES } from "./lib/generate.ts";

/** Other releases differ in Match lines, %C, and in the effect of ProxyJump none. */
const isReference = /^OpenSSH_9\.2/.test(spawnSync("ssh", ["-V"], { encoding: "utf8" }).stderr ?? "");
const SEEDS = 300;
const USUAL_SEED = 20_261_128;
/** As for the fuzz tests: more seeds, new each time, for a given time; or one seed again. */
const SECONDS = Number(process.env.VOLLEY_FUZZ_SECONDS ?? 0);
const GIVEN = process.env.VOLLEY_FUZZ_SEED;
const FIRST = GIVEN !== undefined ? Number(GIVEN) : SECONDS > 0 ? Date.now() % 2 ** 31 : USUAL_SEED;

let directory: string;
let ground: Ground;
let before: NodeJS.ProcessEnv;

beforeAll(() => {
  before = { ...process.env };
  const { homedir } = userInfo();
  // `ssh` looks the home up in the password file.
  Object.assign(process.env, {
    HOME: homedir,
    VOLLEY_TEST: "/env dir",
    SSH_AUTH_SOCK: "/run/agent",
    SHELL: "/bin/sh",
  });
  directory = mkdtempSync(join(tmpdir(), "volley-ssh-G-"));
  const ssh = join(homedir, ".ssh");
  ground = { directory, relative: existsSync(ssh) ? relative(ssh, directory) : undefined };
});
afterAll(() => {
  for (const name of ["HOME", "VOLLEY_TEST", "SSH_AUTH_SOCK", "SHELL"]) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
  rmSync(directory, { recursive: true, force: true });
});

interface Said {
  readonly dump: Dump | undefined;
  readonly stderr: string;
}

function askSsh(file: string, name: string): Said {
  const { status, stdout, stderr } = spawnSync("ssh", ["-G", "-F", file, "--", name], { encoding: "utf8" });
  // ssh reports an empty list and continues with the settings so far, which counts as a refusal.
  const taken = status === 0 && !stderr.includes("fill_default_options");
  return { dump: taken ? readDump(stdout) : undefined, stderr };
}

/** The lists of `ssh` itself, whatever its version. */
function listsOf(defaults: Dump): (option: string) => AlgorithmNames {
  const queries: Readonly<Record<string, string>> = { ciphers: "cipher", macs: "mac", kexalgorithms: "kex" };
  const all = new Map<string, readonly string[]>();
  return (option) => {
    const query = queries[option] ?? "key-sig";
    const known =
      all.get(query) ?? spawnSync("ssh", ["-Q", query], { encoding: "utf8" }).stdout.trim().split("\n");
    all.set(query, known);
    // Authorities sign with no certificates of their own.
    const some =
      option === "casignaturealgorithms" ? known.filter((name) => !name.includes("-cert-")) : known;
    return { defaults: defaults.get(option)![0]!.split(","), all: some };
  };
}

/** Lines that follow from other options. */
const DERIVED = new Set([
  "updatehostkeys",
  "serveraliveinterval",
  "exitonforwardfailure",
  "clearallforwardings",
  "host",
]);

interface Usual {
  readonly dump: Dump;
  readonly lists: (option: string) => AlgorithmNames;
}

async function compare(name: string, { dump: defaults, lists }: Usual): Promise<string | undefined> {
  const file = join(directory, "config");
  const { dump, stderr } = askSsh(file, name);
  let ours: Dump;
  try {
    const run = createCommands(new AbortController().signal);
    const evaluated = await evaluateConfig(readSshConfig(file), { name, given: [] }, run);
    ours = dumpOf(evaluated, name, userInfo().username, lists);
  } catch (thrown) {
    if (!isVolleyError(thrown) || thrown.code !== "USAGE") throw thrown;
    if (dump !== undefined)
      return `ssh takes it, Volley says: ${thrown.message} (${JSON.stringify(thrown.location)})`;
    const { location } = thrown;
    const line = new RegExp(`line ${location?.line}\\b`);
    return location?.line === undefined || line.test(stderr)
      ? undefined
      : `ssh names another line: ${stderr}`;
  }
  // With a ProxyJump for all hosts, Volley reaches the jump host directly.
  if (dump === undefined) return /jumphost loop/.test(stderr) ? undefined : `ssh refuses it: ${stderr}`;
  for (const [option, said] of dump) {
    const set = ours.get(option);
    if (DERIVED.has(option) && (set === undefined || set[0] === "ask")) continue;
    // ssh prints the path of an agent even where it forwards none.
    if (option === "forwardagent" && set?.[0] === "no") continue;
    const expected = set ?? defaults.get(option);
    if (JSON.stringify(said) !== JSON.stringify(expected))
      return `${option} of ${name}: ssh ${JSON.stringify(said)}, Volley ${JSON.stringify(expected)}`;
  }
  for (const [option, set] of ours)
    if (!dump.has(option) && set.length > 0 && !SILENT.has(option)) return `${option}: ssh does not print it`;
  return undefined;
}

/** Options that `ssh -G` does not print, or prints in another form. */
const SILENT = new Set(["protocol", "useroaming"]);

function write(files: GeneratedFiles): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (const [name, text] of files) writeFileSync(join(directory, name), text, { mode: 0o600 });
}

test.skipIf(!isReference)(
  `generated files are read as ssh -G reads them: ${SEEDS} seeds from ${FIRST}`,
  { timeout: 300_000 + SECONDS * 1_000 },
  async () => {
    const defaults = new Map<string, Dump>();
    const lists = listsOf(askSsh("none", "any").dump!);
    const until = Date.now() + SECONDS * 1_000;
    for (let index = 0; SECONDS > 0 ? Date.now() < until : index < SEEDS; index++) {
      const seed = FIRST + index;
      const draw = drawFrom(seed);
      const files = generateFiles(draw, ground);
      write(files);
      const name = draw.pick(NAMES);
      const dump = defaults.get(name) ?? askSsh("none", name).dump!;
      defaults.set(name, dump);
      const difference = await compare(name, { dump, lists });
      const text = [...files].map(([each, content]) => `--- ${each}\n${content}`).join("\n");
      expect(difference, `VOLLEY_FUZZ_SEED=${seed}, in ${directory}\n${text}`).toBeUndefined();
    }
  },
);
