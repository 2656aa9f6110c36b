import { describe, expect, it, test } from "vitest";
import { csvField, toCsv, toPageData } from "../../src/compare/output.ts";
import { resultsOf, verdictSentence } from "../../src/compare/results.ts";
import { comparison, sample } from "./lib/samples.ts";

const rounds = [1, 2, 3, 4, 5, 6];
/** direct is a fifth faster in every pair, though both drift. */
const drifting = rounds.flatMap((round) => [
  sample("bundle", round, 1_000 * round),
  sample("direct", round, 800 * round),
]);

describe("the results of a comparison", () => {
  it("compare pairs of the same round, whatever drifts", () => {
    const { conditions } = resultsOf(comparison([...drifting].reverse()));
    const [bundle, direct] = conditions[0]!.methods;
    expect(bundle).toMatchObject({
      runs: 6,
      measures: { wallMs: { median: 3_500, least: 1_000, most: 6_000 } },
    });
    expect(bundle).not.toHaveProperty("ratio");
    expect(direct?.ratio).toMatchObject({ baseline: "bundle", median: 0.8, pairs: 6, distinct: true });
    expect(direct?.ratio?.interval).toMatchObject({ low: 0.8, high: 0.8 });
    expect(direct?.phasesMs).toEqual({ build: 10, tasks: 700 });
  });

  it("have no figure for what some runs could not measure", () => {
    const [first, ...others] = drifting;
    const { conditions } = resultsOf(comparison([{ ...first!, sentBytes: undefined }, ...others]));
    const [bundle, direct] = conditions[0]!.methods;
    expect(Object.keys(bundle!.measures)).toEqual(["wallMs", "controllerCpuMs", "receivedBytes", "flights"]);
    expect(direct!.measures.sentBytes?.median).toBe(1_000);
  });

  it("say how wall time grows with the time of a round trip, as it was measured", () => {
    const conditions = [0, 20].map((roundTripMs) => ({ cache: "warm" as const, roundTripMs }));
    const samples = [0, 20].flatMap((roundTripMs) => [
      sample("bundle", 1, 500 + 7 * (roundTripMs + 1), { roundTripMs }),
      sample("direct", 1, 400 + 30 * (roundTripMs + 1), { roundTripMs }),
    ]);
    const roundTrips = [0, 20].map((addedMs) => ({ addedMs, measuredMs: addedMs + 1 }));
    expect(resultsOf(comparison(samples, { conditions, roundTrips })).slopes).toEqual([
      { method: "bundle", cache: "warm", roundTrips: 7, interval: undefined },
      { method: "direct", cache: "warm", roundTrips: 30, interval: undefined },
    ]);
    // Samples that went through no proxy had no delay.
    const around = samples.map((each) => ({ ...each, flights: undefined }));
    expect(resultsOf(comparison(around, { conditions, roundTrips })).slopes).toEqual([]);
  });

  it("compare a method with its own cold runs", () => {
    const conditions = (["cold", "warm"] as const).map((cache) => ({ cache, roundTripMs: 0 }));
    const samples = rounds.flatMap((round) => [
      sample("bundle", round, 1_000),
      sample("bundle", round, 2_000, { cache: "cold" }),
    ]);
    const { caches } = resultsOf(comparison(samples, { conditions }));
    expect(caches).toMatchObject([
      { method: "bundle", roundTripMs: 0, ratio: { median: 0.5, distinct: true } },
    ]);
  });

  it("can be had of a comparison that was ended before its first run", () => {
    const early = comparison([], { cancelled: true });
    const results = resultsOf(early);
    expect(results.conditions[0]?.methods.map(({ runs }) => runs)).toEqual([0, 0]);
    expect(toPageData(early, results, { version: "1.0.0" }).groups[0]?.methods[0]).toMatchObject({
      label: "bundle",
      samples: [],
      missing: "ended before its first run",
    });
  });
});

test("what a ratio means, in a sentence", () => {
  const interval = { low: 0.74, high: 0.83, coverage: 0.978515625 };
  expect(
    verdictSentence(
      "direct",
      { baseline: "bundle", median: 0.787, pairs: 10, interval, distinct: true },
      "bundle",
    ),
  ).toBe("direct takes 0.79 times as long as bundle (97.9 % interval 0.74 to 0.83, 10 pairs): it is faster");
  const wide = { ...interval, high: 1.2 };
  expect(
    verdictSentence(
      "direct",
      { baseline: "bundle", median: 0.9, pairs: 10, interval: wide, distinct: false },
      "bundle",
    ),
  ).toContain("no difference can be told from chance");
  expect(
    verdictSentence("x", { baseline: "y", median: 0.5, pairs: 1, interval: undefined, distinct: false }, "y"),
  ).toBe("x takes 0.50 times as long as y (1 pair): too few for an interval, 6 are needed");
});

test("the page gets every run, and ratios only with intervals", () => {
  const whole = comparison(drifting);
  const page = toPageData(whole, resultsOf(whole), { version: "1.0.0" });
  expect(page).toMatchObject({ title: "site.ts on 2 hosts", confidence: 0.95 });
  const [bundle, direct] = page.groups[0]!.methods;
  expect(bundle).not.toHaveProperty("ratios");
  expect(direct).toMatchObject({
    command: "volley run site.ts --via direct",
    bytes: { sent: 1_000, received: 2_000 },
    roundTrips: 5,
    ratios: [{ baseline: "bundle", median: 0.8, low: 0.8, high: 0.8, means: false }],
  });
  expect(direct?.samples.map(({ wallMs }) => wallMs)).toEqual(rounds.map((round) => 800 * round));
  const few = comparison(drifting.slice(0, 4));
  expect(toPageData(few, resultsOf(few), { version: "1.0.0" }).groups[0]!.methods[1]).not.toHaveProperty(
    "ratios",
  );
});

describe("CSV", () => {
  it.each([
    ["plain", "plain"],
    ["a,b", '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ["two\nlines", '"two\nlines"'],
    ["carriage\rreturn", '"carriage\rreturn"'],
    [0, "0"],
    [undefined, ""],
  ])("writes %j as %j", (value, field) => {
    expect(csvField(value)).toBe(field);
  });

  it("has a line for each run, and nothing where nothing was measured", () => {
    const [head, first, second, end] = toCsv([
      sample("fast, direct", 1, 12.34567, { run: "r1" }),
      sample("script", 1, 5, {
        sentBytes: undefined,
        receivedBytes: undefined,
        flights: undefined,
        phasesMs: {},
      }),
    ]).split("\r\n");
    expect(head).toMatch(/^method,cache,round_trip_added_ms,round,wall_ms,/);
    expect(first).toBe('"fast, direct",warm,0,1,12.346,6.173,,1000,2000,5,10,,,,,,3.086,,,r1');
    expect(second).toBe("script,warm,0,1,5,2.5,,,,,,,,,,,,,,");
    expect(end).toBe("");
    expect(first!.split(/,(?! )/)).toHaveLength(head!.split(",").length);
  });
});
