import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { afterAll, beforeAll, test } from "vitest";
import { findRunStore } from "../../src/agent/journal.ts";
import { LOCK_PREFIX, takeLock } from "../../src/agent/lock.ts";
import { leftoversName, openLeftovers, openState, readEarlier } from "../../src/agent/state-store.ts";
import { openWire } from "../../src/agent/wire.ts";
import { machineId } from "../../src/system/this-process.ts";
import { FUZZ_TIMEOUT_MS, fuzz } from "./lib/fuzz.ts";
import { must, mustEqual, orRefusalOf } from "./lib/judge.ts";
import { type Material, mutate } from "./lib/mutate.ts";
import { mutateJson } from "./lib/mutate-json.ts";
import type { Draw } from "./lib/random.ts";

const OWNER = { project: "/srv/site", playbook: "site.ts", host: "web1" };

let home: string;
let before: string | undefined;
beforeAll(() => {
  before = process.env.HOME;
  home = mkdtempSync(join(tmpdir(), "volley-fuzz-"));
  process.env.HOME = home;
  mkdirSync(join(home, ".cache/volley/runs/r1/web1"), { recursive: true });
});
afterAll(() => {
  if (before === undefined) delete process.env.HOME;
  else process.env.HOME = before;
  rmSync(home, { recursive: true, force: true });
});

function mutateLines(draw: Draw, { corpus }: Material): Buffer {
  const lines = draw.pick(corpus).toString().split("\n");
  const changed = lines.map((line) =>
    line !== "" && draw.chance(0.3) ? JSON.stringify(mutateJson(draw, JSON.parse(line))) : line,
  );
  return Buffer.from(changed.join("\n"));
}

const make = (draw: Draw, material: Material): Buffer =>
  draw.chance(0.5) ? mutateLines(draw, material) : mutate(draw, material);

test(
  "the Job and commands: a job of this protocol or a refusal, and an end in any case",
  () =>
    fuzz({
      corpus: "job",
      inputs: 250,
      tokens: ['"protocol":1', '"secrets":', '"type":"kill"', "\n", "{}"],
      synchronous: false,
      make,
      check: async (bytes) => {
        const [input, output] = [new PassThrough(), new PassThrough()];
        output.resume();
        const wire = openWire(input, output);
        for (let at = 0; at < bytes.length; at += 10_000) input.write(bytes.subarray(at, at + 10_000));
        input.end();
        const job = await orRefusalOf(["PROTOCOL_INVALID"], () => wire.readJob());
        if (job !== undefined) {
          mustEqual(job.protocol, 1, "another protocol");
          wire.emit({ type: "log", level: "info", text: "hunter22" });
        }
        await turn();
        must(typeof (await wire.waitForOthers(7)) === "boolean", "no answer");
        await wire.flush();
      },
    }),
  FUZZ_TIMEOUT_MS,
);

test(
  "a damaged journal: what can be read of it is told again",
  () =>
    fuzz({
      corpus: "journal",
      inputs: 350,
      tokens: ['"seq":', '"result":', '"task":1', '"type":"restart"', '"type":"journal"', "\n"],
      make,
      check: (bytes) => {
        writeFileSync(join(home, ".cache/volley/runs/r1/web1/journal.ndjson"), bytes);
        const store = findRunStore({ run: "r1", host: "web1" });
        void store.header;
        for (const { line, event } of store.lines()) {
          must(line.endsWith("\n") && line.indexOf("\n") === line.length - 1, "not one line");
          mustEqual(JSON.parse(line), event, "another event");
        }
      },
    }),
  FUZZ_TIMEOUT_MS,
);

test(
  "a damaged state store: what can be read of it is given out, and forgotten",
  () =>
    fuzz({
      corpus: "state",
      inputs: 350,
      tokens: ['"task":', '"result":', '"kept":"secret"', '"begunAt":', '"shared":1', "\n"],
      make,
      check: (bytes, draw) => {
        const directory = join(home, ".cache/volley/runs/r1/web1");
        writeFileSync(join(directory, "state.ndjson"), bytes);
        const state = openState(directory);
        const replay = readEarlier(state.read(), {
          sameRun: draw.chance(0.5),
          restarted: draw.chance(0.5),
        });
        for (let tries = 0; tries < 3; tries++) {
          const recorded = replay.take({ play: "Deploy", role: "web", name: "Write", action: "copy" });
          if (recorded?.kind === "done")
            must(["unchanged", "changed", "skipped", "failed"].includes(recorded.result.state), "no state");
        }
        void state.untaken();
        state.forget();
        must(!state.read().some((record) => "kept" in record && record.kept === "secret"), "not forgotten");
      },
    }),
  FUZZ_TIMEOUT_MS,
);

test(
  "a damaged lock: it is taken, and given back",
  () =>
    fuzz({
      corpus: "lock",
      inputs: 150,
      tokens: ['"pid":', '"run":"r0"', '"boot":'],
      synchronous: false,
      make,
      check: async (bytes) => {
        const file = join(home, ".cache/volley", `${LOCK_PREFIX}${machineId()}`);
        writeFileSync(file, bytes);
        const lock = await orRefusalOf(["LOCKED"], () =>
          takeLock({
            run: "mine",
            host: "web1",
            controller: "ann@laptop",
            waitMs: 0,
            isOver: () => false,
            onWait: () => {},
          }),
        );
        must(lock !== undefined, "a lock of nobody's that holds");
        await lock.release();
        must(
          !readdirSync(join(home, ".cache/volley")).some((name) => name.startsWith("lock")),
          "it is left over",
        );
      },
    }),
  FUZZ_TIMEOUT_MS,
);

test(
  "a damaged file of handlers: names of handlers, and what is saved is there",
  () =>
    fuzz({
      corpus: "leftovers",
      inputs: 150,
      tokens: ['"__proto__":', '"plays":', '["Deploy",', "[]"],
      make,
      check: (bytes) => {
        writeFileSync(join(home, ".cache/volley", leftoversName(OWNER)), bytes);
        const leftovers = openLeftovers(OWNER);
        must(
          leftovers.load("Deploy").every((name) => typeof name === "string"),
          "no name",
        );
        leftovers.save("Deploy", ["one"]);
        mustEqual(openLeftovers(OWNER).load("Deploy"), ["one"], "saved");
        leftovers.save("Deploy", []);
        mustEqual(openLeftovers(OWNER).load("Deploy"), [], "removed");
      },
    }),
  FUZZ_TIMEOUT_MS,
);
