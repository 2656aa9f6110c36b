import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Queue } from "bullmq";
import { expect, test, vi } from "vitest";
import type { Event } from "../../src/core/events.ts";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { PURPOSES, sealValue } from "../../src/queue/messages.ts";
import { jobId, queueName, runKeys } from "../../src/queue/names.ts";
import { createSeal, type Seal } from "../../src/queue/seal.ts";
import { fleetStarter, follow, ofType, type Ran, start } from "../e2e/lib/drive.ts";
import { makeProject, play, playbookText, scratchDirectory, waitFor } from "../e2e/lib/project.ts";
import { PATIENCE_MS, PATIENT, until } from "../lib/patience.ts";
import { queueStarter, reachTo, type TestQueue, type TestWorker } from "./lib/queue.ts";
import { describeQueue } from "./lib/redis.ts";

// The store: its readers learn nothing, and its writers can start nothing.

const scratch = scratchDirectory();
const startFleet = fleetStarter();
const startQueue = queueStarter();

/** Each host notes that the task was done, then waits for the test. */
const NOTE = `task("Note", shell("echo x >> ~/noted"));`;
const TASKS = `${NOTE} task("Wait", ${waitFor("go")}); task("Note on", shell("echo y >> ~/noted"));`;

const VARS = { word: "plain-var-and-long", password: "plain-secret-and-long" };

interface Attacked {
  readonly fleet: EmbeddedFleet;
  readonly queue: TestQueue;
  readonly worker: TestWorker;
  readonly redis: ReturnType<TestQueue["connections"]["open"]>;
  readonly prefix: string;
  /** Carry out the playbook; `attack` comes once both hosts wait. */
  run(
    attack: (run: string, go: () => void) => Promise<void>,
    tasks?: string,
    ...more: readonly string[]
  ): Promise<Ran>;
  /** Put a job into the queue of BullMQ. */
  addJob(sealed: string, id: string): Promise<void>;
  sealJob(seal: Seal, run: string, host: number, purpose?: string): string;
}

/** Start two hosts and a worker. */
async function attacked(): Promise<Attacked> {
  const fleet = await startFleet({ count: 2 });
  const queue = await startQueue();
  const reach = reachTo(fleet);
  const worker = await queue.work({ reach, unansweredMs: 3_000 });
  const redis = queue.connections.open("attacker");
  const { prefix } = queue.connections;
  return {
    ...{ fleet, queue, worker, redis, prefix },
    run: async (attack, tasks = TASKS, ...more) => {
      const project = makeProject(scratch(), { "site.ts": playbookText(play("tags: []", tasks), ...more) });
      const waiting = new Set<string>();
      let run = "";
      let attacking: Promise<void> = Promise.resolve();
      const go = (): void => {
        for (const { home } of fleet.hosts) createIn(home);
      };
      const ran = await follow(
        start(project, fleet, { extraVars: VARS }, await queue.open({ silentMs: 3_000 })),
        (event) => {
          if (event.type === "run:start") run = event.run;
          if (event.type !== "task:output" || waiting.has(event.host) || waiting.add(event.host).size < 2)
            return;
          attacking = attack(run, go);
        },
      );
      await attacking;
      return ran;
    },
    addJob: async (sealed, id) => {
      const jobs = new Queue(queueName("default"), { connection: redis, prefix, skipVersionCheck: true });
      await jobs.add("host", { sealed }, { jobId: id });
    },
    sealJob: (seal, run, host, purpose = PURPOSES.job()) =>
      sealValue(seal, purpose, { run, host }).toString("base64"),
  };
}

function createIn(home: string): void {
  writeFileSync(join(home, "go"), "");
}

/** Shorter than the silence after which a worker's hosts are given to others. */
const SWALLOWED_MS = 1_500;

/** Delete what is written to a stream for a while, and keep its readers away meanwhile. */
async function swallow(
  redis: Attacked["redis"],
  stream: string,
  reader: string,
  go: () => void,
): Promise<void> {
  const limit = Date.now() + SWALLOWED_MS;
  for (let isFirst = true; Date.now() < limit; isFirst = false) {
    const clients = String(await redis.client("LIST")).split("\n");
    for (const client of clients) {
      const [, id, name] = /^id=(\d+) .* name=(\S*)/.exec(client) ?? [];
      if (name?.includes(reader)) await redis.client("KILL", "ID", id!).catch(() => {});
    }
    await redis.xtrim(stream, "MAXLEN", 0);
    if (isFirst) go();
  }
}

/** The lines that each host has noted. */
function noted({ hosts }: EmbeddedFleet): readonly string[] {
  return hosts.map(({ home }) =>
    existsSync(join(home, "noted")) ? readFileSync(join(home, "noted"), "utf8") : "",
  );
}

const ONCE_EACH = ["x\ny\n", "x\ny\n"];

function warnings(events: readonly Event[]): string {
  return ofType(events, "log")
    .filter(({ level }) => level === "warn")
    .map(({ text }) => text)
    .join("\n");
}

describeQueue("somebody who writes to the store", { timeout: 4 * PATIENCE_MS }, () => {
  test("forged, foreign, repeated and late jobs start nothing", async () => {
    const { fleet, queue, worker, redis, prefix, run, addJob, sealJob } = await attacked();
    const other = createSeal([{ secret: Buffer.alloc(32, 1) }]);
    let name = "";
    let copied: readonly (readonly [string, Buffer])[] = [];
    const ran = await run(async (current, go) => {
      name = current;
      await addJob("bm90IHNlYWxlZA==", "forged-1");
      await addJob(sealJob(other, current, 0), "forged-2");
      await addJob(sealJob(queue.seal, current, 0, PURPOSES.up(current)), "forged-3");
      await addJob(sealJob(queue.seal, "20200101-000000-00000", 0), "unknown-1");
      await until(() => worker.meter.status().refused === 4);
      // Another worker has the host: the offer waits, and is told that the host is over.
      await addJob(sealJob(queue.seal, current, 0), "again-1");
      await until(() => worker.meter.status().offered === 1);
      const keys = (await redis.keys(`${prefix}:*`)).filter((key) => key.includes(current));
      copied = await Promise.all(keys.map(async (key) => [key, (await redis.dumpBuffer(key))!] as const));
      go();
    });
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
    expect(noted(fleet)).toEqual(ONCE_EACH);
    for (const id of ["forged-1", "forged-2", "forged-3", "unknown-1"])
      expect(worker.said.join("\n")).toContain(`job ${id} was refused: `);
    expect(worker.said.join("\n")).toContain("there is no run 20200101-000000-00000 in this queue");

    // A job of a run that is over.
    const before = fleet.hosts.map(({ stats }) => stats.connections);
    await addJob(sealJob(queue.seal, name, 1), "late-1");
    await until(() => worker.said.join("\n").includes(`run ${name} is over`));
    await until(() => worker.meter.status().offered === 0);
    // The whole run is put back as it was, with its jobs.
    for (const [key, dumped] of copied) await redis.restore(key, 0, dumped, "REPLACE");
    await addJob(sealJob(queue.seal, name, 1), "restored-1");
    await until(() => worker.said.join("\n").includes(`run ${name} has no controller that answers`));
    await until(() => worker.meter.status().offered === 0);
    expect(fleet.hosts.map(({ stats }) => stats.connections)).toEqual(before);
    expect(noted(fleet)).toEqual(ONCE_EACH);
  });

  test("a worker with another key takes few jobs away from those that can open them", async () => {
    const queue = await startQueue();
    const jobs = new Queue(queueName("default"), {
      connection: queue.connections.open("jobs"),
      prefix: queue.connections.prefix,
    });
    await jobs.addBulk(
      Array.from({ length: 200 }, (_, host) => ({
        name: "host",
        data: { sealed: sealValue(queue.seal, PURPOSES.job(), { run: "r", host }).toString("base64") },
      })),
    );
    const worker = await queue.work({ seal: createSeal([{ secret: Buffer.alloc(32, 1) }]) });
    await until(() => worker.meter.status().refused >= 6);
    expect(await jobs.getWaitingCount()).toBeGreaterThan(150);
    await jobs.close();
  });

  test("messages that are changed, foreign or repeated are refused, and the run ends as it should", async () => {
    const { fleet, queue, worker, redis, prefix, run } = await attacked();
    const ran = await run(async (name, go) => {
      const { up, down } = runKeys(prefix, name);
      const message = sealValue(queue.seal, PURPOSES.up(name), {
        session: "s",
        worker: "w",
        number: 1,
        items: [],
      });
      await redis.xadd(up, "*", "m", message);
      await redis.xadd(up, "*", "m", message);
      const changed = Buffer.from(message);
      changed[changed.length - 20]! ^= 1;
      await redis.xadd(up, "*", "m", changed);
      await redis.xadd(up, "*", "m", sealValue(queue.seal, PURPOSES.up("another"), {}));
      const [[, [, last]]] = (await redis.xrevrangeBuffer(down, "+", "-", "COUNT", 1)) as unknown as [
        [Buffer, [Buffer, Buffer]],
      ];
      await redis.xadd(down, "*", "m", last);
      const broken = Buffer.from(last);
      broken[broken.length - 20]! ^= 1;
      await redis.xadd(down, "*", "m", broken);
      await until(() => worker.meter.status().refused >= 2);
      go();
    });
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 }, tally: { changed: 6 } });
    expect(noted(fleet)).toEqual(ONCE_EACH);
    expect(worker.said.join("\n")).toMatch(/came again, and was refused/);
    expect(warnings(ran.events)).toMatch(/an event in the queue was refused/);
    expect(warnings(ran.events)).toMatch(/a message of the controller was refused/);
  });

  test("messages of a worker that are deleted are told again by its hosts", async () => {
    const { fleet, redis, prefix, run } = await attacked();
    const ran = await run(async (name, go) => await swallow(redis, runKeys(prefix, name).up, "events", go));
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 }, tally: { changed: 6 } });
    expect(noted(fleet)).toEqual(ONCE_EACH);
    // The worker may have told all before the swallowing ends, and be gone: no later message shows the gap then.
    expect(warnings(ran.events)).toMatch(/messages of worker w1 are missing|has gone from the queue/);
  });

  test("messages of the controller that are deleted are said again", async () => {
    const { fleet, worker, redis, prefix, run } = await attacked();
    const ran = await run(
      async (name, go) => {
        const { down } = runKeys(prefix, name);
        // The word to go on behind the barrier is lost, whatever else is said meanwhile.
        await swallow(redis, down, "-run", go);
      },
      TASKS,
      play("tags: []", `task("Then", shell("echo z >> ~/noted"));`),
    );
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 }, tally: { changed: 8 } });
    expect(noted(fleet)).toEqual(["x\ny\nz\n", "x\ny\nz\n"]);
    expect(worker.said.join("\n")).toContain("messages of the controller are missing");
  });

  test("a part of another host, a changed bundle and a changed record begin nothing", async () => {
    const { fleet, queue, worker, redis, prefix } = await attacked();
    const project = makeProject(scratch(), { "site.ts": playbookText(play("tags: []", TASKS)) });
    await worker.worker.stop();
    const spoil = async (spoiling: (run: string) => Promise<unknown>, of = project): Promise<Ran> => {
      let spoilt: Promise<unknown> = Promise.resolve();
      let late: Promise<TestWorker> | undefined;
      const reach = reachTo(fleet);
      const ran = await follow(start(of, fleet, {}, await queue.open({ silentMs: 1_000 })), (event) => {
        if (event.type !== "run:start") return;
        spoilt = spoiling(event.run);
        late = spoilt.then(() => queue.work({ reach }));
      });
      const { meter, said, stop } = await late!;
      expect(meter.status().refused).toBeGreaterThan(0);
      expect(said.join("\n")).toMatch(/queue key, or was changed/);
      await stop();
      return ran;
    };
    const exchanged = await spoil(async (run) => {
      const { parts } = runKeys(prefix, run);
      const [first, second] = await redis.hmgetBuffer(parts, "0", "1");
      await redis.hset(parts, "0", second!, "1", first!);
    });
    expect(exchanged.summary).toMatchObject({ exitCode: 2, outcomes: { failed: 2 } });
    expect(exchanged.summary.hosts[0]!.error?.code).toBe("QUEUE_REFUSED");
    const record = await spoil(async (run) => await redis.set(runKeys(prefix, run).record, "x".repeat(100)));
    expect(record.summary).toMatchObject({ exitCode: 4, outcomes: { unreachable: 2 } });
    expect(warnings(record.events)).toMatch(/has gone from the queue, and no worker has asked/);
    // The worker has kept the bundle of the runs before.
    await redis.del(await redis.keys(`${prefix}:bundle:*`));
    const other = makeProject(scratch(), {
      "site.ts": playbookText(play("tags: []", `${TASKS} task("More", shell("echo z >> ~/noted"));`)),
    });
    const bundle = await spoil(async () => {
      const [key] = await redis.keys(`${prefix}:bundle:*`);
      await redis.setrange(key!, 1_000, "xxxx");
    }, other);
    expect(bundle.summary).toMatchObject({ exitCode: 2, outcomes: { failed: 2 } });
    expect(noted(fleet)).toEqual(["", ""]);
  });

  test("a job whose name alone is taken out of the queue is brought again", async () => {
    const { fleet, queue, worker, redis, prefix } = await attacked();
    await worker.stop();
    const project = makeProject(scratch(), { "site.ts": playbookText(play("tags: []", NOTE)) });
    const reach = reachTo(fleet);
    let attacking: Promise<unknown> = Promise.resolve();
    const ran = await follow(start(project, fleet, {}, await queue.open({ silentMs: 1_000 })), (event) => {
      if (event.type !== "run:start") return;
      attacking = (async () => {
        const waiting = `${prefix}:${queueName("default")}:wait`;
        await vi.waitFor(async () => expect(await redis.llen(waiting)).toBe(2), PATIENT);
        expect(await redis.lrem(waiting, 0, jobId(event.run, 0))).toBe(1);
        await queue.work({ reach });
      })();
    });
    await attacking;
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 }, tally: { changed: 2 } });
    expect(noted(fleet)).toEqual(["x\n", "x\n"]);
    expect(warnings(ran.events)).toContain("the job of web01 has gone from the queue");
  });

  test("a run whose account was changed ends with an error that says so", async () => {
    const { fleet, redis, prefix, run } = await attacked();
    const ran = await run(async (name) => {
      await redis.hset(runKeys(prefix, name).control, "number", "1000000000");
    });
    expect(ran.summary).toMatchObject({ exitCode: 4, outcomes: { lost: 2 } });
    expect(ran.summary.hosts[0]!.error?.message).toContain("was changed by somebody else");
    for (const { home } of fleet.hosts) createIn(home);
  });

  test("nothing of vars, secrets and hosts can be read in the store", async () => {
    const { fleet, redis, run } = await attacked();
    const words = [
      "plain-word-of-a-task",
      "plain-var",
      "plain-secret",
      "web01",
      fleet.user,
      "Note on",
      "noted",
    ];
    let seen = 0;
    const look = async (): Promise<void> => {
      for (const key of await redis.keys("*")) {
        seen++;
        const text = `${key}\n${(await redis.dumpBuffer(key))?.toString("latin1")}\n${JSON.stringify(await redis.hgetall(key).catch(() => ""))}`;
        for (const word of words) expect(text.includes(word), `${word} in ${key}`).toBe(false);
      }
    };
    const ran = await run(async (_run, go) => {
      await look();
      go();
    }, `task("Say", shell("echo plain-word-of-a-task; head -c 300 /dev/zero | tr '\\\\0' z")); ${TASKS}`);
    await look();
    expect(seen).toBeGreaterThan(10);
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
  });
});
