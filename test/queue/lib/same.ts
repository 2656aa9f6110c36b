import { afterAll, beforeAll } from "vitest";
import type { RunOptions } from "../../../src/controller/prepare/options.ts";
import type { Event, Summary } from "../../../src/core/events.ts";
import type { EmbeddedFleet } from "../../../src/embedded/options.ts";
import { fleetStarter, follow, ofType, type Ran, start } from "../../e2e/lib/drive.ts";
import type { Project } from "../../e2e/lib/project.ts";
import { queueStarter, reachTo, type TestQueue, type TestWorker } from "./queue.ts";

/** Two fleets alike: hosts of one are reached from here, hosts of the other by the workers of a queue. */
export interface Twins {
  readonly plain: EmbeddedFleet;
  readonly fleet: EmbeddedFleet;
  readonly queue: TestQueue;
  /** The workers `w1` and `w2` of hosts without a label. */
  readonly workers: readonly [TestWorker, TestWorker];
  /** Carry out a playbook without the queue and by it. */
  both(project: Project, options?: Options, on?: OnEvent): Promise<{ plain: Ran; queued: Ran }>;
  /** Carry out a playbook by the queue. */
  queued(project: Project, options?: Options, on?: OnEvent): Promise<Ran>;
}

type Options = Partial<RunOptions> | ((fleet: EmbeddedFleet) => Partial<RunOptions>);
type OnEvent = (event: Event, fleet: EmbeddedFleet, cancel: () => void) => void;

/** Keep two fleets of so many hosts, and a queue whose workers take so many hosts each, for all tests of a file. */
export function keepTwins(count: number, concurrency: number): () => Twins {
  const startFleet = fleetStarter(afterAll);
  const startQueue = queueStarter(afterAll);
  let twins: Twins | undefined;
  beforeAll(async () => {
    const [plain, fleet] = [await startFleet({ count }), await startFleet({ count })];
    const queue = await startQueue();
    const reach = reachTo(fleet);
    const workers = [
      await queue.work({ name: "w1", concurrency, reach }),
      await queue.work({ name: "w2", concurrency, reach }),
    ] as const;
    const run = async (
      at: EmbeddedFleet,
      project: Project,
      options: Options = {},
      on?: OnEvent,
    ): Promise<Ran> => {
      const by = at === fleet ? await queue.open({ silentMs: 3_000 }) : undefined;
      const running = start(project, at, typeof options === "function" ? options(at) : options, by);
      return await follow(running, (event) => on?.(event, at, () => running.cancel()));
    };
    twins = {
      ...{ plain, fleet, queue, workers },
      both: async (project, options, on) => ({
        plain: await run(plain, project, options, on),
        queued: await run(fleet, project, options, on),
      }),
      queued: (project, options, on) => run(fleet, project, options, on),
    };
  });
  return () => twins!;
}

/** The outcome of a run, without what differs from one run to another: the order among hosts, times, ports. */
export interface Outcome extends Pick<Summary, "exitCode" | "outcomes" | "tally"> {
  readonly batches: readonly unknown[];
  readonly hosts: Readonly<Record<string, unknown>>;
}

/** Return the outcome of a run, to be compared with that of another. */
export function outcomeOf({ events, summary }: Ran): Outcome {
  const { exitCode, outcomes, tally } = summary;
  const tasks = (host: string): readonly unknown[] =>
    ofType(events, "task:end")
      .filter((end) => end.host === host)
      .map(({ task, name, result: { state, from, error } }) => [task, name, state, from, error?.code]);
  return {
    ...{ exitCode, outcomes, tally },
    batches: ofType(events, "play:batch").map(({ index, batch, hosts }) => [index, batch, hosts]),
    hosts: Object.fromEntries(
      summary.hosts.map(({ host, outcome, error }) => [host, [outcome, error?.code, ...tasks(host)]]),
    ),
  };
}
