import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { RunOptions } from "../../../src/controller/prepare/options.ts";
import { run } from "../../../src/controller/run.ts";
import type { Event, Summary } from "../../../src/core/events.ts";
import type { Fleet } from "./fleet.ts";

/** The outcome of a test's run. */
export interface FleetRun {
  readonly summary: Summary;
  readonly events: readonly Event[];
}

/** Writes an inventory of a fleet, with vars and groups of the test's own, and gives its path. */
export function writeInventory(
  fleet: Fleet,
  extra: {
    readonly vars?: Readonly<Record<string, unknown>>;
    readonly hosts?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    readonly groups?: Readonly<Record<string, readonly string[]>>;
  } = {},
): string {
  const hosts = Object.fromEntries(
    fleet.hosts.map(({ name, address, port }) => [name, { ansible_host: address, ansible_port: port }]),
  );
  for (const [name, vars] of Object.entries(extra.hosts ?? {})) hosts[name] = { ...hosts[name]!, ...vars };
  const children = Object.fromEntries(
    Object.entries(extra.groups ?? {}).map(([name, members]) => [
      name,
      { hosts: Object.fromEntries(members.map((member) => [member, null])) },
    ]),
  );
  const vars = { ansible_user: "deploy", ansible_ssh_private_key_file: fleet.privateKeyPath, ...extra.vars };
  const path = join(fleet.folder, `inventory-${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(path, stringify({ all: { vars, hosts, children } }));
  return path;
}

/** Runs a playbook on a fleet to its end. */
export async function runOn(
  fleet: Fleet,
  options: Omit<RunOptions, "knownHostsFiles" | "logDirectory">,
): Promise<FleetRun> {
  // Whatever the developer has fetched.
  const running = run({
    runtime: "never",
    ...options,
    knownHostsFiles: [fleet.knownHostsPath],
    logDirectory: false,
  });
  const events: Event[] = [];
  for await (const event of running) events.push(event);
  return { summary: await running.summary, events };
}
