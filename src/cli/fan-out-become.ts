import { becomeWay } from "../controller/prepare/become.ts";
import type { Become } from "../core/become.ts";
import type { Host } from "../core/inventory.ts";
import { type BecomeFlags, becomeOptions } from "./become-options.ts";

/** The user a fan-out becomes on a host: what the command line says is about this command, and wins. Null: none. */
export function becomeUserOf(
  host: Host,
  { become, becomeUser }: Pick<BecomeFlags, "become" | "becomeUser">,
): string | null {
  return becomeUser ?? (become === true ? "root" : (host.connection.become ?? null));
}

/** Finds whom to become on a host, and how; asks for the password when told to. Fails with `USAGE` or `INVENTORY_INVALID`. */
export async function readBecome(flags: BecomeFlags): Promise<(host: Host) => Become | null> {
  const options = await becomeOptions(flags);
  return (host) => {
    const user = becomeUserOf(host, flags);
    return user === null ? null : { ...becomeWay(host, options), user };
  };
}
