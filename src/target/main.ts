import { performance } from "node:perf_hooks";
import { format } from "node:util";
import { isPlaybook } from "../core/define.ts";
import { describeError, VolleyError } from "../core/errors.ts";
import type { TargetEvent } from "../core/events.ts";
import type { Facts } from "../core/facts.ts";
import type { Playbook } from "../core/playbook.ts";
import { type Job, PROTOCOL_VERSION } from "../core/protocol.ts";
import { createLocalSystem } from "../system/local/local-system.ts";
import type { createTemplates } from "../template/index.ts";
import type { BundleReader } from "./bundle-reader.ts";
import { createBundledAssets } from "./bundled-assets.ts";
import { byeForError, type ExecutorEnd, execute } from "./executor.ts";
import { gatherFacts } from "./facts/gather.ts";
import { thisMachine } from "./facts/machine.ts";
import { runLocally } from "./local.ts";
import { createRenderer } from "./renderer.ts";
import { openWire } from "./wire.ts";

/** Where a bundle begins: `--target` speaks the protocol with a controller, anything else is a person's command line. */
export function main(bundle: BundleReader, argv: readonly string[], volley: unknown): void {
  const work =
    argv[0] === "--target"
      ? serve(bundle, argv[1] ?? "", volley)
      : runLocally(bundle, argv, carryOut(bundle, volley));
  // Ended by force: what a role's own code left behind, such as a timer, must not keep the process.
  work.then(
    (code) => process.exit(code),
    (thrown: unknown) => {
      console.error(`volley: ${describeError(thrown)}`);
      process.exit(1);
    },
  );
}

/** How a Job is carried out by this bundle. */
export interface CarryOutOptions {
  readonly job: Job;
  emit(event: TargetEvent): void;
  waitForOthers(play: number): Promise<boolean>;
  readonly stop: AbortSignal;
  readonly kill: AbortSignal;
}

/** Carries out a Job with what the bundle holds. */
export type CarryOut = (options: CarryOutOptions) => Promise<ExecutorEnd>;

function carryOut(bundle: BundleReader, volley: unknown): CarryOut {
  return async (options) => {
    const playbook = loadPlaybook(bundle, volley);
    const system = createLocalSystem();
    try {
      const factsStart = performance.now();
      const facts: Facts = await gatherFacts(system, process.env, thisMachine);
      options.emit({
        type: "facts",
        elapsedMs: Math.round((performance.now() - factsStart) * 100) / 100,
        facts: {
          distribution: facts.distribution,
          distribution_version: facts.distribution_version,
          architecture: facts.architecture,
          kernel: facts.kernel,
        },
      });
      const assets = createBundledAssets(bundle);
      const renderer = createRenderer(
        assets,
        () =>
          (
            bundle.load("template.js", lateYaml(bundle)) as {
              readonly createTemplates: typeof createTemplates;
            }
          ).createTemplates,
      );
      return await execute({ ...options, playbook, system, facts, assets, ...renderer });
    } finally {
      system.close();
    }
  };
}

function loadPlaybook(bundle: BundleReader, volley: unknown): Playbook {
  const loaded = bundle.load("playbook.js", { volley }) as { readonly default?: unknown };
  if (!isPlaybook(loaded.default)) throw new VolleyError("BUNDLE_INVALID", "the bundle holds no playbook");
  return loaded.default;
}

async function serve(bundle: BundleReader, id: string, volley: unknown): Promise<number> {
  const wire = openWire(process.stdin, process.stdout);
  sendConsoleTo(wire.emit);
  const startedAt = performance.now();
  wire.emit({
    type: "hello",
    protocol: PROTOCOL_VERSION,
    bundle: id,
    pid: process.pid,
    node: process.version,
  });
  let code = 0;
  try {
    const job = await wire.readJob();
    const { tally, cancelled, error } = await carryOut(bundle, volley)({ job, ...wire });
    wire.emit({
      type: "bye",
      tally,
      elapsedMs: Math.round(performance.now() - startedAt),
      ...(cancelled ? { cancelled } : {}),
      ...(error === undefined ? {} : { error }),
    });
    code = tally.failed > 0 || error !== undefined ? 2 : 0;
  } catch (thrown) {
    wire.emit(byeForError(thrown, performance.now() - startedAt));
    code = 2;
  }
  await wire.flush();
  bundle.keepCompiled();
  return code;
}

/** What a role prints must not mix with the protocol's stream: it becomes log events. */
function sendConsoleTo(emit: (event: TargetEvent) => void): void {
  const print =
    (level: "info" | "warn") =>
    (...values: unknown[]): void =>
      emit({ type: "log", level, text: format(...values) });
  Object.assign(console, {
    log: print("info"),
    info: print("info"),
    debug: print("info"),
    warn: print("warn"),
    error: print("warn"),
  });
  const write = (chunk: string | Uint8Array, ...rest: readonly unknown[]): boolean => {
    print("info")(
      Buffer.from(chunk as Uint8Array)
        .toString("utf8")
        .replace(/\n$/, ""),
    );
    const done = rest.at(-1);
    if (typeof done === "function") queueMicrotask(done as () => void);
    return true;
  };
  process.stdout.write = write as typeof process.stdout.write;
}

/** What the template engine requires: the YAML reader, loaded when it is first asked for. */
function lateYaml(bundle: BundleReader): Readonly<Record<string, unknown>> {
  let loaded: unknown;
  return {
    get yaml(): unknown {
      loaded ??= bundle.load("yaml.js");
      return loaded;
    },
  };
}
