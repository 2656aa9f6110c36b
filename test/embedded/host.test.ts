import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ssh2 from "ssh2";
import { expect, test } from "vitest";
import { fingerprint, generateKey } from "../../src/embedded/host.ts";

const { parseKey } = ssh2.utils;
const hasKeygen = spawnSync("ssh-keygen", ["-?"]).error === undefined;

test("generates keys that sign and verify, whatever their bytes", () => {
  // A zero at the beginning of a public key, in one of 256, is easily lost.
  for (let count = 0; count < 1000; count += 1) {
    const pair = generateKey("a comment");
    const [privateKey, publicKey] = [parseKey(pair.privateKey), parseKey(pair.publicKey)];
    if (privateKey instanceof Error || publicKey instanceof Error) throw new Error(pair.publicKey);
    expect(publicKey.verify("data", privateKey.sign("data"))).toBe(true);
    expect(privateKey.getPublicSSH().equals(publicKey.getPublicSSH())).toBe(true);
    expect(publicKey.getPublicSSH().length).toBe(51);
  }
});

test.skipIf(!hasKeygen)("generates keys that ssh-keygen understands", () => {
  const directory = mkdtempSync(join(tmpdir(), "volley-keys-"));
  const file = join(directory, "key");
  for (const comment of ["", "c", "cc", "ccc", "cccc", "ccccc", "cccccc", "ccccccc"]) {
    const pair = generateKey(comment);
    writeFileSync(file, pair.privateKey, { mode: 0o600 });
    const { stdout } = spawnSync("ssh-keygen", ["-y", "-f", file], { encoding: "utf8" });
    expect(stdout.trim()).toBe(pair.publicKey.trim());
    const listed = spawnSync("ssh-keygen", ["-l", "-f", file], { encoding: "utf8" });
    expect(listed.stdout).toContain(` ${fingerprint(pair.publicKey)} `);
  }
  rmSync(directory, { recursive: true });
});
