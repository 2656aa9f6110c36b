import { chmodSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Become } from "../../../src/core/unix/users.ts";
import { createLocalHashes } from "../../../src/fanout/transfer/hashes.ts";
import { scanLocalTree } from "../../../src/fanout/transfer/local-tree.ts";
import { HERE, openParts } from "../../../src/fanout/transfer/parts.ts";
import { putTree } from "../../../src/fanout/transfer/put-tree.ts";
import type { TransferResult } from "../../../src/fanout/transfer/result.ts";
import { transferHost } from "../../../src/fanout/transfer/transfer.ts";
import { SFTP_SERVER_PATHS } from "../../../src/transport/sftp/open-file-session.ts";
import { fleetStarter, run } from "../fleet.ts";
import { makeTree, scratchDirectory } from "./lib.ts";

const start = fleetStarter();
const scratch = scratchDirectory();
const hasServer = SFTP_SERVER_PATHS.some((path) => existsSync(path));

/** A sudo with its own homes of users; it requires this password when told to read one. */
const SUDO = `#!/bin/sh
while [ "$1" != -- ]; do case $1 in -S) s=1;; -p) p=$2; shift;; -u) HOME="$HOME/of-$2"; mkdir -p "$HOME";; esac; shift; done; shift
[ "$s" ] || { [ -z "$ASKS" ] || { echo "sudo: a password is required" >&2; exit 1; }; exec "$@"; }
for try in 1 2 3; do
  printf %s "$p" >&2
  IFS= read -r word || exit 1
  echo "$word" >>"$ASKED"
  [ "$word" = "open sesame" ] && exec "$@"
  echo "Sorry, try again." >&2
done
exit 1
`;

async function putAs(become: Become, env: Readonly<Record<string, string>> = {}) {
  const bin = makeTree(scratch(), { sudo: SUDO });
  chmodSync(join(bin, "sudo"), 0o755);
  const asked = join(bin, "asked");
  const { hosts, fleet } = await start({
    count: 1,
    env: { PATH: `${bin}:${process.env.PATH}`, ASKED: asked, ...env },
  });
  const source = makeTree(scratch(), { f: "content" });
  const tree = await scanLocalTree({ sources: [`${source}/f`], destination: "f", follow: false });
  const result: TransferResult = await transferHost(
    { ...hosts[0]!, become },
    {
      settings: { preserve: false, checksum: false, check: false },
      localHashes: createLocalHashes(),
      localParts: openParts(HERE),
      windowBytes: 1 << 20,
      listener: {},
      signal: new AbortController().signal,
      work: (context) => putTree(context, tree, "f"),
    },
  );
  return { result, home: fleet.hosts[0]!.home, asked: () => readFileSync(asked, "utf8") };
}

/** As doas and su do, the program asks and reads only at the terminal. */
const AT_TERMINAL = `#!/bin/sh
user=root
while [ $# -gt 0 ]; do case $1 in -n) exit 9;; -u) user=$2; shift;; --) shift; break;; -c) set -- sh "$@"; break;; -s) shift;; *) break;; esac; shift; done
printf "doas (%s) password: " ops >/dev/tty
stty -echo </dev/tty
IFS= read -r word </dev/tty
stty echo </dev/tty
echo >/dev/tty
echo "$word" >>"$ASKED"
[ "$word" = "open sesame" ] || { echo "doas: Authentication failed" >/dev/tty; exit 1; }
AS=$user exec "$@"
`;

async function execAs(become: Become, program: string, env: Readonly<Record<string, string>> = {}) {
  const bin = makeTree(scratch(), { [become.method]: program });
  chmodSync(join(bin, become.method), 0o755);
  const asked = join(bin, "asked");
  const { hosts } = await start({
    count: 1,
    env: { PATH: `${bin}:${process.env.PATH}`, ASKED: asked, ...env },
  });
  const { results, stdout } = await run(
    [{ ...hosts[0]!, become }],
    'test -t 0 && echo; echo "on $V"; exit 5',
    {
      pty: { columns: 80, rows: 24 },
      env: { V: "a'b" },
    },
  );
  return { result: results[0]!, stdout: stdout.web01, asked: () => readFileSync(asked, "utf8") };
}

describe("a command on a terminal", () => {
  it.each([
    ["sudo", SUDO],
    ["doas", AT_TERMINAL],
    ["su", AT_TERMINAL],
  ] as const)("is another user's by %s, behind a password that is given once", async (method, program) => {
    const { result, stdout, asked } = await execAs(
      { user: "root", method, password: "open sesame" },
      program,
    );
    expect(result).toMatchObject({ outcome: "failed", exit: { kind: "exited", code: 5 }, error: undefined });
    // The output of the become dialogue does not belong to the command.
    expect(stdout).toBe("\r\non a'b\r\n");
    expect(asked()).toBe("open sesame\n");
  });

  it("is nobody's with a wrong password, or without one that is wanted", async () => {
    const wrong = await execAs({ user: "root", method: "sudo", password: "wrong" }, SUDO);
    expect([wrong.result.outcome, wrong.result.error?.code, wrong.asked()]).toEqual([
      "failed",
      "BECOME_FAILED",
      "wrong\n",
    ]);
    const none = await execAs({ user: "root", method: "sudo" }, SUDO, { ASKS: "1" });
    expect(none.result.error?.code).toBe("BECOME_FAILED");
  });
});

describe.skipIf(!hasServer)("files of another user", () => {
  it("go through a server and a hash of that user's, below its home", async () => {
    const { result, home } = await putAs({ user: "app", method: "sudo" });
    expect(result).toMatchObject({ outcome: "ok", verifiedBy: "sha256", error: undefined });
    expect(readFileSync(join(home, "of-app/f"), "utf8")).toBe("content");
    expect(existsSync(join(home, "f"))).toBe(false);
  });

  it("are behind a password where one is asked for", async () => {
    const { result, home, asked } = await putAs({ user: "root", method: "sudo", password: "open sesame" });
    expect(result).toMatchObject({ outcome: "ok", verifiedBy: "sha256", error: undefined });
    expect(readFileSync(join(home, "f"), "utf8")).toBe("content");
    // Once for files, once for hashes.
    expect(asked()).toBe("open sesame\nopen sesame\n");
  });

  it("stay out of reach with a wrong one, which is given once", async () => {
    const { result, asked } = await putAs({ user: "root", method: "sudo", password: "wrong" });
    expect(result).toMatchObject({
      outcome: "failed",
      error: {
        code: "BECOME_FAILED",
        message: expect.stringMatching(/cannot become root: sudo does not take the password$/),
        hint: expect.stringMatching(/^it must be \S+'s password on that host/),
      },
    });
    expect(asked()).toBe("wrong\n");
  });

  it("stay out of reach where one is wanted and none is given", async () => {
    const { result } = await putAs({ user: "root", method: "sudo" }, { ASKS: "1" });
    expect(result.error).toMatchObject({
      code: "BECOME_FAILED",
      message: expect.stringMatching(/cannot become root: sudo: a password is required$/),
      hint: expect.stringContaining("-K asks for it"),
    });
  });

  it("cannot be had of a doas that asks, which does so only at a terminal", async () => {
    const { result } = await putAs({ user: "root", method: "doas", password: "x" });
    expect(result.error).toMatchObject({ code: "BECOME_FAILED", hint: expect.stringContaining("nopass") });
  });
});
