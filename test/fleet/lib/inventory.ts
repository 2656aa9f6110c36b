import { stringify } from "yaml";
import type { HostIdentity } from "./host-files.ts";

/** How the hosts of an inventory are logged in to. */
interface InventoryLogin {
  /** `deploy` by default. */
  readonly user?: string;
  readonly privateKeyPath: string;
  readonly knownHostsPath: string;
}

/** An Ansible YAML inventory of a fleet, all of it in the group `fleet`. */
export function fleetInventory(hosts: readonly HostIdentity[], login: InventoryLogin): string {
  return stringify({
    fleet: {
      vars: {
        ansible_user: login.user ?? "deploy",
        ansible_ssh_private_key_file: login.privateKeyPath,
        ansible_ssh_common_args: `-o UserKnownHostsFile=${login.knownHostsPath}`,
      },
      hosts: Object.fromEntries(
        hosts.map(({ name, address, port }) => [name, { ansible_host: address, ansible_port: port }]),
      ),
    },
  });
}
