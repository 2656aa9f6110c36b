import { afterEach, expect } from "vitest";
import type { PersistChoice, TransportsOptions } from "../../../src/controller/prepare/reach.ts";
import type { Transports } from "../../../src/controller/prepare/transports.ts";
import type { Host } from "../../../src/core/inventory.ts";
import type { EmbeddedFleet } from "../../../src/embedded/options.ts";
import { type Background, openBackground } from "../../../src/transport/persist/background.ts";
import { openLink } from "../../../src/transport/persist/link.ts";
import { listKept } from "../../../src/transport/persist/visit.ts";
import { hostsOf, type Reached, transportsOpener } from "./reach.ts";
import type { Scratch } from "./scratch.ts";

export const VERSION = "1.2.3";

/** A fleet, as far as a client needs to know it. */
export type KnownFleet = Reached & Pick<EmbeddedFleet, "knownHostsPath">;

/** How a client reaches the hosts of a fleet over kept connections. */
export interface ClientOptions extends TransportsOptions {
  readonly forMs?: number;
  readonly answerMs?: number;
  readonly hosts?: readonly Host[];
  /** Tells the client's command line from others. */
  readonly words?: string;
}

/** The background processes of a test file, and their clients. */
export interface KeptWays {
  /** The directory of the background process; a test's own. */
  directory(): string;
  /** Start a background process in this process; it is closed after the test. */
  startBackground(emptyMs?: number): Promise<Background>;
  /** Open ways as a process of its own would, which greets the background process at once. */
  open(fleet: KnownFleet, options?: ClientOptions): Promise<Transports>;
  /** Wait until no client uses a connection. */
  allIdle(): Promise<void>;
  /** The reasons for which no background process could be started. */
  readonly notStarted: readonly string[];
}

/** Give a test file {@link KeptWays}. */
export function keptWays(scratch: Scratch): KeptWays {
  const openWays = transportsOpener();
  const notStarted: string[] = [];
  const backgrounds: Background[] = [];
  const directory = (): string => scratch.path("kept");
  afterEach(async () => {
    for (const background of backgrounds.splice(0)) {
      background.close();
      await background.ended;
    }
  });
  return {
    directory,
    notStarted,
    startBackground: async (emptyMs = 60_000) => {
      const background = await openBackground({ directory: directory(), version: VERSION, emptyMs });
      backgrounds.push(background);
      return background;
    },
    open: (fleet, { forMs = 60_000, answerMs, words, hosts = hostsOf(fleet), ...options } = {}) => {
      const link = openLink({
        directory: directory(),
        version: VERSION,
        command: [process.execPath, "-e", "console.log(process.env.VOLLEY_SSH_PASSWORD ?? 'no room')"],
        onStartFailed: (why) => void notStarted.push(why),
        ...(answerMs === undefined ? {} : { answerMs }),
        ...(words === undefined ? {} : { words }),
      });
      const persist: PersistChoice = { forMs, openLink: async () => link };
      return openWays(hosts, { knownHostsFiles: [fleet.knownHostsPath], persist, ...options });
    },
    allIdle: async () => {
      await expect
        .poll(async () => (await listKept(directory())).every(({ idleMs }) => idleMs !== undefined))
        .toBe(true);
    },
  };
}
