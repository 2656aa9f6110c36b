import * as fs from "node:fs";
import { join } from "node:path";
import { isRecord } from "../core/json.ts";
import type { Leftovers } from "./executor.ts";
import { hostDirectory } from "./run-store.ts";

/** Keeps the handlers that failed runs of a playbook leave on this host, from one run to the next. */
export function openLeftovers(playbook: string): Leftovers {
  const file = join(hostDirectory(), "handlers.json");
  const read = (): Record<string, unknown> => {
    try {
      const value: unknown = JSON.parse(fs.readFileSync(file, "utf8"));
      return isRecord(value) ? value : {};
    } catch {
      return {};
    }
  };
  const keyOf = (play: string): string => JSON.stringify([playbook, play]);
  return {
    load: (play) => {
      const handlers = read()[keyOf(play)];
      return Array.isArray(handlers)
        ? handlers.filter((name): name is string => typeof name === "string")
        : [];
    },
    save: (play, handlers) => {
      const all = read();
      const key = keyOf(play);
      if (handlers.length === 0 && !(key in all)) return;
      if (handlers.length === 0) delete all[key];
      else all[key] = handlers;
      fs.writeFileSync(`${file}.${process.pid}`, JSON.stringify(all), { mode: 0o600 });
      fs.renameSync(`${file}.${process.pid}`, file);
    },
  };
}
