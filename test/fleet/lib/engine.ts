import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

// A container of podman or docker with this machine's own programs: its /usr is this machine's, read-only.

/** A container that runs. */
export interface EngineContainer {
  /** Vars of its connection. */
  readonly vars: Readonly<Record<string, unknown>>;
  /** Carry out a command in it, past Volley. */
  exec(...words: readonly string[]): string;
  remove(): void;
}

/** Files of this machine that its programs look for. */
const OWN_FILES = ["nsswitch.conf", "ld.so.cache", "os-release", "pam.d", "login.defs", "security"];
const PASSWD = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";

/** Start a container; return instead why this machine cannot. `folder` is for the engine's own files. */
export function startEngineContainer(
  engine: "podman" | "docker",
  folder: string,
  name: string,
): EngineContainer | string {
  const own =
    engine === "docker"
      ? []
      : [
          ...["--root", join(folder, "storage"), "--runroot", join(folder, "run")],
          // These settings need no more of the kernel than a machine for tests gives.
          ...["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", "runc"],
        ];
  const run = (words: readonly string[], input?: Buffer): string =>
    execFileSync(engine, [...own, ...words], {
      encoding: "utf8",
      stdio: ["pipe", "pipe", "pipe"],
      ...(input === undefined ? {} : { input }),
    }).trim();
  const probe = spawnSync(engine, [...own, "info"], { encoding: "utf8" });
  if (probe.status !== 0) return probe.error?.message ?? probe.stderr.trim().split("\n").at(-1)!;
  const image = `${name}-image`;
  const remove = (): void => {
    for (const words of [
      ["rm", "-f", name],
      ["rmi", "-f", image],
    ])
      spawnSync(engine, [...own, ...words]);
  };
  const root = join(folder, "root");
  makeRoot(root);
  try {
    const tree = execFileSync("tar", ["-C", root, "--numeric-owner", "-c", "."], { maxBuffer: 64 << 20 });
    run(["import", "-", image], tree);
    const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"];
    const mounts = ["-v", "/usr:/usr:ro", "-v", `${process.execPath}:/opt/node/bin/node:ro`];
    run(["run", "-d", "--name", name, "--network", "none", ...limits, ...mounts, image, "sleep", "100000"]);
  } catch (thrown) {
    remove();
    return String((thrown as { stderr?: string }).stderr ?? thrown).trim();
  }
  return {
    vars: {
      ansible_connection: engine,
      ansible_host: name,
      ...(engine === "podman" ? { ansible_podman_extra_args: own.join(" ") } : {}),
    },
    exec: (...words) => run(["exec", name, ...words]),
    remove,
  };
}

function makeRoot(root: string): void {
  rmSync(root, { recursive: true, force: true });
  for (const path of [
    "usr",
    "etc",
    "root",
    "tmp",
    "proc",
    "dev",
    "sys",
    "run",
    "opt",
    "srv",
    "var/tmp",
    "home/app",
  ])
    mkdirSync(join(root, path), { recursive: true });
  for (const name of ["bin", "sbin", "lib", "lib64"]) symlinkSync(`usr/${name}`, join(root, name));
  for (const name of OWN_FILES) {
    mkdirSync(dirname(join(root, "etc", name)), { recursive: true });
    cpSync(join("/etc", name), join(root, "etc", name), { recursive: true, dereference: true, force: true });
  }
  writeFileSync(join(root, "etc/passwd"), PASSWD);
  writeFileSync(join(root, "etc/group"), "root:x:0:\napp:x:1000:\n");
}
