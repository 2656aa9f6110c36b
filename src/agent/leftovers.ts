import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { isRecord } from "../core/values/value.ts";
import type { Leftovers } from "../engine/effects.ts";
import { hostDirectory } from "../system/directories.ts";

/** The owner of handlers left over: one host, for one playbook of one project. */
export interface LeftoversOwner {
  /** The project's directory on the controller. */
  readonly project: string;
  readonly playbook: string;
  /** The inventory name: several may share a home. */
  readonly host: string;
}

/** Open the handlers that failed runs of a playbook have left over on this host. */
export function openLeftovers(owner: LeftoversOwner): Leftovers {
  const file = join(hostDirectory(), leftoversName(owner));
  let text = "";
  try {
    text = fs.readFileSync(file, "utf8");
  } catch {
    // None are left over.
  }
  return createLeftovers(owner, text, (kept) => {
    try {
      if (kept === null) return fs.rmSync(file, { force: true });
      fs.writeFileSync(`${file}.new`, kept, { mode: 0o600 });
      fs.renameSync(`${file}.new`, file);
    } catch (thrown) {
      const why = (thrown as Error).message;
      throw new VolleyError("FILE_FAILED", `handlers that have not run cannot be kept: ${why}`, {
        cause: thrown,
        hint: "no later run knows of them: see to what they would have done",
      });
    }
  });
}

/** The file where they are kept, beside the bundles. No other process writes it while the host's part of a run goes on. */
export function leftoversName({ project, playbook, host }: LeftoversOwner): string {
  const hash = createHash("sha256").update(JSON.stringify([project, playbook, host]));
  return `handlers-${hash.digest("hex").slice(0, 32)}.json`;
}

/** Read handlers left over from the file's text; `keep` writes the new text, null for no file. */
export function createLeftovers(
  owner: LeftoversOwner,
  text: string,
  keep: (text: string | null) => void,
): Leftovers {
  const plays = parsePlays(text);
  return {
    load: (play) => plays.get(play) ?? [],
    save: (play, handlers) => {
      if (handlers.length === 0 && !plays.has(play)) return;
      if (handlers.length === 0) plays.delete(play);
      else plays.set(play, handlers);
      keep(plays.size === 0 ? null : JSON.stringify({ ...owner, plays: [...plays] }));
    },
  };
}

function parsePlays(text: string): Map<string, readonly string[]> {
  const plays = new Map<string, readonly string[]>();
  try {
    const value: unknown = JSON.parse(text);
    for (const entry of isRecord(value) && Array.isArray(value.plays) ? value.plays : []) {
      const [play, handlers] = Array.isArray(entry) ? entry : [];
      if (typeof play !== "string" || !Array.isArray(handlers)) continue;
      plays.set(
        play,
        handlers.filter((name): name is string => typeof name === "string"),
      );
    }
  } catch {
    // A disk that was full, or a file that was damaged: none are known of.
  }
  return plays;
}
