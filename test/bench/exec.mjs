import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startEmbeddedHosts } from "./lib/embedded-fleet.mjs";
import { measure } from "./lib/measure.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const cli = join(root, "dist", "cli", "main.js");
const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "200" },
    forks: { type: "string", default: "50" },
    rounds: { type: "string", default: "5" },
    command: { type: "string", default: "true" },
    profile: { type: "string" },
    bare: { type: "string" },
  },
});

if (values.bare === undefined) await compare();
else await runBare(JSON.parse(readFileSync(values.bare, "utf8")));

async function compare() {
  if (!existsSync(cli)) throw new Error("there is no dist: npm run build");
  const directory = mkdtempSync(join(tmpdir(), "volley-bench-exec-"));
  const fleet = await startEmbeddedHosts({ args: ["--count", values.hosts] });
  try {
    const { description } = fleet;
    writeFileSync(join(directory, "fleet.json"), JSON.stringify(description));
    // As short as an inventory can be: reading YAML is not what is compared.
    const lines = description.hosts.map(
      ({ name, address, port }) => `${name} ansible_host=${address} ansible_port=${port}`,
    );
    writeFileSync(join(directory, "hosts"), `${lines.join("\n")}\n`);
    const bare = [
      fileURLToPath(import.meta.url),
      "--bare",
      join(directory, "fleet.json"),
      "--forks",
      values.forks,
      "--command",
      values.command,
    ];
    const volley = [
      ...[
        cli,
        "exec",
        "-i",
        join(directory, "hosts"),
        "-u",
        description.user,
        "--private-key",
        description.privateKeyPath,
      ],
      ...[
        "--ssh-config",
        "none",
        "--known-hosts",
        description.knownHostsPath,
        "-f",
        values.forks,
        "all",
        values.command,
      ],
    ];
    const results = { bare: [], volley: [] };
    // The first run of volley keeps V8's code for the others.
    await measure(volley, directory);
    for (let round = 0; round < Number(values.rounds); round++) {
      const pair = [
        ["bare", bare],
        ["volley", volley],
      ];
      // In turn, so that neither is always the second.
      for (const [name, args] of round % 2 === 0 ? pair : pair.reverse())
        results[name].push(await measure(args, directory));
    }
    if (values.profile !== undefined) {
      for (const [name, args] of Object.entries({ bare, volley }))
        await measure(["--cpu-prof", `--cpu-prof-dir=${join(values.profile, name)}`, ...args], directory);
    }
    for (const [name, runs] of Object.entries(results))
      process.stdout.write(`${name.padEnd(6)}  ${describe(runs)}\n`);
    // Pair by pair: what else the machine does concerns both of a pair.
    const ratios = (field) =>
      results.volley.map((run, index) => run[field] / results.bare[index][field]).sort((a, b) => a - b);
    const ratio = (field) => {
      const all = ratios(field);
      const median = (all[Math.floor((all.length - 1) / 2)] + all[Math.ceil((all.length - 1) / 2)]) / 2;
      const bestOfEach = best(results.volley, field) / best(results.bare, field);
      return `${median.toFixed(2)} (${all[0].toFixed(2)} to ${all.at(-1).toFixed(2)}; best of each ${bestOfEach.toFixed(2)})`;
    };
    process.stdout.write(
      `volley / bare, median of pairs: wall ${ratio("wallMs")}, CPU ${ratio("cpuMs")}, peak RSS ${ratio("peakMib")}\n`,
    );
  } finally {
    await fleet.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Other work on the machine only ever adds. */
function best(runs, field) {
  return Math.min(...runs.map((run) => run[field]));
}

function describe(runs) {
  const all = (field, digits) => runs.map((run) => run[field].toFixed(digits)).join(" ");
  return `wall ms ${all("wallMs", 0)}; CPU ms ${all("cpuMs", 0)}; peak RSS MiB ${all("peakMib", 0)}`;
}

/** The least that does the same: connect, verify the host's key, run the command, read its output and exit code. */
async function runBare({ hosts, user, privateKeyPath, knownHostsPath }) {
  const { default: ssh2 } = await import("ssh2");
  const privateKey = readFileSync(privateKeyPath);
  const known = Buffer.from(readFileSync(knownHostsPath, "utf8").split("\n")[0].split(" ")[2], "base64");
  let next = 0;
  let failed = 0;
  const work = async () => {
    for (let host = hosts[next++]; host !== undefined; host = hosts[next++])
      if ((await visit(host)) !== 0) failed++;
  };
  const visit = ({ address, port }) =>
    new Promise((resolve, reject) => {
      const client = new ssh2.Client();
      const socket = connect({ host: address, port, noDelay: true });
      client.on("error", reject);
      client.on("ready", () =>
        client.exec(values.command, (error, channel) => {
          if (error) return reject(error);
          let code;
          channel.on("exit", (exit) => {
            code = exit;
          });
          channel.on("data", (chunk) => process.stdout.write(chunk));
          channel.stderr.on("data", (chunk) => process.stderr.write(chunk));
          channel.on("close", () => {
            client.end();
            resolve(code);
          });
        }),
      );
      client.connect({
        sock: socket,
        username: user,
        authHandler: [{ type: "publickey", username: user, key: privateKey }],
        hostVerifier: (key) => key.equals(known),
        readyTimeout: 60_000,
      });
    });
  await Promise.all(Array.from({ length: Number(values.forks) }, work));
  process.exitCode = failed === 0 ? 0 : 1;
}
