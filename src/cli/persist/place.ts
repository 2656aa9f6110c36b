import { volleyVersion } from "../../bundle/own-parts.ts";
import type { PersistChoice } from "../../controller/prepare/reach.ts";
import { type BackgroundLink, type BackgroundPlace, openLink } from "../../transport/persist/link.ts";
import { persistDirectory } from "../../transport/persist/place.ts";

/** Return the place of this user's background process, and the command that starts it. */
export function backgroundPlace(): BackgroundPlace {
  return {
    directory: persistDirectory(),
    version: volleyVersion(),
    command: [process.execPath, process.argv[1]!, "persist", "serve"],
    // A screen may be open until the end.
    onStartFailed: (why) =>
      void process.once("exit", () => process.stderr.write(`volley: connections are not kept: ${why}\n`)),
  };
}

/** Choose to keep connections for so long, by default as ssh_config says. With a time, the process is reached at once. */
export function chooseBackground(forMs: number | undefined): PersistChoice {
  let link: BackgroundLink | undefined;
  const open = (): BackgroundLink => {
    link ??= openLink(backgroundPlace());
    return link;
  };
  if (forMs !== undefined) open();
  return { openLink: async () => open(), ...(forMs === undefined ? {} : { forMs }) };
}
