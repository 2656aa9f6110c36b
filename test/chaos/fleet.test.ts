import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { run } from "../../src/controller/run.ts";
import type { Outcome } from "../../src/core/events.ts";
import { follow, givenUpSoon, ofType } from "../e2e/lib/drive.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";
import { chaosSeed, seededRandom } from "./random.ts";
import { linesOf, litter, startRig } from "./rig.ts";
import { makeMarkedProject } from "./site.ts";

const scratch = scratchDirectory();
const HOSTS = 30;

/** Count the resources that this process holds open besides those it always does. */
function openResources(): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

test("a fleet a third of which is in trouble: the others are done, and nothing is left open", async () => {
  const random = seededRandom(chaosSeed());
  const kindOf = (index: number): "refuse" | "hang" | "drop" | "fine" =>
    index % 10 === 3 ? "refuse" : index % 10 === 5 ? "hang" : index % 10 === 7 ? "drop" : "fine";
  const drops = Array.from({ length: HOSTS }, () => 3_000 + Math.floor(random() * 10_000));
  const project = makeMarkedProject(scratch());
  const before = openResources();
  const rig = await startRig(
    project,
    {
      count: HOSTS,
      faults: (index) => {
        const kind = kindOf(index);
        return kind === "refuse" || kind === "hang" ? { kind } : undefined;
      },
    },
    (host, connection) =>
      kindOf(host) === "drop" && connection === 0
        ? { direction: "out", bytes: drops[host]!, what: { kind: "reset" } }
        : undefined,
    (host) => kindOf(host) !== "refuse",
  );
  try {
    const listening = openResources();
    // Only those that hang are given up soon: on a loaded machine the others take their time.
    let inventory = readFileSync(rig.reach.inventory as string, "utf8");
    for (const [index, { port }] of rig.proxies.entries()) {
      if (kindOf(index) === "hang") inventory = givenUpSoon(inventory, port, 3);
    }
    expect(inventory.match(/ConnectTimeout/g)).toHaveLength(HOSTS / 10);
    const ran = await follow(
      run({
        ...rig.reach,
        inventory: project.write("inventory.yaml", inventory),
        playbook: project.path("site.ts"),
        cwd: project.directory,
        sshConfig: project.write("ssh_config", "ConnectTimeout 120\n"),
        returnTimeoutMs: 120_000,
        startTimeoutMs: 300_000,
        concurrency: HOSTS,
      }),
    );
    for (const [index, { outcome, error, host }] of ran.summary.hosts.entries()) {
      const kind = kindOf(index);
      const wanted: Outcome = kind === "fine" || kind === "drop" ? "ok" : "unreachable";
      expect(outcome, `${host}, ${kind}: ${error?.message}`).toBe(wanted);
      const embedded = rig.fleet.hosts[index]!;
      if (wanted !== "ok") continue;
      expect(linesOf(embedded, "marks"), host).toHaveLength(6);
      expect(litter(embedded), host).toEqual([]);
    }
    expect(ofType(ran.events, "host:end")).toHaveLength(HOSTS);
    expect(rig.processes()).toEqual([]);
    // Closed connections get a moment to be gone on the other side too.
    for (let tries = 0; tries < 600 && rig.proxies.some(({ open }) => open > 0); tries++) await sleep(100);
    expect(rig.proxies.reduce((sum, { open }) => sum + open, 0)).toBe(0);
    const after = openResources();
    for (const kind of ["TCPSocketWrap", "ProcessWrap", "PipeWrap", "Timeout"])
      expect(after[kind] ?? 0, kind).toBeLessThanOrEqual(listening[kind] ?? 0);
  } finally {
    await rig.stop();
  }
  expect(openResources().TCPServerWrap ?? 0).toBeLessThanOrEqual(before.TCPServerWrap ?? 0);
}, 600_000);
