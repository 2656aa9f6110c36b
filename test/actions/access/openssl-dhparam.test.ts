import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, it } from "vitest";
import { openssl_dhparam } from "../../../src/actions/access/openssl-dhparam.ts";
import { createLocalSystem } from "../../../src/system/local/local-system.ts";
import { makeSandbox, pass } from "../harness.ts";

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

let directory: string;
const system = createLocalSystem();
const act = (call: ReturnType<typeof openssl_dhparam>, check = false) => {
  using sandbox = makeSandbox();
  return pass(call, system, { ...sandbox.context(), check });
};
const bitsOf = (path: string) =>
  /\((\d+) bit\)/.exec(String(spawnSync("openssl", ["dhparam", "-text", "-noout", "-in", path]).stdout))?.[1];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-dh-"));
  return () => rmSync(directory, { recursive: true });
});
afterAll(() => system.close());

it.runIf(hasOpenssl)("makes parameters once, anew for another size, and removes them", async () => {
  const path = join(directory, "dh.pem");
  const make = openssl_dhparam({ path, size: 512, mode: "0640", return_content: true });
  expect((await act(make, true)).state).toBe("changed");
  expect(existsSync(path)).toBe(false);
  const made = await act(make);
  const text = readFileSync(path, "utf8");
  expect(made).toMatchObject({ state: "changed", data: { filename: path, size: 512, dhparams: text } });
  expect([bitsOf(path), statSync(path).mode & 0o777]).toEqual(["512", 0o640]);
  expect(await act(make)).toMatchObject({ state: "unchanged", data: { size: 512, dhparams: text } });
  const other = await act(openssl_dhparam({ path, size: 520, backup: true }));
  expect(other.state).toBe("changed");
  expect([bitsOf(path), statSync(path).mode & 0o777]).toEqual(["520", 0o640]);
  expect(readFileSync(String(other.data?.backup_file), "utf8")).toBe(text);
  expect((await act(openssl_dhparam({ path, size: 520, mode: "0600" }))).state).toBe("changed");
  expect([bitsOf(path), statSync(path).mode & 0o777]).toEqual(["520", 0o600]);
  const remove = openssl_dhparam({ path, state: "absent", backup: true });
  expect((await act(remove)).state).toBe("changed");
  expect(existsSync(path)).toBe(false);
  // The names of backups are those of seconds: two of one second are one.
  expect(readdirSync(directory).filter((name) => name.startsWith("dh.pem.")).length).toBeGreaterThan(0);
  expect((await act(remove)).state).toBe("unchanged");
});

it.runIf(hasOpenssl)("replaces what is no parameters, and where it is forced to", async () => {
  const path = join(directory, "dh.pem");
  writeFileSync(path, "other\n");
  expect((await act(openssl_dhparam({ path, size: 512 }))).state).toBe("changed");
  const before = readFileSync(path, "utf8");
  expect((await act(openssl_dhparam({ path, size: 512, force: true }))).state).toBe("changed");
  expect(readFileSync(path, "utf8")).not.toBe(before);
  const lost = openssl_dhparam({ path: join(directory, "no/dh.pem"), size: 512 });
  await expect(act(lost)).rejects.toThrow(/no does not exist/);
});
