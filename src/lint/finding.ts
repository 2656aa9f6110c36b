import { relative } from "node:path";
import { isVolleyError, messageOf, type SourceLocation } from "../core/errors.ts";

// Findings: what they are, and how they are gathered.

/** The weight of a finding: an error makes a run fail where it is reached, a warning may, a hint is advice. */
export type Severity = "error" | "warning" | "hint";

/** The severities, the gravest first. */
export const SEVERITIES = ["error", "warning", "hint"] as const satisfies readonly Severity[];

/** The rules, by their stable names, with what each finds. */
export const RULES = {
  yaml: "A file that is no YAML, or not the YAML that is expected in its place.",
  "duplicate-key": "A key that is written twice in a mapping: the last one counts.",
  "unknown-keyword": "A keyword that plays, blocks, tasks or roles do not have.",
  "invalid-task":
    "A task or play that cannot be read: no module, several modules, wrong arguments of an import.",
  "unknown-module": "A module that Volley does not have.",
  "python-module": "A module or plugin that needs Ansible's Python.",
  "unknown-parameter": "A parameter that the module does not have.",
  "missing-parameter": "A parameter that the module requires and the task does not give.",
  "invalid-value": "A value that the parameter cannot have.",
  "parameter-conflict": "Parameters that do not go together.",
  "undefined-variable": "A variable that nothing defines.",
  "recursive-variable": "A variable whose value is made of itself.",
  "unknown-handler": "A notification of a handler that nobody declares.",
  "unused-handler": "A handler that nobody notifies.",
  "template-syntax": "A template or condition that cannot be parsed.",
  "unknown-filter": "A filter that Volley does not have.",
  "unknown-test": "A test that Volley does not have.",
  "unknown-lookup": "A lookup that Volley does not have.",
  "braces-in-condition": "A condition with delimiters of templates: it is an expression already.",
  "unquoted-shell-variable": "A variable of the user's in a command line of the shell, without `quote`.",
  "missing-file": "A file, template or directory that is named and not there.",
  "missing-role": "A role that is named and not found.",
  build: "TypeScript that does not compile.",
  playbook: "A TypeScript playbook or role that declares something wrong.",
} as const;

/** The name of a rule. */
export type RuleId = keyof typeof RULES;

/** Something that would not work, or not as meant. */
export interface Finding {
  readonly rule: RuleId;
  readonly severity: Severity;
  /** Relative to the working directory, unless it lies outside. */
  readonly file: string;
  /** Counted from 1. */
  readonly line?: number;
  /** Counted from 1. */
  readonly column?: number;
  readonly message: string;
  /** The remedy. */
  readonly hint?: string;
}

/** Gathers findings, each once. */
export class Findings {
  readonly #cwd: string;
  readonly #found = new Map<string, Finding>();
  readonly #files = new Set<string>();

  constructor(cwd: string) {
    this.#cwd = cwd;
  }

  /** The name that people know a file by. */
  shown(file: string): string {
    const path = relative(this.#cwd, file);
    return path === "" ? "." : path.startsWith("../../") ? file : path;
  }

  /** Note that a file was looked at. */
  looked(file: string): void {
    this.#files.add(file);
  }

  /** Add a finding; the location's file is one that {@link shown} returned. */
  add(rule: RuleId, severity: Severity, at: SourceLocation, message: string, hint?: string): void {
    const { file, line, column } = at;
    const finding: Finding = {
      rule,
      severity,
      file,
      ...(line === undefined ? {} : { line }),
      ...(column === undefined ? {} : { column }),
      message,
      ...(hint === undefined ? {} : { hint }),
    };
    this.#found.set(JSON.stringify([rule, file, line, column, message]), finding);
  }

  /** Add what was thrown; its own location wins. */
  addThrown(rule: RuleId, thrown: unknown, at: SourceLocation): void {
    if (!isVolleyError(thrown)) throw thrown;
    this.add(rule, "error", thrown.location ?? at, messageOf(thrown), thrown.hint);
  }

  /** The number of files that were looked at. */
  get files(): number {
    return this.#files.size;
  }

  /** All findings, by file, line and column. */
  sorted(): readonly Finding[] {
    return [...this.#found.values()].sort(
      (a, b) =>
        compare(a.file, b.file) ||
        (a.line ?? 0) - (b.line ?? 0) ||
        (a.column ?? 0) - (b.column ?? 0) ||
        compare(a.rule, b.rule),
    );
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
