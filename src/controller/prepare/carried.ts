import { createHash } from "node:crypto";
import { hostname, userInfo } from "node:os";
import { resolve } from "node:path";
import { makeJob } from "../../agent/local/job.ts";
import { hostInBundle, readBundle } from "../../bundle/carried.ts";
import { readManifest } from "../../bundle/manifest.ts";
import { printable, VolleyError } from "../../core/errors.ts";
import type { Event } from "../../core/events.ts";
import { bareHost } from "../../inventory/connection.ts";
import { DEFAULTS, fileOf, type RunOptions } from "./options.ts";
import type { PlayHosts } from "./plan.ts";
import { limitsOf, type Plan, type Prepared, planRecord } from "./prepare.ts";
import { reachedHere } from "./transports.ts";

// A run of a bundle that was carried to this machine: the bundle holds playbook, hosts and vars.

/**
 * Plan a run of a carried bundle on this machine, as the one host of it that the limit names. Nothing of the bundle is run
 * before its process is started. Fails with `USAGE`, `BUNDLE_INVALID` or `PATTERN_UNKNOWN`.
 */
export function prepareCarried(options: RunOptions): Prepared {
  const startedAt = performance.now();
  const cwd = options.cwd ?? process.cwd();
  const file = resolve(cwd, fileOf(options));
  const { limit, check = false, diff = false, tags = [], skipTags = [], verbosity = 0 } = options;
  const bytes = readBundle(file);
  const manifest = readManifest(bytes, file);
  const id = createHash("sha256").update(bytes).digest("hex");
  const bundle = { id, bytes, reused: true, asksForGroups: false, file };
  const { run, record, attached } = planRecord({ ...options, cwd }, bundle);
  // The run may have given the machine another host name, and the file may be another bundle by now.
  const asked = limit ?? hostOfStart(attached?.events ?? []);
  const name = hostInBundle(manifest, { bundle: file, option: "-l", asked });
  const { plays: indexes, ...job } = makeJob(
    manifest,
    name,
    {
      ...{ check, diff, tags, skipTags },
      // Plays follow each other at once, and no host asks for another: there is one.
      barriers: false,
      ...(verbosity === 0 ? {} : { verbosity }),
    },
    undefined,
  );
  if (indexes.length === 0)
    throw new VolleyError("PATTERN_UNKNOWN", `no play of ${file} is for ${printable(name, 300)}`);
  // The vars are in the job.
  const host = bareHost(name, "local");
  const plays = manifest.plays.map(
    ({ name, hosts }, index): PlayHosts => ({
      index,
      play: { name, hosts, roles: [], strategy: "free" },
      hosts: indexes.includes(index) ? [host] : [],
    }),
  );
  const session = {
    run,
    controller: `${userInfo().username}@${hostname()}`,
    lockWaitMs: options.lockWaitMs ?? DEFAULTS.lockWaitMs,
    ...(options.resume === undefined ? {} : { resume: options.resume }),
  };
  return {
    plan: Object.freeze({
      run,
      playbook: playbookOf(manifest.playbook, plays),
      plays,
      hosts: [
        {
          name,
          ...reachedHere(host),
          become: null,
          node: { mode: "never" as const, runtimes: [] },
          job: { ...job, plays: indexes, session },
        },
      ],
      late: undefined,
      bundle: attached?.changed === true ? { ...bundle, id: record!.bundle } : bundle,
      buildMs: performance.now() - startedAt,
      method: "bundle" as const,
      runtimes: [],
      askStep: undefined,
      check,
      seed: run,
      limits: limitsOf(options),
      notes: [],
      record,
      attached,
    }),
    transports: { close: () => {} },
  };
}

/** Return the host that a run was begun for. */
function hostOfStart(events: Iterable<Event>): string | undefined {
  for (const event of events) if (event.type === "run:start") return event.hosts[0];
  return undefined;
}

/** The controller's view of the playbook, whose code only the bundle's process runs. */
function playbookOf(name: string, plays: readonly PlayHosts[]): Plan["playbook"] {
  return {
    name,
    playbook: { plays: plays.map(({ play }) => play) },
    assets: { file: () => null, tree: () => null },
    evaluateAnew: () => {
      throw new Error("a carried bundle is carried out by its own process alone");
    },
    // Where the code was written is known only to the one who made the bundle.
    locateRemote: (error) => error,
  };
}
