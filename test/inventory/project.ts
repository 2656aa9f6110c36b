import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { formatLocation, isVolleyError } from "../../src/core/errors.ts";
import type { Inventory } from "../../src/core/inventory.ts";
import { type LoadInventoryOptions, loadInventory } from "../../src/inventory/load.ts";

/** Files of a project, by path; those that begin with `#!` are made executable. */
export type Files = Readonly<Record<string, string>>;

/** Writes files into a new directory that is removed after the test, and gives its path. */
export async function project(files: Files): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "volley-inventory-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    const file = join(directory, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    if (text.startsWith("#!")) await chmod(file, 0o755);
  }
  return directory;
}

/** Imports a JavaScript inventory as Node does. */
export async function loadModule(file: string): Promise<unknown> {
  return ((await import(/* @vite-ignore */ file)) as { default?: unknown }).default;
}

/** Loads inventories from files written for the test; `paths` defaults to the first file. */
export async function load(
  files: Files,
  paths: readonly string[] = Object.keys(files).slice(0, 1),
  options: Partial<LoadInventoryOptions> = {},
): Promise<Inventory> {
  return loadInventory(paths, { cwd: await project(files), loadModule, ...options });
}

/** Return the text of a failure: `CODE file:line:column message`. */
export async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (thrown) {
    if (!isVolleyError(thrown)) throw thrown;
    const place = thrown.location === undefined ? "" : `${formatLocation(thrown.location)} `;
    return `${thrown.code} ${place}${thrown.message}`;
  }
  throw new Error("it did not fail");
}

/** Vars of a host. */
export function varsOf(inventory: Inventory, host: string): Readonly<Record<string, unknown>> {
  const found = inventory.hosts.get(host);
  if (found === undefined) throw new Error(`there is no host ${host}`);
  return found.vars;
}

/** The hosts of each group that has any. */
export function groupsOf(inventory: Inventory): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(
    [...inventory.groups.values()]
      .filter(({ hosts }) => hosts.length > 0)
      .map(({ name, hosts }) => [name, hosts]),
  );
}
