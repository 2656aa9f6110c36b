import { expect, test } from "vitest";
import { pause } from "../../../src/actions/flow/pause.ts";
import { makeSandbox, pass } from "../harness.ts";

test("check mode does not wait, a run does, and nothing is changed", async () => {
  using sandbox = makeSandbox();
  const call = pause({ seconds: 0 });
  const check = await pass(call, sandbox.system, sandbox.context({ check: true }));
  expect(check).toMatchObject({ state: "unchanged", inspected: { message: "would wait 1 s" } });
  const done = await pass(call, sandbox.system, sandbox.context());
  expect(done).toMatchObject({ state: "unchanged", applied: { message: "waited 1 s" }, data: { delta: 1 } });
});

test("minutes are minutes, and end with the run", async () => {
  using sandbox = makeSandbox();
  const call = pause({ minutes: 2 });
  expect(call.title).toBe("2 min");
  const check = await pass(call, sandbox.system, sandbox.context({ check: true }));
  expect(check.inspected?.message).toBe("would wait 120 s");
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 20);
  await expect(
    pass(call, sandbox.system, { ...sandbox.context(), signal: controller.signal }),
  ).rejects.toMatchObject({ code: "CANCELLED" });
});

test.each([
  [{ seconds: 1, minutes: 1 }, "mutually exclusive: minutes|seconds"],
  [{ second: 1 }, 'did you mean "seconds"?'],
])("%j is refused", (params, why) => {
  expect(() => pause(params as never)).toThrow(why);
});

test("a prompt is shown, and a pause without a time goes on at once", async () => {
  using sandbox = makeSandbox();
  const { state, data, applied } = await pass(
    pause({ prompt: "Go on?", echo: false }),
    sandbox.system,
    sandbox.context(),
  );
  expect(state).toBe("unchanged");
  expect(sandbox.output).toEqual(["Go on?\n"]);
  expect(applied?.message).toMatch(/nobody can answer/);
  expect(data).toMatchObject({
    delta: 0,
    echo: false,
    rc: 0,
    user_input: "",
    stdout: "Paused for 0.0 minutes",
  });
});

test("the data says when, and how long in the unit that was given", async () => {
  using sandbox = makeSandbox();
  const before = Date.now();
  const { data } = await pass(pause({ seconds: 1 }), sandbox.system, sandbox.context());
  expect(data?.stdout).toMatch(/^Paused for \d+\.\d+ seconds$/);
  expect(data?.start).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$/);
  expect(new Date(data?.start ?? "").getTime()).toBeGreaterThanOrEqual(before);
  expect(new Date(data?.stop ?? "").getTime()).toBeGreaterThanOrEqual(before + 990);
});
