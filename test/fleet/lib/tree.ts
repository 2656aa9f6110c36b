import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, cp, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { waitForAddress } from "./address.ts";
import { runOrThrow } from "./command.ts";
import { type MachineApt, readMachineApt } from "./machine.ts";
import { mountOverlay, removeMountsAndFolder } from "./overlay.ts";
import { hostFiles, hostPackages, hostScript } from "./recipe.ts";

/** An address that no host has. The process that claims it builds the tree. */
const buildAddress = "127.10.255.254";

/** Where trees are kept between runs, unless `VOLLEY_FLEET_CACHE` says otherwise. */
const defaultCacheFolder = "/var/cache/volley-fleet";

const unfinishedMark = ".unfinished-";

/** Runs a command with processes and mounts of its own: all end with it, and it with this process. */
const contained = [
  "setpriv",
  "--pdeathsig=KILL",
  "unshare",
  "--pid",
  "--fork",
  "--kill-child",
  "--mount-proc",
] as const;

/** The environment of programs in a tree. */
const inTree = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  DEBIAN_FRONTEND: "noninteractive",
  LC_ALL: "C.UTF-8",
};

/**
 * The Debian tree all hosts share read-only, made with debootstrap on first use and kept in the cache under
 * the hash of all that goes into it. Several processes may ask at once: one builds, the others wait.
 */
export async function ensureTree(signal?: AbortSignal): Promise<string> {
  const apt = await readMachineApt(signal);
  const cache = process.env.VOLLEY_FLEET_CACHE ?? defaultCacheFolder;
  const ingredients = JSON.stringify([apt, hostPackages, hostFiles, hostScript, process.arch]);
  const hash = createHash("sha256").update(ingredients).digest("hex").slice(0, 12);
  const tree = join(cache, `${apt.suite}-${hash}`);

  if (await exists(tree)) return tree;
  const claim = await waitForAddress(buildAddress, signal);
  try {
    if (!(await exists(tree))) await buildTree(tree, apt, signal);
  } finally {
    claim.release();
  }
  return tree;
}

async function buildTree(tree: string, apt: MachineApt, signal?: AbortSignal): Promise<void> {
  const startedAt = Date.now();
  const options = signal ? { signal } : {};
  await mkdir(dirname(tree), { recursive: true, mode: 0o755 });
  await removeUnfinished(dirname(tree));
  const unfinished = await mkdtemp(`${tree}${unfinishedMark}`);
  console.log(`Fleet: making ${tree} with debootstrap, once; this takes a minute or two`);
  try {
    // debootstrap makes the root of the new system, and that must be readable by every user of it.
    await chmod(unfinished, 0o755);
    await runOrThrow(
      [
        ...contained,
        "debootstrap",
        "--variant=minbase",
        `--include=${hostPackages.join(",")}`,
        apt.suite,
        unfinished,
        apt.mirror,
      ],
      options,
    );
    await copyMachineConfig(unfinished, apt);
    for (const [path, { text, mode }] of Object.entries(hostFiles)) {
      await writeFile(join(unfinished, path), text);
      await chmod(join(unfinished, path), mode);
    }
    await runOrThrow([...contained, "chroot", unfinished, "/bin/sh"], {
      ...options,
      input: hostScript,
      env: inTree,
    });
    await rename(unfinished, tree);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  console.log(`Fleet: made it in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
}

/**
 * The layer of some more packages, to be put between the tree and a host's own layer: made on first use, and kept like the
 * tree. Their services start with the host.
 */
export async function ensureLayer(
  tree: string,
  packages: readonly string[],
  signal?: AbortSignal,
): Promise<string> {
  const layer = `${tree}+${packages.toSorted().join("+")}`;
  if (await exists(layer)) return layer;
  const claim = await waitForAddress(buildAddress, signal);
  try {
    if (!(await exists(layer))) await buildLayer(layer, tree, packages, signal);
  } finally {
    claim.release();
  }
  return layer;
}

async function buildLayer(
  layer: string,
  tree: string,
  packages: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  await removeUnfinished(dirname(layer));
  const folder = await mkdtemp(`${layer}${unfinishedMark}`);
  try {
    const root = mountOverlay([tree], folder);
    await runOrThrow([...contained, "chroot", root, "/bin/sh"], {
      ...(signal ? { signal } : {}),
      input: `set -eu
apt-get -qq update
apt-get -qq -y --no-install-recommends install ${packages.join(" ")}
apt-get clean
`,
      env: inTree,
    });
    execFileSync("umount", [root]);
    await rename(join(folder, "upper"), layer);
  } finally {
    removeMountsAndFolder(folder);
  }
}

/** Remove what builds that were killed left; only the holder of the build address may. */
async function removeUnfinished(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (name.includes(unfinishedMark)) await rm(join(cache, name), { recursive: true, force: true });
  }
}

async function copyMachineConfig(tree: string, apt: MachineApt): Promise<void> {
  const sources = apt.sources.map(({ uri, release, component }) => `deb ${uri} ${release} ${component}\n`);
  await writeFile(join(tree, "etc/apt/sources.list"), sources.join(""));
  await writeFile(join(tree, "etc/apt/apt.conf.d/90machine"), apt.acquireConfig);
  for (const folder of ["etc/apt/trusted.gpg.d", "etc/apt/auth.conf.d", "usr/local/share/ca-certificates"]) {
    if (await exists(`/${folder}`)) {
      await cp(`/${folder}`, join(tree, folder), { recursive: true, force: false });
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
