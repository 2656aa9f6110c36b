import { basename } from "node:path";
import { readDocument } from "./markdown.ts";

/** The pages whose TypeScript is compiled and run. */
export const EXAMPLE_PAGES = ["docs/library.md", "docs/coming-from-fabric.md"];

/** A TypeScript block of a page. */
export interface Example {
  /** The name of the file that it makes. */
  readonly file: string;
  readonly code: string;
  readonly notRun: string | undefined;
}

/** Return the examples of a page. */
export function examplesOf(page: string): readonly Example[] {
  return readDocument(page)
    .blocks.filter(({ language }) => language === "ts")
    .map(({ code, notRun }, index) => ({ file: `${basename(page, ".md")}-${index + 1}.ts`, code, notRun }));
}

/** Return an example as a module: a block that connects to no fleet is about one that there is. */
export function moduleOf({ code }: Example): string {
  const given = hasFleet(code) ? "" : "declare const fleet: Fleet;";
  return `import type { Fleet } from "volley/controller";${given}\n${code}`;
}

/** True when a block makes a fleet itself. */
export function hasFleet(code: string): boolean {
  return /\b(?:const|using) fleet\b/.test(code);
}
