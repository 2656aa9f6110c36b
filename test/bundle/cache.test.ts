import { chmodSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it, vi } from "vitest";
import { openSlot } from "../../src/bundle/cache.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-cache-"));
  vi.stubEnv("XDG_CACHE_HOME", directory);
  return () => {
    vi.unstubAllEnvs();
    rmSync(directory, { recursive: true, force: true });
  };
});

const slotDirectory = (): string => {
  const builds = join(directory, "volley/builds");
  return join(builds, readdirSync(builds)[0]!);
};

it("gives what was written", () => {
  const slot = openSlot("site.ts");
  slot.write("state.json", '{"id":1}');
  expect(slot.readJson("state.json")).toEqual({ id: 1 });
});

it("does not take for a build what another account may have written", () => {
  const slot = openSlot("site.ts");
  slot.write("bundle.run", "whole");
  const file = join(slotDirectory(), "bundle.run");
  chmodSync(file, 0o666);
  expect(slot.readBytes("bundle.run")).toBeUndefined();
  chmodSync(file, 0o600);
  chmodSync(slotDirectory(), 0o777);
  expect(slot.readBytes("bundle.run")).toBeUndefined();
  chmodSync(slotDirectory(), 0o700);
  expect(slot.readBytes("bundle.run")?.toString()).toBe("whole");
  renameSync(file, join(directory, "elsewhere"));
  symlinkSync(join(directory, "elsewhere"), file);
  expect(slot.readBytes("bundle.run")).toBeUndefined();
});

it("writes nothing where others may write", () => {
  const slot = openSlot("site.ts");
  slot.write("bundle.run", "whole");
  chmodSync(slotDirectory(), 0o777);
  slot.write("other", "x");
  expect(readdirSync(slotDirectory())).toEqual(["bundle.run"]);
});
