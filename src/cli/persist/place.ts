import * as fleet from "../../connect/persist.ts";
import type { PersistChoice } from "../../controller/prepare/reach.ts";
import type { BackgroundPlace } from "../../transport/persist/link.ts";
import { takeEarly, wordsOfCommand } from "./early.ts";

/** Return the place of this user's background process, and the command that starts it. */
export function backgroundPlace(): BackgroundPlace {
  const place = fleet.backgroundPlace(process.argv[1]!, (why) => {
    // A screen may be open until the end.
    process.once("exit", () => process.stderr.write(`volley: connections are not kept: ${why}\n`));
  });
  return { ...place, words: wordsOfCommand(), early: takeEarly() };
}

/** Choose to keep connections for so long, by default as ssh_config says. With a time, the process is reached at once. */
export function chooseBackground(forMs: number | undefined): PersistChoice {
  const choice = fleet.chooseBackground(forMs, backgroundPlace);
  // A failure is told when a host is connected to.
  if (forMs !== undefined) choice.openLink().catch(() => {});
  return choice;
}
