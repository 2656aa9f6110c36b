import { expect, test } from "vitest";
import { type Finding, RULES } from "../../src/lint/finding.ts";
import { formatJson, formatSarif, formatText } from "../../src/lint/report.ts";

const findings: readonly Finding[] = [
  {
    rule: "unknown-module",
    severity: "error",
    file: "a b/site.yml",
    line: 3,
    column: 7,
    message: "no \u001b[1m",
    hint: "do",
  },
  { rule: "braces-in-condition", severity: "warning", file: "/abs/site.yml", line: 4, message: "braces" },
  { rule: "unused-handler", severity: "hint", file: "c.yml", message: "unused" },
];

test("text: one line a finding, and how many there are", () => {
  expect(formatText({ findings, files: 3 })).toBe(
    [
      "a b/site.yml:3:7: error: no \\u001b[1m (do) [unknown-module]",
      "/abs/site.yml:4: warning: braces [braces-in-condition]",
      "c.yml: hint: unused [unused-handler]",
      "3 files: 1 error, 1 warning, 1 hint",
      "",
    ].join("\n"),
  );
  expect(formatText({ findings: [], files: 1 })).toBe("1 file: nothing found\n");
});

test("JSON", () => {
  expect(JSON.parse(formatJson({ findings, files: 3 }))).toEqual({
    version: 1,
    findings,
    summary: { files: 3, errors: 1, warnings: 1, hints: 1 },
  });
});

/** Fails for a value that lacks what SARIF's schema requires, or has other types. */
function checkSarif(log: unknown): void {
  const { version, runs, $schema } = log as Record<string, unknown>;
  expect(version).toBe("2.1.0");
  expect($schema).toMatch(/^https:\/\/.*sarif.*2\.1\.0/);
  for (const run of runs as readonly Record<string, unknown>[]) {
    const { driver } = run.tool as { readonly driver: Record<string, unknown> };
    expect(driver.name).toMatch(/./);
    expect(driver.semanticVersion).toMatch(/^\d+\.\d+\.\d+/);
    const rules = driver.rules as readonly {
      readonly id: string;
      readonly shortDescription: { readonly text: string };
    }[];
    expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length);
    for (const { shortDescription } of rules) expect(shortDescription.text).toMatch(/\.$/);
    for (const result of run.results as readonly Record<string, unknown>[]) {
      expect((result.message as { readonly text: string }).text).toMatch(/./);
      expect(["none", "note", "warning", "error"]).toContain(result.level);
      expect(rules[result.ruleIndex as number]!.id).toBe(result.ruleId);
      for (const { physicalLocation } of result.locations as readonly {
        readonly physicalLocation: Record<string, never>;
      }[]) {
        const { artifactLocation, region } = physicalLocation as unknown as {
          readonly artifactLocation: { readonly uri: string };
          readonly region?: Readonly<Record<string, number>>;
        };
        expect(() => new URL(artifactLocation.uri, "file:///base/")).not.toThrow();
        expect(artifactLocation.uri).not.toMatch(/ /);
        for (const number of Object.values(region ?? {})) expect(number).toBeGreaterThanOrEqual(1);
        if (region !== undefined) expect(region.startLine).toBeDefined();
      }
    }
  }
}

test("SARIF has all that its schema requires", () => {
  const log = JSON.parse(formatSarif({ findings, files: 3 }, "1.2.3"));
  checkSarif(log);
  const [run] = log.runs;
  expect(run.tool.driver.rules).toHaveLength(Object.keys(RULES).length);
  expect(run.results[0]).toEqual({
    ruleId: "unknown-module",
    ruleIndex: Object.keys(RULES).indexOf("unknown-module"),
    level: "error",
    message: { text: "no \u001b[1m (do)" },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: "a%20b/site.yml" },
          region: { startLine: 3, startColumn: 7 },
        },
      },
    ],
  });
  expect(run.results[1].locations[0].physicalLocation.artifactLocation.uri).toBe("file:///abs/site.yml");
  expect(run.results[2]).toMatchObject({
    level: "note",
    locations: [{ physicalLocation: { artifactLocation: { uri: "c.yml" } } }],
  });
});
