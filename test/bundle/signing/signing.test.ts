import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { armorOf, bytesToSign, dearmor, withSignature } from "../../../src/bundle/signing/format.ts";
import { signBundle } from "../../../src/bundle/signing/sign.ts";
import { verifyBundle } from "../../../src/bundle/signing/verify.ts";
import { VERIFY_SCRIPT } from "../../../src/bundle/signing/verify-script.ts";
import { carryBundle } from "../../../src/controller/prepare/carry.ts";
import { makeProject, playbookText, scratchDirectory, TWO_FILES } from "../../e2e/lib/project.ts";
import { changed, changesOf, hasSshKeygen, type Keyring, makeKeyring } from "./lib.ts";

const scratch = scratchDirectory();

describe.skipIf(!hasSshKeygen)("with ssh-keygen (skipped: no ssh-keygen of OpenSSH here)", () => {
  let keys: Keyring;
  /** Signed by `alice`, whom `allowed` allows. */
  let file: Buffer;
  let unsigned: Buffer;
  let allowed: string;

  const verify = (bytes: Buffer, allowedSigners = allowed, identity?: string) =>
    verifyBundle(bytes, {
      name: "site.run",
      allowedSigners,
      ...(identity === undefined ? {} : { identity }),
    });

  const bundle = async (text: string, signingKey?: string): Promise<Buffer> => {
    const project = makeProject(scratch(), { "site.ts": text });
    const options = signingKey === undefined ? {} : { signingKey };
    return (await carryBundle({ playbook: "site.ts", cwd: project.directory, ...options })).bytes;
  };

  beforeAll(async () => {
    keys = makeKeyring(scratch());
    const alice = keys.make("alice");
    allowed = keys.allow(`alice@example.com namespaces="volley" ${keys.publicKey("alice")}`);
    file = await bundle(playbookText(TWO_FILES), alice);
    unsigned = await bundle(playbookText(TWO_FILES));
  });

  test("a signed bundle is verified, by any signer or by the one who is named", async () => {
    const signer = await verify(file);
    expect(signer).toEqual({
      identity: "alice@example.com",
      keyType: "ED25519",
      fingerprint: /SHA256:\S+/.exec(
        execFileSync("ssh-keygen", ["-lf", keys.path("alice")], { encoding: "utf8" }),
      )![0],
    });
    expect(await verify(file, allowed, "alice@example.com")).toEqual(signer);
    await expect(verify(file, allowed, "bob@example.com")).rejects.toThrow(
      "site.run is not signed by an allowed signer",
    );
    await expect(verify(file, allowed, "")).rejects.toMatchObject({ code: "USAGE" });
  });

  test("any zip reader opens a signed bundle", () => {
    const path = keys.path("zip.run");
    writeFileSync(path, file);
    const script =
      "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(z.namelist()); print(z.comment.decode())";
    const read = execFileSync("python3", ["-c", script, path], { encoding: "utf8" });
    expect(read).toContain("manifest.json");
    expect(read).toContain("\n-----BEGIN SSH SIGNATURE-----\n");
  });

  test("200 changes of one byte, in all its regions, are each refused", async () => {
    const changes = changesOf(file, 40, 20_261_130);
    expect(changes).toHaveLength(200);
    for (const change of changes)
      await expect(verify(changed(file, change)), JSON.stringify(change)).rejects.toMatchObject({
        code: "SIGNATURE_REFUSED",
      });
  }, 120_000);

  test("what is cut, lengthened, unsigned or signed by the signature of another is refused", async () => {
    await expect(verify(unsigned)).rejects.toThrow("site.run is not signed");
    for (const length of [0, 1, 10_000, file.length - 1, file.length - 30])
      await expect(verify(file.subarray(0, length)), `${length} bytes`).rejects.toMatchObject({
        code: "SIGNATURE_REFUSED",
      });
    for (const more of ["\n", "\0", "x", "exit\n"])
      await expect(verify(Buffer.concat([file, Buffer.from(more)]))).rejects.toMatchObject({
        code: "SIGNATURE_REFUSED",
      });
    await expect(verify(Buffer.concat([Buffer.from("\n"), file]))).rejects.toThrow("was changed");
    const other = await bundle(playbookText(TWO_FILES, TWO_FILES), keys.path("alice"));
    await expect(verify(other)).resolves.toMatchObject({ identity: "alice@example.com" });
    const moved = withSignature(bytesToSign(unsigned), dearmor(other.subarray(-600).toString("latin1"))!);
    await expect(verify(moved)).rejects.toThrow("site.run was changed after it was signed");
    // Both signatures, the older one last.
    await expect(verify(Buffer.concat([moved, file.subarray(-600)]))).rejects.toMatchObject({
      code: "SIGNATURE_REFUSED",
    });
  });

  test("a signature made for another purpose is refused", async () => {
    const signed = bytesToSign(unsigned);
    const made = execFileSync("ssh-keygen", ["-q", "-Y", "sign", "-f", keys.path("alice"), "-n", "git"], {
      input: signed,
      encoding: "latin1",
    });
    await expect(verify(withSignature(signed, dearmor(made)!))).rejects.toThrow(
      "site.run has a signature that was made for something else than Volley's bundles",
    );
  });

  const KINDS = [
    ["ecdsa", "-t", "ecdsa", "-b", "256"],
    ["ecdsa521", "-t", "ecdsa", "-b", "521"],
    ["rsa", "-t", "rsa", "-b", "3072"],
  ];
  test.each(KINDS)(
    "a key of the kind %s signs, whatever length its signatures have",
    async (name, ...args) => {
      const key = keys.make(name!, ...args);
      const signers = keys.allow(`ops@example.com ${keys.publicKey(name!)}`);
      for (let times = 0; times < (name === "rsa" ? 2 : 8); times++) {
        const signed = await signBundle(unsigned, key);
        await expect(verify(signed, signers)).resolves.toMatchObject({
          identity: "ops@example.com",
          keyType: name!.startsWith("ecdsa") ? "ECDSA" : "RSA",
        });
      }
      await expect(verify(await signBundle(unsigned, key))).rejects.toThrow(
        "site.run is not signed by an allowed signer",
      );
    },
  );

  test("a certificate signs for its principals, until it expires", async () => {
    keys.make("ca");
    keys.make("user");
    const signers = keys.allow(`*@example.com cert-authority ${keys.publicKey("ca")}`);
    const certify = (...args: readonly string[]): string => {
      execFileSync("ssh-keygen", ["-q", "-s", keys.path("ca"), "-I", "id", ...args, keys.path("user.pub")]);
      return keys.path("user-cert.pub");
    };
    const good = await signBundle(unsigned, certify("-n", "carol@example.com"));
    await expect(verify(good, signers)).resolves.toMatchObject({
      identity: "carol@example.com",
      keyType: "ED25519-CERT",
    });
    await expect(verify(good, signers, "dave@example.com")).rejects.toMatchObject({
      code: "SIGNATURE_REFUSED",
    });
    await expect(verify(good)).rejects.toThrow("site.run is not signed by an allowed signer");
    const expired = certify("-n", "carol@example.com", "-V", "20200101:20210101");
    const message = `cannot sign with ${expired}: the certificate expired at 2021-01-01T00:00:00`;
    const failure = { code: "SIGNING_FAILED", message, hint: expect.stringContaining("certified anew") };
    await expect(signBundle(unsigned, expired)).rejects.toMatchObject(failure);
    const args = ["-q", "-Y", "sign", "-f", expired, "-n", "volley"];
    const armor = execFileSync("ssh-keygen", args, { input: bytesToSign(unsigned), encoding: "utf8" });
    const late = withSignature(bytesToSign(unsigned), dearmor(armor)!);
    await expect(verify(late, signers)).rejects.toMatchObject({
      code: "SIGNATURE_REFUSED",
      message:
        "site.run is signed by a certificate that is not valid now, or names none of the allowed signers",
    });
  });

  test("a key that others can read does not sign", async () => {
    chmodSync(keys.make("open"), 0o644);
    await expect(signBundle(unsigned, keys.path("open"))).rejects.toMatchObject({
      code: "SIGNING_FAILED",
      message: expect.stringMatching(
        /^cannot sign with \S+open: Permissions 0644 for \S+open' are too open\.$/,
      ),
      hint: expect.stringMatching(/^chmod 600 \S+open$/),
    });
  });

  test("a key held by the agent alone signs", async () => {
    keys.make("held");
    const socket = keys.path("agent");
    const started = execFileSync("ssh-agent", ["-s", "-a", socket], { encoding: "utf8" });
    const pid = Number(/SSH_AGENT_PID=(\d+)/.exec(started)![1]);
    process.env.SSH_AUTH_SOCK = socket;
    try {
      execFileSync("ssh-add", ["-q", keys.path("held")], { stdio: "pipe" });
      execFileSync("rm", [keys.path("held")]);
      const signed = await signBundle(unsigned, keys.path("held.pub"));
      const signers = keys.allow(`held@example.com ${keys.publicKey("held")}`);
      await expect(verify(signed, signers)).resolves.toMatchObject({ identity: "held@example.com" });
    } finally {
      delete process.env.SSH_AUTH_SOCK;
      process.kill(pid);
    }
    await expect(signBundle(unsigned, keys.path("held.pub"))).rejects.toMatchObject({
      code: "SIGNING_FAILED",
    });
  });

  test("the options of allowed signers count: expired, not yet valid, other namespaces", async () => {
    const key = keys.publicKey("alice");
    const refused = (options: string, why: string): Promise<void> =>
      expect(verify(file, keys.allow(`alice@example.com ${options} ${key}`))).rejects.toThrow(why);
    await refused('valid-before="20200101"', "site.run is signed by a key or certificate that has expired");
    await refused(
      'valid-after="29990101"',
      "site.run is signed by a key or certificate that is not valid yet",
    );
    await refused(
      'namespaces="git,file"',
      "site.run is signed by a key that the allowed signers do not let sign bundles",
    );
    // A line that does not fit is not the last word.
    const second = keys.allow(`old@example.com valid-before="20200101" ${key}`, `new@example.com ${key}`);
    await expect(verify(file, second)).resolves.toMatchObject({ identity: "new@example.com" });
    const several = keys.allow(`one@example.com,two@example.com ${key}`);
    await expect(verify(file, several)).resolves.toMatchObject({ identity: "one@example.com" });
    await expect(verify(file, several, "two@example.com")).resolves.toMatchObject({
      identity: "two@example.com",
    });
    await refused(
      "novel-option",
      "site.run is not signed by an allowed signer, and ssh-keygen cannot read one",
    );
    await expect(verify(file, keys.allow("nonsense"))).rejects.toMatchObject({ code: "SIGNATURE_REFUSED" });
    await expect(verify(file, keys.path("none"))).rejects.toThrow(
      /cannot read the allowed signers .*no such/,
    );
    await expect(verify(file, keys.directory)).rejects.toMatchObject({ code: "USAGE" });
  });

  test.each([
    ["\r\n", "# the operators\r\n\r\nalice@example.com KEY\r\n", "alice@example.com"],
    ["blanks and comments", "  # alice\n\n\talice@example.com\tKEY # her own", "alice@example.com"],
    ["a pattern", "*@example.com KEY\n", "*@example.com"],
    ["a quoted name", '"ops team" KEY\n', "ops team"],
    ["a line that is none", "nonsense\nalice@example.com KEY\n", "alice@example.com"],
    ["a byte order mark", "\ufeffalice@example.com KEY\n", "\ufeffalice@example.com"],
  ])("a file of allowed signers with %s, here and by the script", async (_, text, identity) => {
    const signers = keys.path("signers");
    const [type, blob] = keys.publicKey("alice").split(" ");
    writeFileSync(signers, text.replace("KEY", `${type} ${blob}`));
    await expect(verify(file, signers)).resolves.toMatchObject({ identity });
    writeFileSync(keys.path("site.run"), file);
    const said = execFileSync("sh", ["-s", keys.path("site.run"), signers], {
      encoding: "utf8",
      input: VERIFY_SCRIPT,
    });
    expect(said).toContain(`signed by ${identity} with ED25519`);
  });

  test("keys that cannot sign: one line each that says why", async () => {
    await expect(signBundle(unsigned, keys.path("nothing"))).rejects.toMatchObject({ code: "USAGE" });
    writeFileSync(keys.path("garbage"), "no key\n");
    await expect(signBundle(unsigned, keys.path("garbage"))).rejects.toThrow(
      /cannot sign with .*garbage: .+/,
    );
    // A public key whose private half is nowhere.
    keys.make("halved");
    execFileSync("rm", [keys.path("halved")]);
    await expect(signBundle(unsigned, keys.path("halved.pub"))).rejects.toMatchObject({
      code: "SIGNING_FAILED",
      hint: expect.stringContaining("ssh-add"),
    });
    await expect(signBundle(file, keys.path("alice"))).rejects.toThrow("no signature yet");
  });

  test("without ssh-keygen there is no signature and no proof", async () => {
    const { PATH } = process.env;
    process.env.PATH = keys.directory;
    try {
      await expect(verify(file)).rejects.toThrow("ssh-keygen is missing here");
      await expect(signBundle(unsigned, keys.path("alice"))).rejects.toThrow("ssh-keygen is missing here");
    } finally {
      process.env.PATH = PATH;
    }
  });

  test("a signature that OpenSSH takes, but that has been written anew by another, is refused", async () => {
    const armor = file.subarray(-600).toString("latin1");
    const blob = dearmor(armor)!;
    const older = Buffer.from(blob);
    older[9] = 0;
    const path = join(keys.directory, "older.sig");
    writeFileSync(path, armorOf(older));
    const args = ["-Y", "check-novalidate", "-n", "volley", "-s", path];
    const input = bytesToSign(
      Buffer.concat([file.subarray(0, file.lastIndexOf("\n-----BEGIN") - 2), Buffer.alloc(2)]),
    );
    // OpenSSH accepts version 0; where that changes, this test has lost its reason.
    expect(spawnSync("ssh-keygen", args, { input }).status).toBe(0);
    await expect(verify(withSignature(input, older))).rejects.toThrow("damaged signature");
  });
});
