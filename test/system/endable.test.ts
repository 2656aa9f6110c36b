import { describe, expect, it } from "vitest";
import { VolleyError } from "../../src/core/errors.ts";
import { findMatches, within } from "../../src/system/endable.ts";

const ENDLESS = /^(a+)+$/;
const TEXT = `${"a".repeat(40)}!`;
const late = (): VolleyError => new VolleyError("TIMEOUT", "too late");

describe("within", () => {
  it("gives what work gives, and fails with what it throws", () => {
    expect(within(1_000, late, () => 7)).toBe(7);
    expect(within(1_000, late, () => within(1_000, late, () => [1]))).toEqual([1]);
    const thrown = new Error("its own");
    expect(() =>
      within(1_000, late, () => {
        throw thrown;
      }),
    ).toThrow(thrown);
  });

  it.each<[string, () => unknown]>([
    ["a regular expression", () => ENDLESS.test(TEXT)],
    ["a replacement", () => TEXT.replace(/(a|aa)+$/, "")],
    [
      "a loop that catches whatever it can",
      () => {
        for (;;) {
          try {
            for (;;);
          } catch {}
        }
      },
    ],
  ])("ends %s", (_what, work) => {
    expect(() => within(50, late, work)).toThrow(/too late/);
    expect(within(1_000, late, () => "after")).toBe("after");
  });

  it("ends what is inside first, so that what is around it can tidy up", () => {
    const seen: string[] = [];
    const outer = () => {
      try {
        return within(60_000, late, () => ENDLESS.test(TEXT));
      } finally {
        seen.push("tidied up");
      }
    };
    expect(() => within(4_000, () => new VolleyError("INTERNAL", "outer"), outer)).toThrow(/too late/);
    expect(seen).toEqual(["tidied up"]);
  });
});

describe("findMatches", () => {
  const { signal } = new AbortController();

  it("finds what RegExp does", async () => {
    const [first, second] = await findMatches(/(?<n>b)(c)?/u, ["abc", "x"], signal);
    expect(first?.map(({ index, groups }) => [index, groups?.n])).toEqual([[1, "b"]]);
    expect(second).toEqual([]);
    const [all] = await findMatches(/x*/gu, ["axb"], signal);
    expect(all?.map(({ index, 0: text }) => [index, text])).toEqual([
      [0, ""],
      [1, "x"],
      [2, ""],
      [3, ""],
    ]);
  });

  it("finds the same where it takes its time, and other things go on meanwhile", async () => {
    // Each further letter doubles the time: one of these is slow on any machine.
    for (const length of [22, 24, 26, 28]) {
      const text = `${"a".repeat(length)}!\nb=1\n`;
      const regex = /(?:^(?:a+)+$|(?<name>b)=(\d))/dm;
      let ticks = 0;
      const timer = setInterval(() => ticks++, 5);
      const startedAt = performance.now();
      const [matches] = await findMatches(regex, [text], signal);
      const tookMs = performance.now() - startedAt;
      clearInterval(timer);
      const [match] = matches!;
      expect([...match!]).toEqual(["b=1", "b", "1"]);
      expect(match!.index).toBe(length + 2);
      expect(match!.groups!.name).toBe("b");
      expect("constructor" in match!.groups!).toBe(false);
      expect(match!.indices!.groups!.name).toEqual([length + 2, length + 3]);
      if (tookMs < 1_000) continue;
      expect(ticks).toBeGreaterThan(5);
      break;
    }
  });

  it("is ended by its signal", async () => {
    const stop = new AbortController();
    const finding = findMatches(ENDLESS, ["b", TEXT], stop.signal);
    setTimeout(() => stop.abort(), 300);
    await expect(finding).rejects.toMatchObject({ code: "CANCELLED" });
  });
});
