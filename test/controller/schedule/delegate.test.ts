import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createDiskAssets } from "../../../src/bundle/assets.ts";
import { createDelegates } from "../../../src/controller/schedule/delegate.ts";
import type { ControllerEvent } from "../../../src/core/events.ts";
import { type Command, type Job, PROTOCOL_VERSION } from "../../../src/core/protocol.ts";
import { definePlay, definePlaybook, shell, template } from "../../../src/index.ts";
import { readWhole } from "../../../src/vars/whole-value.ts";

const scratch = mkdtempSync(join(tmpdir(), "volley-delegate-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

type Asked = Extract<ControllerEvent, { type: "task:delegate" }>;
type Answer = Extract<Command, { type: "answer" }>;

/** A playbook with one delegated task, one that is not, and a second play that web01 is not in. */
function playbookInto(file: string) {
  const play = definePlay({
    name: "One",
    hosts: "all",
    tasks: ({ task }) => {
      task("Append", shell(`echo x >> ${file}; wc -l < ${file}`), { delegateTo: "controller" });
      task("Own", shell(`touch ${file}.own`));
      task("Slow", shell("sleep 600"), { delegateTo: "controller", timeout: 1 });
    },
  });
  return definePlaybook([play, { ...play, name: "Two" }]);
}

const job: Job = {
  protocol: PROTOCOL_VERSION,
  host: "web01",
  groups: [],
  vars: {},
  inventoryGroups: {},
  hostVars: {},
  plays: [0],
  options: { check: false, diff: false, tags: [], skipTags: [], barriers: true },
};

const event: Asked = {
  type: "task:delegate",
  host: "web01",
  task: 1,
  play: "One",
  role: "One",
  name: "Append",
  action: "shell",
  index: 0,
  nth: 1,
  item: 0,
  attempt: 1,
};

/** Asks as a host would, and gives the answer; `earlier` is what a controller before this one was told. */
function asker(earlier: readonly Asked[] = []): (...asked: Asked[]) => Promise<readonly Answer[]> {
  const file = join(scratch, `file-${Math.random()}`);
  const waiting: ((answer: Answer) => void)[] = [];
  const take = createDelegates({
    playbook: playbookInto(file),
    assets: { file: () => null, tree: () => null },
    jobOf: (host) => (host === "web01" ? job : undefined),
    tell: (_host, command) => waiting.shift()?.(command as Answer),
    earlier,
    signal: new AbortController().signal,
  });
  return async (...asked) => {
    const answers: Answer[] = [];
    for (const each of asked) {
      const answer = new Promise<Answer>((resolve) => waiting.push(resolve));
      take(each);
      answers.push(await answer);
    }
    expect(existsSync(`${file}.own`)).toBe(false);
    return answers;
  };
}

test("what is asked for twice is done once", async () => {
  const [first, again] = await asker()(event, { ...event });
  expect(first).toMatchObject({ question: "1:0:1", result: { state: "changed" } });
  expect(readWhole(first?.whole ?? "")).toMatchObject({ state: "changed", data: { stdout: "1" } });
  expect(again).toEqual(first);
});

test("what is left of the task's time holds here too", async () => {
  const [answer] = await asker()({ ...event, name: "Slow", limitMs: 100 });
  expect(answer?.result).toMatchObject({ state: "failed", error: { code: "TIMEOUT" } });
});

test.each<[string, Partial<Asked>]>([
  ["a task that is not delegated", { name: "Own", task: 2 }],
  ["a task nobody declared", { name: "Other" }],
  ["a second of its name", { nth: 2 }],
  ["a role nobody wrote", { role: "other" }],
  ["an item it does not have", { item: 1 }],
  ["a try it does not have", { attempt: 2 }],
  ["a play it is not in", { index: 1 }],
  ["a play nobody wrote", { index: 9 }],
  ["a host nobody asked", { host: "web09" }],
  ["what objects have by nature", { role: "__proto__", name: "constructor" }],
])("a host that names %s is refused", async (_what, forged) => {
  const [answer] = await asker()({ ...event, ...forged });
  expect(answer?.result).toMatchObject({ state: "failed", error: { code: "DELEGATE_REFUSED" } });
});

test("what the controller before this one was asked is not done again", async () => {
  const [answer] = await asker([event])(event);
  expect(answer?.result).toMatchObject({ state: "failed", error: { code: "CANCELLED" } });
});

test("an item of a loop is seen by what is delegated, as it is by what is not", async () => {
  mkdirSync(join(scratch, "templates"));
  writeFileSync(join(scratch, "templates", "t"), "{{ line }} {{ mine }}");
  const play = definePlay({
    name: "One",
    hosts: "all",
    tasks: ({ task }) => {
      task("Each", (item: string) => template({ src: "t", dest: join(scratch, `each-${item}`) }), {
        loop: ["a", "b"],
        vars: { mine: 1 },
        delegateTo: "controller",
      });
    },
  });
  const answered: Promise<unknown>[] = [];
  let answer: (command: unknown) => void = () => {};
  const take = createDelegates({
    playbook: definePlaybook([play]),
    assets: createDiskAssets(() => scratch),
    jobOf: () => ({ ...job, vars: { line: "{{ item }} of {{ inventory_hostname }}" } }),
    tell: (_host, command) => answer(command),
    earlier: [],
    signal: new AbortController().signal,
  });
  for (const item of [0, 1]) {
    answered.push(
      new Promise((resolve) => {
        answer = resolve;
      }),
    );
    take({ ...event, name: "Each", action: "template", item });
    await answered.at(-1);
  }
  expect(readFileSync(join(scratch, "each-a"), "utf8")).toBe("a of web01 1");
  expect(readFileSync(join(scratch, "each-b"), "utf8")).toBe("b of web01 1");
});
