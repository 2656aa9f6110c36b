import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Event } from "../../../src/core/events.ts";
import { EMPTY_TALLY, type Result } from "../../../src/core/result.ts";
import { foldSummary } from "../../../src/core/summary.ts";
import type { CliEnd } from "../../e2e/lib/cli.ts";
import { volleyHere } from "../../e2e/lib/here.ts";

const directory = mkdtempSync(join(tmpdir(), "volley-records-"));
const runs = join(directory, "volley", "runs");
const FIRST = "20260101-120000-000aa";
const SECOND = "20260101-130000-000bb";

type Told = Readonly<Record<string, readonly (readonly [name: string, result: Result, output?: string])[]>>;

/** Write the log and the record of a run of `site.ts`, whose hosts ended these tasks. */
function writeRun(run: string, told: Told, facts: Readonly<Record<string, string>> = {}): void {
  const hosts = Object.keys(told);
  let seq = 0;
  const events: Event[] = [];
  const say = (event: object): void =>
    void events.push({ ...event, seq: ++seq, time: Date.UTC(2026, 0, 1, 12) + seq } as Event);
  say({ type: "run:start", run, playbook: "site.ts", hosts, plays: [{ name: "Web", hosts }] });
  Object.assign(events[0]!, { check: false, concurrency: 50 });
  for (const [host, tasks] of Object.entries(told)) {
    say({ type: "facts", host, elapsedMs: 1, facts: { kernel: facts[host] ?? "6.1" } });
    say({ type: "play:start", host, index: 0, play: "Web", total: tasks.length });
    tasks.forEach(([name, result, output], index) => {
      const task = { task: index + 1, play: "Web", role: "nginx", name, action: "copy" };
      say({ type: "task:start", host, ...task });
      if (output !== undefined)
        say({ type: "task:output", host, task: index + 1, stream: "stdout", text: output });
      say({ type: "task:end", host, ...task, result, elapsedMs: 20 });
    });
    const outcome = tasks.some(([, { state }]) => state === "failed") ? "failed" : "ok";
    say({
      type: "host:end",
      host,
      outcome,
      tally: EMPTY_TALLY,
      elapsedMs: 100,
      phases: {},
      uploadedBytes: 0,
    });
  }
  const fold = foldSummary();
  for (const event of events) fold.add(event);
  say({ type: "run:end", summary: fold.summary(Date.UTC(2026, 0, 1, 12, 0, 2)) });
  writeFileSync(join(runs, `${run}.ndjson`), events.map((event) => `${JSON.stringify(event)}\n`).join(""));
  const options = { playbook: "site.ts", cwd: directory };
  const record = { run, startedAt: "2026-01-01T12:00:00Z", pid: 1, bundle: "", options };
  writeFileSync(join(runs, `${run}.json`), JSON.stringify(record));
}

const unchanged: Result = { state: "unchanged" };
const changed: Result = { state: "changed", message: "written" };
const failed: Result = { state: "failed", error: { code: "ACTION_FAILED", message: "no such unit" } };

beforeAll(() => {
  mkdirSync(runs, { recursive: true });
  writeRun(FIRST, {
    web1: [
      ["Install", unchanged],
      ["Write", changed, "hello\n"],
      ["Start", unchanged],
    ],
    web2: [
      ["Install", unchanged],
      ["Write", changed, "hello\n"],
      ["Start", failed, "oops\n"],
    ],
    web3: [
      ["Install", unchanged],
      ["Check", unchanged],
      ["Write", unchanged],
      ["Start", unchanged],
    ],
  });
  writeRun(
    SECOND,
    {
      web1: [
        ["Install", unchanged],
        ["Write", unchanged],
        ["Start", unchanged],
      ],
      web2: [
        ["Install", unchanged],
        ["Write", unchanged],
        ["Start", unchanged],
      ],
      web4: [
        ["Install", changed],
        ["Write", changed],
        ["Start", unchanged],
      ],
    },
    { web4: "6.2" },
  );
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

function volley(...args: readonly string[]): Promise<CliEnd> {
  const env = { XDG_STATE_HOME: directory, LC_ALL: "C.UTF-8", NO_COLOR: "1", TZ: "UTC" };
  return volleyHere(args, { cwd: directory, env });
}
const linesOf = async (...args: readonly string[]): Promise<readonly string[]> => {
  const { code, stdout, stderr } = await volley(...args);
  expect([code, stderr]).toEqual([0, ""]);
  return stdout.trimEnd().split("\n");
};

describe("volley log", () => {
  it("shows each task once for all hosts on which it ended alike, in the order of the hosts' tasks", async () => {
    const [heading, ...lines] = await linesOf("log", FIRST);
    expect(heading).toMatch(/^site\.ts on 3 hosts, 2026-01-01 \d\d:00:00 {2}20260101-120000-000aa$/);
    expect(lines).toEqual([
      "",
      "── Web",
      "✔ unchanged   nginx : Install  0.02s",
      "✔ unchanged   nginx : Check  0.02s",
      "    web3",
      "~ changed     nginx : Write  0.02s  written",
      "    web[1-2]  2 hosts",
      "✔ unchanged   nginx : Write  0.02s",
      "    web3",
      "✔ unchanged   nginx : Start  0.02s",
      "    web[1,3]  2 hosts",
      "✘ failed      nginx : Start  0.02s",
      "    web2",
      "    no such unit",
      "    │ oops",
      "",
      "✔ ok          web[1,3]  2 hosts, 0.10s",
      "✘ failed      web2  0.10s",
      "exit code 2, in 2.00s",
    ]);
  });

  it("shows what is asked for: a host, with its output, failures, changes, tasks", async () => {
    expect((await linesOf("log", FIRST, "web1")).slice(2, -3)).toEqual([
      "── Web",
      "✔ unchanged   nginx : Install  0.02s",
      "~ changed     nginx : Write  0.02s  written",
      "    │ hello",
      "✔ unchanged   nginx : Start  0.02s",
    ]);
    const tasks = async (...flags: readonly string[]): Promise<readonly string[]> =>
      (await linesOf("log", FIRST, ...flags)).filter((line) => line.includes(" : "));
    expect(await tasks("--failed")).toEqual(["✘ failed      nginx : Start  0.02s"]);
    expect(await tasks("--changed")).toEqual(["~ changed     nginx : Write  0.02s  written"]);
    expect(await tasks("--failed", "--changed")).toHaveLength(2);
    expect(await tasks("--task", "nginx : I*")).toEqual(["✔ unchanged   nginx : Install  0.02s"]);
    expect(await tasks("--task", "Chec?")).toHaveLength(1);
    expect((await linesOf("log", FIRST, "--failed")).at(-2)).toBe("✘ failed      web2  0.10s");
  });

  it("names the latest run where none is named, and a run by its beginning or its file", async () => {
    expect((await linesOf("log"))[0]).toContain(SECOND);
    expect((await linesOf("log", "latest"))[0]).toContain(SECOND);
    expect((await linesOf("log", "web4"))[0]).toContain(`site.ts on web4 of 3 hosts`);
    expect((await linesOf("log", "20260101-12"))[0]).toContain(FIRST);
    expect((await linesOf("log", `@${FIRST}`))[0]).toContain(FIRST);
    expect((await linesOf("log", join(runs, `${FIRST}.ndjson`)))[0]).toContain(FIRST);
  });

  it("prints the events as they are for programs", async () => {
    const lines = await linesOf("log", FIRST, "web[1-2]", "--failed", "-o", "json");
    const events = lines.map((line) => JSON.parse(line) as Event);
    expect(events.filter(({ type }) => type === "task:end")).toMatchObject([{ host: "web2", name: "Start" }]);
    expect(events.some((event) => "host" in event && event.host === "web3")).toBe(false);
    expect(events.at(-1)).toMatchObject({ type: "run:end" });
  });

  it("follows to the end of the log", async () => {
    const lines = await linesOf("log", FIRST, "-f");
    expect(lines).toContain("web1  changed    nginx : Write  0.02s  written");
    expect(lines.at(-2)).toContain("3 hosts");
  });

  it.each<[readonly string[], string]>([
    [["log", "20250101"], "there is no run 20250101 here"],
    [["log", "latest", "db1"], "the run has no host db1"],
    [["log", "20260101"], "20260101 may be"],
    [["diff", FIRST], "there is no earlier run of the playbook"],
    [["diff", "web1"], "two runs are compared, or two hosts of one run"],
    [["diff", "web*", "web1"], "web* is 3 hosts: name one"],
  ])("refuses %j", async (args, message) => {
    const { code, stdout, stderr } = await volley(...args);
    expect(stderr).toContain(message);
    expect([code, stdout]).toEqual([1, ""]);
  });
});

describe("volley diff", () => {
  it("shows what differs between a run and the one before, equal differences once", async () => {
    const { code, stdout, stderr } = await volley("diff");
    expect([code, stderr]).toEqual([2, ""]);
    expect(stdout.trimEnd().split("\n").slice(2)).toEqual([
      "",
      "only in the first: web3  1 host",
      "",
      "only in the second: web4  1 host",
      "",
      "end",
      "  web2",
      "    outcome: failed -> ok",
      "",
      "nginx : Write",
      "  web[1-2]  2 hosts",
      "    state: changed -> unchanged",
      "    message: written -> (none)",
      "",
      "nginx : Start",
      "  web2",
      "    state: failed -> unchanged",
      "    error: no such unit -> (none)",
      "",
      "2 tasks differ on 2 hosts; 6 results on 2 hosts compared",
    ]);
    expect((await volley("diff", FIRST, SECOND)).stdout).toBe(stdout);
    expect((await volley("diff", SECOND)).stdout).toBe(stdout);
  });

  it("says so when nothing differs", async () => {
    const { code, stdout } = await volley("diff", SECOND, `@${SECOND}`);
    expect(code).toBe(0);
    expect(stdout).toContain("no difference in 9 results on 3 hosts");
  });

  it("says what the records of commands lack, as volley log does", async () => {
    const command = "20251231-120000-000cc-exec";
    writeRun(command, { web1: [], web2: [] });
    const lack = "The record of volley exec holds how each host ended, but no results and no output.\n";
    expect((await volley("diff", command, "web1", "web2")).stdout).toContain(lack);
    expect((await volley("log", command)).stdout).toContain(lack);
  });

  it("shows what differs between two hosts of a run", async () => {
    const { code, stdout } = await volley("diff", "web1", "web4");
    expect(code).toBe(2);
    expect(stdout.trimEnd().split("\n").slice(2)).toEqual([
      "",
      "facts",
      "    kernel: 6.1 -> 6.2",
      "",
      "nginx : Install",
      "nginx : Write",
      "    state: unchanged -> changed",
      "    message: (none) -> written",
      "",
      "2 tasks differ; 3 results compared",
    ]);
    const other = await volley("diff", FIRST, "web1", "web3");
    expect(other.stdout).toContain("nginx : Check  only in the second\n    state: (none) -> unchanged\n");
  });

  it("prints JSON for programs", async () => {
    const { code, stdout } = await volley("diff", "-o", "json");
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({
      equal: false,
      onlyFirst: ["web3"],
      onlySecond: ["web4"],
      outcomes: [{ hosts: ["web2"], values: [{ name: "outcome", before: "failed", after: "ok" }] }],
      tasks: [
        { role: "nginx", name: "Write", differences: [{ hosts: ["web1", "web2"] }] },
        { name: "Start" },
      ],
    });
  });
});
