import { VolleyError } from "../core/errors.ts";
import type { Condition, Method } from "./comparison.ts";
import { INVENTORY_PLACEHOLDER } from "./methods.ts";
import type { Road } from "./road.ts";
import type { Taken } from "./sampler.ts";

/** Gathers what a reader must know of what was not measured, each once. */
export interface Notes {
  /** Looks at a run; fails with `COMPARE_FAILED` when a delay was asked for that our own runs did not get. */
  take(method: Method, condition: Condition, round: number, taken: Taken): void;
  /** The hosts' processor time cannot be had from cgroups, and why; `tells`: some targets tell of theirs. */
  noCgroup(reason: string, tells: boolean): void;
  all(): readonly string[];
}

/** Makes {@link Notes}. */
export function createNotes({ endpoints: expected }: Pick<Road, "endpoints">): Notes {
  const notes = new Set<string>();
  return {
    take: (method, { cache, roundTripMs }, round, { endpoints, hostsWithBundle }) => {
      if (endpoints === 0) {
        if (method.kind === "volley" && roundTripMs > 0) {
          throw new VolleyError(
            "COMPARE_FAILED",
            "no delay can be added: these hosts are not reached over ssh2, so nothing passes through the proxies",
          );
        }
        notes.add(uncounted(method));
      } else if (endpoints < expected) {
        notes.add(
          `${method.name}: only ${endpoints} of ${expected} hosts were reached through the proxies; bytes and delays are those of these`,
        );
      }
      if (cache === "cold" && round > 0 && method.kind === "volley" && method.via === "bundle") {
        const [host] = hostsWithBundle;
        if (host !== undefined)
          notes.add(
            `cold: ${host} had the bundle all the same, kept by another user than the one who logs in`,
          );
      }
    },
    noCgroup: (reason, tells) => {
      notes.add(
        tells
          ? `Remote CPU is what bundles tell of themselves, their children included and sshd not, and is not known of other methods: ${reason}.`
          : `Remote CPU was not measured: ${reason}.`,
      );
    },
    all: () => [...notes],
  };
}

function uncounted({ kind, name }: Method): string {
  const how =
    kind === "command"
      ? `; a command goes through them when it uses ${INVENTORY_PLACEHOLDER} or $VOLLEY_INVENTORY`
      : "";
  return `${name}: its connections did not go through the proxies, so bytes and round trips were not counted and no delay was added${how}`;
}
