import type { ReadSystem, Stat } from "../../core/system.ts";
import { formatMode } from "../shared/attributes.ts";
import type { Plan } from "./file-plan.ts";

/** The sides of a difference as Ansible's `file` returns them, whatever the diff mode: always the path, and what differs. */
export interface FileDiff {
  readonly before: Readonly<Record<string, unknown>>;
  readonly after: Readonly<Record<string, unknown>>;
}

/** The request of a `file` task, as its difference needs it. */
interface Wanted {
  readonly state: "file" | "directory" | "touch" | "link" | "hard" | "absent";
  readonly path: string;
  readonly stat: Stat | null;
  readonly src: string | undefined;
}

/** Describe what a plan changes of the path itself. */
export async function describeDiff(
  system: ReadSystem,
  { state, path, stat, src }: Wanted,
  plan: Plan,
): Promise<FileDiff> {
  const before: Record<string, unknown> = { path };
  const after: Record<string, unknown> = { path };
  const differ = (name: string, was: unknown, is: unknown): void => {
    before[name] = was;
    after[name] = is;
  };
  const present = presentState(stat);
  if (plan.steps.length > 0 && (present !== state || state === "touch")) differ("state", present, state);
  if (state === "absent") {
    if (present === "directory") before.path_content = await namesBelow(system, path);
    return { before, after };
  }
  if (state === "link" && stat?.type === "link" && plan.steps.some((step) => step.do === "symlink"))
    differ("src", await system.readLink(path), src);
  for (const step of plan.steps) {
    if (step.do === "attributes" && step.change.path === path) {
      const { uid, gid, mode } = step.change;
      if (uid !== -1) differ("owner", stat?.uid ?? system.uid, uid);
      if (gid !== -1) differ("group", stat?.gid ?? system.gid, gid);
      if (mode !== undefined) differ("mode", formatMode(stat?.mode ?? 0o644), formatMode(mode));
    } else if (step.do === "directory" && step.path === path && step.mode !== undefined)
      differ("mode", "0755", formatMode(step.mode));
    else if (step.do === "file") {
      const mode = step.change.attributes?.mode;
      if (mode !== undefined) differ("mode", "0644", formatMode(mode));
    } else if (step.do === "times" && step.path === path) {
      const seconds = (time: number | "now"): number => (time === "now" ? Date.now() : time) / 1000;
      if (stat?.mtimeMs !== step.mtimeMs)
        differ("mtime", seconds(stat?.mtimeMs ?? "now"), seconds(step.mtimeMs));
      if (stat?.atimeMs !== step.atimeMs)
        differ("atime", seconds(stat?.atimeMs ?? "now"), seconds(step.atimeMs));
    }
  }
  return { before, after };
}

/** List all that is below a directory: links to directories, as in Ansible, among the directories. */
async function namesBelow(system: ReadSystem, path: string): Promise<Readonly<Record<string, unknown>>> {
  const isDirectory = ["(", "-type", "d", "-o", "-type", "l", "-exec", "test", "-d", "{}", ";", ")"];
  const find = async (...test: readonly string[]): Promise<readonly string[]> =>
    (await system.query(["find", path, "-mindepth", "1", ...test, "-print0"])).stdout
      .split("\0")
      .slice(0, -1);
  return { directories: await find(...isDirectory), files: await find("!", ...isDirectory) };
}

function presentState(stat: Stat | null): string {
  if (stat === null) return "absent";
  if (stat.type === "directory" || stat.type === "link") return stat.type;
  return stat.links > 1 ? "hard" : "file";
}
