import * as v from "valibot";
import { expect, test } from "vitest";
import { isVolleyError } from "../../src/core/errors.ts";
import { definePlay, definePlaybook, isPlaybook, type Play, waitsBetween } from "../../src/core/playbook.ts";
import { defineRole, resolveRoleVars } from "../../src/core/role.ts";

const role = defineRole({
  name: "web",
  vars: v.object({ port: v.optional(v.number(), 80), names: v.optional(v.array(v.string()), []) }),
  tasks: () => {},
});

function refusal(make: () => unknown): {
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
} {
  try {
    make();
  } catch (thrown) {
    if (!isVolleyError(thrown)) throw thrown;
    return { code: thrown.code, message: thrown.message, hint: thrown.hint };
  }
  throw new Error("it was not refused");
}

test("a role called is a part of a play, with its vars and options", () => {
  const use = role({ port: 1 }, { tags: "t" });
  expect(use).toMatchObject({ role: { name: "web" }, vars: { port: 1 }, options: { tags: "t" } });
  expect(definePlay({ hosts: "all", roles: [use] })).toMatchObject({ name: "all", roles: [use] });
});

test("a play's own tasks are its last role, called as the play is", () => {
  const play = definePlay({ name: "P", hosts: "web", roles: [role()], tasks: () => {} }, "here");
  expect(play.roles.map((use) => [use.role.name, use.role.directory])).toEqual([
    ["web", undefined],
    ["P", "here"],
  ]);
});

test("a play defined first and then put into a playbook has its own tasks once", () => {
  const play = definePlay({ hosts: "web", tasks: () => {} });
  expect(definePlaybook([play]).plays[0]?.roles).toHaveLength(1);
});

test("plays may be written in place", () => {
  const playbook = definePlaybook([{ hosts: "web", tasks: () => {} }], "here");
  expect(isPlaybook(playbook)).toBe(true);
  expect(playbook.plays[0]).toMatchObject({ name: "web", roles: [{ role: { directory: "here" } }] });
});

test.each([
  [
    "a mistyped key",
    () => definePlay({ hosts: "all", rolse: [] } as never),
    /unknown key "rolse"; did you mean "roles"\?/,
  ],
  ["no hosts", () => definePlay({ roles: [] } as never), /`hosts` must be a pattern/],
  ["empty hosts", () => definePlay({ hosts: "  " }), /`hosts` must be a pattern/],
  ["no object", () => definePlay("web" as never), /a play must be an object/],
  [
    "a role not called",
    () => definePlay({ hosts: "all", roles: [role as never] }),
    /call the role: write `web\(\)`/,
  ],
  ["no role", () => definePlay({ hosts: "all", roles: [{} as never] }), /roles\[0\] is not a role/],
  [
    "nothing for a role",
    () => definePlay({ hosts: "all", roles: [role(), undefined as never] }),
    /roles\[1\] is not a role/,
  ],
  ["no list", () => definePlaybook({} as never), /takes a list of plays/],
  ["a role without a name", () => defineRole({ tasks: () => {} } as never), /defineRole needs a name/],
  [
    "a role with a strange name",
    () => defineRole({ name: "a b", tasks: () => {} }),
    /defineRole needs a name/,
  ],
  ["a role without tasks", () => defineRole({ name: "a" } as never), /role "a" has no tasks function/],
])("%s is refused", (_what, make, message) => {
  expect(refusal(make)).toMatchObject({ code: "PLAYBOOK_INVALID", message: expect.stringMatching(message) });
});

test("a var the role does not have is refused where it is given, with those it has", () => {
  expect(refusal(() => role({ prot: 1 } as never))).toEqual({
    code: "VARS_INVALID",
    message: 'role "web" has no var "prot"; did you mean "port"?',
    hint: "its vars are: port, names",
  });
});

test("vars are those of the host under those of the play, checked, with the schema's defaults", async () => {
  expect(await resolveRoleVars(role(), { port: 8080, other: 1 }, "h")).toEqual({ port: 8080, names: [] });
  expect(await resolveRoleVars(role({ port: 1 }), { port: 8080 }, "h")).toEqual({ port: 1, names: [] });
});

test("several wrong vars are told of together, nested ones by their path", async () => {
  const wrong = resolveRoleVars(role({ names: ["a", 1] } as never), { port: "x" }, "web1");
  await expect(wrong).rejects.toMatchObject({
    code: "VARS_INVALID",
    message: expect.stringMatching(
      /^role "web" on web1: .*"port" \(from the inventory\): .*; var "names.1": /,
    ),
  });
});

test.each<Partial<Play>>([
  { serial: 1 },
  { serial: "30%" },
  { serial: [1, 5, "50%"] },
  { maxFailPercentage: 0 },
  { maxFailPercentage: 100 },
  { anyErrorsFatal: true, order: "shuffle", throttle: 3, timeout: 0.5 },
])("a play may say %j", (schedule) => {
  expect(definePlay({ name: "Deploy", hosts: "all", ...schedule })).toMatchObject(schedule);
});

test.each<readonly [Readonly<Record<string, unknown>>, string]>([
  [{ serial: 0 }, "`serial` must be a whole number of 1 or more"],
  [{ serial: 1.5 }, "not 1.5"],
  [{ serial: [] }, "not []"],
  [{ serial: "30" }, 'not "30"'],
  [{ serial: "0%" }, 'not "0%"'],
  [{ serial: [1, "101%"] }, "`serial`"],
  [{ maxFailPercentage: 101 }, "`maxFailPercentage` must be a number from 0 to 100, not 101"],
  [{ maxFailPercentage: Number.NaN }, "`maxFailPercentage`"],
  [{ maxFailPercentage: "30%" }, "`maxFailPercentage`"],
  [{ anyErrorsFatal: "yes" }, "`anyErrorsFatal` must be true or false"],
  [{ order: "random" }, '`order` must be one of "inventory", "reverse_inventory"'],
  [{ throttle: 0 }, "`throttle` must be"],
  [{ timeout: 0 }, "`timeout` must be a number of seconds above 0"],
  [{ timeout: Number.POSITIVE_INFINITY }, "`timeout`"],
  [{ timeout: 2_147_484 }, "2147483 at most"],
])("refuses %j", (schedule, message) => {
  expect(() => definePlay({ name: "Deploy", hosts: "all", ...schedule } as Play)).toThrow(message);
});

test("a free play runs into the next, unless that one is taken in parts", () => {
  expect(waitsBetween({}, {})).toBe(true);
  expect(waitsBetween({ strategy: "free" }, {})).toBe(false);
  expect(waitsBetween({ strategy: "free" }, { serial: 1 })).toBe(true);
  expect(waitsBetween({ strategy: "free" }, { throttle: 1 })).toBe(true);
  // Hosts know a schedule as it is written, and not what the controller has made of it.
  expect(waitsBetween({ strategy: "free", written: {} }, {})).toBe(true);
  expect(waitsBetween({ strategy: "free" }, { serial: 1, written: {} })).toBe(false);
});
