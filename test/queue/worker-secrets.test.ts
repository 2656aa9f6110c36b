import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createSecretStore } from "../../src/vars/secrets/store.ts";
import { fleetStarter, follow, hostOf, ofType, start } from "../e2e/lib/drive.ts";
import { makeProject, playbookText, scratchDirectory } from "../e2e/lib/project.ts";
import { queueStarter, reachTo, withVars } from "./lib/queue.ts";
import { describeQueue } from "./lib/redis.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();
const startQueue = queueStarter();

const PASSWORD = "only-the-worker-knows-4711";

describeQueue("secrets that workers read", () => {
  test("the host gets the value, and the controller's machine, its log and other hosts never see it", async () => {
    const fleet = await startFleet({ count: 2 });
    const queue = await startQueue();
    await queue.work({
      reach: reachTo(fleet),
      secrets: createSecretStore({ cwd: scratch(), env: { DB_PASSWORD: PASSWORD } }),
    });
    const project = makeProject(scratch(), {
      // The schema is for the value: what stands for it on the controller does not fit.
      "role.ts": `import * as v from "valibot";
        import { copy, defineRole } from "volley";
        export default defineRole({ name: "typed",
          vars: v.object({ password: v.pipe(v.string(), v.regex(/^only-the-worker-knows-[0-9]+$/)) }),
          tasks({ task, vars }) { task("Typed", copy({ dest: "~/typed", content: vars.password })); } });`,
      "site.ts": `import typed from "./role.ts";\n${playbookText(
        '{ hosts: "all", roles: [typed()] }',
        `{ name: "Play", hosts: "all", tasks: ({ task, vars }) => {
        task("Write", copy({ dest: "~/conf", content: vars.url, mode: "0600" }));
        task("Echo", command({ argv: ["echo", vars.password] }));
        task("Share", command({ argv: ["echo", vars.password] }), { runOnce: true });
      } }`,
      )}`,
    });
    const inventory = withVars(fleet.inventoryYaml(), [
      "volley_secrets: worker",
      'password: !secret "env:DB_PASSWORD"',
      'url: "postgres://app:{{ password }}@db1/app"',
    ]);
    const ran = await follow(
      start(
        project,
        fleet,
        {
          inventory: project.write("secret.yaml", inventory),
          logDirectory: mkdtempSync(join(scratch(), "runs-")),
        },
        await queue.open(),
      ),
    );
    expect(ran.summary.hosts.map(({ outcome, failures }) => [outcome, failures])).toEqual([
      ["ok", []],
      ["ok", []],
    ]);
    for (const { home } of fleet.hosts)
      expect(readFileSync(join(home, "conf"), "utf8")).toBe(`postgres://app:${PASSWORD}@db1/app`);
    for (const { home } of fleet.hosts) expect(readFileSync(join(home, "typed"), "utf8")).toBe(PASSWORD);
    const echoed = ofType(ran.events, "task:end").filter(({ name }) => name === "Echo");
    expect(echoed.map(({ result }) => (result.data as { stdout: string }).stdout)).toEqual([
      "********",
      "********",
    ]);
    expect(JSON.stringify(ran.events)).not.toContain(PASSWORD);
    expect(readFileSync(ran.summary.logFile!, "utf8")).not.toContain(PASSWORD);
  });

  test("other hosts and the controller do without the secret, and say so", async () => {
    const fleet = await startFleet({ count: 2 });
    const queue = await startQueue();
    await queue.work({
      reach: reachTo(fleet),
      secrets: createSecretStore({ cwd: scratch(), env: { DB_PASSWORD: PASSWORD } }),
    });
    const out = mkdtempSync(join(scratch(), "out-"));
    const project = makeProject(scratch(), {
      "site.ts": playbookText(`{ name: "Play", hosts: "all", tasks: ({ task, vars }) => {
        const here = { delegateTo: "controller", ignoreErrors: true };
        task("Params", copy({ dest: "${out}/params", content: "word: " + vars.password }), here);
        task("Template", template({ dest: "${out}/template", src: "word.j2" }), here);
        task("Without", copy({ dest: "${out}/without", content: "no word" }), here);
        const shared = task("Share", command({ argv: ["echo", vars.password] }), { runOnce: true });
        task("Use", () => copy({ dest: "~/used", content: shared.data.stdout }));
      } }`),
      "templates/word.j2": "word: {{ password }}\n",
    });
    const inventory = withVars(fleet.inventoryYaml(), [
      "volley_secrets: worker",
      'password: !secret "env:DB_PASSWORD"',
    ]);
    const ran = await follow(
      start(project, fleet, { inventory: project.write("secret.yaml", inventory) }, await queue.open()),
    );
    const [web01, web02] = ["web01", "web02"].map((name) => hostOf(ran, name));
    expect([web01?.outcome, web02?.outcome]).toEqual(["ok", "failed"]);
    expect(readFileSync(join(fleet.hosts[0]!.home, "used"), "utf8")).toBe(PASSWORD);
    expect(web02?.failures[0]?.error.message).toMatch(
      /found out on web01 cannot be told here: .*a worker's secret/,
    );
    expect(ofType(ran.events, "log").map(({ host, text }) => `${host}: ${text}`)).toEqual([
      expect.stringMatching(/^web01: the result of the task "Share" has a secret that only workers read/),
    ]);
    const ofController = ofType(ran.events, "task:end").filter(({ name }) =>
      ["Params", "Template"].includes(name),
    );
    expect(ofController.map(({ result }) => result.error?.message)).toEqual(
      Array(4).fill("it needs a secret that only the host's worker reads"),
    );
    expect(readdirSync(out)).toEqual(["without"]);
    expect(JSON.stringify(ran.events)).not.toMatch(/volley-secret-|4711/);
  });

  test("a secret that the worker has not fails its host with a clear error", async () => {
    const fleet = await startFleet({ count: 1 });
    const queue = await startQueue();
    await queue.work({
      reach: reachTo(fleet),
      secrets: createSecretStore({ cwd: scratch(), env: {} }),
    });
    const project = makeProject(scratch(), {
      "site.ts": playbookText(
        `{ name: "Play", hosts: "all", tasks: ({ task, vars }) => { task("Write", copy({ dest: "~/conf", content: vars.password })); } }`,
      ),
    });
    const inventory = withVars(fleet.inventoryYaml(), [
      "volley_secrets: worker",
      'password: !secret "env:DB_PASSWORD"',
    ]);
    const { summary } = await follow(
      start(project, fleet, { inventory: project.write("secret.yaml", inventory) }, await queue.open()),
    );
    expect(summary.hosts[0]).toMatchObject({
      outcome: "failed",
      error: { code: "SECRET_FAILED", message: expect.stringContaining("DB_PASSWORD") },
    });
    expect(summary.exitCode).toBe(2);
  });
});
