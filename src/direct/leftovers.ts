import { isRecord } from "../core/json.ts";
import type { System } from "../core/system.ts";
import type { Leftovers } from "../target/executor.ts";

const FILE = "~/.cache/volley/handlers.json";

/** Handlers left over, with what waits until all that was kept is on the host. */
export interface DirectLeftovers extends Leftovers {
  flush(): Promise<void>;
}

/** Keeps the handlers that failed runs of a playbook leave on a host, in the same file that a bundle does (target/leftovers.ts). */
export async function openDirectLeftovers(system: System, playbook: string): Promise<DirectLeftovers> {
  const all = parse(await system.readIfExists(FILE).catch(() => null));
  const keyOf = (play: string): string => JSON.stringify([playbook, play]);
  let writing: Promise<void> = Promise.resolve();
  return {
    load: (play) => {
      const handlers = all[keyOf(play)];
      return Array.isArray(handlers)
        ? handlers.filter((name): name is string => typeof name === "string")
        : [];
    },
    save: (play, handlers) => {
      const key = keyOf(play);
      if (handlers.length === 0 && !(key in all)) return;
      if (handlers.length === 0) delete all[key];
      else all[key] = handlers;
      const text = JSON.stringify(all);
      // A connection that is gone is told of by whatever else is done.
      writing = writing.then(() => system.writeFile(FILE, text, { mode: 0o600 })).catch(() => {});
    },
    flush: () => writing,
  };
}

function parse(bytes: Buffer | null): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(bytes?.toString("utf8") ?? "");
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}
