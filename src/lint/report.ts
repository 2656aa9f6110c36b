import { formatLocation, printable } from "../core/errors.ts";
import { type Finding, RULES, SEVERITIES, type Severity } from "./finding.ts";
import type { LintResult } from "./index.ts";

// Findings for people, for programs, and for code hosts.

/** Return the number of findings of each severity. */
export function countOf(findings: readonly Finding[]): Readonly<Record<Severity, number>> {
  const count = { error: 0, warning: 0, hint: 0 };
  for (const { severity } of findings) count[severity]++;
  return count;
}

/** Write findings as lines, `file:line:column: severity: message [rule]`, and how many there are. */
export function formatText({ findings, files }: LintResult): string {
  const lines = findings.map((finding) => {
    const { rule, severity, message, hint } = finding;
    const advice = hint === undefined ? "" : ` (${hint})`;
    return `${formatLocation(finding)}: ${severity}: ${printable(`${message}${advice}`)} [${rule}]`;
  });
  const count = countOf(findings);
  const some = SEVERITIES.filter((severity) => count[severity] > 0).map((severity) =>
    plural(count[severity], severity),
  );
  return [
    ...lines,
    `${plural(files, "file")}: ${some.length === 0 ? "nothing found" : some.join(", ")}`,
    "",
  ].join("\n");
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

/** Write findings as JSON; a field once there keeps its meaning. */
export function formatJson({ findings, files }: LintResult): string {
  const { error: errors, warning: warnings, hint: hints } = countOf(findings);
  const summary = { files, errors, warnings, hints };
  return `${JSON.stringify({ version: 1, findings, summary }, null, 2)}\n`;
}

const LEVELS: Readonly<Record<Severity, string>> = { error: "error", warning: "warning", hint: "note" };

/** Write findings as SARIF 2.1.0, which code hosts show beside the lines. `version`: of Volley. */
export function formatSarif({ findings }: LintResult, version: string): string {
  const ids = Object.keys(RULES) as (keyof typeof RULES)[];
  const log = {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "volley lint",
            semanticVersion: version,
            rules: ids.map((id) => ({ id, shortDescription: { text: RULES[id] } })),
          },
        },
        columnKind: "utf16CodeUnits",
        results: findings.map(({ rule, severity, file, line, column, message, hint }) => ({
          ruleId: rule,
          ruleIndex: ids.indexOf(rule),
          level: LEVELS[severity],
          message: { text: hint === undefined ? message : `${message} (${hint})` },
          locations: [
            {
              physicalLocation: {
                artifactLocation: { uri: uriOf(file) },
                ...(line === undefined
                  ? {}
                  : {
                      region: { startLine: line, ...(column === undefined ? {} : { startColumn: column }) },
                    }),
              },
            },
          ],
        })),
      },
    ],
  };
  return `${JSON.stringify(log, null, 2)}\n`;
}

function uriOf(file: string): string {
  const path = file.split("/").map(encodeURIComponent).join("/");
  return path.startsWith("/") ? `file://${path}` : path;
}
