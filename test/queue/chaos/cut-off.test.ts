import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openQueueServer } from "../../../src/queue/connect.ts";
import { startCutter } from "../../chaos/cutter.ts";
import { fleetStarter, follow, letGo, ofType, type Ran, start } from "../../e2e/lib/drive.ts";
import { makeProject, playbookText, scratchDirectory, waitFor } from "../../e2e/lib/project.ts";
import { PATIENCE_MS, until } from "../../lib/patience.ts";
import { queueStarter, reachTo, type TestWorker } from "../lib/queue.ts";
import { describeQueue } from "../lib/redis.ts";
import { linesIn } from "./rig.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();
const startQueue = queueStarter();

const mark = (name: string): string => `shell(\`echo ${name} >> "\${facts.env.HOME}/marks"\`)`;

/** Waits for the test between tasks that leave marks; then one host's result is passed to the other, behind a barrier. */
const MARKING = playbookText(
  `{ name: "One", hosts: "all", tasks: ({ task, facts }) => {
  task("before", ${mark("before")});
  task("wait", ${waitFor("go")});
  task("after", ${mark("after")});
} }`,
  `{ name: "Two", hosts: "all", tasks: ({ task, facts }) => {
  const once = task("once", shell(\`echo once >> "\${facts.env.HOME}/once"; seq 20000\`), { runOnce: true });
  task("tell", () => shell(\`echo \${once.data.stdout.length} >> "\${facts.env.HOME}/marks"\`));
} }`,
);

/** The length of `seq 20000`. */
const LENGTH = "108893";

/** Points of a run with two hosts. */
interface Course {
  readonly first: TestWorker;
  /** Start a worker that nothing cuts off. */
  hire(): Promise<TestWorker>;
  /** Pass bytes on again between the first worker and Redis. */
  join(): void;
  letGo(): void;
}

/** Carry the playbook out; the first worker is cut off from Redis once both hosts wait. */
async function cutOff(
  on: (point: "cut" | "silent" | "back", course: Course) => void,
): Promise<{ readonly ran: Ran; readonly first: TestWorker }> {
  const fleet = await startFleet({ count: 2 });
  const queue = await startQueue();
  const line = await startCutter(queue.server.port);
  onTestFinished(() => line.close());
  const url = queue.server.url.replace(/\d+$/, String(line.port));
  const connections = await openQueueServer({ url, silentMs: 1_000 }, new AbortController().signal);
  onTestFinished(() => connections.close());
  const reach = reachTo(fleet);
  const first = await queue.work({ name: "first", connections, reach, leaseMs: 1_000 });
  onTestFinished(() => line.join());
  const course: Course = {
    first,
    hire: () => queue.work({ name: "second", reach, leaseMs: 1_000 }),
    join: () => line.join(),
    letGo: () => letGo(fleet),
  };
  const project = makeProject(scratch(), { "site.ts": MARKING });
  const count = { waiting: 0, lost: 0, back: 0 };
  const ran = await follow(start(project, fleet, {}, await queue.open({ silentMs: 2_000 })), (event) => {
    if (event.type === "task:output" && /^waiting/.test(event.text) && ++count.waiting === 2) {
      line.cut();
      on("cut", course);
    }
    if (event.type === "host:lost" && ++count.lost === 2) on("silent", course);
    if (event.type === "host:back" && ++count.back === 2) on("back", course);
  });
  expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
  for (const { name, home } of fleet.hosts) {
    expect(linesIn(join(home, "marks"))).toEqual(["before", "after", LENGTH]);
    const ends = ofType(ran.events, "task:end").filter(({ host }) => host === name);
    expect(ends.map((end) => end.name)).toEqual(["before", "wait", "after", "once", "tell"]);
  }
  expect(fleet.hosts.flatMap(({ home }) => linesIn(join(home, "once")))).toEqual(["once"]);
  return { ran, first };
}

describeQueue(
  "a worker that is cut off from Redis, but not from its hosts",
  { timeout: 2 * PATIENCE_MS },
  () => {
    test("comes back while another one has the hosts, and lets go of them", async () => {
      const { first } = await cutOff((point, { first, hire, join, letGo }) => {
        if (point === "silent") void hire();
        if (point !== "back") return;
        join();
        void until(() => [...first.worker.state.hosts].length === 0).then(letGo);
      });
      expect(first.meter.status().done).toBe(0);
    });

    test("never comes back: another one has the hosts, and the worker can be stopped", async () => {
      const { first } = await cutOff((point, { hire, letGo }) => {
        if (point === "silent") void hire();
        if (point === "back") letGo();
      });
      await first.stop();
    });

    test("is waited for where there is no other", async () => {
      const { ran, first } = await cutOff((point, { join, letGo }) => {
        if (point === "cut") letGo();
        if (point === "silent") join();
      });
      expect(ofType(ran.events, "host:back")).toHaveLength(2);
      await until(() => first.meter.status().done === 2);
    });
  },
);
