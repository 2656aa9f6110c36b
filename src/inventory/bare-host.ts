import type { ConnectionSettings, Host } from "../core/inventory.ts";

/** A host of which no more is known than its name and its groups. */
export function bareHost(
  name: string,
  connection: ConnectionSettings["connection"],
  groups: readonly string[] = [],
): Host {
  return {
    name,
    connection: {
      address: name,
      port: undefined,
      user: undefined,
      privateKeyFile: undefined,
      connection,
      become: undefined,
      becomeMethod: undefined,
    },
    vars: {},
    sources: {},
    groups,
  };
}
