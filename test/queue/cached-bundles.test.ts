import { createHash } from "node:crypto";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { cachedBundles } from "../../src/queue/bundles/cached.ts";

const base = mkdtempSync(join(tmpdir(), "volley-cached-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

let directories = 0;
const newDirectory = (): string => join(base, `${++directories}`);
const bundle = (number: number): Buffer => Buffer.from(`bundle ${number}`);
const idOf = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** A store of the bundles 0 to 99, and the ids that it was asked for. */
function openStore() {
  const asked: string[] = [];
  const all = new Map(Array.from({ length: 100 }, (_, number) => [idOf(bundle(number)), bundle(number)]));
  return {
    asked,
    get: async (id: string): Promise<Buffer> => {
      asked.push(id);
      const found = all.get(id);
      if (found === undefined) throw new Error("not there");
      return found;
    },
  };
}

test("a bundle is fetched once, by calls at the same time, later ones and other processes", async () => {
  const [store, directory] = [openStore(), newDirectory()];
  const cache = cachedBundles(store, directory);
  const id = idOf(bundle(1));
  const got = await Promise.all([cache.get(id), cache.get(id), cache.get(id)]);
  got.push(await cache.get(id), await cachedBundles(store, directory).get(id));
  expect(got.map(String)).toEqual(Array.from({ length: 5 }, () => "bundle 1"));
  expect(store.asked).toEqual([id]);
  expect(readdirSync(directory)).toEqual([`${id}.run`]);
  expect(statSync(join(directory, `${id}.run`)).mode & 0o777).toBe(0o600);
});

test("a file that was changed is fetched anew", async () => {
  const [store, directory] = [openStore(), newDirectory()];
  const cache = cachedBundles(store, directory);
  const id = idOf(bundle(1));
  const path = join(directory, `${id}.run`);
  await cache.get(id);
  for (const wrong of ["", "bundle 2", "bundle 1 and more"]) {
    writeFileSync(path, wrong);
    expect(String(await cache.get(id))).toBe("bundle 1");
    expect(readFileSync(path, "utf8")).toBe("bundle 1");
  }
  expect(store.asked).toHaveLength(4);
});

test("the 20 bundles that were used last are kept", async () => {
  const [store, directory] = [openStore(), newDirectory()];
  const cache = cachedBundles(store, directory);
  for (let number = 0; number < 20; number++) {
    await cache.get(idOf(bundle(number)));
    // Used one after the other, a minute apart.
    const time = new Date(Date.now() - (60 - number) * 60_000);
    utimesSync(join(directory, `${idOf(bundle(number))}.run`), time, time);
  }
  await cache.get(idOf(bundle(0)));
  for (const number of [20, 21, 22]) await cache.get(idOf(bundle(number)));
  const kept = [0, ...Array.from({ length: 19 }, (_, index) => index + 4)];
  expect(readdirSync(directory).sort()).toEqual(kept.map((number) => `${idOf(bundle(number))}.run`).sort());
});

test("a store's failure is the caller's, and is not kept", async () => {
  const [store, directory] = [openStore(), newDirectory()];
  const cache = cachedBundles(store, directory);
  for (const id of ["f".repeat(64), "../etc/passwd"]) {
    await expect(cache.get(id)).rejects.toThrow("not there");
    await expect(cache.get(id)).rejects.toThrow("not there");
  }
  expect(store.asked).toHaveLength(4);
});

test("without a directory of its own, bundles come from the store", async () => {
  const [store, directory] = [openStore(), newDirectory()];
  const cache = cachedBundles(store, directory);
  const id = idOf(bundle(1));
  await cache.get(id);
  // Others could write there.
  chmodSync(directory, 0o777);
  expect(String(await cache.get(id))).toBe("bundle 1");
  expect(String(await cachedBundles(store, "/proc/none/bundles").get(id))).toBe("bundle 1");
  expect(store.asked).toHaveLength(3);
});
