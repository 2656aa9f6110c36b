// What `volley exec` costs beside the same calls of ssh2 by hand: wall, CPU and memory, each in a process of its own.
// node test/bench/exec.mjs [--hosts 200] [--forks 50] [--rounds 5] [--command true] [--profile DIR]; needs a built dist.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

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
  // Inside the project, so that the compiled file finds the packages it imports.
  const compiled = mkdtempSync(join(root, "node_modules", ".bench-exec-"));
  const fleet = await startFleet(compiled);
  try {
    const { description } = fleet;
    writeFileSync(join(directory, "fleet.json"), JSON.stringify(description));
    // As short as an inventory can be: reading YAML is not what is compared.
    const lines = description.hosts.map(
      ({ name, address, port }) => `${name} ansible_host=${address} ansible_port=${port}`,
    );
    writeFileSync(join(directory, "hosts"), `${lines.join("\n")}\n`);
    const report = join(directory, "report.mjs");
    writeFileSync(report, reportSource(join(directory, "usage.json")));
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
    for (let round = 0; round < Number(values.rounds); round++) {
      results.bare.push(await measure(bare, report, directory));
      results.volley.push(await measure(volley, report, directory));
    }
    if (values.profile !== undefined) {
      for (const [name, args] of Object.entries({ bare, volley }))
        await measure(
          ["--cpu-prof", `--cpu-prof-dir=${join(values.profile, name)}`, ...args],
          report,
          directory,
        );
    }
    for (const [name, runs] of Object.entries(results))
      process.stdout.write(`${name.padEnd(6)}  ${describe(runs)}\n`);
    const ratio = (field) => (best(results.volley, field) / best(results.bare, field)).toFixed(2);
    process.stdout.write(
      `volley / bare: wall ${ratio("wallMs")}, CPU ${ratio("cpuMs")}, peak RSS ${ratio("peakMib")}\n`,
    );
  } finally {
    fleet.child.stdin.end();
    await fleet.exited;
    rmSync(directory, { recursive: true, force: true });
    rmSync(compiled, { recursive: true, force: true });
  }
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
