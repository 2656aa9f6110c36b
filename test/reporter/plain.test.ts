import { describe, expect, test } from "vitest";
import type { Event } from "../../src/core/events.ts";
import { createPlainReporter } from "../../src/reporter/plain.ts";
import { UNICODE_SYMBOLS } from "../../src/reporter/rows/wording.ts";
import { FakeTerminal } from "./lib/fake-terminal.ts";
import { CONTROL, HOSTILE, runStart, SGR, stamp } from "./lib/play.ts";
import { hostNames, simulate, summaryOf } from "./lib/simulate.ts";

async function print(
  events: readonly Event[],
  options: { verbosity?: 0 | 1 | 2; diff?: boolean; colors?: boolean } = {},
): Promise<string> {
  const { verbosity = 0, diff = false, colors = false } = options;
  const stdout = new FakeTerminal(100, 24, false);
  const reporter = createPlainReporter({ stdout, colors, symbols: UNICODE_SYMBOLS, verbosity, diff });
  for (const event of events) reporter.event(event);
  await reporter.end(summaryOf(events));
  return stdout.raw;
}

const task = { task: 1, play: "Web", role: "nginx", name: "Write the site", action: "template" };
const tally = { unchanged: 0, changed: 0, skipped: 0, failed: 0, ignored: 0, rescued: 0, notExecuted: 0 };

describe("plain output", () => {
  test("a run with all outcomes, changes only, with diffs", async () => {
    const events = simulate(hostNames(5), {
      seed: 11,
      failing: 0.2,
      unreachable: 0.2,
      lost: 0.2,
      slowness: 0.1,
    });
    expect(await print(events, { diff: true })).toMatchInlineSnapshot(`
      "site.ts on 5 hosts
      bundle: 1.2 MB, built in 0.04s
      web5  uploaded   1.2 MB in 0.48s (2.5 MB/s)
      web4  uploaded   1.2 MB in 0.48s (2.5 MB/s)
      web2  uploaded   1.2 MB in 0.48s (2.5 MB/s)
      web1  uploaded   1.2 MB in 0.48s (2.5 MB/s)
      web3  uploaded   1.2 MB in 0.48s (2.5 MB/s)
      web4  changed    base : Set the host name  0.01s
      web5  changed    base : Set the host name  0.01s
      web4  changed    base : Install the packages every host has  0.08s
      web4  changed    base : Authorize the team's keys  0.00s
      web4  changed    ssh : Write sshd_config  0.01s
          --- /etc/ssh/sshd_config
          +++ /etc/ssh/sshd_config
          @@ -1,2 +1,2 @@
          -PermitRootLogin yes
          +PermitRootLogin no
           Port 22
      web5  failed     base : Install the packages every host has  0.11s
          apt-get ended with code 100: could not get lock /var/lib/dpkg/lock-frontend
          hint: another process is installing packages; set lockTimeout to wait longer
          │ Reading package lists...
          │ Building dependency tree...
          │ Setting up curl (7.88.1) ...
          │ E: Install the packages every host has did not work
          │ E: see above
      web5  failed     16 total actions in 0.19s: 0 unchanged, 1 changed, 0 skipped, 1 failed, 14 not executed.
      web2  changed    base : Install the packages every host has  0.11s
      web1  changed    time : Set the time zone  0.01s
      web1  failed     time : Enable systemd-timesyncd  0.01s
          Enable systemd-timesyncd: not possible on web1: no space left on device
          at roles/app/role.ts:14:3
          │ E: Enable systemd-timesyncd did not work
          │ E: see above
      web1  failed     16 total actions in 0.22s: 6 unchanged, 1 changed, 0 skipped, 1 failed, 8 not executed.
      web3  changed    ssh : Restart sshd  0.01s
      web2  changed    ssh : Write sshd_config  0.01s
          (6 lines, the same as on web4)
      web3  changed    time : Set the time zone  0.01s
      web2  changed    ssh : Restart sshd  0.01s
      web2  changed    time : Set the time zone  0.01s
      web2  failed     time : Enable systemd-timesyncd  0.01s
          Enable systemd-timesyncd: not possible on web2: no space left on device
          at roles/app/role.ts:14:3
          │ E: Enable systemd-timesyncd did not work
          │ E: see above
      web2  failed     16 total actions in 0.26s: 1 unchanged, 4 changed, 2 skipped, 1 failed, 8 not executed.
      web4  changed    nginx : Put the certificate in place  0.01s
      web3  changed    nginx : Install nginx  0.10s
      web3  changed    nginx : Write the site  0.01s
          --- /etc/nginx/conf.d/example.org.conf
          +++ /etc/nginx/conf.d/example.org.conf
          @@ -1,5 +1,5 @@
           server {
          -  listen 80;
          -  server_name old.example.org;
          +  listen 443 ssl;
          +  server_name example.org;
             root /srv/www;
           }
      web3  changed    nginx : Remove the default site  0.00s
      web4  ok         16 total actions in 0.44s: 11 unchanged, 5 changed, 0 skipped, 0 failed, 0 not executed.
      web3  ok         16 total actions in 0.46s: 9 unchanged, 5 changed, 2 skipped, 0 failed, 0 not executed.

      site.ts
      host   outcome        unchanged  changed  skipped  failed  not executed   time
      web3   ✔ ok                   9        5        2       0             0  0.46s
      web4   ✔ ok                  11        5        0       0             0  0.44s
      web1   ✘ failed               6        1        0       1             8  0.22s
      web2   ✘ failed               1        4        2       1             8  0.26s
      web5   ✘ failed               0        1        0       1            14  0.19s

      web1: 16 total actions in 0.22s: 6 unchanged, 1 changed, 0 skipped, 1 failed, 8 not executed.
      web2: 16 total actions in 0.26s: 1 unchanged, 4 changed, 2 skipped, 1 failed, 8 not executed.
      web3: 16 total actions in 0.46s: 9 unchanged, 5 changed, 2 skipped, 0 failed, 0 not executed.
      web4: 16 total actions in 0.44s: 11 unchanged, 5 changed, 0 skipped, 0 failed, 0 not executed.
      web5: 16 total actions in 0.19s: 0 unchanged, 1 changed, 0 skipped, 1 failed, 14 not executed.

      ✘ web5 failed: base : Install the packages every host has
          apt-get ended with code 100: could not get lock /var/lib/dpkg/lock-frontend
          hint: another process is installing packages; set lockTimeout to wait longer
          │ Reading package lists...
          │ Building dependency tree...
          │ Setting up curl (7.88.1) ...
          │ E: Install the packages every host has did not work
          │ E: see above

      ✘ web[1-2] (2 hosts) failed: time : Enable systemd-timesyncd
          on web1; the others say the same of themselves:
          Enable systemd-timesyncd: not possible on web1: no space left on device
          at roles/app/role.ts:14:3
          │ E: Enable systemd-timesyncd did not work
          │ E: see above

      5 hosts: 2 ok, 3 failed
      fleet: 80 total actions in 0.51s: 27 unchanged, 16 changed, 4 skipped, 3 failed, 30 not executed.
      "
    `);
  });

  test("verbosity 1 tells all tasks, 2 also what they print and noise", async () => {
    const events = stamp([
      runStart(["web1"]),
      { type: "host:connected", host: "web1", elapsedMs: 30 },
      { type: "host:noise", host: "web1", text: "Welcome to Debian" },
      { type: "host:cached", host: "web1" },
      { type: "play:start", host: "web1", index: 0, play: "Web", total: 1 },
      { type: "task:start", host: "web1", ...task },
      { type: "task:output", host: "web1", task: 1, stream: "stdout", text: "half a li" },
      { type: "task:output", host: "web1", task: 1, stream: "stdout", text: "ne\nthe end" },
      { type: "task:end", host: "web1", ...task, result: { state: "unchanged" }, elapsedMs: 30 },
      {
        type: "host:end",
        host: "web1",
        outcome: "ok",
        tally: { ...tally, unchanged: 1 },
        elapsedMs: 310,
        phases: {},
        uploadedBytes: 0,
      },
    ]);
    const quiet = await print(events);
    const all = await print(events, { verbosity: 1 });
    const loud = await print(events, { verbosity: 2 });
    expect(quiet).not.toContain("nginx : Write the site");
    expect(all).toContain("web1  unchanged  nginx : Write the site  0.03s\n");
    expect(all).toContain("web1  cached     the bundle was there already\n");
    expect(all).not.toContain("Welcome");
    expect(loud).toContain("web1  noise      Welcome to Debian\n");
    expect(loud).toContain("web1  │          half a line\nweb1  │          the end\nweb1  unchanged");
    expect(loud).toContain(
      "\nweb1: 1 total actions in 0.31s: 1 unchanged, 0 changed, 0 skipped, 0 failed, 0 not executed.\n",
    );
  });

  test("a failure has its error, where it is, a hint, and the last lines printed; an ignored one says so", async () => {
    const error = {
      code: "PROCESS_FAILED",
      message: "nginx -t ended with code 1",
      hint: "look at the output",
      location: { file: "role.ts", line: 3 },
    } as const;
    const output = await print(
      stamp([
        runStart(["web1", "web10"]),
        { type: "task:start", host: "web1", ...task },
        {
          type: "task:output",
          host: "web1",
          task: 1,
          stream: "stderr",
          text: "unknown directive\ntest failed\n",
        },
        { type: "task:end", host: "web1", ...task, result: { state: "failed", error }, elapsedMs: 1_200 },
        { type: "task:start", host: "web1", ...task },
        {
          type: "task:end",
          host: "web1",
          ...task,
          result: { state: "failed", error, ignored: true },
          elapsedMs: 5,
        },
        {
          type: "host:end",
          host: "web1",
          outcome: "failed",
          tally: { ...tally, failed: 2 },
          elapsedMs: 310,
          phases: {},
          uploadedBytes: 0,
        },
      ]),
    );
    expect(output).toContain(
      [
        "web1   failed     nginx : Write the site  1.20s",
        "    nginx -t ended with code 1",
        "    at role.ts:3",
        "    hint: look at the output",
        "    │ unknown directive",
        "    │ test failed",
        "web1   ignored    nginx : Write the site  0.01s",
      ].join("\n"),
    );
    expect(output).toContain("⊘ web10 was cancelled before it started\n");
  });

  test("what another host has just been told of is referred to, not repeated", async () => {
    const diff = [{ path: "/a", before: "x\n", after: "y\n" }];
    const output = await print(
      stamp([
        runStart(["web1", "web2"]),
        { type: "task:end", host: "web1", ...task, result: { state: "changed", diff }, elapsedMs: 5 },
        { type: "task:end", host: "web2", ...task, result: { state: "changed", diff }, elapsedMs: 5 },
      ]),
      { diff: true },
    );
    expect(output.match(/\+\+\+ \/a/g)).toHaveLength(1);
    expect(output).toContain(
      "web2  changed    nginx : Write the site  0.01s\n    (5 lines, the same as on web1)\n",
    );
  });

  test("check mode is told first and last, and what it cannot know is marked and counted", async () => {
    const output = await print(
      stamp([
        runStart(["web1"], true),
        { type: "task:start", host: "web1", ...task },
        {
          type: "task:end",
          host: "web1",
          ...task,
          result: { state: "skipped", unknown: true, message: "a command" },
          elapsedMs: 5,
        },
        {
          type: "host:end",
          host: "web1",
          outcome: "ok",
          tally: { ...tally, skipped: 1 },
          elapsedMs: 310,
          phases: {},
          uploadedBytes: 0,
        },
      ]),
    );
    expect(output).toContain("web1  unknown    nginx : Write the site  0.01s  a command\n");
    expect(output).toContain("? 1 result on 1 host cannot be known without running; counted as skipped\n");
    expect(output.match(/CHECK MODE: nothing is changed/g)?.length).toBeGreaterThanOrEqual(2);
    expect(output.trimEnd().endsWith("CHECK MODE: nothing is changed")).toBe(true);
  });

  test("a notice, such as which hosts are left to ssh, is for everybody; an info for who asks for more", async () => {
    const events = stamp([
      runStart(["web1"]),
      {
        type: "log",
        host: "web1",
        level: "notice",
        text: "reached with OpenSSH's ssh: RevokedHostKeys is set",
      },
      { type: "log", host: "web1", level: "info", text: "a detail" },
    ]);
    const notice = /^web1 +info +reached with OpenSSH's ssh: RevokedHostKeys is set$/m;
    const usual = await print(events);
    expect(usual).toMatch(notice);
    expect(usual).not.toContain("a detail");
    expect(await print(events, { verbosity: 1 })).toMatch(/a detail/);
  });

  test("an upload is one line a host, whatever it took", async () => {
    const part = (bytes: number) =>
      ({
        type: "host:upload",
        host: "web1",
        bytes,
        totalBytes: 2_097_152,
        elapsedMs: bytes / 4_096,
      }) as const;
    const output = await print(stamp([runStart(["web1"]), part(1_024), part(1_048_576), part(2_097_152)]));
    expect(output.match(/MB/g)).toHaveLength(2);
    expect(output).toContain("web1  uploaded   2.0 MB in 0.51s (3.9 MB/s)\n");
  });

  test("no escape sequence without colours, and with them only SGR; hosts cannot add any", async () => {
    const error = { code: "ACTION_FAILED", message: HOSTILE, hint: HOSTILE } as const;
    const events = stamp([
      runStart([HOSTILE]),
      { type: "host:noise", host: HOSTILE, text: HOSTILE },
      { type: "log", host: HOSTILE, level: "warn", text: HOSTILE },
      { type: "play:start", host: HOSTILE, index: 0, play: HOSTILE, total: 1 },
      { type: "task:start", host: HOSTILE, ...task, name: HOSTILE, role: HOSTILE },
      { type: "task:output", host: HOSTILE, task: 1, stream: "stdout", text: `${HOSTILE}\n` },
      {
        type: "task:end",
        host: HOSTILE,
        ...task,
        name: HOSTILE,
        role: HOSTILE,
        result: {
          state: "failed",
          message: HOSTILE,
          error,
          diff: [
            { path: HOSTILE, before: "", after: HOSTILE, attributes: { [HOSTILE]: [HOSTILE, HOSTILE] } },
          ],
          items: [{ label: HOSTILE, state: "failed", error }],
        },
        elapsedMs: 5,
      },
      {
        type: "host:end",
        host: HOSTILE,
        outcome: "lost",
        tally,
        elapsedMs: 310,
        phases: {},
        uploadedBytes: 0,
        error,
      },
    ]);
    expect(await print(events, { verbosity: 2, diff: true })).not.toMatch(CONTROL);
    const colored = await print(events, { verbosity: 2, diff: true, colors: true });
    expect(colored).toContain("\x1b[1;31m");
    expect(colored.replace(SGR, "")).not.toMatch(CONTROL);
  });
});
