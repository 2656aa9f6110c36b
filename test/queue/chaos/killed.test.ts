import { afterAll, beforeAll, expect, test } from "vitest";
import { startEmbeddedFleet } from "../../../src/embedded/fleet.ts";
import type { EmbeddedFleet } from "../../../src/embedded/options.ts";
import { chaosSeed, seededRandom } from "../../chaos/random.ts";
import { lendHostCode } from "../../e2e/lib/cli.ts";
import { scratchDirectory } from "../../e2e/lib/project.ts";
import { describeQueue, type RedisServer, startRedis } from "../lib/redis.ts";
import { type Account, accountOf, type ControllerProcess, type Process, Rig } from "./rig.ts";

/** Cut points of each kind: VOLLEY_CHAOS_QUEUE=50,20,20 has workers, controllers and Redis killed so often. */
const [WORKERS = 3, CONTROLLERS = 2, SERVERS = 2] = (process.env.VOLLEY_CHAOS_QUEUE ?? "")
  .split(",")
  .filter((text) => text !== "")
  .map(Number);

const HOSTS = 6;
const scratch = scratchDirectory();

describeQueue("kill -9 at seeded points", () => {
  const seed = chaosSeed();
  const random = seededRandom(seed);
  const draw = (from: number, to: number): number => from + Math.floor(random() * (to - from + 1));
  let server: RedisServer;
  let fleet: EmbeddedFleet;
  let rig: Rig;
  const workers: Process[] = [];
  /** What a run without a disturbance gives, and its number of events. */
  let whole: { readonly account: Account; readonly count: number };

  beforeAll(async () => {
    server = await startRedis();
    fleet = await startEmbeddedFleet({ count: HOSTS });
    for (const { home } of fleet.hosts) lendHostCode(home);
    rig = new Rig(scratch(), server, fleet);
    await Promise.all([hire(), hire()]);
    const controller = await rig.control();
    expect(await controller.end, controller.said()).toBe(0);
    whole = { account: account(controller), count: controller.events.length };
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
  /** Draw the number of the event at which something happens. */
  const drawPoint = (): number => draw(1, whole.count - 1);

  test(`workers, at ${WORKERS} points`, async () => {
    for (let left = WORKERS; left > 0; ) {
      const points = Array.from({ length: Math.min(left, 3) }, drawPoint);
      left -= points.length;
      const victims = points.map(() => draw(0, 1));
      const hiring: Promise<void>[] = [];
      const controller = await rig.control({
        on: (_event, count) => {
          points.forEach((point, index) => {
            if (point !== count) return;
            const [victim] = workers.splice(victims[index]! % workers.length, 1);
            victim?.signal("SIGKILL");
            hiring.push(hire());
          });
        },
      });
      const shown = `VOLLEY_CHAOS_SEED=${seed}: workers killed at events ${points.join(", ")} of ${whole.count}`;
      expect(await controller.end, `${shown}\n${controller.said()}`).toBe(0);
      expect(account(controller), shown).toEqual(whole.account);
      await Promise.all(hiring);
    }
  });

  test(`the controller, at ${CONTROLLERS} points`, async () => {
    for (let left = CONTROLLERS; left > 0; left--) {
      const point = drawPoint();
      const shown = `VOLLEY_CHAOS_SEED=${seed}: controller killed at event ${point} of ${whole.count}`;
      const controller = await rig.control({
        on: (_event, count) => {
          if (count === point) controller.signal("SIGKILL");
        },
      });
      await controller.end;
      const next = await rig.takeOver(controller.run()!);
      expect(accountOf(rig.marks(), next.events, next.summary), shown).toEqual(whole.account);
    }
  });

  test(`Redis, at ${SERVERS} points`, async () => {
    for (let left = SERVERS; left > 0; ) {
      const points = Array.from({ length: Math.min(left, 2) }, drawPoint);
      left -= points.length;
      let restarting = Promise.resolve();
      const controller = await rig.control({
        on: (_event, count) => {
          if (points.includes(count)) restarting = restarting.then(() => server.restart());
        },
      });
      const shown = `VOLLEY_CHAOS_SEED=${seed}: Redis killed at events ${points.join(", ")} of ${whole.count}`;
      expect(await controller.end, `${shown}\n${controller.said()}`).toBe(0);
      expect(account(controller), shown).toEqual(whole.account);
      await restarting;
    }
  });
});
