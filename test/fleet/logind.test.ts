import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import type { FleetHost } from "./lib/host.ts";
import { fleetAvailable } from "./lib/requirements.ts";
import { type FleetRun, runOn, writeInventory } from "./lib/volley.ts";

const playbook = fileURLToPath(new URL("fixtures/logind/site.ts", import.meta.url));

describe.skipIf(!fleetAvailable())("a host whose logind ends what a login leaves behind", () => {
  let fleet: Fleet;
  let host: FleetHost;

  const sh = (line: string) => host.exec(["sh", "-c", line]);
  beforeAll(async () => {
    fleet = await bootFleet({ count: 1 });
    [host] = fleet.hosts as [FleetHost];
    await sh(
      "mkdir -p /etc/systemd/logind.conf.d; printf '[Login]\\nKillUserProcesses = yes\\n' >/etc/systemd/logind.conf.d/kill.conf; systemctl restart systemd-logind",
    );
  });
  afterAll(() => fleet?.stop());
  beforeEach(async () => void (await sh("rm -f /tmp/begun /tmp/go; systemctl unmask user@1000.service")));

  /** Runs the playbook, and ends the connection amid its first task. */
  const cutOff = async (vars: Readonly<Record<string, unknown>> = {}): Promise<FleetRun> => {
    const running = runOn(fleet, { inventory: writeInventory(fleet, { vars }), playbook });
    await sh("while [ ! -s /tmp/begun ]; do sleep 0.1; done; pkill -KILL -f '^sshd: deploy'");
    // Its session is not closing, but gone, and its processes with it.
    await sh(
      "while loginctl list-sessions --no-legend | grep -q '^ *'$(cat /tmp/begun)' '; do sleep 0.1; done; touch /tmp/go",
    );
    return running;
  };
  const outputs = ({ events }: FleetRun): string =>
    events.flatMap((event) => (event.type === "task:output" ? [event.text] : [])).join("");

  it("a user's run goes on in a scope of that user's manager", async () => {
    const done = await cutOff();
    expect(done.summary.hosts).toMatchObject([{ outcome: "ok", tally: { changed: 2 } }]);
    expect(outputs(done)).toMatch(/user@1000\.service\/.*run-.*\.scope/);
    expect(outputs(done)).toContain("unset");
    expect(done.events.filter(({ type }) => type === "host:back")).toHaveLength(1);
    expect(done.events.find(({ type }) => type === "host:lost")).toMatchObject({
      reason: expect.stringContaining("KillUserProcesses=yes"),
    });
  });

  it("one that may linger is told nothing of it", async () => {
    await sh("loginctl enable-linger deploy");
    const done = await cutOff();
    await sh("loginctl disable-linger deploy");
    expect(done.summary.hosts).toMatchObject([{ outcome: "ok" }]);
    expect(JSON.stringify(done.events)).not.toContain("KillUserProcesses");
  });

  it("root's goes on in a scope of the system", async () => {
    const done = await cutOff({ ansible_become: true });
    expect(done.summary.hosts).toMatchObject([{ outcome: "ok", tally: { changed: 2 } }]);
    expect(outputs(done)).toMatch(/system\.slice\/run-.*\.scope/);
    expect(JSON.stringify(done.events)).not.toContain("KillUserProcesses");
  });

  it("without a manager the run ends with the connection, and says why", async () => {
    await sh("systemctl mask --now user@1000.service");
    const { summary } = await cutOff();
    expect(summary.hosts).toMatchObject([
      {
        outcome: "lost",
        error: {
          message: expect.stringContaining("the host ends what a login leaves behind"),
          hint: expect.stringContaining("loginctl enable-linger"),
        },
      },
    ]);
  });
});
