import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { hasSshKeygen, type Keyring, makeKeyring } from "../bundle/signing/lib.ts";
import { builtCli, volley } from "./lib/cli.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, type Project, scratchDirectory } from "./lib/project.ts";
import { site } from "./lib/sources.ts";
import { openTerminal, tmuxAvailable } from "./lib/tmux.ts";

const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()), 600_000);

describe.skipIf(!hasSshKeygen)("with ssh-keygen (skipped: no ssh-keygen of OpenSSH here)", () => {
  let keys: Keyring;
  let project: Project;
  let allowed: string;
  const run = (...args: readonly string[]) => volleyHere(args, { cwd: project.directory });

  beforeAll(() => {
    keys = makeKeyring(scratch());
    keys.make("alice");
    allowed = keys.allow(`alice@example.com ${keys.publicKey("alice")}`);
    project = makeProject(scratch(), site);
  });

  test("volley bundle --sign, volley verify, and the bundle's own --verify", async () => {
    const made = await run("bundle", "site.ts", "-o", "site.run", "--sign", keys.path("alice"));
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const verified = await run("verify", "site.run", "--signers", allowed);
    expect(verified).toMatchObject({ code: 0, stderr: "" });
    expect(verified.stdout).toMatch(
      /^site\.run: signed by alice@example\.com with ED25519 key SHA256:\S+\n$/,
    );
    const own = (...args: readonly string[]): string =>
      execFileSync("sh", ["site.run", ...args], { cwd: project.directory, encoding: "utf8" });
    expect(own("--verify", allowed)).toBe(verified.stdout);
    expect(own("--local", "web1", "--check")).toContain("web1: ");
    expect(own("--local", "web1", "--check", "--require-signature", allowed)).toContain("web1: ");

    const bytes = readFileSync(project.path("site.run"));
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(project.path("changed.run"), bytes);
    expect(await run("verify", "changed.run", "--signers", allowed)).toEqual({
      code: 1,
      stdout: "",
      stderr: "volley: changed.run was changed after it was signed\n",
    });
    const other = await run("verify", "site.run", "--signers", allowed, "--signer", "bob@example.com");
    expect(other).toEqual({
      code: 1,
      stdout: "",
      stderr: "volley: site.run is not signed by an allowed signer\n",
    });
    expect((await run("verify", "nothing.run", "--signers", allowed)).stderr).toMatch(
      /^volley: cannot read nothing\.run: [^\n]+\n$/,
    );
  });

  test("volley verify --script prints a script that verifies bundles on a host", async () => {
    const printed = await run("verify", "--script");
    expect(printed).toMatchObject({ code: 0, stderr: "" });
    project.write("verify.sh", printed.stdout);
    expect(await run("bundle", "site.ts", "-o", "site.run", "--sign", keys.path("alice"))).toMatchObject({
      code: 0,
    });
    const said = execFileSync("sh", ["verify.sh", "site.run", allowed], {
      cwd: project.directory,
      encoding: "utf8",
    });
    expect(said).toMatch(/^site\.run: signed by alice@example\.com with /);
    for (const words of [["site.run"], ["--script", "site.run"], []])
      expect((await run("verify", ...words)).stderr).toContain("volley verify --script >verify.sh");
  });

  test("an unsigned bundle says so, and runs nothing when a signature is required", async () => {
    expect(await run("bundle", "site.ts", "-o", "plain.run")).toMatchObject({ code: 0 });
    expect((await run("verify", "plain.run", "--signers", allowed)).stderr).toBe(
      "volley: plain.run is not signed\n",
    );
    for (const option of ["--verify", "--require-signature"]) {
      const script = `sh plain.run ${option} "$1" --local web1 2>&1; echo "code $?"`;
      const said = execFileSync("sh", ["-c", script, "sh", allowed], {
        cwd: project.directory,
        encoding: "utf8",
      });
      expect(said).toBe("volley: this bundle is not signed\ncode 1\n");
    }
  });

  test("volley pull shows the run and its result, and refuses in one line", async () => {
    expect(await run("bundle", "site.ts", "-o", "site.run", "--sign", keys.path("alice"))).toMatchObject({
      code: 0,
    });
    const args = ["pull", "site.run", "--signers", allowed, "--host", "web1", "--check", "--diff"];
    // A pull that carries a bundle out lends it its own standard error.
    const pulled = await volley(args, { cwd: project.directory });
    expect(pulled).toMatchObject({ code: 0, stderr: "" });
    const lines = pulled.stdout.trim().split("\n");
    expect(lines).toEqual(expect.arrayContaining([expect.stringMatching(/^\[changed .*Write a$/), "    +a"]));
    expect(lines.at(-1)).toMatch(/^web1: check: 2 total actions .*signed by alice@example\.com\)$/);
    const refusals: readonly (readonly [RegExp, ...string[]])[] = [
      [/who may have signed them\? give --signers FILE/, "site.run"],
      [/where is the bundle\?/, "--signers", allowed],
      [/nothing goes with it/, "site.run", "--remove-timer"],
      [/nothing goes with it/, "site.run", "--script"],
      [/is invalid. It is a number and m, h or d/, "site.run", "--signers", allowed, "--install-timer", "9x"],
      [/cannot read .*none\.run: there is no such file/, "none.run", "--signers", allowed],
    ];
    for (const [message, ...args] of refusals) {
      const end = await run("pull", ...args);
      expect(end, args.join(" ")).toMatchObject({ code: 1, stdout: "" });
      expect(end.stderr).toMatch(message);
    }
  });

  test("a key that cannot sign: one line, and no file", async () => {
    writeFileSync(keys.path("garbage"), "no key\n");
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "open sesame", "-f", keys.path("locked")]);
    const whys = {
      nothing: "",
      garbage: "",
      locked: ": its passphrase was wrong, or not given \\(.* ssh-add, .*\\)$",
    };
    for (const [key, why] of Object.entries(whys)) {
      // Where there is no terminal, ssh-keygen asks standard input for a passphrase: that of this process may be open.
      const args = ["bundle", "site.ts", "-o", "none.run", "--sign", keys.path(key)];
      const end = await volley(args, { cwd: project.directory });
      expect(end, key).toMatchObject({ code: 1, stdout: "" });
      expect(end.stderr, key).toMatch(/^volley: (there is no key|cannot sign with) [^\n]+\n$/);
      expect(end.stderr.trim(), key).toMatch(new RegExp(why));
      expect(existsSync(project.path("none.run"))).toBe(false);
    }
  });

  test.skipIf(!tmuxAvailable())("ssh-keygen asks for a passphrase on the terminal, once", async () => {
    execFileSync("ssh-keygen", ["-q", "-t", "ecdsa", "-N", "open sesame", "-f", keys.path("asked")]);
    const args = ["bundle", "site.ts", "-o", "asked.run", "--sign", keys.path("asked")];
    const terminal = openTerminal([process.execPath, await builtCli(), ...args], {
      ...{ columns: 200, rows: 20, cwd: project.directory },
    });
    try {
      await terminal.see(/passphrase/i);
      terminal.type("open sesame");
      terminal.press("Enter");
      expect(await terminal.see(/exit \d/)).toMatch(/exit 0/);
      expect(
        terminal
          .screen()
          .join("\n")
          .match(/passphrase/gi),
      ).toHaveLength(1);
    } finally {
      await terminal.close();
    }
    const signers = keys.allow(`ops@example.com ${keys.publicKey("asked")}`);
    expect((await run("verify", "asked.run", "--signers", signers)).code).toBe(0);
  });
});
