import { spawn } from "node:child_process";
import { readdir, readFile, readlink } from "node:fs/promises";
import { basename } from "node:path";
import type { ContainerSettings } from "../../core/inventory.ts";
import { explainEntrance, missingProgram } from "./explain.ts";

// Machines of systemd-nspawn are entered by their first process, which is looked up where systemd-machined keeps it, or
// among the processes of this machine.

const REGISTERED = "/run/systemd/machines";

/** Return the number of a machine's first process; undefined where no such machine runs. */
export async function findLeader(name: string): Promise<number | undefined> {
  if (!name.includes("/")) {
    const text = await readFile(`${REGISTERED}/${name}`, "utf8").catch(() => "");
    const leader = Number(/^LEADER=(\d+)$/m.exec(text)?.[1]);
    if (leader > 0) return leader;
  }
  for (const pid of await processes()) {
    const words = await wordsOf(pid);
    if (basename(words[0] ?? "") !== "systemd-nspawn" || !isMachine(words, name)) continue;
    const child = await childOf(pid);
    if (child !== undefined) return child;
  }
  return undefined;
}

/** A machine that is there for the sake of its directory: nothing runs in it but what comes through a connection. */
export interface StartedMachine {
  readonly leader: number;
  end(): void;
}

const UP = "volley-is-up";
/** The machine ends with its input, and so with this process, however that ends. */
const STAY = `echo ${UP}; exec cat >/dev/null`;

/** Start a machine in a directory. Fails with `CONNECT_FAILED`. */
export async function startMachine(host: string, container: ContainerSettings): Promise<StartedMachine> {
  const program = "systemd-nspawn";
  const options = ["--quiet", "--register=no", "--keep-unit", "--settings=no", "--as-pid2", "--console=pipe"];
  const traces = ["--link-journal=no", "--timezone=off", "--resolv-conf=bind-host"];
  const child = spawn(
    program,
    [...options, ...traces, `--directory=${container.name}`, "/bin/sh", "-c", STAY],
    { stdio: ["pipe", "pipe", "pipe"], detached: true },
  );
  child.stdin.on("error", () => {});
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    said = (said + chunk).slice(-SAID_KEPT);
  });
  await new Promise<void>((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "ENOENT"
          ? missingProgram(host, container, program)
          : explainEntrance(host, container, program, error.message),
      ),
    );
    // The first line is the cause; what it left to be tidied up may follow.
    child.once("close", () => reject(explainEntrance(host, container, program, said.split("\n")[0]!)));
    let stdout = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      stdout += chunk;
      if (stdout.includes(UP)) resolve();
    });
  });
  const end = (): void => {
    child.stdin.end();
    for (const stream of [child.stdout, child.stderr]) stream.destroy();
    child.unref();
  };
  const leader = await childOf(child.pid!);
  if (leader !== undefined) return { leader, end };
  end();
  throw explainEntrance(host, container, program, "the machine has no first process");
}

const SAID_KEPT = 4_000;

/** Return the arguments of nsenter that lead into the namespaces of a process. */
export async function nsenterWords(leader: number): Promise<readonly string[]> {
  const [own, theirs] = await Promise.all(
    ["self", String(leader)].map((pid) => readlink(`/proc/${pid}/ns/user`).catch(() => "")),
  );
  const spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"];
  return [`--target=${leader}`, ...spaces, ...(own === theirs ? [] : ["--user"]), "--"];
}

async function processes(): Promise<readonly number[]> {
  return (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
}

async function wordsOf(pid: number): Promise<readonly string[]> {
  return (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
}

/** Return whether a call of systemd-nspawn is that of a machine: by its name, else by its directory. */
function isMachine(words: readonly string[], name: string): boolean {
  const directory = optionOf(words, "--directory", "-D");
  if (name.includes("/")) return directory === name;
  return (optionOf(words, "--machine", "-M") ?? basename(directory ?? "")) === name;
}

function optionOf(words: readonly string[], long: string, short: string): string | undefined {
  for (const [index, word] of words.entries()) {
    if (word === "--") return undefined;
    if (word === long || word === short) return words[index + 1];
    if (word.startsWith(`${long}=`)) return word.slice(long.length + 1);
    if (word.startsWith(short) && !word.startsWith("--")) return word.slice(short.length);
  }
  return undefined;
}

async function childOf(parent: number): Promise<number | undefined> {
  for (const pid of await processes()) {
    const stat = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "");
    // The name, in parentheses, may hold any character.
    if (Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]) !== parent) continue;
    const status = await readFile(`/proc/${pid}/status`, "latin1").catch(() => "");
    if (/^NSpid:.*\t1$/m.test(status)) return pid;
  }
  return undefined;
}
