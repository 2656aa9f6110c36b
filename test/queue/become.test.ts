import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { RunOptions } from "../../src/controller/prepare/options.ts";
import type { Event } from "../../src/core/events.ts";
import { createSecretStore } from "../../src/vars/secrets/store.ts";
import { fleetStarter, follow, hostOf, ofType, type Ran, start } from "../e2e/lib/drive.ts";
import { scratchDirectory, waitFor } from "../e2e/lib/project.ts";
import { SUDO, type SudoHost, sudoHosts } from "../e2e/lib/sudo.ts";
import { queueStarter, reachTo, type TestQueue, type TestWorker, withVars } from "./lib/queue.ts";
import { describeQueue } from "./lib/redis.ts";

// Workers become other users on hosts, with passwords of the controller's and of their own. The host's user logs in with a
// password, and its sudo wants another one where it is asked.

const scratch = scratchDirectory();
const SESAME = "open sesame";

describeQueue("become by a queue", () => {
  const hostWith = sudoHosts(scratch, fleetStarter(afterAll));
  const startQueue = queueStarter(afterAll);
  let host: SudoHost;
  let queue: TestQueue;
  let leaving: TestWorker;

  const work = (name: string): Promise<TestWorker> =>
    queue.work({
      name,
      reach: reachTo(host.fleet),
      secrets: createSecretStore({ cwd: scratch(), env: { OF_WORKER: SESAME, LOGIN_OF_WORKER: "login" } }),
    });

  beforeAll(async () => {
    host = await hostWith(
      SUDO,
      `{ name: "Play", hosts: "all", tasks: ({ task, facts }) => {
        task("Wait", ${waitFor("go")}); task("After", shell("echo x >>~/after; echo open sesame")); } }`,
    );
    queue = await startQueue();
    leaving = await work("w1");
    vi.stubEnv("OF_CONTROLLER", SESAME);
  });
  afterAll(() => vi.unstubAllEnvs());
  beforeEach(() => {
    rmSync(host.project.path("asked"), { force: true });
    rmSync(join(host.fleet.hosts[0]!.home, "go"), { force: true });
  });

  const letGo = (): void => writeFileSync(join(host.fleet.hosts[0]!.home, "go"), "");

  /** Carry out the play, with these vars of all hosts as YAML. */
  const run = async (
    vars: readonly string[],
    options: Partial<RunOptions> = {},
    on: (event: Event) => void = ({ type }) => {
      if (type === "task:start") letGo();
    },
  ): Promise<Ran> => {
    const inventory = withVars(readFileSync(host.options.inventory as string, "utf8"), [
      "some: var",
      ...vars,
    ]);
    return follow(
      start(
        host.project,
        host.fleet,
        { ...host.options, inventory: host.project.write("vars.yaml", inventory), ...options },
        await queue.open(),
      ),
      on,
    );
  };

  const outcomeOf = (ran: Ran): unknown => {
    const { outcome, error } = hostOf(ran, "web01");
    return { outcome, ...(error === undefined ? {} : { message: error.message }) };
  };

  test.each<readonly [from: string, vars: readonly string[], options: Partial<RunOptions>, asked: number]>([
    ["nobody, for sudo asks for none", [], {}, 0],
    ["an option", [], { becomePassword: SESAME }, 1],
    ["a var", [`ansible_become_password: ${SESAME}`], {}, 1],
    ["the controller's secret", ["ansible_become_password: !secret env:OF_CONTROLLER"], {}, 1],
    [
      "the worker's secrets, for the login, too",
      [
        "volley_secrets: worker",
        "ansible_password: !secret env:LOGIN_OF_WORKER",
        "ansible_become_password: !secret env:OF_WORKER",
      ],
      { password: "not the login's" },
      1,
    ],
    [
      "a prompt of the controller's",
      ["volley_secrets: worker", "ansible_become_password: !secret prompt:Word"],
      { askPassphrase: async (question) => (question === "Word: " ? SESAME : null) },
      1,
    ],
  ])("the password comes from %s", async (_from, vars, options, asked) => {
    const { seen } = await queue.server.monitor(/sesame/);
    const ran = await run(vars, options);
    expect(outcomeOf(ran)).toEqual({ outcome: "ok" });
    expect(ran.summary).toMatchObject({ exitCode: 0, tally: { changed: 2 } });
    expect(host.asked()).toEqual(Array(asked).fill(SESAME));
    // A task prints the word, which is masked where it is a password.
    expect(JSON.stringify(ran.events).includes(SESAME)).toBe(asked === 0);
    // All commands that the server has got before this one are without the password.
    await queue.server.cli("echo", "sesame of the test");
    expect(await seen).toContain("sesame of the test");
  });

  test("a wrong password is told, and is not tried again", async () => {
    const ran = await run([], { becomePassword: "open barley" });
    expect(outcomeOf(ran)).toEqual({
      outcome: "failed",
      message: "web01: ops cannot become root: sudo does not take the password",
    });
    expect(host.asked()).toEqual(["open barley"]);
    expect(JSON.stringify(ran.events)).not.toContain("open barley");
  });

  test("another worker attaches to the host with the password", async () => {
    rmSync(join(host.fleet.hosts[0]!.home, "after"), { force: true });
    let others: Promise<unknown> | undefined;
    const ran = await run(
      ["volley_secrets: worker", "ansible_become_password: !secret env:OF_WORKER"],
      {},
      (event) => {
        if (event.type === "task:output") {
          others ??= work("w2").then(() => Promise.all([leaving.stop(), leaving.worker.handBack()]));
        }
        if (event.type === "host:back") letGo();
      },
    );
    await others;
    expect(outcomeOf(ran)).toEqual({ outcome: "ok" });
    expect(ofType(ran.events, "task:end").map(({ name }) => name)).toEqual(["Wait", "After"]);
    expect(readFileSync(join(host.fleet.hosts[0]!.home, "after"), "utf8")).toBe("x\n");
    expect(host.asked()).toEqual([SESAME, SESAME]);
  });
});
