import * as v from "valibot";
import { expect, test } from "vitest";
import { debug } from "../../src/actions/flow/debug.ts";
import { noop } from "../../src/actions/flow/noop.ts";
import { command } from "../../src/actions/system/command.ts";
import { defineRole, type StandardSchemaV1 } from "../../src/core/role.ts";
import { roleOf, runPlays } from "./run-plays.ts";

const plain = (name: string, ...tasks: readonly string[]) =>
  roleOf(name, ({ task }) => {
    for (const each of tasks) task(each, noop({}));
  });

const web = defineRole({
  name: "web",
  vars: v.object({ port: v.number(), name: v.optional(v.string(), "site") }),
  tasks: ({ task, vars }) => void task("t", debug(`${vars.name}:${vars.port}`)),
});

test("role vars: the play's call over play vars over host vars over the schema's default", async () => {
  const said = async (
    call: Parameters<typeof web>[0],
    play: object,
    host: object,
  ): Promise<string | undefined> => {
    const run = await runPlays([{ hosts: "all", vars: { ...play }, roles: [web(call)] }], {
      job: { vars: { ...host } },
    });
    return run.error?.message ?? run.task("t").message;
  };
  expect(await said({ port: 1 }, { port: 2 }, { port: 3 })).toBe("site:1");
  expect(await said({}, { port: 2 }, { port: 3, name: "host" })).toBe("host:2");
  expect(await said({}, {}, { port: 3 })).toBe("site:3");
  expect(await said({ port: undefined as never }, {}, { port: 3 })).toBe("site:3");
});

test.each([
  [{}, {}, 'role "web" on web1: var "port" is missing'],
  [{}, { port: "eighty" }, 'role "web" on web1: var "port" (from the inventory): Invalid type'],
  [{ port: "eighty" }, {}, 'role "web" on web1: var "port": Invalid type'],
])("vars %j with host vars %j are refused before the role's first task", async (call, host, message) => {
  const run = await runPlays([{ hosts: "all", roles: [web(call as never)] }], { job: { vars: host } });
  expect(run.error?.code).toBe("VARS_INVALID");
  expect(run.error?.message).toContain(message);
  expect(run.of("task:start")).toEqual([]);
});

test("any Standard Schema validates a role's vars, also one that answers later", async () => {
  const schema: StandardSchemaV1<unknown, { readonly port: number }> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: async (value) => {
        const { port } = value as { readonly port?: unknown };
        return Number.isInteger(Number(port))
          ? { value: { port: Number(port) } }
          : { issues: [{ message: "must be a whole number", path: [{ key: "port" }] }] };
      },
    },
  };
  const role = defineRole({
    name: "own",
    vars: schema,
    tasks: ({ task, vars }) => void task("t", debug(`${typeof vars.port} ${vars.port}`)),
  });
  const good = await runPlays([{ hosts: "all", roles: [role()] }], { job: { vars: { port: "80" } } });
  expect(good.task("t").message).toBe("number 80");
  const bad = await runPlays([{ hosts: "all", roles: [role()] }], { job: { vars: { port: "x" } } });
  expect(bad.error?.message).toBe(
    'role "own" on web1: var "port" (from the inventory): must be a whole number',
  );
});

test("a role without a schema gets every var of the host", async () => {
  const role = defineRole({
    name: "any",
    tasks: ({ task, vars }) => void task("t", debug(`${vars.a} ${vars.b}`)),
  });
  const run = await runPlays([{ hosts: "all", vars: { b: "play" }, roles: [role({ a: "call" })] }], {
    job: { vars: { a: "host", b: "host" } },
  });
  expect(run.task("t").message).toBe("call play");
});

test("a role's own facts join those of the host, for it alone", async () => {
  const seen: unknown[] = [];
  const role = defineRole({
    name: "r",
    facts: async (system) => ({ pid: (await system.query(["sh", "-c", "echo $$"])).stdout.trim() }),
    tasks: ({ facts }) => void seen.push(facts.pid, (facts as unknown as { readonly os: string }).os),
  });
  const other = defineRole({ name: "other", tasks: ({ facts }) => void seen.push("pid" in facts) });
  await runPlays([{ hosts: "all", roles: [role(), other()] }], { facts: { os: "debian" } });
  expect(seen).toEqual([expect.stringMatching(/^\d+$/), "debian", false]);
});

test("a role knows its host, its groups, and the vars of other hosts that were asked for", async () => {
  const seen: unknown[] = [];
  await runPlays(
    [
      {
        hosts: "all",
        roles: [roleOf("r", ({ host, groups, hostVars }) => void seen.push({ host, groups, hostVars }))],
      },
    ],
    {
      job: {
        vars: { a: 1 },
        hostVars: { db1: { ip: "10.0.0.1" } },
        inventoryGroups: { web: ["web1", "web2"] },
      },
    },
  );
  expect(seen[0]).toEqual({
    host: { name: "web1", groups: ["web"], vars: { a: 1 } },
    groups: { web: ["web1", "web2"] },
    hostVars: { db1: { ip: "10.0.0.1" } },
  });
});

test("a role's when skips all its tasks, whatever its code would do with their results", async () => {
  const role = roleOf(
    "r",
    async ({ task }) => {
      task("a", noop({ changed: true }), { notify: "h" });
      const said = await task("b", command(["echo", "hello"]));
      task(said.data.stdout, noop({}));
    },
    { handlers: { h: noop({}) } },
  );
  const skipped = await runPlays([
    { hosts: "all", roles: [{ ...role, options: { when: false } }, plain("next", "t")] },
  ]);
  expect(skipped.ended).toEqual(["skipped r a", "skipped r b", "unchanged next t"]);
  expect(skipped.task("a").message).toBe("the role's condition does not hold");
  const asked = await runPlays([
    { hosts: "all", roles: [{ ...role, options: { when: ({ host }) => host.groups.includes("web") } }] },
  ]);
  expect(asked.ended).toEqual(["changed r a", "changed r b", "unchanged r hello", "unchanged r h"]);
});

test("plays are barriers: the host waits after each but the last, and goes on when told to", async () => {
  const waited: number[] = [];
  const play = (name: string) => ({ hosts: "all", roles: [plain(name, "t")] });
  const run = await runPlays([play("a"), play("b"), play("c")], {
    options: { barriers: true },
    waitForOthers: async (index) => {
      waited.push(index);
      return true;
    },
  });
  expect(waited).toEqual([0, 1]);
  expect(run.ended).toHaveLength(3);
  expect(run.cancelled).toBe(false);
});

test("nobody left to say go on: the run ends there, and the rest is counted", async () => {
  const run = await runPlays(
    [
      { hosts: "all", roles: [plain("a", "t")] },
      { hosts: "all", roles: [plain("b", "t", "u")] },
      { hosts: "all", roles: [plain("c", "t")] },
    ],
    { options: { barriers: true }, waitForOthers: async () => false },
  );
  expect(run.cancelled).toBe(true);
  // Estimated: each of these roles declares its tasks by one call.
  expect(run.tally).toMatchObject({ unchanged: 1, notExecuted: 2 });
});

test.each(["fails", "is cancelled"])(
  "when a play %s nothing of a later one is executed, and its tasks are estimated",
  async (how) => {
    const executed: string[] = [];
    const stop = new AbortController();
    const end = command(how === "fails" ? ["false"] : ["true"]);
    const later = defineRole({
      name: "later",
      facts: () => void executed.push("facts"),
      handlers: () => {
        executed.push("handlers");
        return {};
      },
      vars: v.pipe(
        v.object({}),
        v.check(() => executed.push("vars") > 0),
      ),
      tasks: ({ task }) => {
        executed.push("tasks");
        task("t", debug("x"));
        task("u", debug("x"));
      },
    });
    const run = await runPlays(
      [
        { hosts: "all", roles: [roleOf("first", ({ task }) => void task("end", end))] },
        { name: "Later", hosts: "all", roles: [later()] },
        { name: "Last", hosts: "all", roles: [later()] },
      ],
      {
        cancel: stop.signal,
        onEvent: ({ type }) => {
          if (how === "is cancelled" && type === "task:end") stop.abort();
        },
      },
    );
    expect(executed).toEqual([]);
    expect(run.tally).toMatchObject({ failed: how === "fails" ? 1 : 0, notExecuted: 4 });
    expect(run.of("log").map(({ text }) => text)).toEqual([
      'not begun: "Later", "Last"; how many tasks that leaves not executed is estimated from the code: 4',
    ]);
  },
);

test("after a free play a host does not wait", async () => {
  const waited: number[] = [];
  const play = (name: string, strategy: "free" | "linear") => ({
    hosts: "all",
    strategy,
    roles: [plain(name, "t")],
  });
  await runPlays([play("a", "free"), play("b", "linear"), play("c", "linear")], {
    options: { barriers: true },
    waitForOthers: async (index) => {
      waited.push(index);
      return true;
    },
  });
  expect(waited).toEqual([1]);
});

test("a host carries out only the plays its job names, under their own indexes", async () => {
  const play = (name: string) => ({ name, hosts: "all", roles: [plain(name, "t")] });
  const run = await runPlays([play("a"), play("b"), play("c")], { job: { plays: [0, 2] } });
  expect(run.ended).toEqual(["unchanged a t", "unchanged c t"]);
  expect(run.of("play:start").map(({ index, play: name }) => [index, name])).toEqual([
    [0, "a"],
    [2, "c"],
  ]);
});

test("facts of a role that cannot be found out end the run with the reason, before any task", async () => {
  const role = defineRole({
    name: "r",
    facts: () => {
      throw new Error("no such probe");
    },
    tasks: ({ task }) => void task("t", noop({})),
  });
  const run = await runPlays([
    { hosts: "all", roles: [role()] },
    { hosts: "all", roles: [plain("later", "t", "u")] },
  ]);
  expect(run.error).toMatchObject({ code: "INTERNAL", message: "no such probe" });
  expect(run.tally).toMatchObject({ failed: 0, notExecuted: 2 });
});
