import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { ControllerEvent, Event, ReceivedEvent } from "../../src/core/events.ts";
import type { Result } from "../../src/core/result.ts";
import { createAnsibleReporter } from "../../src/reporter/ansible.ts";
import { FakeTerminal } from "./lib/fake-terminal.ts";
import { CONTROL, HOSTILE, runStart, stamp } from "./lib/play.ts";
import { summaryOf } from "./lib/simulate.ts";

interface Printed {
  readonly out: string;
  readonly err: string;
}

interface PrintOptions {
  readonly verbosity?: number;
  readonly diff?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly isTTY?: boolean;
}

async function print(events: readonly Event[], options: PrintOptions = {}): Promise<Printed> {
  const { verbosity = 0, diff = false, env = {}, isTTY = false } = options;
  const [stdout, stderr] = [new FakeTerminal(100, 24, isTTY), new FakeTerminal(100, 24, isTTY)];
  const reporter = createAnsibleReporter({ stdout, stderr, env, verbosity, diff });
  for (const event of events) reporter.event(event);
  await reporter.end(summaryOf(events));
  return { out: stdout.raw, err: stderr.raw };
}

const fixture = (name: string): string =>
  readFileSync(new URL(`./fixtures/${name}`, import.meta.url), "utf8");

type Told = ControllerEvent | ReceivedEvent;

const tally = { unchanged: 0, changed: 0, skipped: 0, failed: 0, ignored: 0, rescued: 0, notExecuted: 0 };

/** Tasks of play `all`, by the host and the number of the task in the play. */
function tasks(role: string, names: readonly string[]) {
  const ref = (task: number) => ({ task, play: "all", role, name: names[task - 1]!, action: "ping" });
  return {
    begin: (host: string): Told => ({ type: "play:start", index: 0, play: "all", total: 2, host }),
    start: (host: string, task: number): Told => ({ type: "task:start", ...ref(task), host }),
    end: (host: string, task: number, result: Result): Told => ({
      ...{ type: "task:end", ...ref(task), host, result, elapsedMs: 1 },
    }),
  };
}

const banner = (title: string, columns = 80): string => `${title} `.padEnd(columns, "*");
const ok: Result = { state: "unchanged", data: { changed: false, failed: false, ping: "pong" } };
const changed: Result = { state: "changed", data: { changed: true, failed: false, rc: 0, b: "é", a: [] } };

describe("a recorded run", () => {
  const events = fixture("ansible-run.ndjson")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Event);

  test("reads, byte by byte, as what ansible-playbook --diff printed of the same playbook", async () => {
    const { out, err } = await print(events, { diff: true });
    expect(out).toBe(fixture("ansible-run.txt"));
    expect(err).toBe("[WARNING]: Could not match supplied host pattern, ignoring: nohosts\n");
  });

  test("has diffs only where they are asked for", async () => {
    expect((await print(events)).out).not.toContain("+++ after");
  });

  test("leaves out, with their headers, results that variables hide", async () => {
    const env = { ANSIBLE_DISPLAY_SKIPPED_HOSTS: "no", ANSIBLE_DISPLAY_OK_HOSTS: "false" };
    const { out } = await print(events, { env });
    expect(out).not.toMatch(/^(?:skipping: \[|ok: )|TASK \[(?:No items|Label)\]/m);
    expect(out).toMatch(/^TASK \[Write\] \*+\nchanged: \[localhost\]$/m);
    expect(out).toContain("\nfatal: [localhost]: FAILED! => {");
  });
});

describe("several hosts", () => {
  const { begin, start, end } = tasks("web", ["One", "Two"]);

  test("share a header until results of another task come between", async () => {
    const { out } = await print(
      stamp([
        runStart(["web1", "web2"]),
        ...[begin("web1"), begin("web2"), start("web1", 1), start("web2", 1)],
        ...[end("web1", 1, ok), end("web2", 1, changed), start("web1", 2), end("web1", 2, ok)],
        ...[start("web2", 2), end("web2", 2, { ...ok, from: "web1" })],
        {
          type: "task:rescued",
          task: 1,
          play: "all",
          role: "web",
          name: "One",
          action: "ping",
          host: "web1",
        },
      ]),
    );
    expect(out).toBe(`
${banner("PLAY [all]")}

${banner("TASK [web : One]")}
ok: [web1]
changed: [web2]

${banner("TASK [web : Two]")}
ok: [web1]

${banner("PLAY RECAP")}
web1                       : ok=2    changed=0    unreachable=0    failed=0    skipped=0    rescued=1    ignored=0   
web2                       : ok=1    changed=1    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0   

`);
    const late = await print(
      stamp([
        runStart(["web1", "web2"]),
        ...[begin("web1"), start("web1", 1), end("web1", 1, ok), start("web1", 2), end("web1", 2, ok)],
        ...[begin("web2"), start("web2", 1), end("web2", 1, ok)],
      ]),
    );
    expect(
      [...late.out.matchAll(/^TASK \[(.*)\]|^ok: \[(.*)\]/gm)].map(([, task, host]) => task ?? host),
    ).toEqual(["web : One", "web1", "web : Two", "web1", "web : One", "web2"]);
  });

  test("that cannot be reached are told under the task that they would have done", async () => {
    const { out } = await print(
      stamp([
        runStart(["web1"]),
        {
          type: "host:end",
          host: "web1",
          outcome: "unreachable",
          tally,
          elapsedMs: 1,
          phases: {},
          uploadedBytes: 0,
          error: { code: "CONNECT_FAILED", message: "connection refused" },
        },
      ]),
      { env: { ANSIBLE_FORCE_COLOR: "1" } },
    );
    expect(out).toBe(`
${banner("PLAY [all]")}

${banner("TASK [Gathering Facts]")}
\x1b[1;31mfatal: [web1]: UNREACHABLE! => {"changed": false, "msg": "Failed to connect to the host via ssh: connection refused", "unreachable": true}\x1b[0m

${banner("PLAY RECAP")}
\x1b[0;31mweb1\x1b[0m                       : ok=0    changed=0    \x1b[1;31munreachable=1   \x1b[0m failed=0    skipped=0    rescued=0    ignored=0   

`);
  });
});

describe("one host", () => {
  const { begin, start, end } = tasks("", ["One", HOSTILE]);
  const opening = [runStart(["web1"]), begin("web1"), start("web1", 1)];

  test("with -v every result is shown, with sorted keys", async () => {
    const events = stamp([...opening, end("web1", 1, changed)]);
    expect((await print(events, { verbosity: 1 })).out).toContain(
      '\nchanged: [web1] => {"a": [], "b": "é", "changed": true, "rc": 0}\n',
    );
    expect((await print(events)).out).toContain("\nchanged: [web1]\n");
  });

  test("with -vv the playbook is named, with the number of its plays", async () => {
    const [first, ...rest] = opening;
    const { playbook, plays } = first as Extract<Told, { type: "run:start" }>;
    const events = stamp([{ ...first, playbook: `there/${playbook}` } as Told, ...rest]);
    const told = `\n${banner(`PLAYBOOK: ${playbook}`)}\n${plays.length} plays in there/${playbook}\n`;
    expect((await print(events, { verbosity: 2 })).out.startsWith(told)).toBe(true);
    expect((await print(events, { verbosity: 1 })).out).not.toContain("PLAYBOOK");
  });

  test("results of actions that are no modules are shown, too", async () => {
    const failed: Result = {
      state: "failed",
      error: { code: "ACTION_FAILED", message: "no space left" },
      items: [
        { label: "a", state: "changed" },
        { label: "b", state: "failed", error: { code: "ACTION_FAILED", message: "no space left" } },
      ],
    };
    const { out } = await print(stamp([...opening, end("web1", 1, failed)]));
    expect(out).toContain(
      '\nchanged: [web1] => (item=a)\nfailed: [web1] (item=b) => {"changed": false, "item": "b", "msg": "no space left"}\n',
    );
    expect(out).toMatch(/ok=0 .* failed=1 /);
  });

  test("a task whose machine is unreachable makes its host so, unless that is ignored", async () => {
    const msg = "Failed to connect to the host via ssh: web77: refused";
    const data = { changed: false, msg, unreachable: true };
    const failed: Result = { state: "failed", data, error: { code: "ACTION_FAILED", message: msg } };
    const line = `\nfatal: [web1]: UNREACHABLE! => {"changed": false, "msg": "${msg}", "unreachable": true}\n`;
    const { out } = await print(stamp([...opening, end("web1", 1, failed)]));
    expect(out).toContain(line);
    expect(out).toMatch(/ok=0 .* unreachable=1 +failed=0 /);
    const ignored = await print(stamp([...opening, end("web1", 1, { ...failed, ignored: true })]));
    expect(ignored.out).toContain(`${line}...ignoring\n`);
    expect(ignored.out).toMatch(/ok=1 .* unreachable=0 +failed=0 .* ignored=1/);
  });

  test("meta tasks that are passed over are shown and not counted", async () => {
    const events = [...opening, end("web1", 1, { state: "skipped", message: "goes on" })].map((event) =>
      event.type === "task:start" || event.type === "task:end" ? { ...event, action: "meta" } : event,
    );
    const { out } = await print(stamp([...events, end("web1", 2, { state: "skipped", message: "not so" })]));
    expect(out).toContain("\nskipping: [web1]\n");
    expect(out).toMatch(/skipped=1 /);
  });

  test("hidden results stay hidden", async () => {
    const hidden: Result = { state: "failed", hidden: true, message: "hidden: the task is marked noLog" };
    expect((await print(stamp([...opening, end("web1", 1, hidden)]))).out).toContain(
      '\nfatal: [web1]: FAILED! => {"censored": "the output has been hidden due to the fact that \'no_log: true\' was specified for this result", "changed": false}\n',
    );
  });

  test("hidden results tell how each pass of a loop ended, and whether it changed something", async () => {
    const hidden: Result = {
      state: "failed",
      ignored: true,
      hidden: true,
      attempts: 2,
      data: { changed: true },
      items: [
        { label: "(hidden)", state: "changed" },
        { label: "(hidden)", state: "failed", data: { changed: true } },
      ],
    };
    const { out } = await print(stamp([...opening, end("web1", 1, hidden)]));
    const why =
      "the output has been hidden due to the fact that 'no_log: true' was specified for this result";
    expect(out).toContain(
      `\nchanged: [web1] => (item=None)\nfailed: [web1] (item=None) => {"censored": "${why}", "changed": true}\nfatal: [web1]: FAILED! => {"attempts": 2, "censored": "${why}", "changed": true}\n...ignoring\n`,
    );
    expect(out).toMatch(/ok=1 +changed=1 .* ignored=1/);
  });

  test("warnings are folded, told once, and on standard error", async () => {
    const text = "a warning that is much longer than a line of the screen has room for, and so is folded";
    const warned: Result = { state: "unchanged", data: { changed: false, warnings: [text] } };
    const { out, err } = await print(
      stamp([
        ...opening,
        end("web1", 1, warned),
        { type: "log", level: "warn", text, host: "web1" },
        { type: "log", level: "info", text: "not told", host: "web1" },
      ]),
    );
    expect(err).toBe(
      "[WARNING]: a warning that is much longer than a line of the screen has room\nfor, and so is folded\n",
    );
    expect(out).not.toContain("warning");
  });

  test("terminals get colours and their own width, unless a variable says no", async () => {
    const events = stamp([...opening, end("web1", 1, changed)]);
    const { out } = await print(events, { isTTY: true });
    expect(out).toContain(banner("PLAY [all]", 100));
    expect(out).toContain("\x1b[0;33mchanged: [web1]\x1b[0m\n");
    for (const name of ["NO_COLOR", "ANSIBLE_NOCOLOR"])
      expect((await print(events, { isTTY: true, env: { [name]: "1" } })).out).not.toContain("\x1b");
  });

  test("no text of a host reaches a terminal as control", async () => {
    const said: Result = {
      state: "failed",
      data: { changed: false, msg: HOSTILE, item: HOSTILE },
      diff: [{ path: HOSTILE, before: "a", after: HOSTILE }],
      error: { code: "ACTION_FAILED", message: HOSTILE },
    };
    const { out, err } = await print(
      stamp([
        ...opening,
        end("web1", 1, said),
        start("web1", 2),
        end("web1", 2, ok),
        { type: "log", level: "warn", text: HOSTILE, host: "web1" },
      ]),
      { diff: true },
    );
    expect(out).toContain("+++ after: ");
    expect(out).not.toMatch(CONTROL);
    expect(err).not.toMatch(CONTROL);
  });
});
