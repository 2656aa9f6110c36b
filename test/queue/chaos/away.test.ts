import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { fleetStarter, follow, letGo, ofType, start } from "../../e2e/lib/drive.ts";
import { makeProject, playbookText, scratchDirectory, waitFor } from "../../e2e/lib/project.ts";
import { PATIENT } from "../../lib/patience.ts";
import { queueStarter, type TestWorker } from "../lib/queue.ts";
import { describeQueue, type RedisServer } from "../lib/redis.ts";
import { linesIn } from "./rig.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();
const startQueue = queueStarter();

const LINES = 4_000;

/** Waits for the test, says a lot, and waits for the test again. */
const TALKING = playbookText(
  `{ name: "Talk", hosts: "all", tasks: ({ task, facts }) => {
  task("wait", ${waitFor("go")});
  task("talk", shell(\`for i in $(seq ${LINES}); do echo line $i; done; echo talked >> "\${facts.env.HOME}/marks"\`));
} }`,
  `{ name: "Then", hosts: "all", tasks: ({ task, facts }) => {
  task("last", shell(\`echo last >> "\${facts.env.HOME}/marks"\`));
} }`,
);

/** Carries the playbook out; Redis is away from when all hosts wait until `isEnough`. */
async function withoutRedis(
  options: { readonly maxWaiting?: number; readonly awayMs?: number },
  isEnough: (worker: TestWorker, server: RedisServer) => boolean | Promise<boolean>,
  leave: (server: RedisServer) => Promise<unknown> = (server) => server.kill(),
  comeBack: (server: RedisServer) => Promise<unknown> = (server) => server.restart(),
): Promise<void> {
  const fleet = await startFleet({ count: 2 });
  const queue = await startQueue();
  const worker = await queue.work({ reach: { knownHostsFiles: [fleet.knownHostsPath] }, ...options });
  const project = makeProject(scratch(), { "site.ts": TALKING });
  let waiting = 0;
  const ran = await follow(start(project, fleet, {}, await queue.open()), (event) => {
    if (event.type !== "task:output" || !/^waiting/.test(event.text) || ++waiting < 2) return;
    void (async () => {
      await leave(queue.server);
      letGo(fleet);
      await vi.waitFor(async () => expect(await isEnough(worker, queue.server)).toBe(true), PATIENT);
      await comeBack(queue.server);
    })();
  });
  expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
  for (const { name, home } of fleet.hosts) {
    expect(linesIn(join(home, "marks"))).toEqual(["talked", "last"]);
    const text = ofType(ran.events, "task:output").flatMap((event) =>
      event.host === name ? [event.text] : [],
    );
    expect(text.join("").match(/^line \d+$/gm)).toHaveLength(LINES);
    expect(ofType(ran.events, "task:end").filter(({ host }) => host === name)).toHaveLength(3);
  }
}

describeQueue("a worker while Redis is away", () => {
  test("leaves to the hosts what it has no room for, and hears it again afterwards", async () => {
    await withoutRedis({ maxWaiting: 10_000 }, ({ said }) =>
      ["web01", "web02"].every((host) =>
        said.includes(`too much waits for the queue: ${host} goes on alone meanwhile`),
      ),
    );
  });

  test("ends its sessions when Redis stays away, and begins them again when it comes back", async () => {
    await withoutRedis({ awayMs: 200 }, ({ said }) =>
      said.includes("the queue has been away too long: 2 hosts go on alone"),
    );
  });
});

describeQueue("a queue whose memory is full for a while", () => {
  const memory = (bytes: string) => (server: RedisServer) => server.cli("config", "set", "maxmemory", bytes);

  test("loses nothing", async () => {
    await withoutRedis(
      {},
      // The controller's batches are the only scripts without a hash.
      async (_worker, server) =>
        /cmdstat_eval:.*failed_calls=[1-9]/.test(await server.cli("info", "commandstats")),
      memory("1"),
      memory("0"),
    );
  });
});
