import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, it } from "vitest";
import { openssh_keypair } from "../../../src/actions/access/openssh-keypair.ts";
import { createLocalSystem } from "../../../src/system/local/local-system.ts";
import { makeSandbox, pass } from "../harness.ts";

const hasKeygen = ((): boolean => {
  try {
    execFileSync("ssh-keygen", ["-?"], { stdio: "ignore" });
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code !== "ENOENT";
  }
})();

let directory: string;
const system = createLocalSystem();
const act = (call: ReturnType<typeof openssh_keypair>, check = false) => {
  using sandbox = makeSandbox();
  return pass(call, system, { ...sandbox.context(), check });
};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-keys-"));
  return () => rmSync(directory, { recursive: true });
});
afterAll(() => system.close());

it.runIf(hasKeygen)("makes a pair once, anew where the type differs, and removes it", async () => {
  const path = join(directory, "id");
  const make = openssh_keypair({ path, type: "ed25519", comment: "a b" });
  expect((await act(make, true)).state).toBe("changed");
  expect(existsSync(path)).toBe(false);
  expect((await act(make)).state).toBe("changed");
  const first = readFileSync(`${path}.pub`, "utf8");
  expect(first).toMatch(/^ssh-ed25519 \S+ a b\n$/);
  expect((await act(make)).state).toBe("unchanged");
  const made = await act(openssh_keypair({ path, type: "ecdsa", comment: "c" }));
  expect(made.state).toBe("changed");
  expect(made.data).toMatchObject({ filename: path, type: "ecdsa", size: 256, comment: "c" });
  expect(readFileSync(`${path}.pub`, "utf8")).not.toBe(first);
  const remove = openssh_keypair({ path, state: "absent" });
  expect((await act(remove)).state).toBe("changed");
  expect(existsSync(path) || existsSync(`${path}.pub`)).toBe(false);
  expect((await act(remove)).state).toBe("unchanged");
});

it.runIf(hasKeygen)("refuses to replace a pair where it may not", async () => {
  const path = join(directory, "id");
  expect((await act(openssh_keypair({ path, type: "ed25519" }))).data).toMatchObject({ comment: "" });
  expect((await act(openssh_keypair({ path, type: "ed25519", comment: "" }))).state).toBe("unchanged");
  const refused = openssh_keypair({ path, type: "ecdsa", regenerate: "fail" });
  await expect(act(refused)).rejects.toThrow(/set regenerate or force/);
});

it.runIf(hasKeygen)("gives both files their mode, and puts the public key back", async () => {
  const path = join(directory, "id");
  const modes = () => [path, `${path}.pub`].map((file) => (statSync(file).mode & 0o777).toString(8));
  const make = openssh_keypair({ path, type: "ed25519", mode: "0400" });
  expect((await act(make)).state).toBe("changed");
  expect(modes()).toEqual(["400", "400"]);
  expect((await act(make)).state).toBe("unchanged");
  const key = readFileSync(path, "utf8");
  const other = openssh_keypair({ path, type: "ed25519", mode: "0600" });
  expect((await act(other, true)).state).toBe("changed");
  expect(modes()).toEqual(["400", "400"]);
  expect((await act(other)).state).toBe("changed");
  expect(modes()).toEqual(["600", "600"]);
  const shown = readFileSync(`${path}.pub`, "utf8").trim();
  for (const text of [null, "ssh-ed25519 AAAA other\n"]) {
    if (text === null) rmSync(`${path}.pub`);
    else writeFileSync(`${path}.pub`, text);
    expect((await act(other)).state).toBe("changed");
    expect(readFileSync(`${path}.pub`, "utf8").trim()).toBe(shown);
    expect((await act(other)).state).toBe("unchanged");
  }
  expect(readFileSync(path, "utf8")).toBe(key);
});

it.runIf(hasKeygen)("finds a path with a variable of the environment", async () => {
  using sandbox = makeSandbox();
  const context = sandbox.context();
  const env = { KEYS: directory };
  const make = openssh_keypair({ path: "$KEYS/id", type: "ed25519" });
  const done = await pass(make, system, { ...context, facts: { ...context.facts, env } });
  expect(done.data).toMatchObject({ filename: join(directory, "id") });
  expect(existsSync(join(directory, "id.pub"))).toBe(true);
});
