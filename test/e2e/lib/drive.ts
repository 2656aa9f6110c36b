import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach } from "vitest";
import type { RunOptions } from "../../../src/controller/prepare/options.ts";
import type { HostQueue } from "../../../src/controller/queued/host-queue.ts";
import { type Run, run } from "../../../src/controller/run.ts";
import type { Event, HostSummary, Summary } from "../../../src/core/events.ts";
import { startEmbeddedFleet } from "../../../src/embedded/fleet.ts";
import type { EmbeddedFleet, EmbeddedFleetOptions, EmbeddedHost } from "../../../src/embedded/options.ts";
import { cache, keepHostCode, lendHostCode } from "./cli.ts";
import type { Project } from "./project.ts";

/** The outcome of a run, and all events on the way. */
export interface Ran {
  readonly events: readonly Event[];
  readonly summary: Summary;
}

/** Starts fleets that are stopped after the test; `after`: a hook of vitest for another time. */
export function fleetStarter(
  after: (end: () => Promise<void>) => void = afterEach,
): (options: EmbeddedFleetOptions) => Promise<EmbeddedFleet> {
  const fleets: EmbeddedFleet[] = [];
  after(async () => {
    const ended = fleets.splice(0);
    for (const { home } of ended.flatMap(({ hosts }) => hosts)) keepHostCode(home);
    await Promise.all(ended.map((fleet) => fleet.stop()));
  });
  return async (options) => {
    const fleet = await startEmbeddedFleet({ programs: join(cache, "programs"), ...options });
    fleets.push(fleet);
    fleet.hosts.forEach(({ home }, index) => {
      if (options.faults?.(index) === undefined) lendHostCode(home);
    });
    return fleet;
  };
}

/** Starts `site.ts` of a project on a fleet, from here or by workers. */
export function start(
  project: Project,
  fleet: EmbeddedFleet,
  options: Partial<RunOptions> = {},
  queue?: HostQueue,
): Run {
  const whole: RunOptions = {
    inventory: project.write("inventory.yaml", fleet.inventoryYaml()),
    playbook: project.path("site.ts"),
    knownHostsFiles: [fleet.knownHostsPath],
    cwd: project.directory,
    // Whatever the developer has fetched.
    runtime: "never",
    ...(process.env.VOLLEY_TEST_VIA === "direct" ? { via: "direct" as const } : {}),
    ...options,
  };
  return run(whole, queue);
}

/** An inventory in which the host at a port is given up after so many seconds; others may take their time. */
export function givenUpSoon(inventory: string, port: number, seconds: number): string {
  const line = new RegExp(`^( *)ansible_port: ${port}$`, "m");
  return inventory.replace(line, `$&\n$1ansible_ssh_common_args: -o ConnectTimeout=${seconds}`);
}

/** Follows a run to its end; `on` sees every event as it comes. */
export async function follow(running: Run, on: (event: Event) => void = () => {}): Promise<Ran> {
  const events: Event[] = [];
  for await (const event of running) {
    events.push(event);
    on(event);
  }
  return { events, summary: await running.summary };
}

/** Carries out `site.ts` of a project on a fleet. */
export function provision(
  project: Project,
  fleet: EmbeddedFleet,
  options: Partial<RunOptions> = {},
): Promise<Ran> {
  return follow(start(project, fleet, options));
}

/** The events of one type. */
export function ofType<Type extends Event["type"]>(
  events: readonly Event[],
  type: Type,
): readonly Extract<Event, { type: Type }>[] {
  return events.filter((event): event is Extract<Event, { type: Type }> => event.type === type);
}

/** The line of one host in a summary. */
export function hostOf({ summary }: Pick<Ran, "summary">, name: string): HostSummary {
  const found = summary.hosts.find(({ host }) => host === name);
  if (found === undefined) throw new Error(`the summary has no ${name}`);
  return found;
}

/** List the bundles that a host keeps: finished ones and temporary files. */
export function keptBundles({ home }: Pick<EmbeddedHost, "home">): {
  readonly bundles: readonly string[];
  readonly temporary: readonly string[];
} {
  let names: string[] = [];
  try {
    names = readdirSync(join(home, ".cache", "volley", "bundles"));
  } catch {
    // Nothing was ever kept there.
  }
  return {
    bundles: names.filter((name) => name.endsWith(".run")),
    temporary: names.filter((name) => name.endsWith(".tmp")),
  };
}

/** Lets go on what waits on the hosts for the file `go`. */
export function letGo(fleet: EmbeddedFleet): void {
  for (const { home } of fleet.hosts) writeFileSync(join(home, "go"), "");
}

/** The most hosts that were between begin and end of a play at one time. */
export function mostAtOnce(events: readonly Event[]): number {
  let now = 0;
  let most = 0;
  for (const { type } of events) {
    if (type === "play:start") most = Math.max(most, ++now);
    if (type === "play:end") now--;
  }
  return most;
}
