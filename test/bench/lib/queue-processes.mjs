import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** The command line of the built dist. */
export const volley = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));

/** Milliseconds of one tick of /proc/PID/stat. */
const TICK_MS = 10;

/**
 * Start a redis-server and workers that share `forks` places. `directory` is for their files, `profile` for Node's options.
 */
export async function startQueue({ directory, env, workers, forks, profile }) {
  const socket = join(directory, "redis.sock");
  // As docs/queue.md advises.
  const kept = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"];
  const settings = ["--port", "0", "--unixsocket", socket, ...kept, "--dir", directory];
  const redis = spawn("redis-server", settings, { stdio: "ignore" });
  const url = `redis+unix://${socket}`;
  const cli = (...args) => execFileSync("redis-cli", ["-s", socket, ...args], { encoding: "utf8" });
  if (!existsSync(env.VOLLEY_QUEUE_KEY_FILE))
    execFileSync(process.execPath, [volley, "queue-key", "-o", env.VOLLEY_QUEUE_KEY_FILE], { env });
  while (!existsSync(socket)) await sleep(50);
  const places = Math.ceil(forks / workers);
  const started = Array.from({ length: workers }, (_, index) =>
    spawn(
      process.execPath,
      [...profile, volley, "worker", "--queue", url, "--name", `w${index}`, "--concurrency", `${places}`],
      { cwd: directory, env, stdio: "ignore" },
    ),
  );
  const clients = () =>
    cli("client", "list")
      .split("\n")
      .filter((line) => line.includes("cmd=bz")).length;
  while (clients() < workers) await sleep(100);
  const emptyMib = memoryOf(cli, "used_memory");
  return {
    url,
    usage: () => ({
      workers: started.map(({ pid }) => cpuMs(pid)),
      redis: cpuMs(redis.pid),
    }),
    since: (before, after) => ({
      workersCpuMs: after.workers.reduce((sum, ms, index) => sum + ms - before.workers[index], 0),
      redisCpuMs: after.redis - before.redis,
      workerPeakMib: Math.max(...started.map(({ pid }) => peakMib(pid))),
      redisMib: memoryOf(cli, "used_memory_peak") - emptyMib,
    }),
    stop: async () => {
      for (const child of [...started, redis]) {
        if (child.exitCode !== null) continue;
        child.kill("SIGTERM");
        await once(child, "exit");
      }
    },
  };
}

/** Processor time of a process alone, without its children's. */
function cpuMs(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

function peakMib(pid) {
  return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))[1]) / 1_024;
}

function memoryOf(cli, name) {
  return Number(new RegExp(`^${name}:(\\d+)`, "m").exec(cli("info", "memory"))[1]) / 2 ** 20;
}
