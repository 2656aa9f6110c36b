import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { builtCli } from "./lib/cli.ts";
import { fleetStarter, provision } from "./lib/drive.ts";
import { volleyHere } from "./lib/here.ts";
import { filesBelow, leaksBelow, leaksIn, watchProcesses } from "./lib/leaks.ts";
import { makeProject, type Project, scratchDirectory } from "./lib/project.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();

interface Secrets {
  readonly env: string;
  readonly file: string;
  readonly command: string;
  readonly key: string;
  readonly ofDb: string;
}

/** Values nobody else on this machine has. */
function makeSecrets(): Secrets {
  const random = (): string => randomBytes(6).toString("hex");
  return {
    env: `env ${random()} & 'q' "d" $x`,
    file: `file/${random()}+é=ü?`,
    command: `cmd-${random()}`,
    key: `-----BEGIN TEST KEY ${random()}-----\n${randomBytes(48).toString("base64")}\n${randomBytes(48).toString("base64")}\n-----END TEST KEY ${random()}-----\n`,
    ofDb: `db-only-${random()}`,
  };
}

const SITE = `import { command, copy, debug, definePlaybook, defineRole, fail, get_url, shell, template } from "volley";
const leaky = defineRole({
  name: "leaky",
  tasks: async ({ task, vars, facts }) => {
    const home = facts.env.HOME;
    const url = \`http://127.0.0.1:1/?token=\${encodeURIComponent(vars.env)}\`;
    console.log("console", vars.env, vars.file);
    for (const character of "written " + vars.command + "\\n") process.stdout.write(character);
    task("Write", template({ src: "conf.j2", dest: home + "/allowed.conf", mode: "0600" }));
    task("Again", copy({ content: vars.command, dest: home + "/allowed.key", mode: "0600" }));
    task("Echo", command({ argv: ["cat"], stdin: vars.env }));
    task("Echo in pieces", shell(\`cd \${home}; for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do head -c $n allowed.key | tail -c 1; sleep 0.02; done; echo\`));
    task("Echo to stderr in the end", shell(\`cd \${home}; cat allowed.conf >&2; exit 3\`), { ignoreErrors: true });
    task("Base64", shell(\`cd \${home}; base64 allowed.key; (printf x; cat allowed.key) | base64 -w0; (printf xy; cat allowed.key) | base64 -w0; base64 allowed.conf\`));
    task("Hex", shell(\`od -An -tx1 -v \${home}/allowed.key | tr -d ' \\n'\`));
    task("Debug", debug({ msg: { url, json: JSON.stringify(vars.env), key: vars.key, nested: [{ [vars.command]: vars.command }] } }));
    task("Fetch", get_url({ url, dest: home + "/never" }), { ignoreErrors: true });
    task(\`Named \${vars.command}\`, debug({ msg: "x" }));
    task("Loop", (item) => debug({ msg: item }), { loop: [vars.command, vars.file] });
    task("Fail", fail({ msg: \`cannot log in with \${vars.env} and \${vars.key}\` }), { ignoreErrors: true });
    task("Hidden", fail({ msg: "unmarked-but-hidden" }), { noLog: true, ignoreErrors: true });
    const echoed = await task("Kept", command({ argv: ["cat"], stdin: vars.file }));
    // On the host itself it is the real one.
    if (echoed.data.stdout.trim() !== vars.file) throw new Error("the secret did not arrive");
    throw new TypeError("broken by " + vars.file + " and " + encodeURIComponent(vars.env));
  },
});
export default definePlaybook([{ name: "Leak", hosts: "all", roles: [leaky()] }]);
`;

function makeLeakyProject(fleet: EmbeddedFleet, secrets: Secrets): Project {
  const project = makeProject(scratch(), {
    "site.ts": SITE,
    "templates/conf.j2": "user = app\npassword = {{ env }}\nother = {{ file }}\n{{ key }}",
    "inv/hosts.yaml": fleet.inventoryYaml(),
    "inv/group_vars/all.yaml": `env: !secret env:VOLLEY_TEST_SECRET
file: !secret file:../secrets/file
command: !secret "command: cat ../secrets/command"
key: !secret file:../secrets/key
`,
    "inv/host_vars/web02.yaml": "of_db: !secret file:../secrets/db\n",
  });
  mkdirSync(project.path("secrets"), { mode: 0o700 });
  for (const name of ["file", "command", "key"] as const) project.write(`secrets/${name}`, secrets[name]);
  project.write("secrets/db", secrets.ofDb);
  return project;
}

/** True for the file of whole results that a failed run keeps for a run that resumes it. Only its owner can read it. */
const isKeptForCode = (path: string): boolean =>
  path.endsWith("/state.ndjson") && (statSync(path).mode & 0o077) === 0;

/**
 * List all files that a run leaves behind, except the secrets' own files, the files the playbook puts them in, and the
 * results of a run that failed.
 */
function leftBehind(fleet: EmbeddedFleet, project: Project, secrets: readonly string[]): readonly string[] {
  const allowed = [project.path("secrets"), ...fleet.hosts.map(({ home }) => join(home, "allowed."))];
  const found = leaksBelow([fleet.root, scratch()], secrets);
  return found.filter(
    (leak) =>
      !allowed.some((path) => leak.startsWith(path)) && !isKeptForCode(leak.slice(0, leak.indexOf(": "))),
  );
}

test.each([
  ["plain", ["-vv"]],
  ["json", []],
  ["ink", []],
])("no secret is left in %s output, logs, journals, caches or command lines", async (output, more) => {
  const secrets = makeSecrets();
  const all = Object.values(secrets);
  const fleet = await startFleet({ count: 2 });
  const project = makeLeakyProject(fleet, secrets);
  const stop = watchProcesses(
    all,
    all.filter((one) => one !== secrets.env),
  );
  const ran = await volleyHere(
    ["run", "site.ts", "-i", "inv", "--diff", "-o", output, "--known-hosts", fleet.knownHostsPath, ...more],
    { cwd: project.directory, env: { VOLLEY_TEST_SECRET: secrets.env } },
  );
  const processes = await stop();

  expect(ran.code, ran.stdout + ran.stderr).toBe(2);
  const printed = ran.stdout + ran.stderr;
  if (output !== "ink") {
    expect(printed).toContain("broken by ********");
    expect(printed).toContain("password = ********");
    expect(printed).toContain("cannot log in with ********");
    expect(printed).not.toContain("unmarked-but-hidden");
  }
  expect(leaksIn(printed, all)).toEqual([]);
  expect(leftBehind(fleet, project, all)).toEqual([]);
  expect(processes.samples).toBeGreaterThan(0);
  expect(processes.leaks).toEqual([]);

  // The playbook got the real values, and its host's only.
  const written = readFileSync(join(fleet.hosts[0]!.home, "allowed.conf"), "utf8");
  expect(written).toBe(`user = app\npassword = ${secrets.env}\nother = ${secrets.file}\n${secrets.key}`);
  expect(statSync(join(fleet.hosts[0]!.home, "allowed.conf")).mode & 0o777).toBe(0o600);
  // The searched files exist: a journal and a bundle on each host, and the run's log here.
  const files = filesBelow(fleet.root);
  expect(files.filter((path) => path.endsWith("journal.ndjson"))).toHaveLength(2);
  const bundles = files.filter((path) => path.endsWith(".run"));
  expect(bundles).toHaveLength(2);
  expect(filesBelow(join(scratch(), "state")).length).toBeGreaterThan(0);
  for (const bundle of bundles) {
    const inside = execFileSync("sh", ["-c", 'unzip -p "$1" || [ $? -le 1 ]', "-", bundle], {
      maxBuffer: 1 << 28,
      stdio: ["ignore", "pipe", "ignore"],
    });
    expect(inside.includes("leaky")).toBe(true);
    expect(leaksIn(inside.toString("utf8"), all)).toEqual([]);
  }
});

test("events given to programs are masked, and the bundle does not depend on secrets", async () => {
  const fleet = await startFleet({ count: 1 });
  const bundles = new Set<string>();
  for (let round = 0; round < 2; round++) {
    const secrets = makeSecrets();
    const project = makeLeakyProject(fleet, secrets);
    process.env.VOLLEY_TEST_SECRET = secrets.env;
    try {
      const { events, summary } = await provision(project, fleet, {
        inventory: project.path("inv"),
        diff: true,
      });
      expect(leaksIn(JSON.stringify([events, summary]), Object.values(secrets))).toEqual([]);
      expect(summary.exitCode).toBe(2);
      for (const event of events) if (event.type === "run:build") bundles.add(event.bundle);
    } finally {
      delete process.env.VOLLEY_TEST_SECRET;
    }
  }
  expect(bundles.size).toBe(1);
});

test("what a host says beside the protocol is masked, in whatever pieces it comes", async () => {
  const secrets = makeSecrets();
  const fleet = await startFleet({ count: 1 });
  const project = makeLeakyProject(fleet, secrets);
  project.write(
    "site.ts",
    `import { spawn } from "node:child_process";
import { once } from "node:events";
import { copy, definePlaybook } from "volley";
export default definePlaybook([{ hosts: "all", tasks: async ({ task, host, system, facts }) => {
  const file = facts.env.HOME + "/allowed.key";
  await task("Begin", copy({ content: host.vars.command + "\\n", dest: file, mode: "0600" }));
  // Straight to the connection, past everything that masks on the host.
  const script = "head -c 6 " + file + " >&2; sleep 0.1; tail -c +7 " + file + " >&2; echo passed >&2";
  await once(spawn("sh", ["-c", script], { stdio: ["ignore", "ignore", "inherit"] }), "close");
  await system.stat("/");
  for (const character of "said " + host.vars.command + "\\n") {
    process.stderr.write(character);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  setTimeout(() => { throw new Error("uncaught " + host.vars.file); }, 10);
  await new Promise((resolve) => setTimeout(resolve, 500));
} }]);
`,
  );
  process.env.VOLLEY_TEST_SECRET = secrets.env;
  try {
    const { events, summary } = await provision(project, fleet, { inventory: project.path("inv") });
    const told = JSON.stringify([events, summary]);
    expect(told).toContain("uncaught ********");
    const noise = events.flatMap((event) => (event.type === "host:noise" ? [event.text] : []));
    expect(noise).toContain("passed");
    expect(leaksIn(noise.join(""), Object.values(secrets))).toEqual([]);
    expect(leaksIn(told, Object.values(secrets))).toEqual([]);
    expect(summary.outcomes.failed).toBe(1);
  } finally {
    delete process.env.VOLLEY_TEST_SECRET;
  }
});

test("an error before anything is run does not repeat a secret", async () => {
  const secrets = makeSecrets();
  const fleet = await startFleet({ count: 1 });
  const project = makeLeakyProject(fleet, secrets);
  project.write(
    "site.ts",
    `import { definePlaybook, defineRole } from "volley";
import * as v from "valibot";
const strict = defineRole({
  name: "strict",
  vars: v.object({ command: v.pipe(v.string(), v.check((x) => false, (issue) => "not " + issue.input)) }),
  tasks: () => {},
});
console.log("at once");
export default definePlaybook([{ hosts: "all", roles: [strict()] }]);
`,
  );
  const ran = await volleyHere(
    ["run", "site.ts", "-i", "inv", "-o", "plain", "--known-hosts", fleet.knownHostsPath],
    {
      cwd: project.directory,
      env: { VOLLEY_TEST_SECRET: secrets.env, VOLLEY_DEBUG: "1" },
    },
  );
  expect(ran.code).toBe(1);
  expect(ran.stderr).toContain("not ********");
  expect(leaksIn(ran.stdout + ran.stderr, Object.values(secrets))).toEqual([]);
});

test("a bundle to be carried holds secrets only when that is asked for, and masks them then", async () => {
  const secrets = makeSecrets();
  const fleet = await startFleet({ count: 2 });
  const project = makeLeakyProject(fleet, secrets);
  const bundle = (...more: readonly string[]): ReturnType<typeof volleyHere> =>
    volleyHere(["bundle", "site.ts", "-i", "inv", "-l", "web01", "-o", "site.run", ...more], {
      cwd: project.directory,
      env: { VOLLEY_TEST_SECRET: secrets.env },
    });
  const refused = await bundle();
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(
    "the bundle would hold secrets in clear: env of web01, file of web01, command of web01",
  );
  expect(refused.stderr).toContain("--with-secrets");
  expect(existsSync(project.path("site.run"))).toBe(false);

  expect((await bundle("--with-secrets")).code).toBe(0);
  expect(statSync(project.path("site.run")).mode & 0o077).toBe(0);
  const inside = execFileSync("sh", ["-c", "unzip -p site.run manifest.json || [ $? -le 1 ]"], {
    cwd: project.directory,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  expect(inside).toContain(secrets.command);
  // Of no other host's.
  expect(inside).not.toContain(secrets.ofDb);
  const home = project.path("home");
  mkdirSync(home);
  const child = spawn("sh", ["site.run", "--local", "web01", "-v", "--diff"], {
    cwd: project.directory,
    env: { PATH: process.env.PATH, HOME: home },
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect(code).toBe(2);
  expect(printed).toContain("broken by ********");
  expect(printed).toContain("console ******** ********");
  // Character by character it is more than a terminal can be kept from.
  expect(leaksIn(printed.replace(/^written .*$/m, ""), Object.values(secrets))).toEqual([]);
  rmSync(project.path("site.run"));
});

test("what is typed at a question is not shown", async () => {
  const secrets = makeSecrets();
  const fleet = await startFleet({ count: 2 });
  const project = makeLeakyProject(fleet, secrets);
  project.write(
    "inv/group_vars/all.yaml",
    `${readFileSync(project.path("inv/group_vars/all.yaml"), "utf8")}typed: !secret prompt:Vault token\n`,
  );
  project.write(
    "run.sh",
    `exec ${process.execPath} ${await builtCli()} run site.ts -i inv -o json --known-hosts ${fleet.knownHostsPath}\n`,
  );
  chmodSync(project.path("run.sh"), 0o755);
  writeFileSync(
    project.path("site.ts"),
    `import { definePlaybook, debug } from "volley";
export default definePlaybook([{ hosts: "all", tasks: ({ task, host }) => { task("Say", debug({ msg: "token " + host.vars.typed })); } }]);\n`,
  );
  const child = spawn("script", ["-qec", "sh run.sh", "/dev/null"], {
    cwd: project.directory,
    env: { ...process.env, VOLLEY_TEST_SECRET: secrets.env },
  });
  let shown = "";
  let answered = 0;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
    if (shown.includes("Vault token: ") && answered++ === 0) child.stdin.write("typed-unseen-4711\r");
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect(code, shown).toBe(0);
  expect(shown.split("Vault token: ")).toHaveLength(2);
  expect(shown).toContain("token ********");
  expect(shown).not.toContain("typed-unseen");
});
