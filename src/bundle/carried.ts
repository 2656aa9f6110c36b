import { readFileSync, statSync } from "node:fs";
import type { Manifest } from "../core/bundle.ts";
import { didYouMean, printable, VolleyError } from "../core/errors.ts";
import { fileReason } from "../core/unix/user-file.ts";
import { machineHostNames } from "../system/host-names.ts";

// Bundles that were carried to a machine: their files, and the machine's name in them.

/** Read a bundle that the user names. Fails with `USAGE`, also for a FIFO or device, which may have no end. */
export function readBundle(path: string): Buffer {
  try {
    const stats = statSync(path);
    if (!stats.isFile() && !stats.isDirectory()) throw new Error("it is no regular file");
    return readFileSync(path);
  } catch (thrown) {
    throw new VolleyError("USAGE", `cannot read ${path}: ${fileReason(thrown)}`, { cause: thrown });
  }
}

/** The question which host of a bundle this machine is. */
interface HostQuestion {
  /** The bundle's name in messages. */
  readonly bundle: string;
  /** The option that names the host, for the hint. */
  readonly option: string;
  /** The host that was named. */
  readonly asked: string | undefined;
}

/**
 * Return the name that this machine has in a bundle: the one that was named, else its host name, the first label of it, `localhost`, or the only host
 * that the bundle was made for; of a bundle without an inventory, the host name. Fails with `PATTERN_UNKNOWN`.
 */
export function hostInBundle({ hosts }: Manifest, { bundle, option, asked }: HostQuestion): string {
  const names = machineHostNames();
  if (hosts === undefined) return asked ?? names[0] ?? "localhost";
  const known = Object.keys(hosts);
  const whose = `${known.slice(0, 20).join(", ")}${known.length > 20 ? ", …" : ""}`;
  if (asked !== undefined) {
    if (Object.hasOwn(hosts, asked)) return asked;
    throw new VolleyError(
      "PATTERN_UNKNOWN",
      `${bundle} was not made for "${printable(asked, 300)}"${didYouMean(asked, known)}`,
      { hint: `it was made for: ${whose}` },
    );
  }
  const found = [...names, "localhost"].find((name) => Object.hasOwn(hosts, name));
  if (found !== undefined) return found;
  if (known.length === 1) return known[0]!;
  throw new VolleyError("PATTERN_UNKNOWN", `${bundle} was not made for ${names.join(" or ")}`, {
    hint: `say with ${option} which of its hosts this machine is: ${whose}`,
  });
}
