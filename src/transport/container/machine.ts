import { readdir, readFile, readlink } from "node:fs/promises";
import { basename } from "node:path";

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
