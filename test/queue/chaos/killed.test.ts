import { afterAll, beforeAll, expect, test } from "vitest";
import type { Event } from "../../../src/core/events.ts";
import { startEmbeddedFleet } from "../../../src/embedded/fleet.ts";
import type { EmbeddedFleet } from "../../../src/embedded/options.ts";
import { chaosSeed, seededRandom } from "../../chaos/random.ts";
import { lendHostCode } from "../../e2e/lib/cli.ts";
import { scratchDirectory } from "../../e2e/lib/project.ts";
import { until } from "../../lib/patience.ts";
import { describeQueue, type RedisServer, startRedis } from "../lib/redis.ts";
import { type Account, accountOf, type ControllerProcess, type Process, Rig } from "./rig.ts";

/** Cut points of each kind: VOLLEY_CHAOS_QUEUE=50,20,20 has workers, controllers and Redis killed so often. */
const [WORKERS = 3, CONTROLLERS = 1, SERVERS = 2] = (process.env.VOLLEY_CHAOS_QUEUE ?? "")
  .split(",")
  .filter((text) => text !== "")
  .map(Number);

const HOSTS = 4;

/** A point of a run: the so-and-so-manieth event of a kind. */
interface Point {
  readonly type: Event["type"];
  readonly nth: number;
}

const scratch = scratchDirectory();

describeQueue("kill -9 at seeded points", () => {
  const seed = chaosSeed();
  const random = seededRandom(seed);
  const draw = (from: number, to: number): number => from + Math.floor(random() * (to - from + 1));
  let server: RedisServer;
  let fleet: EmbeddedFleet;
  let rig: Rig;
  const workers: Process[] = [];
  /** The results of a run without a disturbance, and its number of events. */
  let whole: { readonly account: Account; readonly events: readonly Event[] };

  beforeAll(async () => {
    server = await startRedis();
    fleet = await startEmbeddedFleet({ count: HOSTS });
    for (const { home } of fleet.hosts) lendHostCode(home);
    rig = new Rig(scratch(), server, fleet);
    await Promise.all([hire(), hire()]);
    const controller = await rig.control();
    expect(await controller.end, controller.said()).toBe(0);
    whole = { account: account(controller), events: controller.events };
    expect(whole.account.marks.web01).toEqual([
      ...["first", "once", "by web01", "second", "third", "fourth", "last"],
    ]);
    expect(whole.account.marks.web02).toEqual(["first", "by web01", "second", "third", "fourth", "last"]);
  });
  afterAll(async () => {
    await rig?.stop();
    await fleet?.stop();
    await server?.stop();
  });

  const hire = async (): Promise<void> => {
    workers.push(await rig.work());
  };
  const account = ({ events }: Pick<ControllerProcess, "events">): Account => {
    const end = events.findLast((event) => event.type === "run:end");
    if (end === undefined) throw new Error("the run has not ended");
    return accountOf(rig.marks(), events, end.summary);
  };
  /** Draw a point of the run, before its event at `end`: the so-and-so-manieth event of a kind. */
  const drawPoint = (end = whole.events.length - 1): Point => {
    const at = draw(0, end - 1);
    const { type } = whole.events[at]!;
    // A host that has the bundle gets it no second time.
    if (type === "host:upload") return drawPoint(end);
    return { type, nth: whole.events.slice(0, at + 1).filter((event) => event.type === type).length };
  };
  /** Do something at points of a run. */
  const at = (points: readonly Point[], act: (point: number) => void): ((event: Event) => void) => {
    const seen = new Map<string, number>();
    return ({ type }) => {
      const nth = (seen.get(type) ?? 0) + 1;
      seen.set(type, nth);
      points.forEach((point, index) => {
        if (point.type === type && point.nth === nth) act(index);
      });
    };
  };
  const show = (what: string, points: readonly Point[]): string =>
    `VOLLEY_CHAOS_SEED=${seed}: ${what} at ${points.map(({ type, nth }) => `${type} ${nth}`).join(", ")}`;

  test(`workers, at ${WORKERS} points`, async () => {
    for (let left = WORKERS; left > 0; ) {
      const points = Array.from({ length: Math.min(left, 3) }, () => drawPoint());
      left -= points.length;
      const victims = points.map(() => draw(0, 1));
      const hiring: Promise<void>[] = [];
      const controller = await rig.control({
        on: at(points, (point) => {
          const [victim] = workers.splice(victims[point]! % workers.length, 1);
          victim?.signal("SIGKILL");
          hiring.push(hire());
        }),
      });
      const shown = show("workers killed", points);
      expect(await controller.end, `${shown}\n${controller.said()}`).toBe(0);
      expect(account(controller), shown).toEqual(whole.account);
      await Promise.all(hiring);
    }
  });

  test(`the controller, at ${CONTROLLERS} points`, async () => {
    for (let left = CONTROLLERS; left > 0; left--) {
      const point = drawPoint();
      const controller = await rig.control({ on: at([point], () => controller.signal("SIGKILL")) });
      await controller.end;
      const next = await rig.takeOver(controller.run()!);
      expect(accountOf(rig.marks(), next.events, next.summary), show("controller killed", [point])).toEqual(
        whole.account,
      );
    }
  });

  test(`Redis, at ${SERVERS} points`, async () => {
    for (let left = SERVERS; left > 0; ) {
      const points = Array.from({ length: Math.min(left, 2) }, () => drawPoint());
      left -= points.length;
      let restarting = Promise.resolve();
      const controller = await rig.control({
        on: at(points, () => {
          restarting = restarting.then(() => server.restart());
        }),
      });
      const shown = show("Redis killed", points);
      expect(await controller.end, `${shown}\n${controller.said()}`).toBe(0);
      expect(account(controller), shown).toEqual(whole.account);
      await restarting;
    }
  });

  /** The point at which all hosts have the result of the `runOnce` task, and go on without the controller. */
  const whenTold = (act: () => void): ((event: Event) => void) => {
    let told = 0;
    return (event) => {
      if (event.type === "task:end" && event.name === "tell" && ++told === HOSTS) act();
    };
  };
  /** Leave no worker but a new one. */
  const onlyOne = async (): Promise<Process> => {
    for (const worker of workers.splice(0)) worker.signal("SIGKILL");
    await hire();
    return workers[0]!;
  };

  test("a controller that dies before its first word: another one has the run", async () => {
    const { seen } = await server.monitor(/"zadd" "volley:runs"/);
    const controller = await rig.control();
    const line = await seen;
    controller.signal("SIGKILL");
    await controller.end;
    const next = await rig.takeOver(/ "(\S+)"$/.exec(line)![1]!);
    expect(accountOf(rig.marks(), next.events, next.summary)).toEqual(whole.account);
  });

  test("a controller that was only stopped steps down when it wakes", async () => {
    // A controller that has heard the ends of all hosts ends the run as its own. Only earlier points are drawn.
    const point = drawPoint(
      whole.events.findIndex((event) => event.type === "play:end" && event.index === 1),
    );
    const controller = await rig.control({ on: at([point], () => controller.signal("SIGSTOP")) });
    await until(() => controller.run() !== undefined);
    const next = await rig.takeOver(controller.run()!);
    controller.signal("SIGCONT");
    expect(await controller.end).toBe(1);
    expect(controller.said()).toContain("another controller has taken this run over, and this one ends");
    expect(accountOf(rig.marks(), next.events, next.summary), show("stopped", [point])).toEqual(
      whole.account,
    );
  });

  test("a worker that was only stopped lets go of the hosts that others have meanwhile", async () => {
    const first = await onlyOne();
    const point = drawPoint();
    let isStopped = false;
    const stop = at([point], () => {
      isStopped = true;
      first.signal("SIGSTOP");
      void hire();
    });
    const controller = await rig.control({
      on: (event) => {
        stop(event);
        // Another worker has reached the first host: both are alive.
        if (isStopped && event.type === "host:back") first.signal("SIGCONT");
      },
    });
    const shown = show("worker stopped", [point]);
    expect(await controller.end, `${shown}\n${controller.said()}`).toBe(0);
    expect(account(controller), shown).toEqual(whole.account);
    first.signal("SIGCONT");
    // The worker has no host any more to wait for.
    first.signal("SIGTERM");
    expect(await first.end, first.said()).toBe(0);
    await until(() => workers.length === 2);
    workers.shift();
  });

  test("Redis stopped for longer than leases and the patience with workers", async () => {
    if (workers.length < 2) await hire();
    const point = drawPoint();
    const controller = await rig.control({
      on: at([point], () => {
        server.pause();
        setTimeout(() => server.resume(), 5_000);
      }),
    });
    const shown = show("Redis stopped", [point]);
    expect(await controller.end, `${shown}\n${controller.said()}`).toBe(0);
    expect(account(controller), shown).toEqual(whole.account);
    // No worker was taken for dead.
    expect(controller.events.filter(({ type }) => type === "host:lost")).toEqual([]);
  });

  test("Redis gone for good: what is not known is lost, and a later controller finds it", async () => {
    const controller = await rig.control({
      args: ["--queue-timeout", "2"],
      on: whenTold(() => void server.kill()),
    });
    expect(await controller.end, controller.said()).toBe(4);
    const end = controller.events.findLast((event) => event.type === "run:end")!;
    expect(end.summary.outcomes).toMatchObject({ lost: HOSTS });
    for (const { error } of end.summary.hosts)
      expect(error).toMatchObject({
        code: "QUEUE_FAILED",
        message: "the queue has been away for 2 s: its workers may have gone on with this host",
      });
    // The hosts have ended the play that they were in.
    await until(() => Object.values(rig.marks()).every((marks) => marks.at(-1) === "second"));
    const stopping = workers.splice(0);
    for (const worker of stopping) worker.signal("SIGTERM");
    expect(await Promise.all(stopping.map((worker) => worker.end))).toEqual(stopping.map(() => 0));
    await server.restart();
    await hire();
    const next = await rig.takeOver(controller.run()!);
    expect(accountOf(rig.marks(), next.events, next.summary)).toEqual(whole.account);
  });

  test("Redis without its data: the controller says so, and workers let go", async () => {
    const controller = await rig.control({ on: whenTold(() => void server.cli("flushall")) });
    expect(await controller.end, controller.said()).toBe(4);
    const end = controller.events.findLast((event) => event.type === "run:end")!;
    expect(end.summary.hosts.map(({ error }) => error?.message)).toContain(
      "the queue has lost the run: its workers may have gone on with this host",
    );
    const stopping = workers.splice(0);
    for (const worker of stopping) worker.signal("SIGTERM");
    expect(await Promise.all(stopping.map((worker) => worker.end))).toEqual(stopping.map(() => 0));
    // They wait for a controller that never comes.
    for (const event of controller.events) if (event.type === "hello") process.kill(event.pid, "SIGKILL");
  });
});
