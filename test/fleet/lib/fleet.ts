import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import pLimit from "p-limit";
import { type AddressClaim, claimAddresses, freeSshPort } from "./address.ts";
import { FleetHost } from "./host.ts";
import { makeKey, writeHostFiles } from "./host-files.ts";
import { fleetInventory } from "./inventory.ts";
import { machineName, makeFleetFolder, removeFleet, removeLeftovers } from "./leftovers.ts";
import { raiseMachineLimits } from "./machine-limits.ts";
import { mountOverlay } from "./overlay.ts";
import { onProcessEnd } from "./process-end.ts";
import { whyNoFleet } from "./requirements.ts";
import { ensureLayer, ensureTree } from "./tree.ts";

/** The options of a fleet to boot. */
export interface FleetOptions {
  readonly count: number;
  /** The numbers (1 for `fleet1`) of the hosts that have no Node. */
  readonly withoutNode?: readonly number[];
  /** A user whose home is one directory on all hosts, as NFS makes it. */
  readonly sharedHome?: string;
  /** Debian packages besides those of the tree, on all hosts; kept between runs like the tree. */
  readonly packages?: readonly string[];
  /** Change a host's root before its first start. */
  prepare?(root: string, name: string): void | Promise<void>;
  /** Read a host's root, as a boot loader does, for the kernel arguments that systemd gets at each start; none by default. */
  bootArguments?(root: string): readonly string[];
  /** How many hosts boot at the same time; 8 by default. */
  readonly bootConcurrency?: number;
  /** How long one host may take to come up; 60 s by default. */
  readonly bootTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Running hosts `fleet1`, `fleet2`, …, and the means to log in to them. */
export interface Fleet extends AsyncDisposable {
  readonly hosts: readonly FleetHost[];
  /** The key of root, deploy, plain and pass on every host. */
  readonly privateKeyPath: string;
  readonly knownHostsPath: string;
  /** A folder of the fleet's own, removed with it; for an inventory file, say. */
  readonly folder: string;
  /** From the call of bootFleet until every host was up, in milliseconds, with and without making the Debian tree. */
  readonly times: { readonly treeMs: number; readonly bootMs: number };
  /** An Ansible YAML inventory of the group `fleet`, logging in as `user` (default `deploy`). */
  inventoryYaml(options?: { readonly user?: string }): string;
  /** End all hosts at once and remove every trace of them. Safe to repeat. */
  stop(): Promise<void>;
}

/**
 * Boot Debian hosts on this machine, each with its own systemd, sshd and loopback address. Throws when this
 * machine cannot (see `whyNoFleet`) or a host does not come up; nothing is left behind then. The fleet is
 * also removed when this process ends without `stop`.
 */
export async function bootFleet(options: FleetOptions): Promise<Fleet> {
  const {
    count,
    withoutNode = [],
    sharedHome,
    packages = [],
    bootConcurrency = 8,
    bootTimeoutMs = 60_000,
    signal,
  } = options;
  const reason = whyNoFleet();
  if (reason !== undefined) throw new Error(reason);
  removeLeftovers();
  const startedAt = Date.now();
  const tree = await ensureTree(signal);
  const layers = packages.length === 0 ? [tree] : [await ensureLayer(tree, packages, signal), tree];
  const treeReadyAt = Date.now();
  raiseMachineLimits();

  const { id, folder } = makeFleetFolder();
  const hosts: FleetHost[] = [];
  let claims: readonly AddressClaim[] = [];
  const forget = onProcessEnd(() => removeFleet(id));
  const stop = async (): Promise<void> => {
    await Promise.all(hosts.map((host) => host.kill()));
    removeFleet(id);
    for (const claim of claims) claim.release();
    claims = [];
    forget();
  };

  try {
    claims = await claimAddresses(count);
    const privateKeyPath = join(folder, "id_ed25519");
    const knownHostsPath = join(folder, "known_hosts");
    await makeKey(privateKeyPath, "fleet");
    writeFileSync(knownHostsPath, "");
    const authorized_key = readFileSync(`${privateKeyPath}.pub`, "utf8");
    const sshCommand = sshCommandFor(privateKeyPath, knownHostsPath);
    const node = realpathSync(process.execPath);

    const boot = async ({ address }: AddressClaim, index: number): Promise<void> => {
      const identity = { name: `fleet${index + 1}`, address, port: await freeSshPort(address) };
      const hostFolder = join(folder, identity.name);
      mkdirSync(hostFolder);
      const root = mountOverlay(layers, hostFolder);
      const knownHost = await writeHostFiles(root, identity, authorized_key);
      writeFileSync(knownHostsPath, knownHost, { flag: "a" });
      await options.prepare?.(root, identity.name);
      const host = new FleetHost({
        ...identity,
        root,
        sshCommand,
        machine: machineName(id, identity.name),
        controlGroupName: join(id, identity.name),
        consolePath: join(hostFolder, "console"),
        binds: sharedHome === undefined ? [] : [shareHome(root, folder, sharedHome)],
        nodePath: withoutNode.includes(index + 1) ? undefined : node,
        bootArguments: () => options.bootArguments?.(root) ?? [],
      });
      hosts[index] = host;
      await host.start({ timeoutMs: bootTimeoutMs, ...(signal ? { signal } : {}) });
    };
    const limit = pLimit(bootConcurrency);
    const boots = claims.map((claim, index) => limit(() => boot(claim, index)));
    const failed = (await Promise.allSettled(boots)).find((result) => result.status === "rejected");
    if (failed) throw failed.reason;

    return {
      hosts,
      privateKeyPath,
      knownHostsPath,
      folder,
      times: { treeMs: treeReadyAt - startedAt, bootMs: Date.now() - treeReadyAt },
      inventoryYaml: (login = {}) => fleetInventory(hosts, { ...login, privateKeyPath, knownHostsPath }),
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Makes a user's home of the first host that asks the home on all, and gives what is bound where. */
function shareHome(root: string, folder: string, user: string): string {
  const shared = join(folder, `home-${user}`);
  const home = `/home/${user}`;
  if (!existsSync(shared)) cpSync(join(root, home), shared, { recursive: true, preserveTimestamps: true });
  const { uid, gid } = statSync(join(root, home));
  for (const name of ["", ...readdirSync(shared, { recursive: true, encoding: "utf8" })])
    chownSync(join(shared, name), uid, gid);
  return `${shared}:${home}`;
}

function sshCommandFor(privateKeyPath: string, knownHostsPath: string): readonly [string, ...string[]] {
  const settings = {
    IdentityFile: privateKeyPath,
    IdentitiesOnly: "yes",
    UserKnownHostsFile: knownHostsPath,
    StrictHostKeyChecking: "yes",
    BatchMode: "yes",
    ConnectTimeout: "10",
    LogLevel: "ERROR",
  };
  return [
    "ssh",
    "-F",
    "none",
    ...Object.entries(settings).flatMap(([key, value]) => ["-o", `${key}=${value}`]),
  ];
}
