import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { authorized_key, parseAuthorizedKey } from "../../../src/actions/accounts/authorized-key.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

const ONE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZpcnN0 one@example";
const TWO = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= two";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const keys = (): string => readFileSync(at("home/kim/.ssh/authorized_keys"), "utf8");
const mode = (path: string): number => statSync(at(path)).mode & 0o7777;

beforeEach(() => {
  sandbox = makeSandbox();
  for (const path of ["etc", "home/kim"]) mkdirSync(at(path), { recursive: true });
  writeFileSync(at("etc/passwd"), `kim:x:${process.getuid?.()}:${process.getgid?.()}::/home/kim:/bin/sh\n`);
  return () => sandbox[Symbol.dispose]();
});

function putKeys(text: string): void {
  mkdirSync(at("home/kim/.ssh"), { mode: 0o700 });
  writeFileSync(at("home/kim/.ssh/authorized_keys"), text, { mode: 0o600 });
}

type Params = Omit<Parameters<typeof authorized_key>[0], "user">;
const forKim = (params: Params): ReturnType<typeof authorized_key> =>
  authorized_key({ user: "kim", ...params });

describe("authorized_key", () => {
  it("makes the directory and the file, for the user alone", async () => {
    const { first } = await checkApplyAgain(sandbox, forKim({ key: ONE }));
    expect(keys()).toBe(`${ONE}\n`);
    expect(mode("home/kim/.ssh")).toBe(0o700);
    expect(mode("home/kim/.ssh/authorized_keys")).toBe(0o600);
    const keyfile = "/home/kim/.ssh/authorized_keys";
    expect(first.data).toMatchObject({
      ...{ user: "kim", keyfile, path: null, state: "present", key_options: null, comment: null },
      ...{ exclusive: false, manage_dir: true, follow: false, validate_certs: true },
    });
  });

  it.each(["~kim/.ssh/more", "$KIM/.ssh/more"])("finds the file %s", async (path) => {
    const call = forKim({ key: ONE, path });
    const context = sandbox.context();
    const facts = { ...context.facts, env: { KIM: "/home/kim" } };
    const done = await pass(call, sandbox.system, { ...context, facts });
    expect(done.data).toMatchObject({ keyfile: "/home/kim/.ssh/more" });
    expect(readFileSync(at("home/kim/.ssh/more"), "utf8")).toBe(`${ONE}\n`);
    expect((await pass(call, sandbox.system, { ...context, facts })).state).toBe("unchanged");
  });

  it.each<[string, string, Params, string]>([
    ["adds a key at the end", `# note\n${TWO}`, { key: ONE }, `# note\n${TWO}\n${ONE}\n`],
    ["adds several", "", { key: `${ONE}\n\n# mine\n${TWO}\n` }, `${ONE}\n${TWO}\n`],
    ["sets options", `${ONE}\n${TWO}\n`, { key: ONE, key_options: "no-pty" }, `no-pty ${ONE}\n${TWO}\n`],
    ["takes options away", `no-pty,command="a \\"b\\" c" ${ONE}\n`, { key: ONE }, `${ONE}\n`],
    [
      "sets the comment",
      `${ONE}\n`,
      { key: ONE, comment: "new name" },
      `${ONE.replace("one@example", "new name")}\n`,
    ],
    ["leaves a key once", `${ONE}\n${TWO}\n${ONE}\n`, { key: ONE }, `${ONE}\n${TWO}\n`],
    ["removes all others", `# note\n${TWO}\n${ONE}\n`, { key: ONE, exclusive: true }, `# note\n${ONE}\n`],
    [
      "keeps a key that is given with several options",
      `# note\n${TWO}\n${ONE}\n`,
      { key: `no-pty ${ONE}\nfrom="10.0.0.1" ${ONE}\n${ONE}` },
      `# note\n${TWO}\n${ONE}\nno-pty ${ONE}\nfrom="10.0.0.1" ${ONE}\n`,
    ],
    [
      "keeps one of several options, and removes what is not given",
      `no-pty ${ONE}\nno-x11-forwarding ${ONE}\nrestrict ${ONE}\n`,
      { key: `restrict ${ONE}\nno-user-rc ${ONE}` },
      `no-user-rc ${ONE}\nrestrict ${ONE}\n`,
    ],
    [
      "writes options without blanks beside their commas, which sshd would not read",
      `${ONE}\n`,
      { key: ONE, key_options: ' no-pty , command="a , b" ,restrict ' },
      `no-pty,command="a , b",restrict ${ONE}\n`,
    ],
    [
      "writes a comment without blanks around it",
      "",
      { key: ONE, comment: "  me  too " },
      `${ONE.replace("one@example", "me  too")}\n`,
    ],
    [
      "removes a key whatever its options",
      `no-pty ${ONE}\n${TWO}\n`,
      { key: ONE, state: "absent" },
      `${TWO}\n`,
    ],
  ])("%s", async (_what, before, params, after) => {
    putKeys(before);
    await checkApplyAgain(sandbox, forKim(params));
    expect(keys()).toBe(after);
  });

  it.each<[string, string, Params]>([
    ["a key", `${TWO}\n${ONE}`, { key: ONE }],
    ["a key with options", `from="10.0.0.1" ${ONE}\n`, { key: ONE, key_options: 'from="10.0.0.1"' }],
    ["the comment of a key given without one", `${ONE}\n`, { key: ONE.split(" ").slice(0, 2).join(" ") }],
    ["the absence of a key", `${TWO}\n`, { key: ONE, state: "absent" }],
  ])("leaves %s that is as it should be", async (_what, text, params) => {
    putKeys(text);
    expect((await pass(forKim(params), sandbox.system, sandbox.context())).state).toBe("unchanged");
    expect(keys()).toBe(text);
  });

  it("mends modes that sshd would not accept", async () => {
    putKeys(`${ONE}\n`);
    chmodSync(at("home/kim/.ssh"), 0o777);
    chmodSync(at("home/kim/.ssh/authorized_keys"), 0o666);
    const { check } = await checkApplyAgain(sandbox, forKim({ key: ONE }));
    expect(check.change?.diff).toEqual([
      { path: "/home/kim/.ssh", attributes: { mode: ["0777", "0700"] } },
      { path: "/home/kim/.ssh/authorized_keys", attributes: { mode: ["0666", "0600"] } },
    ]);
    expect(mode("home/kim/.ssh")).toBe(0o700);
  });

  it("leaves a directory it does not manage", async () => {
    mkdirSync(at("etc/ssh/keys"), { recursive: true, mode: 0o755 });
    const call = forKim({ key: ONE, path: "/etc/ssh/keys/kim", manage_dir: false });
    await checkApplyAgain(sandbox, call);
    expect(readFileSync(at("etc/ssh/keys/kim"), "utf8")).toBe(`${ONE}\n`);
    expect(mode("etc/ssh/keys")).toBe(0o755);
  });

  it("makes nothing to remove a key from", async () => {
    expect((await pass(forKim({ key: ONE, state: "absent" }), sandbox.system, sandbox.context())).state).toBe(
      "unchanged",
    );
    expect(existsSync(at("home/kim/.ssh"))).toBe(false);
  });

  it("needs the user, whom in check mode an earlier task would make", async () => {
    const call = authorized_key({ user: "volley-nobody-of-that-name", key: ONE });
    await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow(/Failed to lookup user/);
    const { state, change } = await pass(call, sandbox.system, sandbox.context({ check: true }));
    expect(state).toBe("unknown");
    expect(change?.unknown).toContain("there is no user");
  });
});

describe("keys from a server", () => {
  it("are fetched, and must be keys", async () => {
    const server = createServer((request, response) =>
      response
        .writeHead(request.url === "/none" ? 404 : 200)
        .end(request.url === "/kim.keys" ? `${ONE}\n` : "<html>"),
    );
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      const { first } = await checkApplyAgain(sandbox, forKim({ key: `${url}/kim.keys` }));
      expect(first.data?.key).toBe(`${url}/kim.keys`);
      expect(readFileSync(join(sandbox.root, "home/kim/.ssh/authorized_keys"), "utf8")).toBe(`${ONE}\n`);
      for (const [path, message] of [
        ["/none", "the server answers 404"],
        ["/page", "invalid key specified: <html>"],
      ] as const)
        await expect(pass(forKim({ key: url + path }), sandbox.system, sandbox.context())).rejects.toThrow(
          message,
        );
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});

describe("authorized_key's parameters", () => {
  it.each<[Params, RegExp]>([
    [{ key: "hello there" }, /invalid key specified: hello there/],
    [{ key: `${ONE}\n-----BEGIN OPENSSH PRIVATE KEY-----` }, /invalid key specified/],
    [{ key: ONE, key_options: "no-pty no-X11-forwarding" }, /commas between them/],
    [{ key: ONE, key_options: "no-pty,,restrict" }, /commas between them/],
    [{ key: ONE, key_options: 'command="a' }, /commas between them/],
    [{ key: ONE, key_options: "no-pty\nrestrict" }, /commas between them/],
    [{ key: ONE, comment: "two\nlines" }, /must be one line/],
    [{ key: ONE, options: "no-pty" } as Params, /unknown parameter "options"/],
  ])("refuses %j", (params, message) => expect(() => forKim(params)).toThrow(message));
});

describe("parseAuthorizedKey", () => {
  it("tells options, key and comment apart", () => {
    expect(parseAuthorizedKey(` restrict,command="echo \\"ssh-rsa AAAA\\" x"  ${ONE} of kim `)).toEqual({
      options: 'restrict,command="echo \\"ssh-rsa AAAA\\" x"',
      type: "ssh-ed25519",
      blob: "AAAAC3NzaC1lZDI1NTE5AAAAIGZpcnN0",
      comment: "one@example of kim",
    });
    expect(parseAuthorizedKey("sk-ssh-ed25519@openssh.com AAAA=")).toMatchObject({
      type: "sk-ssh-ed25519@openssh.com",
    });
    expect(parseAuthorizedKey("cert-authority ssh-rsa-cert-v01@openssh.com AAAA")).toMatchObject({
      options: "cert-authority",
    });
    for (const line of ["", "# x", "ssh-ed25519", "no-pty"])
      expect(parseAuthorizedKey(line), line).toBeNull();
  });
});
