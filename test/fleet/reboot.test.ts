import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Event } from "../../src/core/events.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import type { FleetHost } from "./lib/host.ts";
import { fleetAvailable } from "./lib/requirements.ts";
import { type FleetRun, runOn, writeInventory } from "./lib/volley.ts";

const playbook = fileURLToPath(new URL("fixtures/reboot/site.ts", import.meta.url));

const words = (text: string): readonly string[] => text.split(" ");

describe.skipIf(!fleetAvailable())("a host that is restarted by its playbook", () => {
  let fleet: Fleet;
  let first: FleetHost;
  let second: FleetHost;

  beforeAll(async () => {
    fleet = await bootFleet({ count: 2 });
    [first, second] = fleet.hosts as [FleetHost, FleetHost];
  });
  afterAll(() => fleet?.stop());
  beforeEach(async () => {
    for (const host of fleet.hosts) await host.exec(["rm", "-f", "/var/tmp/traces", "/var/tmp/one"]);
  });

  const run = (
    vars: Readonly<Record<string, unknown>>,
    options: { readonly check?: boolean; readonly resume?: string } = {},
  ) =>
    runOn(fleet, {
      inventory: writeInventory(fleet, { hosts: { [first.name]: vars } }),
      playbook,
      ...options,
    });
  const traces = (host: FleetHost): readonly string[] =>
    readFileSync(join(host.root, "var/tmp/traces"), "utf8").trim().split("\n");
  const ended = ({ events }: FleetRun, host: FleetHost): readonly string[] =>
    events.flatMap((event) =>
      event.type === "task:end" && event.host === host.name ? [`${event.result.state} ${event.name}`] : [],
    );
  const place = ({ events }: FleetRun, matches: (event: Event) => boolean): number => {
    const index = events.findIndex(matches);
    expect(index).toBeGreaterThanOrEqual(0);
    return index;
  };
  const onHost =
    (type: Event["type"], host: FleetHost) =>
    (event: Event): boolean =>
      event.type === type && "host" in event && event.host === host.name;
  const outcomes = ({ summary }: FleetRun) =>
    summary.hosts.map(({ host, outcome, error }) => [host, outcome, error?.message]);

  it("would be restarted, in check mode, and is not", async () => {
    const boots = first.bootCount;
    const checked = await run({ restarts: true }, { check: true });
    expect(outcomes(checked)).toEqual([
      [first.name, "ok", undefined],
      [second.name, "ok", undefined],
    ]);
    expect(first.bootCount).toBe(boots);
  });

  it("goes on behind the task, having done everything once; others wait for it", async () => {
    const boots = first.bootCount;
    const done = await run({ restarts: true });
    expect(outcomes(done)).toEqual([
      [first.name, "ok", undefined],
      [second.name, "ok", undefined],
    ]);
    expect(first.bootCount).toBe(boots + 1);
    expect(traces(first)).toEqual(words("before secret ignored test test after handler last"));
    expect(traces(second)).toEqual(words("before secret ignored after handler last"));
    expect(ended(done, first)).toEqual([
      "changed Write a file",
      "changed Leave what a restart removes",
      "changed Find out the boot",
      "changed Leave a trace secretly",
      "failed Fail, and go on",
      "changed Restart the host",
      "unchanged Find it out again",
      "changed Leave a trace after",
      "changed tell of it",
      "changed Leave the last trace",
    ]);
    const summary = done.summary.hosts.find(({ host }) => host === first.name);
    expect(summary?.tally).toEqual({
      unchanged: 1,
      changed: 8,
      skipped: 0,
      failed: 0,
      ignored: 1,
      rescued: 0,
      notExecuted: 0,
    });
    expect(done.summary.exitCode).toBe(0);
    const logs = done.events.flatMap((event) =>
      event.type === "log" && event.host === first.name ? [event.text] : [],
    );
    expect(logs).toContain("another boot");

    const lost = done.events.filter(({ type }) => type === "host:lost");
    expect(lost).toMatchObject([{ host: first.name, reason: "the host restarts" }]);
    expect(done.events.filter(({ type }) => type === "host:back")).toMatchObject([{ host: first.name }]);
    const waits = place(done, onHost("play:end", second));
    const back = place(done, onHost("host:back", first));
    const goesOn = place(
      done,
      (event) => onHost("task:start", second)(event) && "play" in event && event.play === "Go on",
    );
    expect(waits).toBeLessThan(back);
    expect(place(done, onHost("play:end", first))).toBeLessThan(goesOn);
  });

  it("is restarted by one action alone, as volley do has it", async () => {
    const boots = first.bootCount;
    const text = JSON.stringify([
      { hosts: first.name, gather_facts: false, become: true, tasks: [{ reboot: {}, name: "reboot" }] },
    ]);
    const done = await runOn(fleet, {
      inventory: writeInventory(fleet),
      playbook: { name: "reboot", text },
      via: "bundle",
    });
    expect(outcomes(done)).toEqual([[first.name, "ok", undefined]]);
    expect(first.bootCount).toBe(boots + 1);
  });

  it("restarts again in a handler", async () => {
    const boots = first.bootCount;
    const done = await run({ restarts: true, twice: true });
    expect(outcomes(done)).toEqual([
      [first.name, "ok", undefined],
      [second.name, "ok", undefined],
    ]);
    expect(first.bootCount).toBe(boots + 2);
    expect(traces(first)).toEqual(
      words("before secret ignored test test after handler behind-the-handler last"),
    );
    expect(ended(done, first).slice(-4)).toEqual([
      "changed tell of it",
      "changed restart again",
      "changed tell of that",
      "changed Leave the last trace",
    ]);
    const numbers = done.events.flatMap((event) =>
      event.type === "task:end" && event.host === first.name ? [event.task] : [],
    );
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  });

  it("may take its time to go down, and lets itself be asked meanwhile", async () => {
    // Stopped before sshd is, as it is started after it.
    const unit = `[Unit]
After=ssh.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/bin/sleep 4
`;
    writeFileSync(join(first.root, "etc/systemd/system/slow.service"), unit);
    await first.exec(["systemctl", "daemon-reload"]);
    await first.exec(["systemctl", "start", "slow.service"]);
    const boots = first.bootCount;
    const done = await run({ restarts: true });
    expect(outcomes(done)).toEqual([
      [first.name, "ok", undefined],
      [second.name, "ok", undefined],
    ]);
    expect(first.bootCount).toBe(boots + 1);
    expect(traces(first)).toEqual(words("before secret ignored test test after handler last"));
    // On a busy machine the process is still there to be asked, and lost again.
    for (const type of ["host:lost", "host:back"]) {
      const hosts = done.events.flatMap((event) =>
        event.type === type && "host" in event ? event.host : [],
      );
      expect([...new Set(hosts)]).toEqual([first.name]);
    }
    // The controller reached the host while it was going down, and again afterwards.
    const connected = done.events.filter(onHost("host:connected", first));
    expect(connected.length).toBeGreaterThan(2);
  });

  it("is lost when it does not come back in time; another run goes on behind the task once it is", async () => {
    const cut = await run({ restarts: true, off: true });
    expect(outcomes(cut)).toEqual([
      [first.name, "lost", expect.stringContaining("did not come back within 6 s")],
      [second.name, "ok", undefined],
    ]);
    expect(first.running).toBe(false);
    expect(cut.summary.exitCode).toBe(4);
    expect(traces(first)).toEqual(words("before secret ignored"));

    await first.start();
    const resumed = await run({ restarts: true, off: true }, { resume: cut.summary.run });
    expect(outcomes(resumed)).toEqual([
      [first.name, "ok", undefined],
      [second.name, "ok", undefined],
    ]);
    // The failed task is done again; a secret task is known to be done, though no event tells of it.
    expect(traces(first)).toEqual(words("before secret ignored ignored after handler last"));
    const restart = resumed.events.find(
      (event) => event.type === "task:end" && event.host === first.name && event.name === "Restart the host",
    );
    expect(restart).toMatchObject({ result: { state: "changed", data: { rebooted: true } } });
  });
});
