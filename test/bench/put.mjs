import { randomFillSync } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startEmbeddedHosts } from "./lib/embedded-fleet.mjs";
import { measure } from "./lib/measure.mjs";

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
  const fleet = await startEmbeddedHosts({ args: ["--count", values.hosts] });
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
      const result = await measure(args, directory);
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
    await fleet.stop();
    rmSync(directory, { recursive: true, force: true });
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
