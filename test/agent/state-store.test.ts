import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job, WireEvent } from "../../src/core/protocol.ts";
import { type BundledProject, bundleProject, jobFor, startTarget } from "./bundle-fixture.ts";

const FILES = {
  "site.ts": `
import { command, copy, definePlaybook, fail, shell } from "volley";
const long = "printf '%s%s ********' hu sh; head -c 90000 /dev/zero | tr '\\\\0' x";
export default definePlaybook([
  { name: "P", hosts: "all", tasks: async ({ task, facts, vars }) => {
    const found = await task("Find", shell("echo x >> " + facts.env.HOME + "/found; " + long));
    const hidden = await task("Hide", command(["echo", "hidden"]), { noLog: true });
    await task("Fail", () => shell("test -e " + facts.env.HOME + "/well"));
    task("Write", copy({ content: found.data.stdout + hidden.data.stdout, dest: facts.env.HOME + "/seen" }));
  } },
]);
`,
};

let project: BundledProject;
beforeAll(async () => {
  project = await bundleProject(FILES);
});
afterAll(() => project[Symbol.dispose]());

const session = (run: string, resume?: string): Partial<Job> => ({
  secrets: ["hushsecret", "hush"],
  session: {
    run,
    controller: "ann@laptop",
    project: "p",
    lockWaitMs: 0,
    ...(resume === undefined ? {} : { resume }),
  },
});

/** Carries a run out to its end. */
async function run(job: Partial<Job>): Promise<readonly WireEvent[]> {
  const target = startTarget(project);
  target.say({ ...jobFor(1), ...job });
  await target.event("bye");
  target.hangUp();
  await target.ended;
  return target.events;
}

/** The state stores of runs, wherever they lie below the home. */
function kept(): readonly string[] {
  const home = project.path("home");
  return readdirSync(home, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith("state.ndjson"))
    .map((name) => join(home, name));
}

test("what code found out in a run that failed is there whole for the one that resumes it, and gone when that went well", async () => {
  const events = await run(session("r1"));
  const ends = events.filter(({ type }) => type === "task:end");
  expect(ends.map((end) => end.type === "task:end" && end.result.state)).toEqual([
    "changed",
    "changed",
    "failed",
  ]);
  expect(JSON.stringify(events)).not.toContain("hush");
  const files = kept();
  expect(files).toHaveLength(1);
  expect(statSync(files[0]!).mode & 0o777).toBe(0o600);
  expect(readFileSync(files[0]!, "utf8")).toContain("hush ********xxx");

  writeFileSync(project.path("home/well"), "");
  const resumed = await run(session("r2", "r1"));
  expect(readFileSync(project.path("home/found"), "utf8")).toBe("x\n");
  expect(readFileSync(project.path("home/seen"), "utf8")).toBe(`hush ********${"x".repeat(90_000)}hidden`);
  expect(JSON.stringify(resumed)).not.toContain("hush");
  // The data that the events tell stays for a run that resumes this one.
  expect(kept()).toHaveLength(2);
  for (const file of kept()) {
    expect(readFileSync(file, "utf8")).not.toMatch(/hush|hidden/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  }
});

test("the oldest run of a host can be resumed, and is removed then", async () => {
  rmSync(project.path("home/well"), { force: true });
  await run(session("oldest"));
  const runs = project.path("home/.cache/volley/runs");
  for (let number = 1; number <= 21; number++)
    cpSync(join(runs, "oldest"), join(runs, `later-${number}`), { recursive: true });
  for (const below of ["oldest", "oldest/web1", "oldest/web1/journal.ndjson"])
    utimesSync(join(runs, below), 1, 1);
  writeFileSync(project.path("home/well"), "");
  const found = readFileSync(project.path("home/found"), "utf8");
  const resumed = await run(session("newest", "oldest"));
  expect(resumed.filter(({ type }) => type === "log")).toEqual([]);
  expect(readFileSync(project.path("home/found"), "utf8")).toBe(found);
  expect(readdirSync(runs)).not.toContain("oldest");
});

/** True when the tests can mount a file system of their own here. */
const mounts = process.getuid?.() === 0 && spawnSync("unshare", ["-m", "true"]).status === 0;

test.skipIf(!mounts).each([
  ["a lock", "LOCKED", /^the host's lock cannot be taken: .*no space left/],
  ["a journal", "FILE_FAILED", /^the run's journal cannot be written: .*no space left/],
] as const)("no room for %s: one line that says so", async (what, code, message) => {
  const home = project.path("full");
  mkdirSync(join(home, ".cache/volley"), { recursive: true });
  // With room for a lock a journal still has none: it needs three directories.
  const size = what === "a lock" ? "nr_inodes=1" : "nr_inodes=5";
  const job = JSON.stringify({ ...jobFor(1), ...session("r3") });
  const script = `mount -t tmpfs -o size=1m,${size},mode=700 none "$HOME/.cache/volley"; printf '%s\n' "$1" | sh "$2" --target x`;
  const { stdout, stderr } = spawnSync("unshare", ["-m", "sh", "-c", script, "sh", job, project.file], {
    env: { ...process.env, HOME: home },
    encoding: "utf8",
  });
  const bye = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .at(-1);
  expect(bye, stderr).toMatchObject({ type: "bye", error: { code } });
  expect(bye.error.message).toMatch(message);
});
