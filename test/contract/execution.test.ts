import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { LOCK_PREFIX } from "../../src/agent/lock.ts";
import type { Event } from "../../src/core/events.ts";
import { machineId, processStart, thisProcess } from "../../src/system/this-process.ts";
import { fleetStarter, follow, hostOf, letGo, ofType, provision, type Ran, start } from "../e2e/lib/drive.ts";
import { makeProject, type Project, scratchDirectory, waitFor } from "../e2e/lib/project.ts";
import { PATIENCE_MS } from "../lib/patience.ts";

/*
 * The contract of execution. An action or a role may rely on it, by whichever method its host is worked on. Users of
 * other names need root: test/fleet/contract.test.ts holds both methods to that part.
 */

const scratch = scratchDirectory();
const startFleet = fleetStarter();

function projectOf(tasks: string, files: Readonly<Record<string, string>> = {}, keys = ""): Project {
  const site = `import { command, copy, debug, definePlaybook, fail, get_url, shell, template } from "volley";
void [command, copy, debug, fail, get_url, shell, template];
export default definePlaybook([{ name: "Contract", hosts: "all", ${keys} tasks: async ({ task, facts, system, host }) => {
void [facts, system, host]; ${tasks} } }]);
`;
  return makeProject(scratch(), { "site.ts": site, ...files });
}

/** Return the output of each task, by name. */
function outputs({ events }: Ran): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    ofType(events, "task:end").map(({ name, result }) => [
      name,
      (result.data as { readonly stdout?: string } | undefined)?.stdout,
    ]),
  );
}

const lockOf = (home: string): string => join(home, ".cache/volley", `${LOCK_PREFIX}${machineId()}`);

describe.each(["bundle", "direct"] as const)("by %s", (via) => {
  test("commands run in the home of the login user, and relative paths start there", async () => {
    const fleet = await startFleet({ count: 1 });
    const { home } = fleet.hosts[0]!;
    mkdirSync(join(home, "below"));
    writeFileSync(join(home, "here"), "#!/bin/sh\necho here\n", { mode: 0o755 });
    const project = projectOf(`
      task("Directory", shell("pwd -P"));
      task("Below", shell({ cmd: "pwd -P", chdir: "below" }));
      task("Home", shell({ cmd: "pwd -P", chdir: "~" }));
      task("Created", command({ cmd: "echo ran", creates: "here" }));
      task("Not created", command({ cmd: "echo ran", creates: "nowhere" }));
      task("Program", command("./here"));
      task("Write", copy({ content: "x", dest: "~/written" }));`);
    const ran = await provision(project, fleet, { via });
    expect(ran.summary.exitCode).toBe(0);
    expect(outputs(ran)).toMatchObject({
      Directory: home,
      Below: join(home, "below"),
      Home: home,
      Created: expect.stringContaining("skipped"),
      "Not created": "ran",
      Program: "here",
    });
    expect(readFileSync(join(home, "written"), "utf8")).toBe("x");
  });

  test("commands have the user's environment and umask, and no input", async () => {
    const fleet = await startFleet({ count: 1 });
    const { home } = fleet.hosts[0]!;
    const project = projectOf(`
      task("User", shell("id -un"));
      task("Home", shell('echo "$HOME"'));
      task("System", shell('case ":$PATH:" in *:/usr/sbin:*) echo searched;; esac'));
      task("Input", shell("cat; echo end"));
      task("Made", shell("touch made; stat -c %a made; umask"));
      task("Fact", shell(\`echo "\${facts.env.HOME} \${facts.user_id}"\`));`);
    const ran = await provision(project, fleet, { via });
    expect(ran.summary.exitCode).toBe(0);
    const { username } = userInfo();
    const { Made: made, ...others } = outputs(ran);
    expect(others).toEqual({
      User: username,
      Home: home,
      System: "searched",
      Input: "end",
      Fact: `${home} ${username}`,
    });
    const [mode = "", umask = ""] = String(made).split("\n");
    expect(Number.parseInt(mode, 8)).toBe(0o666 & ~Number.parseInt(umask, 8));
  });

  test("tests of templates look at the host, also at what the task before has made", async () => {
    const fleet = await startFleet({ count: 1 });
    const { home } = fleet.hosts[0]!;
    const look = (name: string): string => `{{ (ansible_env.HOME ~ "/${name}") is exists }}`;
    const project = projectOf(
      `task("Before", template({ src: "look.j2", dest: "~/before" }));
       task("Make", shell("mkdir made"));
       task("After", template({ src: "look.j2", dest: "~/after" }));
       task("Is", template({ src: "is.j2", dest: "~/is" }));`,
      {
        "templates/look.j2": `${look("made")} ${look("none")}`,
        "templates/is.j2": `{{ (ansible_env.HOME ~ "/made") is directory }} {{ (ansible_env.HOME ~ "/made") is file }}`,
      },
    );
    const { summary } = await provision(project, fleet, { via });
    expect(summary.exitCode).toBe(0);
    const read = (name: string): string => readFileSync(join(home, name), "utf8").trim();
    expect([read("before"), read("after"), read("is")]).toEqual(["False False", "True False", "True False"]);
  });

  test("a download lies on the host with its mode, and is not made again", async () => {
    const fleet = await startFleet({ count: 1 });
    const { home } = fleet.hosts[0]!;
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_none, index) => index % 256));
    let bodies = 0;
    const server = createServer((request, response) => {
      if (request.headers["if-modified-since"] !== undefined) return response.writeHead(304).end();
      bodies++;
      return response.writeHead(200, { "last-modified": "Sat, 01 Nov 2025 00:00:00 GMT" }).end(bytes);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const project = projectOf(
        `task("Get", get_url({ url: "http://127.0.0.1:${port}/file", dest: "~/file", mode: "0640" }));
         task("Mode", shell("stat -c %a file"));`,
      );
      const first = await provision(project, fleet, { via });
      expect(first.summary).toMatchObject({ exitCode: 0 });
      expect(readFileSync(join(home, "file"))).toEqual(bytes);
      expect(outputs(first).Mode).toBe("640");
      const again = await provision(project, fleet, { via });
      const [get] = ofType(again.events, "task:end");
      expect([get?.result.state, bodies]).toEqual(["unchanged", 1]);
    } finally {
      server.close();
    }
  });

  test("the clock is the host's", async () => {
    const fleet = await startFleet({ count: 1 });
    const project = projectOf(`task("Clock", shell(\`echo \${facts.date_time.epoch}\`));`);
    const before = Math.floor(Date.now() / 1_000);
    const ran = await provision(project, fleet, { via });
    const epoch = Number(outputs(ran).Clock);
    expect(epoch).toBeGreaterThanOrEqual(before);
    expect(epoch).toBeLessThanOrEqual(Date.now() / 1_000);
  });

  test("one run at a time: the lock names it while it works, and is gone behind it", async () => {
    const fleet = await startFleet({ count: 1 });
    const { home } = fleet.hosts[0]!;
    const project = projectOf(`task("Wait", ${waitFor("go")});`);
    const running = start(project, fleet, { via });
    let holder: unknown;
    const ran = await follow(running, (event: Event) => {
      if (event.type !== "task:output" || holder !== undefined) return;
      holder = JSON.parse(readFileSync(lockOf(home), "utf8"));
      letGo(fleet);
    });
    expect(ran.summary.exitCode).toBe(0);
    expect(holder).toMatchObject({ run: ran.summary.run, host: "web01", turn: true });
    expect(existsSync(lockOf(home))).toBe(false);
  });

  test("the lock of a process that works keeps a run out; one of a process that is gone does not", async () => {
    const fleet = await startFleet({ count: 1 });
    const { home } = fleet.hosts[0]!;
    const project = projectOf(`task("Work", shell("echo x >>worked"));`);
    mkdirSync(join(home, ".cache/volley"), { recursive: true, mode: 0o700 });
    const holder = spawn("sleep", ["600"], { stdio: "ignore" });
    await once(holder, "spawn");
    // Written once: a run that gave up may still put back what it found.
    writeFileSync(
      lockOf(home),
      `${JSON.stringify({ run: "other", host: "x", controller: "ann@laptop", ...thisProcess(), pid: holder.pid, start: processStart(holder.pid!), since: "now", turn: true })}\n`,
    );
    const kept = await provision(project, fleet, { via, lockWaitMs: 100 });
    expect(hostOf(kept, "web01")).toMatchObject({ outcome: "failed", error: { code: "LOCKED" } });
    expect(existsSync(join(home, "worked"))).toBe(false);
    holder.kill("SIGKILL");
    await once(holder, "exit");
    const free = await provision(project, fleet, { via, lockWaitMs: PATIENCE_MS });
    expect(free.summary.exitCode).toBe(0);
    expect(readFileSync(join(home, "worked"), "utf8")).toBe("x\n");
  });

  test("a handler that a failed run has left over runs in the next one, by either method", async () => {
    const fleet = await startFleet({ count: 1 });
    const { home } = fleet.hosts[0]!;
    const project = projectOf(
      `task("Notify", copy({ content: "x", dest: "~/conf" }), { notify: "reload" });
       task("Break", shell("test -e mended"));`,
      {},
      `handlers: { reload: shell("echo reloaded >>reloads") },`,
    );
    const failed = await provision(project, fleet, { via });
    expect(failed.summary.exitCode).toBe(2);
    expect(existsSync(join(home, "reloads"))).toBe(false);
    writeFileSync(join(home, "mended"), "");
    const other = via === "bundle" ? "direct" : "bundle";
    for (const method of [other, via] as const)
      expect((await provision(project, fleet, { via: method })).summary.exitCode).toBe(0);
    expect(readFileSync(join(home, "reloads"), "utf8")).toBe("reloaded\n");
  });
});
