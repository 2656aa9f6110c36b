import type { EmbeddedFleet } from "./types.ts";

/** An Ansible inventory of a fleet, in YAML, with what is needed to connect. */
export function toInventoryYaml(fleet: Pick<EmbeddedFleet, "hosts" | "user" | "privateKeyPath">): string {
  const hosts = fleet.hosts.map(({ name, address, port }) => {
    // A JSON string is a YAML string, whatever it contains.
    const lines = [
      `    ${JSON.stringify(name)}:`,
      `      ansible_host: ${address}`,
      `      ansible_port: ${port}`,
      `      ansible_user: ${JSON.stringify(fleet.user)}`,
      `      ansible_ssh_private_key_file: ${JSON.stringify(fleet.privateKeyPath)}`,
    ];
    return lines.map((line) => `${line}\n`).join("");
  });
  return `all:\n  hosts:\n${hosts.join("")}`;
}
