import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { signBundle } from "../../../src/bundle/signing/sign.ts";
import { VERIFY_SCRIPT } from "../../../src/bundle/signing/verify-script.ts";
import { carryBundle } from "../../../src/controller/prepare/carry.ts";
import { makeProject, playbookText, scratchDirectory, TWO_FILES } from "../../e2e/lib/project.ts";
import { changed, changesOf, hasSshKeygen, type Keyring, makeKeyring } from "./lib.ts";

const scratch = scratchDirectory();

/** The shells here that may be a host's `sh`, with the tools that belong to them. */
const SHELLS = ["dash", "bash", "busybox"].filter(
  (name) => spawnSync(name, ["--help"], { stdio: "ignore" }).error === undefined,
);

describe.skipIf(!hasSshKeygen)("with ssh-keygen (skipped: no ssh-keygen of OpenSSH here)", () => {
  let keys: Keyring;
  let file: Buffer;
  let path: string;
  let script: string;
  let allowed: string;
  let directory: string;

  const run = (
    args: readonly string[],
    {
      shell = "sh",
      env = {},
    }: { readonly shell?: string; readonly env?: Readonly<Record<string, string>> } = {},
  ): SpawnSyncReturns<string> =>
    spawnSync(shell, [...(shell === "busybox" ? ["sh"] : []), ...args], {
      cwd: directory,
      encoding: "utf8",
      env: { PATH: shell === "busybox" ? onlyBusybox() : process.env.PATH!, HOME: directory, ...env },
    });

  const said = /^site\.run: signed by alice@example\.com with ED25519 key SHA256:\S+\n$/;

  /** The PATH of a host that has the tools of busybox and no others. */
  const onlyBusybox = (): string => {
    const tools = join(directory, "busybox");
    mkdirSync(tools, { recursive: true });
    const where = (name: string): string =>
      spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).stdout.trim();
    for (const name of [
      "busybox",
      "head",
      "tail",
      "tr",
      "fold",
      "wc",
      "od",
      "expr",
      "id",
      "find",
      "readlink",
      "false",
    ])
      if (!existsSync(join(tools, name))) symlinkSync(where("busybox"), join(tools, name));
    if (!existsSync(join(tools, "ssh-keygen"))) symlinkSync(where("ssh-keygen"), join(tools, "ssh-keygen"));
    return tools;
  };

  beforeAll(async () => {
    keys = makeKeyring(scratch());
    directory = realpathSync(scratch());
    const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
    const signingKey = keys.make("alice");
    file = (await carryBundle({ playbook: "site.ts", cwd: project.directory, signingKey })).bytes;
    path = join(directory, "site.run");
    writeFileSync(path, file);
    script = join(directory, "verify.sh");
    writeFileSync(script, VERIFY_SCRIPT);
    allowed = join(directory, "allowed");
    writeFileSync(
      allowed,
      `old@example.com valid-before="20200101" ${keys.publicKey("alice")}\nalice@example.com ${keys.publicKey("alice")}\n`,
    );
  });

  test.each(SHELLS)("a signed bundle is verified from outside, and by its own prelude, in %s", (shell) => {
    for (const args of [
      [script, "site.run", "allowed"],
      [script, "site.run", "allowed", "alice@example.com"],
      ["site.run", "--verify", "allowed"],
      ["site.run", "--verify=allowed", "--signer=alice@example.com"],
      ["site.run", "--signer", "alice@example.com", "--verify", "allowed"],
    ]) {
      const { status, stdout, stderr } = run(args, { shell });
      expect({ status, stderr }, args.join(" ")).toEqual({ status: 0, stderr: "" });
      expect(stdout).toMatch(said);
    }
  });

  test("keys whose armor ends in any way are verified in every shell", async () => {
    const unsigned = (
      await carryBundle({
        playbook: "site.ts",
        cwd: makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) }).directory,
      })
    ).bytes;
    for (const [name, ...args] of [
      ["ecdsa", "-t", "ecdsa", "-b", "256"],
      ["ecdsa384", "-t", "ecdsa", "-b", "384"],
      ["ecdsa521", "-t", "ecdsa", "-b", "521"],
      ["rsa", "-t", "rsa", "-b", "3072"],
    ] as const) {
      const key = keys.make(name, ...args);
      writeFileSync(join(directory, "ops"), `ops@example.com ${keys.publicKey(name)}\n`);
      const other = join(directory, "other.run");
      writeFileSync(other, await signBundle(unsigned, key));
      for (const shell of SHELLS)
        expect(run([script, other, "ops"], { shell }), `${name} in ${shell}`).toMatchObject({
          status: 0,
          stderr: "",
        });
    }
    writeFileSync(join(directory, "unsigned.run"), unsigned);
    for (const shell of SHELLS)
      expect(run([script, "unsigned.run", "allowed"], { shell }), shell).toMatchObject({
        status: 1,
        stdout: "",
        stderr: "volley: unsigned.run is not signed\n",
      });
  });

  test("changes of one byte are each refused, from outside and by the prelude itself", () => {
    const other = join(directory, "changed.run");
    for (const [index, change] of changesOf(file, 8, 11).entries()) {
      writeFileSync(other, changed(file, change));
      const what = JSON.stringify(change);
      const { status, stdout, stderr } = run([script, other, "allowed"]);
      expect({ status, stdout }, what).toEqual({ status: 1, stdout: "" });
      expect(stderr, what).toMatch(/^volley: .*changed\.run (is not signed|was changed|has a damaged).*\n$/);
      expect(run([other, "--verify", "allowed"]).status, what).not.toBe(0);
      if (index % 4 === 0)
        expect(run([other, "--list", "--require-signature", "allowed"]).status, what).not.toBe(0);
    }
  }, 120_000);

  test("changed armor that means the same is refused", () => {
    const other = join(directory, "armor.run");
    const at = file.lastIndexOf("U1NIU0lHAAAAAQ");
    for (const [offset, text] of [
      // Version 0 of the format, which OpenSSH takes for version 1.
      [at + 13, "A"],
      [at + 12, "B"],
      [file.length - 1, " "],
      [at + 70, "\r"],
    ] as const) {
      const copy = Buffer.from(file);
      copy.write(text, offset, "latin1");
      writeFileSync(other, copy);
      expect(run([script, other, "allowed"]), `${offset}`).toMatchObject({ status: 1, stdout: "" });
    }
    // Padding that is no part of the text, with the length that fits.
    const longer = Buffer.concat([file, Buffer.from("\n")]);
    const armorAt = file.lastIndexOf("\n-----BEGIN");
    longer.writeUInt16LE(longer.length - armorAt, armorAt - 2);
    writeFileSync(other, longer);
    expect(run([script, other, "allowed"])).toMatchObject({ status: 1, stdout: "" });
  });

  test("--require-signature goes on with the other arguments, once it is proved who signed", () => {
    const listed = run(["site.run", "--list", "--require-signature", "allowed"]);
    expect(listed).toMatchObject({ status: 0, stderr: "" });
    expect(listed.stdout).toMatch(/^site\.run: signed by alice@example\.com .*\nsite\.ts\n/);
    const help = run(["site.run", "--signer", "alice@example.com", "--require-signature=allowed", "-h"]);
    expect(help.stdout).toContain("Usage: sh FILE");
    expect(run(["site.run", "--list"]).stdout).toMatch(/^site\.ts\n/);
    for (const [args, why] of [
      [["--require-signature", "nowhere", "--list"], "cannot read the allowed signers nowhere"],
      [["--require-signature", "", "--list"], "cannot read the allowed signers "],
      [["--list", "--require-signature"], "--require-signature needs a value"],
      [["--list", "--require-signature", "allowed", "--signer", ""], "--signer needs an identity"],
      [["--list", "--signer", "alice@example.com"], "--signer goes with --verify or --require-signature"],
      [
        ["--list", "--require-signature", "allowed", "--signer", "bob@example.com"],
        "site.run is not signed by an allowed signer",
      ],
    ] as const) {
      const stderr = `volley: ${why}\n`;
      expect(run(["site.run", ...args]), args.join(" ")).toMatchObject({ status: 1, stdout: "", stderr });
    }
  });

  test("nothing is started that others could exchange between the proof and the start", () => {
    const open = join(directory, "open");
    mkdirSync(open);
    chmodSync(open, 0o777);
    const there = join(open, "site.run");
    writeFileSync(there, file);
    symlinkSync(path, join(directory, "link.run"));
    const sticky = join(directory, "sticky");
    mkdirSync(sticky);
    chmodSync(sticky, 0o1777);
    writeFileSync(join(sticky, "site.run"), file);
    for (const start of [
      (name: string) => run([name, "--list", "--require-signature", allowed]),
      (name: string) => run([script, "--run", name, allowed, "", "--list"]),
      (name: string) => run([script, "--run", name, allowed, "alice@example.com", "--list"]),
    ]) {
      expect(start(path).stdout).toMatch(/signed by alice[^\n]*\nsite\.ts\n/);
      expect(start(join(sticky, "site.run")).status).toBe(0);
      expect(start(there)).toMatchObject({ status: 1 });
      expect(start(there).stderr).toBe(
        `volley: others than root and you can write to ${open}, and so exchange ${there}\n`,
      );
      expect(start(there).stdout).not.toContain("site.ts");
      const linked = start(join(directory, "link.run"));
      expect(linked.stderr).toContain(`link.run is reached by a link: name it ${path}`);
      expect(linked.stdout).not.toContain("site.ts");
      chmodSync(allowed, 0o666);
      expect(start(path).stderr).toContain(`can write to ${allowed}`);
      chmodSync(allowed, 0o644);
    }
    // Only a look at the signature is possible anywhere.
    expect(run([script, there, allowed]).status).toBe(0);
  });

  test("without ssh-keygen, or with one that is too old, nothing is verified", () => {
    const tools = join(directory, "tools");
    mkdirSync(tools);
    const need = ["sh", "head", "tail", "tr", "fold", "wc", "od", "expr", "id", "find", "readlink", "false"];
    const link = (
      name: string,
      target = spawnSync("sh", ["-c", `command -v ${name}`])
        .stdout.toString()
        .trim(),
    ) => symlinkSync(target, join(tools, name));
    for (const name of need) if (name !== "fold") link(name);
    const env = { PATH: tools };
    const missing = run([script, "site.run", "allowed"], { shell: "/bin/sh", env });
    expect(missing).toMatchObject({ status: 1, stdout: "" });
    expect(missing.stderr).toMatch(/^volley: site\.run cannot be verified: ssh-keygen is missing here .*\n$/);
    // The words of OpenSSH 8.1 and 7.9.
    for (const words of ['Unsupported operation for -Y: "find-principals"', "unknown option -- Y"]) {
      writeFileSync(join(tools, "ssh-keygen"), `#!/bin/sh\necho '${words}' >&2\nexit 1\n`, { mode: 0o755 });
      const stderr = "volley: site.run cannot be verified: fold is missing here\n";
      if (words.startsWith("Un"))
        expect(run([script, "site.run", "allowed"], { shell: "/bin/sh", env })).toMatchObject({
          status: 1,
          stderr,
        });
      if (words.startsWith("Un")) link("fold");
      expect(run([script, "site.run", "allowed"], { shell: "/bin/sh", env })).toMatchObject({
        status: 1,
        stdout: "",
        stderr:
          "volley: site.run cannot be verified: this ssh-keygen is too old, OpenSSH 8.2 or newer is needed\n",
      });
    }
  });
});
