import { readFileSync } from "node:fs";
import { createTemplates } from "../../src/template/index.ts";

/** A template and Ansible's own result. */
export interface GoldenCase {
  readonly template: string;
  readonly expected?: string;
  readonly error?: boolean;
}

/** Cases over one set of vars, with the templates they include or extend. */
export interface GoldenFile {
  readonly vars: Readonly<Record<string, unknown>>;
  readonly templates?: Readonly<Record<string, string>>;
  readonly cases: readonly GoldenCase[];
}

/** Reads a file of cases beside the tests. */
export function readGolden(name: string): GoldenFile {
  return JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as GoldenFile;
}

/** Render a case. Return its text or its error. */
export function outcome(
  golden: GoldenFile,
  { template }: GoldenCase,
  create = createTemplates,
): { text?: string; error?: unknown } {
  const templates = create({
    env: { HOME: "/root" },
    loader: { read: (name) => golden.templates?.[name] ?? null },
  });
  try {
    return { text: templates.renderString(template, golden.vars) };
  } catch (error) {
    return { error };
  }
}

/** True when the result of a case equals Ansible's. */
export function matches(golden: GoldenFile, one: GoldenCase): boolean {
  const { text, error } = outcome(golden, one);
  return one.error === true ? error !== undefined : text === one.expected;
}
