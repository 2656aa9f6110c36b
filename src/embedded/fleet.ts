import { randomUUID } from "node:crypto";
import { chmodSync, existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import { makeDirectories } from "../system/directories.ts";
import { createProcessRegistry } from "./commands.ts";
import {
  type FleetContext,
  generateKey,
  type KeyPair,
  knownHostsLine,
  type StartedHost,
  startHost,
} from "./host.ts";
import { type EmbeddedFleet, type EmbeddedFleetOptions, listFaults } from "./options.ts";

/** Start SSH servers on loopback ports: each is a host with a home of its own and runs as the current user. */
export async function startEmbeddedFleet(options: EmbeddedFleetOptions): Promise<EmbeddedFleet> {
  const root = await makeRoot(options.root);
  const id = randomUUID();
  const clientKey = generateKey("volley-embedded");
  const processes = createProcessRegistry(id);
  const context: FleetContext = {
    options,
    id,
    root,
    user: currentUser(),
    clientKeys: [clientKey.publicKey],
    processes,
  };
  const keepRoot = options.root !== undefined || options.keepRoot === true;
  const started: StartedHost[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map(({ server }) => server.close()));
    await processes.killAll();
    if (!keepRoot) await removeRoot(root, started);
  };
  try {
    const sharedKey = generateKey("volley-embedded-host");
    for (let index = 0; index < options.count; index += 1) {
      const hostKey = options.separateHostKeys === true ? generateKey("volley-embedded-host") : sharedKey;
      const name = (options.names ?? defaultName)(index);
      started.push(await startHost(context, name, hostKey, listFaults(options.faults?.(index))));
    }
    const files = await writeFiles(root, clientKey, started, options.hashKnownHosts === true);
    const hosts = started.map(({ host }) => host);
    const fleet = { hosts, root, user: context.user, ...files };
    let stopped: Promise<void> | undefined;
    return {
      ...fleet,
      inventoryYaml: () => toInventoryYaml(fleet),
      stop: () => {
        stopped ??= stop();
        return stopped;
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function makeRoot(root: string | undefined): Promise<string> {
  // mkdtemp gives it mode 0700.
  if (root === undefined) return await mkdtemp(join(tmpdir(), "volley-fleet-"));
  const absolute = resolve(root);
  makeDirectories(absolute, 0o700);
  return absolute;
}

async function removeRoot(root: string, started: readonly StartedHost[]): Promise<void> {
  for (const { host } of started) {
    // Only root can remove the contents of a read-only home.
    if (existsSync(host.home)) chmodSync(host.home, 0o700);
  }
  await rm(root, { recursive: true, force: true, maxRetries: 3 });
}

async function writeFiles(
  root: string,
  clientKey: KeyPair,
  started: readonly StartedHost[],
  hashed: boolean,
): Promise<Pick<EmbeddedFleet, "privateKeyPath" | "knownHostsPath">> {
  const privateKeyPath = join(root, "id_ed25519");
  const knownHostsPath = join(root, "known_hosts");
  const lines = started.map(({ host, hostKey }) =>
    knownHostsLine(host.address, host.port, hostKey.publicKey, hashed),
  );
  await Promise.all([
    writeFile(privateKeyPath, clientKey.privateKey, { mode: 0o600 }),
    writeFile(`${privateKeyPath}.pub`, `${clientKey.publicKey}\n`, { mode: 0o644 }),
    writeFile(knownHostsPath, lines.map((line) => `${line}\n`).join(""), { mode: 0o600 }),
  ]);
  return { privateKeyPath, knownHostsPath };
}

function defaultName(index: number): string {
  return `web${String(index + 1).padStart(2, "0")}`;
}

function currentUser(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run with a user id that has no passwd entry.
    return process.env.USER ?? "volley";
  }
}

/** Return an Ansible inventory of a fleet, in YAML, with the variables to connect by. */
function toInventoryYaml(fleet: Pick<EmbeddedFleet, "hosts" | "user" | "privateKeyPath">): string {
  const hosts = fleet.hosts.map(({ name, address, port }) => {
    // Every JSON string is a YAML string.
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
