// What `volley put` makes of the wire beside ssh2's own fastPut: throughput and memory, each in a process of its own.
// node test/bench/put.mjs [--hosts 10] [--mib 100] [--rounds 3] [--dist DIR] [--tune]; needs a built dist.
import { spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "10" },
    mib: { type: "string", default: "100" },
    rounds: { type: "string", default: "3" },
    dist: { type: "string", default: join(root, "dist") },
    tune: { type: "boolean", default: false },
    profile: { type: "string" },
    bare: { type: "string" },
    file: { type: "string" },
    chunk: { type: "string", default: "261120" },
    concurrency: { type: "string", default: "256" },
    cipher: { type: "string", default: "aes128-gcm@openssh.com" },
  },
});
const cli = join(values.dist, "cli", "main.js");

if (values.bare === undefined) await compare();
else await runBare(JSON.parse(readFileSync(values.bare, "utf8")));

async function compare() {
  if (!existsSync(cli)) throw new Error("there is no dist: npm run build");
  const directory = mkdtempSync(join(tmpdir(), "volley-bench-put-"));
  // Inside the project, so that the compiled file finds the packages it imports.
  const compiled = mkdtempSync(join(root, "node_modules", ".bench-put-"));
  const fleet = await startFleet(compiled);
  try {
    const { description } = fleet;
    const file = join(directory, "file");
    writeFileSync(file, randomFillSync(Buffer.alloc(Number(values.mib) << 20)));
    const fleetFile = join(directory, "fleet.json");
    writeFileSync(fleetFile, JSON.stringify(description));
    const lines = description.hosts.map(
      ({ name, address, port }) => `${name} ansible_host=${address} ansible_port=${port}`,
    );
    writeFileSync(join(directory, "hosts"), `${lines.join("\n")}\n`);
    const report = join(directory, "report.mjs");
    writeFileSync(report, reportSource(join(directory, "usage.json")));
    const { user, privateKeyPath, knownHostsPath } = description;
    const bareWith = ({ chunk, concurrency, cipher }) => [
      ...[fileURLToPath(import.meta.url), "--bare", fleetFile, "--file", file],
      ...["--chunk", chunk, "--concurrency", concurrency, "--cipher", cipher],
    ];
    const volley = [
      ...[cli, "put", "-i", join(directory, "hosts"), "-u", user, "--private-key", privateKeyPath],
      ...["--ssh-config", "none", "--known-hosts", knownHostsPath, "-o", "json", "all", file, "put/file"],
    ];
    const run = async (args) => {
      const result = await measure(args, report, directory);
      clean(description);
      return result;
    };
    const best = values.tune ? await tune(run, bareWith) : values;
    const bare = bareWith(best);
    const bytes = description.hosts.length * (Number(values.mib) << 20);
    const rates = { bare: [], volley: [] };
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const [name, args] of Object.entries({ bare, volley })) {
        const { wallMs, cpuMs, peakMib } = await run(args);
        rates[name].push({ rate: bytes / 1_048_576 / (wallMs / 1_000), peakMib });
        process.stdout.write(
          `${name.padEnd(6)}  ${wallMs.toFixed(0)} ms, ${rates[name].at(-1).rate.toFixed(1)} MiB/s, CPU ${cpuMs.toFixed(0)} ms, peak RSS ${peakMib.toFixed(0)} MiB\n`,
        );
      }
    }
    if (values.profile !== undefined)
      for (const [name, args] of Object.entries({ bare, volley }))
        await run(["--cpu-prof", `--cpu-prof-dir=${join(values.profile, name)}`, ...args]);
    const ratios = rates.volley.map(({ rate }, index) => rate / rates.bare[index].rate).sort((a, b) => a - b);
    const middle = ratios[Math.floor(ratios.length / 2)];
    process.stdout.write(
      `volley / bare throughput by pair: ${ratios.map((ratio) => ratio.toFixed(2)).join(" ")}; median ${middle.toFixed(2)}\n`,
    );
  } finally {
    fleet.child.stdin.end();
    await fleet.exited;
    rmSync(directory, { recursive: true, force: true });
    rmSync(compiled, { recursive: true, force: true });
  }
}

/** The fastest of some settings for the bare transfer. */
async function tune(run, bareWith) {
  let best;
  for (const cipher of ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"])
    for (const chunk of ["32768", "261120"])
      for (const concurrency of ["16", "64", "256"]) {
        const settings = { chunk, concurrency, cipher };
        const { wallMs } = await run(bareWith(settings));
        process.stdout.write(`${JSON.stringify(settings)}: ${wallMs.toFixed(0)} ms\n`);
        if (best === undefined || wallMs < best.wallMs) best = { ...settings, wallMs };
      }
  process.stdout.write(`best: ${JSON.stringify(best)}\n`);
  return best;
}

function clean({ hosts }) {
  for (const { home } of hosts)
    for (const name of readdirSync(home)) rmSync(join(home, name), { recursive: true, force: true });
}

async function startFleet(compiled) {
  const { build } = await import("esbuild");
  const file = join(compiled, "serve.mjs");
  await build({
    stdin: {
      contents: `import { serveEmbeddedFleet } from "./src/embedded/serve.ts"; await serveEmbeddedFleet(process.argv.slice(2));`,
      resolveDir: root,
    },
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    outfile: file,
    logLevel: "warning",
  });
  const child = spawn(process.execPath, [file, "--count", values.hosts], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const [line] = await once(createInterface(child.stdout), "line");
  return { child, exited, description: JSON.parse(line) };
}

function reportSource(file) {
  return `import { writeFileSync } from "node:fs";
process.on("exit", () => writeFileSync(${JSON.stringify(file)}, JSON.stringify(process.resourceUsage())));`;
}

async function measure(args, report, directory) {
  const startedAt = performance.now();
  const child = spawn(process.execPath, ["--import", pathToFileURL(report).href, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const [code] = await once(child, "close");
  const wallMs = performance.now() - startedAt;
  if (code !== 0) throw new Error(`${args.join(" ")} exited with ${code}: ${stderr}`);
  const usage = JSON.parse(readFileSync(join(directory, "usage.json"), "utf8"));
  return { wallMs, cpuMs: (usage.userCPUTime + usage.systemCPUTime) / 1000, peakMib: usage.maxRSS / 1024 };
}

/** Connects to all hosts and sends the file to each, at once, without verifying that it arrived. */
async function runBare({ hosts, user, privateKeyPath, knownHostsPath }) {
  const { default: ssh2 } = await import("ssh2");
  const privateKey = readFileSync(privateKeyPath);
  const known = Buffer.from(readFileSync(knownHostsPath, "utf8").split("\n")[0].split(" ")[2], "base64");
  const send = ({ address, port }) =>
    new Promise((resolve, reject) => {
      const client = new ssh2.Client();
      const socket = connect({ host: address, port, noDelay: true });
      client.on("error", reject);
      client.on("ready", () =>
        client.sftp((error, sftp) => {
          if (error) return reject(error);
          const options = { chunkSize: Number(values.chunk), concurrency: Number(values.concurrency) };
          sftp.fastPut(values.file, "bare", options, (failure) => {
            client.end();
            if (failure) reject(failure);
            else resolve();
          });
        }),
      );
      client.connect({
        sock: socket,
        username: user,
        authHandler: [{ type: "publickey", username: user, key: privateKey }],
        hostVerifier: (key) => key.equals(known),
        algorithms: { cipher: [values.cipher] },
        readyTimeout: 60_000,
      });
    });
  await Promise.all(hosts.map(send));
}
