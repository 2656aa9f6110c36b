import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { createDiskAssets } from "../../src/bundle/assets.ts";
import {
  type ActionCall,
  type ActionContext,
  type Applied,
  type Change,
  createMemo,
  type Unchanged,
} from "../../src/core/action.ts";
import type { Facts } from "../../src/core/facts.ts";
import type { System } from "../../src/core/system.ts";
import { createActionContext } from "../../src/engine/context.ts";
import { createLocalSystem } from "../../src/system/local/local-system.ts";
import { createTemplates } from "../../src/template/index.ts";
import { directSandboxSystem } from "../direct/lib/sandbox-system.ts";

/** True when actions are tested over a connection (test/direct/actions-*.test.ts) instead of on the machine itself. */
export function testsWorkDirectly(): boolean {
  return process.env.VOLLEY_TEST_SYSTEM === "direct";
}

/** A temporary root with a System on it and a role directory beside it. */
export interface Sandbox {
  /** The root as the test sees it. */
  readonly root: string;
  /** A role's directory: put assets in `files` and `templates` below it. */
  readonly role: string;
  readonly system: System;
  readonly output: string[];
  context(options?: {
    readonly check?: boolean;
    readonly vars?: Record<string, unknown>;
    readonly facts?: Partial<Facts>;
  }): ActionContext;
  [Symbol.dispose](): void;
}

/** Makes a sandbox; absolute paths given to its System lie below its root. */
export function makeSandbox(): Sandbox {
  const base = mkdtempSync(join(tmpdir(), "volley-test-"));
  const root = join(base, "root");
  const role = join(base, "role");
  for (const path of [root, role]) mkdirSync(path);
  const direct = testsWorkDirectly() ? directSandboxSystem(root) : undefined;
  const system = direct?.system ?? createLocalSystem({ root });
  const assets = createDiskAssets(() => role);
  const output: string[] = [];
  return {
    root,
    role,
    system,
    output,
    context: ({ check = false, vars = {}, facts = {} } = {}) => {
      direct?.forget();
      return createActionContext({
        role: "test",
        vars,
        facts: facts as Facts,
        check,
        signal: new AbortController().signal,
        memo: createMemo(),
        assets,
        render: (_role, src, given, style) =>
          createTemplates({
            loader: { read: (name) => readOrNull(join(role, "templates", name)) },
          }).render(src, given, style),
        output: (_stream, text) => output.push(text),
      });
    },
    [Symbol.dispose]: () => {
      direct?.close();
      rmSync(base, { recursive: true, force: true });
    },
  };
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** The result of one pass over an action. */
export interface Pass<D> {
  readonly state: "unchanged" | "changed" | "skipped" | "unknown";
  readonly change: Change | null;
  readonly inspected: Unchanged<D> | null;
  readonly applied: Applied<D> | undefined;
  readonly data: D | undefined;
}

/** Inspect and, unless in check mode, apply, as the executor does with one task. */
export async function pass<D>(call: ActionCall<D>, system: System, context: ActionContext): Promise<Pass<D>> {
  const found = await call.inspect(system, context);
  if (found === null || "unchanged" in found) {
    const inspected = found as Unchanged<D> | null;
    const state = inspected?.skipped ? "skipped" : "unchanged";
    return { state, change: null, inspected, applied: undefined, data: inspected?.data };
  }
  if (context.check) {
    const state = found.unknown === undefined ? "changed" : "unknown";
    return { state, change: found, inspected: null, applied: undefined, data: undefined };
  }
  const applied = (await call.apply(found, system, context)) ?? undefined;
  const state = applied?.changed === false ? "unchanged" : "changed";
  return { state, change: found, inspected: null, applied, data: applied?.data };
}

/** Every path below a directory with its content and attributes, times included. */
export function snapshot(directory: string, below = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(join(directory, below)).sort()) {
    const path = join(below, name);
    const full = join(directory, path);
    const stats = lstatSync(full, { bigint: true });
    const content = stats.isFile()
      ? readFileSync(full, "base64")
      : stats.isSymbolicLink()
        ? readlinkSync(full)
        : "";
    found[path] = [stats.mode, stats.uid, stats.gid, stats.ino, stats.mtimeNs, content].join(" ");
    if (stats.isDirectory()) Object.assign(found, snapshot(directory, path));
  }
  return found;
}

/**
 * The order every action is held to: check (changed, and nothing touched), apply (changed), apply again
 * (unchanged, and nothing touched). Returns the three passes.
 */
export async function checkApplyAgain<D>(
  sandbox: Sandbox,
  call: ActionCall<D>,
  options: Parameters<Sandbox["context"]>[0] = {},
): Promise<{ readonly check: Pass<D>; readonly first: Pass<D>; readonly second: Pass<D> }> {
  const before = snapshot(sandbox.root);
  const check = await pass(call, sandbox.system, sandbox.context({ ...options, check: true }));
  expect(snapshot(sandbox.root), "check mode touched something").toEqual(before);
  expect(check.state).toBe("changed");
  const first = await pass(call, sandbox.system, sandbox.context(options));
  expect(first.state).toBe("changed");
  const after = snapshot(sandbox.root);
  const second = await pass(call, sandbox.system, sandbox.context(options));
  expect(second.state).toBe("unchanged");
  expect(snapshot(sandbox.root), "the second run touched something").toEqual(after);
  return { check, first, second };
}
