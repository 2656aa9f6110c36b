import { afterAll, beforeAll, expect, test } from "vitest";
import { startEmbeddedFleet } from "../../../src/embedded/fleet.ts";
import type { EmbeddedFleet } from "../../../src/embedded/options.ts";
import { openQueueServer, type QueueConnections } from "../../../src/queue/connect.ts";
import { runKeys } from "../../../src/queue/names.ts";
import { readWhole } from "../../../src/queue/streams.ts";
import { lendHostCode } from "../../e2e/lib/cli.ts";
import { scratchDirectory } from "../../e2e/lib/project.ts";
import { describeQueue, type RedisServer, startRedis } from "../lib/redis.ts";
import { accountOf, type ControllerProcess, Rig } from "./rig.ts";

const scratch = scratchDirectory();

/** The marks of a host, in their order. */
const marksOf = (host: string): readonly string[] => [
  ...(host === "web01" ? ["first", "once"] : ["first"]),
  ...["by web01", "second", "third", "fourth", "last"],
];

describeQueue("a run whose account in the store is changed", () => {
  let server: RedisServer;
  let fleet: EmbeddedFleet;
  let rig: Rig;
  let connections: QueueConnections;
  let redis: ReturnType<QueueConnections["open"]>;

  beforeAll(async () => {
    server = await startRedis();
    fleet = await startEmbeddedFleet({ count: 2 });
    for (const { home } of fleet.hosts) lendHostCode(home);
    rig = new Rig(scratch(), server, fleet);
    connections = await openQueueServer({ url: server.url }, new AbortController().signal);
    redis = connections.open("test");
    await rig.work();
  });
  afterAll(async () => {
    await rig?.stop();
    await connections?.close();
    await fleet?.stop();
    await server?.stop();
  });

  /** Start a run; `act` comes once the first host has done the third task. */
  const begun = async (act: (controller: ControllerProcess) => void): Promise<ControllerProcess> => {
    const controller = await rig.control({
      on: (event) => {
        if (event.type === "task:start" && event.name === "second" && event.host === "web01") act(controller);
      },
    });
    return controller;
  };
  const keysOf = (controller: ControllerProcess) => runKeys(connections.prefix, controller.run()!);
  const expectWhole = ({ marks, results, gaps }: ReturnType<typeof accountOf>): void => {
    expect(marks).toEqual({ web01: marksOf("web01"), web02: marksOf("web02") });
    for (const host of ["web01", "web02"]) expect(results[host]).toHaveLength(7);
    expect(gaps).toEqual([]);
  };

  test("another owner, a lowered number, a time to come and an end that is none: another controller goes on", async () => {
    const controller = await begun((running) => {
      void redis.hset(keysOf(running).control, "owner", "nobody");
    });
    expect(await controller.end).toBe(1);
    expect(controller.said()).toContain("another controller has taken this run over, and this one ends");
    await redis.hset(keysOf(controller).control, { number: "1", beat: "99999999999", ended: "1" });
    const next = await rig.takeOver(controller.run()!);
    expect(next.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
    expectWhole(accountOf(rig.marks(), next.events, next.summary));
  });

  test("an end that is none, while the controller is there: the run goes on", async () => {
    const controller = await begun((running) => {
      void redis.hset(keysOf(running).control, { ended: "1", number: "1" });
    });
    expect(await controller.end, controller.said()).toBe(0);
    const end = controller.events.findLast((event) => event.type === "run:end")!;
    expectWhole(accountOf(rig.marks(), controller.events, end.summary));
  });

  test("work and log that are deleted: nothing begins, and the next controller says why", async () => {
    const controller = await begun((running) => running.signal("SIGKILL"));
    await controller.end;
    const run = controller.run()!;
    const keys = keysOf(controller);

    await redis.rename(keys.parts, "away");
    await expect(rig.takeOver(run)).rejects.toMatchObject({
      code: "QUEUE_FAILED",
      message: `run ${run} cannot go on: the work of web01 is no longer in the queue`,
    });
    await redis.rename("away", keys.parts);

    const ids: string[] = [];
    for await (const entries of readWhole(redis, keys.log)) ids.push(...entries.map(({ id }) => id));
    const dumped = (await redis.dumpBuffer(keys.log))!;
    // The test deletes one batch, then all but two. Messages to workers name the last batch.
    for (const deleted of [ids.slice(1, 2), ids.slice(2)]) {
      await redis.xdel(keys.log, ...deleted);
      await expect(rig.takeOver(run)).rejects.toMatchObject({
        code: "QUEUE_REFUSED",
        message: `a part of the log of run ${run} is missing in the queue`,
      });
      await redis.restore(keys.log, 0, dumped, "REPLACE");
    }

    // All is there again, and the hosts have begun nothing meanwhile.
    const next = await rig.takeOver(run);
    expect(next.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
    expectWhole(accountOf(rig.marks(), next.events, next.summary));
  });
});
