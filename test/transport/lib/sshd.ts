import { execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { onTestFinished, vi } from "vitest";
import type { Host } from "../../../src/core/inventory.ts";
import { holdPort } from "../../../src/embedded/host-server.ts";
import { PATIENT } from "../../lib/patience.ts";
import { makeHost } from "./reach.ts";

const SSHD = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].find((path) => existsSync(path));
const { username, shell, homedir } = userInfo();

/** True when the user of the tests can log in to an sshd started by the tests. */
export const canLogIn =
  SSHD !== undefined &&
  !/nologin|false$/.test(shell ?? "") &&
  existsSync(homedir) &&
  ["ssh", "ssh-keygen", "ssh-agent", "ssh-add"].every((tool) => existsSync(`/usr/bin/${tool}`));

/** This machine's sshd, as the user who runs the tests. */
export interface Sshd {
  readonly port: number;
  /** A file that lies beside its own. */
  path(name: string): string;
  /** Allow logins with these public keys. */
  authorize(...publicKeys: readonly string[]): void;
  /** `TYPE BASE64` of its host key. */
  readonly hostKey: string;
  host(more?: Partial<Host["connection"]>, vars?: Host["vars"]): Host;
}

/** Start an sshd that is killed after the test; `lines` go into its configuration. */
export async function startSshd(lines: readonly string[] = []): Promise<Sshd> {
  const directory = mkdtempSync(join(tmpdir(), "volley-sshd-"));
  chmodSync(directory, 0o700);
  const path = (name: string): string => join(directory, name);
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path("host")]);
  const { port, release } = await holdPort();
  const config = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${path("host")}`,
    `AuthorizedKeysFile ${path("authorized")}`,
    "PidFile none",
    "StrictModes no",
    "UsePAM no",
    "PermitRootLogin prohibit-password",
    "Subsystem sftp internal-sftp",
    ...lines,
  ];
  writeFileSync(path("config"), `${config.join("\n")}\n`);
  // Only root's sshd needs it, and does not start without it.
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true });
  const server = spawn(SSHD!, ["-D", "-e", "-f", path("config")], { stdio: "ignore" });
  onTestFinished(() => {
    server.kill();
    release();
    rmSync(directory, { recursive: true, force: true });
  });
  await vi.waitFor(() => answers(port), PATIENT);
  return {
    port,
    path,
    authorize: (...keys) => writeFileSync(path("authorized"), keys.map((key) => `${key.trim()}\n`).join("")),
    hostKey: readFileSync(path("host.pub"), "utf8").split(" ").slice(0, 2).join(" "),
    host: (more = {}, vars = {}) =>
      makeHost("real", { address: "127.0.0.1", port, user: username, ...more }, vars),
  };
}

function answers(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("error", reject).once("connect", () => {
      socket.destroy();
      resolve();
    });
  });
}

/** Make a key pair in a file, encrypted with `passphrase`. Return the public half. */
export function makeKey(file: string, passphrase = "", type = "ed25519"): string {
  // A large RSA key takes a second or more to find.
  const size = type === "rsa" ? ["-b", "2048"] : [];
  // The passphrase's derivation has 1 round instead of 16 or more: ssh2 does them in JavaScript, at each use.
  execFileSync("ssh-keygen", ["-q", "-t", type, ...size, "-a", "1", "-N", passphrase, "-f", file]);
  return readFileSync(`${file}.pub`, "utf8");
}
