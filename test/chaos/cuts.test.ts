import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "../../src/controller/run.ts";
import { follow, hostOf } from "../e2e/lib/drive.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";
import type { Direction, Fault } from "./proxy.ts";
import { chaosSeed, seededRandom } from "./random.ts";
import { litter, startRig } from "./rig.ts";
import { faultsOfMarked, makeMarkedProject } from "./site.ts";

const scratch = scratchDirectory();
/** More by hand: `VOLLEY_CHAOS_BATCHES`. */
const BATCHES = Number(process.env.VOLLEY_CHAOS_BATCHES ?? 1);
const HOSTS = 30;

type Bytes = Readonly<Record<Direction, number>>;

/** Measure the bytes sent each way at every phase of a run without faults. They depend on the bundle's size. */
async function measurePhases(): Promise<readonly { readonly phase: string; readonly until: Bytes }[]> {
  const project = makeMarkedProject(scratch());
  const rig = await startRig(project, { count: 1 });
  const phases: { phase: string; until: Bytes }[] = [];
  const proxy = rig.proxies[0]!;
  try {
    const { summary } = await follow(
      run({ ...rig.reach, playbook: project.path("site.ts"), cwd: project.directory }),
      (event) => {
        const phase =
          event.type === "host:upload" && event.bytes < event.totalBytes
            ? "probe"
            : event.type === "task:end" || event.type === "task:start"
              ? `${event.type} ${event.name}`
              : event.type;
        if ("host" in event && phases.at(-1)?.phase !== phase)
          phases.push({ phase, until: { ...proxy.bytes } });
      },
    );
    expect(summary.hosts).toMatchObject([{ outcome: "ok", failures: [] }]);
    return phases.filter(({ phase }) => phase !== "host:end");
  } finally {
    await rig.stop();
  }
}

const KINDS = [
  "reset",
  "reset",
  "reset",
  "reset and refuse",
  "close",
  "close and refuse",
  "reset twice",
  "stall",
  "corrupt",
] as const;

/** The faults of one host. The first strikes in a phase of a good run; the second, if any, soon after it is back. */
interface Plan {
  readonly phase: string;
  readonly kind: (typeof KINDS)[number];
  readonly faults: readonly Fault[];
}

test("cut anywhere, a run does each action once and tells of each once", async () => {
  const phases = await measurePhases();
  const seed = chaosSeed();
  const random = seededRandom(seed);
  const draw = (from: number, to: number): number => from + Math.floor(random() * (to - from + 1));
  const login = phases.find(({ phase }) => phase === "host:connected")!.until;
  const makePlan = (index: number): Plan => {
    const at = index % phases.length;
    const { phase, until } = phases[at]!;
    const before = at === 0 ? { in: 0, out: 0 } : phases[at - 1]!.until;
    // Once the job is sent the controller has next to nothing to say.
    const direction: Direction = random() < 0.5 && until.in > before.in ? "in" : "out";
    const from = before[direction];
    const bytes = draw(from, Math.max(from, until[direction]));
    const kind = KINDS[draw(0, KINDS.length - 1)]!;
    const refuseMs = kind.endsWith("refuse") ? draw(50, 1_000) : undefined;
    const what: Fault["what"] =
      kind === "stall"
        ? { kind, forMs: draw(100, 1_500) }
        : kind === "corrupt"
          ? { kind }
          : {
              kind: kind.startsWith("reset") ? "reset" : "close",
              ...(refuseMs === undefined ? {} : { refuseMs }),
            };
    const faults: Fault[] = [{ direction, bytes, what }];
    if (kind === "reset twice")
      faults.push({ direction: "out", bytes: draw(0, login.out * 3), what: { kind: "reset" } });
    return { phase, kind, faults };
  };
  const plans = Array.from({ length: BATCHES * HOSTS }, (_none, index) => makePlan(index));
  const wrong: string[] = [];
  const outcomes: Record<string, number> = {};
  let struck = 0;
  for (let batch = 0; batch < BATCHES; batch++) {
    const project = makeMarkedProject(scratch());
    const mine = plans.slice(batch * HOSTS, (batch + 1) * HOSTS);
    const rig = await startRig(
      project,
      { count: HOSTS },
      (host, connection) => mine[host]!.faults[connection],
    );
    try {
      const ran = await follow(
        run({
          ...rig.reach,
          playbook: project.path("site.ts"),
          cwd: project.directory,
          returnTimeoutMs: 120_000,
          startTimeoutMs: 300_000,
          connectTimeoutMs: 30_000,
          // Longer than any host refuses connections.
          connectRetries: 5,
          concurrency: HOSTS,
        }),
      );
      const id = ran.events.find((event) => event.type === "run:build")!.bundle;
      for (const [index, host] of rig.fleet.hosts.entries()) {
        const plan = mine[index]!;
        const { outcome, error } = hostOf(ran, host.name);
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        if (rig.proxies[index]!.struck > 0) struck++;
        const early = plan.faults[0]!.bytes <= login[plan.faults[0]!.direction];
        const found =
          outcome === "unreachable" && plan.kind === "corrupt" && early
            ? []
            : [...faultsOfMarked(host, ran.events)];
        if (outcome !== "ok" && found.length > 0) found.unshift(`${outcome}: ${error?.message}`);
        found.push(...litter(host).map((name) => `left behind: ${name}`));
        const bundles = join(host.home, ".cache", "volley", "bundles");
        for (const name of outcome === "ok" ? readdirSync(bundles) : []) {
          if (!name.endsWith(".run")) continue;
          const hash = createHash("sha256")
            .update(readFileSync(join(bundles, name)))
            .digest("hex");
          if (hash !== id) found.push(`another bundle under ${name}`);
        }
        if (found.length > 0)
          wrong.push(`batch ${batch}, ${host.name}, ${JSON.stringify(plan)}:\n  ${found.join("\n  ")}`);
      }
      const left = rig.processes();
      if (left.length > 0) wrong.push(`batch ${batch}: processes left: ${left.join("; ")}`);
    } finally {
      await rig.stop();
    }
  }
  process.stderr.write(`chaos: ${JSON.stringify({ outcomes, struck })}\n`);
  expect(wrong, `VOLLEY_CHAOS_SEED=${seed}`).toEqual([]);
  // A few are cut where nothing is said any more.
  expect(struck).toBeGreaterThanOrEqual(BATCHES * HOSTS * 0.8);
}, 600_000);
