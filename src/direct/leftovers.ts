import { createLeftovers, type LeftoversOwner, leftoversName } from "../agent/leftovers.ts";
import type { System } from "../core/system.ts";
import type { Leftovers } from "../engine/effects.ts";

/** Handlers left over, with what waits until all that was kept is on the host. */
export interface DirectLeftovers extends Leftovers {
  flush(): Promise<void>;
}

/** Keeps the handlers that failed runs of a playbook leave on a host, in the same file that a bundle does (agent/leftovers.ts). */
export async function openDirectLeftovers(system: System, owner: LeftoversOwner): Promise<DirectLeftovers> {
  const file = `~/.cache/volley/${leftoversName(owner)}`;
  const bytes = await system.readIfExists(file).catch(() => null);
  let writing: Promise<void> = Promise.resolve();
  const leftovers = createLeftovers(owner, bytes?.toString("utf8") ?? "", (text) => {
    const write = (): Promise<void> =>
      text === null ? system.remove(file) : system.writeFile(file, text, { mode: 0o600 }).then(() => {});
    // A connection that is gone is told of by whatever else is done.
    writing = writing.then(write).catch(() => {});
  });
  return { ...leftovers, flush: () => writing };
}
