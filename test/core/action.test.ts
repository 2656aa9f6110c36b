import { expect, test } from "vitest";
import { createMemo } from "../../src/core/action.ts";

test("a value is made once, also when it is asked for again before it is there", async () => {
  const memo = createMemo();
  let made = 0;
  const make = async (): Promise<number> => ++made;
  expect(await Promise.all([memo.get("a", make), memo.get("a", make), memo.get("b", make)])).toEqual([
    1, 1, 2,
  ]);
  expect(await memo.get("a", make)).toBe(1);
});

test("what is forgotten is made again", async () => {
  const memo = createMemo();
  let made = 0;
  const make = async (): Promise<number> => ++made;
  await memo.get("a", make);
  memo.forget("a");
  expect(await memo.get("a", make)).toBe(2);
});

test("a failure is not kept", async () => {
  const memo = createMemo();
  await expect(memo.get("a", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await memo.get("a", async () => "yes")).toBe("yes");
});
